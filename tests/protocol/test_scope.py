"""Scope values (RFC 6749 §3.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.errors import OAuthError
from latchstring.protocol.scope import MAX_SCOPE_LENGTH, is_scope_token, parse_scope, render_scope
from tests.protocol.properties import PROPERTY


@pytest.mark.parametrize(
    "value, tokens",
    [
        ("a", ("a",)),
        ("b a", ("b", "a")),
        ("a b a", ("a", "b")),
        ("all.full_access offline_access", ("all.full_access", "offline_access")),
        ("!#$%&'()*+,-./:;<=>?@[]^_`{|}~", ("!#$%&'()*+,-./:;<=>?@[]^_`{|}~",)),
        ("a" * MAX_SCOPE_LENGTH, ("a" * MAX_SCOPE_LENGTH,)),
    ],
)
def test_parse_scope_well_formed_is_its_tokens_in_order_each_once(value, tokens):
    assert parse_scope(value) == tokens


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        " a",
        "a ",
        "a  b",
        "a\tb",
        "a\nb",
        "a\u00a0b",
        'a"b',
        "a\\b",
        "ä",
        "a\x7f",
        "a\0",
        "a" * (MAX_SCOPE_LENGTH + 1),
        "a " * 50_000 + "a",
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_parse_scope_malformed_is_invalid_scope(value):
    with pytest.raises(OAuthError) as refused:
        parse_scope(value)
    assert (refused.value.code, refused.value.status) == ("invalid_scope", 400)


def test_is_scope_token_accepts_exactly_the_characters_of_the_rfc():
    """NQCHAR: %x21 / %x23-5B / %x5D-7E."""
    allowed = {0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F)}
    assert {code for code in range(0x180) if is_scope_token(chr(code))} == allowed
    assert not is_scope_token("")


@PROPERTY
@given(st.text(max_size=60))
def test_parse_scope_any_text_round_trips_or_is_refused(value):
    try:
        tokens = parse_scope(value)
    except OAuthError as refused:
        assert refused.code == "invalid_scope"
        return
    assert parse_scope(render_scope(tokens)) == tokens
    assert set(tokens) == set(value.split(" "))
