"""Identifiers as outside programs see them."""

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchstring.authorization_server.identifiers import (
    CLIENT,
    GRANT,
    ORGANIZATION,
    RESOURCE_SERVER,
    USER,
    derive_client_id,
    find_made_at,
    new_grant_id,
    parse_identifier,
    render_identifier,
)

KINDS = [USER, ORGANIZATION, CLIENT, RESOURCE_SERVER, GRANT]
PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=200)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("raw", [bytes(16), b"\xff" * 16, bytes(range(16)), bytes(15) + b"\x01"])
def test_identifier_round_trips_in_a_fixed_form(kind, raw):
    text = render_identifier(kind, raw)
    assert re.fullmatch(rf"{kind}_[0-9A-Za-z]{{22}}", text, re.ASCII)
    assert parse_identifier(kind, text) == raw


@PROPERTY
@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_identifier_of_any_bytes_is_theirs_alone_and_sorts_like_them(raw, other):
    text, another = render_identifier(USER, raw), render_identifier(USER, other)
    assert parse_identifier(USER, text) == raw
    assert (text < another) == (raw < other)


def test_identifier_kinds_are_never_taken_for_each_other():
    for kind in KINDS:
        for other in KINDS:
            if other != kind:
                assert parse_identifier(other, render_identifier(kind, bytes(16))) is None
                # The introspection endpoint tells callers apart by this prefix.
                assert not render_identifier(kind, bytes(16)).startswith(other + "_")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "user",
        "user_",
        "user_" + "0" * 21,
        "user_" + "0" * 23,
        "user_" + "z" * 22,
        "user_" + "0" * 21 + "-",
        "user_" + "0" * 21 + "٣",
        "user_" + "0" * 21 + "\n",
        "USER_" + "0" * 22,
        " user_" + "0" * 22,
        "user-" + "0" * 22,
        "https://app.example/",
        render_identifier(USER, b"\xff" * 16)[:-1] + "z",
        "user_7n42DGM5Tflk9n8mt7Fhc8",
    ],
)
def test_parse_identifier_anything_else_is_none(text):
    """K9: none begins like a URL, none stands for more than 16 bytes."""
    assert parse_identifier(USER, text) is None


@PROPERTY
@given(st.text(max_size=40) | st.text("0123456789azAZ", min_size=22, max_size=22).map("user_".__add__))
def test_parse_identifier_any_text_is_none_or_the_only_spelling(text):
    raw = parse_identifier(USER, text)
    assert raw is None or render_identifier(USER, raw) == text


def test_new_grant_id_sorts_by_time_and_keeps_the_entropy():
    earlier, later = new_grant_id(1_800_000_000, b"\xff" * 12), new_grant_id(1_800_000_001, bytes(12))
    assert len(earlier) == 16
    assert earlier < later
    assert earlier[4:] == b"\xff" * 12
    assert len({new_grant_id(1, os.urandom(12)) for _ in range(1000)}) == 1000


def test_short_id_of_a_client_with_a_long_one_is_the_one_that_rows_and_tokens_have():
    """A known answer: another one would part every such client from its row."""
    assert derive_client_id("https://notes.example/client.json") == "oa2client_3Dmhy9kRRWIM6nbR2iR3OA"


def test_grant_id_tells_when_it_was_made():
    assert find_made_at(new_grant_id(1_800_000_000, b"\xff" * 12)) == 1_800_000_000
    assert find_made_at(new_grant_id(2**32 - 1, b"\0" * 12)) == 2**32 - 1
