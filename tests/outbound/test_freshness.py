"""How long an answer may be kept (RFC 9111 §4.2, §5.2)."""

import pytest

from latchstring.outbound.freshness import find_max_age


@pytest.mark.parametrize(
    "cache_control, age, expected",
    [
        ("", "", None),
        ("public", "", None),
        ("max-age=60", "", 60),
        ("public, Max-Age=60", "", 60),
        ('max-age="60"', "", 60),
        ("max-age=60", "20", 40),
        ("max-age=60", "600", 0),
        ("max-age=999999999", "", 86400),
        ("max-age=99999999999999999999", "", 0),
        ("max-age=-1", "", 0),
        ("max-age=", "", 0),
        ("max-age", "", 0),
        ("max-age=60, no-cache", "", 0),
        ('max-age=60, no-cache="set-cookie"', "", 0),
        ("no-store", "", 0),
        ("s-maxage=60", "", None),
    ],
)
def test_max_age_by_cache_control_and_age(cache_control: str, age: str, expected: int | None) -> None:
    assert find_max_age(cache_control, age) == expected
