"""The answer added to a redirect URI (RFC 6749 §4.1.2, RFC 9207 §2)."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.authorization_response import render_redirect
from tests.protocol.properties import PROPERTY


@pytest.mark.parametrize(
    "uri, location",
    [
        ("https://app.example/cb", "https://app.example/cb?code=c&iss=https%3A%2F%2Fa"),
        ("https://app.example", "https://app.example?code=c&iss=https%3A%2F%2Fa"),
        ("https://app.example/cb?x=1", "https://app.example/cb?x=1&code=c&iss=https%3A%2F%2Fa"),
        ("https://app.example/cb?", "https://app.example/cb?code=c&iss=https%3A%2F%2Fa"),
        ("https://app.example/cb?x=1&", "https://app.example/cb?x=1&code=c&iss=https%3A%2F%2Fa"),
        ("https://app.example/cb?x=%2B+%7e", "https://app.example/cb?x=%2B+%7e&code=c&iss=https%3A%2F%2Fa"),
        ("com.example.app:/cb", "com.example.app:/cb?code=c&iss=https%3A%2F%2Fa"),
    ],
)
def test_render_redirect_keeps_the_registered_query(uri, location):
    """RFC 6749 §3.1.2: the query component is retained, byte for byte."""
    assert render_redirect(uri, {"code": "c", "state": None, "iss": "https://a"}) == location


@pytest.mark.parametrize(
    "state",
    [
        "x",
        "a b",
        "a+b",
        "a%20b",
        "a&code=planted",
        "a#b",
        "a;b=c",
        '"<script>',
        "\r\nlocation: https://evil.example",
        "\t",
        "ü€🎈",
        "=" * 5,
        "s" * 1000,
    ],
    ids=ascii,
)
def test_a14_render_redirect_state_comes_back_byte_for_byte(state):
    location = render_redirect("https://app.example/cb?x=1", {"code": "c", "state": state})
    assert location.isascii()
    assert not set(location) & set(' \t\r\n"<>')
    assert "#" not in location
    assert parse_qsl(urlsplit(location).query, keep_blank_values=True, strict_parsing=True) == [
        ("x", "1"),
        ("code", "c"),
        ("state", state),
    ]


@PROPERTY
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=80))
def test_a14_render_redirect_any_state_comes_back(state):
    query = urlsplit(render_redirect("https://app.example/cb", {"state": state, "iss": "https://a"})).query
    assert parse_qsl(query, strict_parsing=True) == [("state", state), ("iss", "https://a")]
