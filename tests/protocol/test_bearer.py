"""Bearer tokens in the header, and the challenge (RFC 6750 §2.1, §3; S6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.bearer import (
    MAX_TOKEN_LENGTH,
    SentToken,
    parse_bearer,
    parse_sent_token,
    render_challenge,
)
from latchstring.protocol.errors import OAuthError
from tests.protocol.properties import PROPERTY
from tests.vectors.reader import read_vectors


@pytest.mark.parametrize("vector", read_vectors("rfc6750", "bearer"))
def test_parse_bearer_rfc_example_is_read(vector):
    assert parse_bearer([vector["authorization"].encode()]) == vector["token"]


@pytest.mark.parametrize(
    "header, token",
    [
        (b"Bearer abc", "abc"),
        (b"bearer abc", "abc"),
        (b"BEARER abc", "abc"),
        (b"bEaReR abc", "abc"),
        (b"Bearer    abc", "abc"),
        (b"Bearer abc  ", "abc"),
        (b"Bearer XabcX", "XabcX"),
        (b"Bearer aZ09-._~+/==", "aZ09-._~+/=="),
        (b"Bearer " + b"a" * MAX_TOKEN_LENGTH, "a" * MAX_TOKEN_LENGTH),
    ],
)
def test_s6_parse_bearer_well_formed_is_the_token(header, token):
    assert parse_bearer([header]) == token


@pytest.mark.parametrize(
    "header, scheme",
    [(b"Bearer abc", "Bearer"), (b"BEARER abc", "Bearer"), (b"DPoP abc", "DPoP"), (b"dpop abc", "DPoP")],
)
def test_s6_parse_sent_token_says_under_which_scheme(header, scheme):
    """RFC 9449 §7.1."""
    assert parse_sent_token([header]) == SentToken("abc", scheme)


@pytest.mark.parametrize("headers", [[], [b"Basic Yzpz"], [b"DPoP abc"], [b""], [b"Token abc"]])
def test_s1_parse_bearer_without_a_bearer_token_is_none(headers):
    assert parse_bearer(headers) is None


@pytest.mark.parametrize(
    "headers, code, status",
    [
        pytest.param([b"Bearer a", b"Bearer a"], "invalid_request", 400, id="S6-two-headers"),
        pytest.param([b"Bearer a", b"Basic Yzpz"], "invalid_request", 400, id="S6-two-schemes"),
        pytest.param([b"Bearer\ta"], "invalid_request", 400, id="S6-tab CVE-2026-0707"),
        pytest.param([b"Bearer"], "invalid_token", 401, id="S6-scheme-alone CVE-2026-9803"),
        pytest.param([b"Bearer "], "invalid_token", 401, id="S6-empty"),
        pytest.param([b"Bearer    "], "invalid_token", 401, id="S6-spaces"),
        pytest.param([b"Bearer a b"], "invalid_token", 401, id="S6-two-tokens"),
        pytest.param([b"Bearer a, Bearer b"], "invalid_token", 401, id="S6-comma-joined"),
        pytest.param([b"Bearer a,b"], "invalid_token", 401, id="S6-comma"),
        pytest.param([b"Bearer a\tb"], "invalid_token", 401, id="S6-tab-inside"),
        pytest.param([b"Bearer  \ta"], "invalid_token", 401, id="S6-space-then-tab"),
        pytest.param([b'Bearer "a"'], "invalid_token", 401, id="S6-quoted"),
        pytest.param([b"Bearer \xc3\xbc"], "invalid_token", 401, id="S6-not-ascii"),
        pytest.param([b"\xff\xfe"], "invalid_token", 401, id="S6-garbage"),
        pytest.param([b"Bearer a\0"], "invalid_token", 401, id="S6-nul"),
        pytest.param([b"BearerX a"], "invalid_request", 400, id="S6-scheme-prefix"),
        pytest.param([b"Bearer=a"], "invalid_request", 400, id="S6-equals"),
        pytest.param([b"Bearer " + b"a" * (MAX_TOKEN_LENGTH + 1)], "invalid_token", 401, id="S6-too-long"),
    ],
)
def test_s6_parse_bearer_malformed_is_refused(headers, code, status):
    with pytest.raises(OAuthError) as refused:
        parse_bearer(headers)
    assert (refused.value.code, refused.value.status) == (code, status)


@PROPERTY
@given(st.lists(st.binary(max_size=60) | st.binary(max_size=40).map(b"Bearer ".__add__), max_size=3))
def test_parse_bearer_any_headers_yield_token_none_or_oauth_error(headers):
    """CVE-2026-9803: never anything that becomes a 500."""
    try:
        token = parse_bearer(headers)
    except OAuthError as refused:
        assert refused.status in {400, 401}
    else:
        assert token is None or (token.isascii() and token.isprintable() and " " not in token)


def test_render_challenge_quotes_every_parameter():
    parameters = {"realm": "api", "error": "insufficient_scope", "scope": "a b"}
    assert render_challenge("Bearer", parameters) == 'Bearer realm="api", error="insufficient_scope", scope="a b"'
