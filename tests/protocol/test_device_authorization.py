"""User codes: made evenly, read forgivingly (RFC 8628 §6.1)."""

import os
from collections import Counter

import pytest

from latchstring.protocol.device_authorization import (
    USER_CODE_ENTROPY_SIZE,
    DeviceAuthorization,
    new_user_code,
    parse_user_code,
    render_user_code,
)

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"


def test_new_user_codes_are_distinct_and_use_every_letter_evenly():
    """D3, DOT #1734: 20 letters in 8 places, 34.5 bits, from the entropy that they are given and nothing else."""
    codes = [new_user_code(os.urandom(USER_CODE_ENTROPY_SIZE)) for _ in range(20_000)]
    assert len(set(codes)) > 19_990
    for place in range(8):
        counted = Counter(code[place] for code in codes)
        assert set(counted) == set(LETTERS)
        assert max(counted.values()) < 1.3 * min(counted.values())


def test_new_user_code_is_a_function_of_its_entropy():
    assert new_user_code(bytes(16)) == "BBBBBBBB"
    assert new_user_code((1).to_bytes(16, "big")) == "CBBBBBBB"
    assert new_user_code((20).to_bytes(16, "big")) == "BCBBBBBB"
    assert new_user_code((20**8).to_bytes(16, "big")) == "BBBBBBBB"


def test_user_code_is_rendered_in_two_halves():
    assert render_user_code("WDJBMJHT") == "WDJB-MJHT"


@pytest.mark.parametrize(
    "typed",
    [
        "WDJB-MJHT", "WDJBMJHT", "wdjb-mjht", " wdjb mjht ", "WDJB – MJHT", "w.d.j.b_m/j:h,t", "ＷＤＪＢ－ＭＪＨＴ",
        "wdjb\u00admjht", "\u200bwdjb-mjht", "“WDJB-MJHT”", "wd8b-mjht",
    ],
)  # fmt: skip
def test_user_code_is_read_however_it_is_typed(typed):
    expected = "WDBBMJHT" if "8" in typed else "WDJBMJHT"
    assert parse_user_code(typed) == expected


@pytest.mark.parametrize(
    "seen, meant", [("1", "L"), ("I", "L"), ("i", "L"), ("2", "Z"), ("5", "S"), ("6", "G"), ("8", "B"), ("u", "V")]
)
def test_look_alikes_are_taken_for_the_letter_that_was_meant(seen, meant):
    assert parse_user_code(f"BBBB-BBB{seen}") == f"BBBBBBB{meant}"


@pytest.mark.parametrize(
    "typed", ["", "-", "WDJB-MJH", "WDJB-MJHTB", "WDJB-MJHA", "WDJB-MJHY", "WDJB-MJH0", "ЖЖЖЖ-ЖЖЖЖ", "W" * 65, " " * 65]
)
def test_what_cannot_be_a_user_code_is_none(typed):
    assert parse_user_code(typed) is None


def test_user_code_with_all_that_may_be_typed_is_read():
    assert parse_user_code("WDJB-MJHT".ljust(64)) == "WDJBMJHT"
    assert parse_user_code("WDJB-MJHT".ljust(65)) is None


def test_rendered_user_codes_are_read_back():
    for _ in range(200):
        code = new_user_code(os.urandom(USER_CODE_ENTROPY_SIZE))
        assert parse_user_code(render_user_code(code)) == code


def test_device_authorization_shows_no_code_in_its_repr():
    """I7."""
    answer = DeviceAuthorization("ls_dc_secret", "WDJB-MJHT", "https://a.example/device", "", 600, 5)
    assert "secret" not in repr(answer)
    assert "WDJB" not in repr(answer)
