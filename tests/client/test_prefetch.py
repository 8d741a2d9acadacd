"""A callback that a browser only looks at ahead of time."""

import pytest

from latchstring.client import is_prefetch


@pytest.mark.parametrize(
    "headers,expected",
    [
        ({"sec-purpose": "prefetch"}, True),
        ({"sec-purpose": "prefetch;prerender"}, True),
        ({"purpose": "Prefetch"}, True),
        ({"x-moz": "prefetch"}, True),
        ({}, False),
        ({"sec-fetch-mode": "navigate"}, False),
    ],
)
def test_prefetch_is_told_by_its_headers(headers, expected):
    assert is_prefetch(headers) is expected
