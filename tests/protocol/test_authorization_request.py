"""Reading the authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3)."""

import pytest

from latchstring.protocol.authorization_request import (
    MAX_HINT_LENGTH,
    AuthorizationRequest,
    parse_authorization_request,
    parse_login_hint,
    parse_prompt,
    parse_request_uri,
    render_request_uri,
)
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import parse_parameters


def test_parse_authorization_request_reads_known_parameters_and_ignores_others():
    """A9."""
    raw = (
        b"client_id=c&response_type=code&redirect_uri=https://a/&scope=x&state=s&code_challenge=y"
        b"&code_challenge_method=S256&response_mode=query&organization_id=o&login_hint=ann&prompt=login&max_age=5&foo=bar"
        b"&acr_values=phr%20mfa"
        b"&dpop_jkt=j"
        b"&resource=https://b/&resource=https://a/&resource=https://b/"
    )
    assert parse_authorization_request(parse_parameters(raw)) == AuthorizationRequest(
        client_id="c",
        response_type="code",
        redirect_uri="https://a/",
        scope="x",
        state="s",
        code_challenge="y",
        code_challenge_method="S256",
        response_mode="query",
        organization_id="o",
        resource=("https://b/", "https://a/"),
        prompt="login",
        max_age="5",
        acr_values="phr mfa",
        login_hint="ann",
        dpop_jkt="j",
    )


def test_parse_authorization_request_empty_parameters_count_as_omitted():
    """A9."""
    raw = b"client_id=&response_type=&redirect_uri=&scope=&state=&code_challenge=&response_mode=&organization_id="
    assert parse_authorization_request(parse_parameters(raw)) == AuthorizationRequest(client_id="")


REQUEST_ID = bytes(range(0xF0, 0x100))
REQUEST_URI = "urn:ietf:params:oauth:request_uri:f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"


def test_request_uri_of_a_pushed_request_round_trips():
    """RFC 9126 §2.2."""
    assert render_request_uri(REQUEST_ID) == REQUEST_URI
    assert parse_request_uri(REQUEST_URI) == REQUEST_ID


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("f0" * 16, id="digits-alone"),
        pytest.param("https://evil.example/request", id="A30-a-url"),
        pytest.param(REQUEST_URI[:-1], id="cut"),
        pytest.param(REQUEST_URI[:-2], id="cut-by-two"),
        pytest.param(REQUEST_URI + "0", id="longer"),
        pytest.param(REQUEST_URI + "00", id="longer-by-two"),
        pytest.param(REQUEST_URI.upper(), id="in-capitals"),
        pytest.param(REQUEST_URI[:-1] + "F", id="one-digit-in-capitals"),
        pytest.param(REQUEST_URI[:-1] + "X", id="no-digit"),
        pytest.param(REQUEST_URI[:-1] + " ", id="a-space"),
        pytest.param(REQUEST_URI[-32:] + REQUEST_URI[:-32], id="the-wrong-way-round"),
        pytest.param(REQUEST_URI.replace("oauth", "other"), id="another-urn"),
    ],
)
def test_a30_request_uri_of_any_other_kind_is_none(text):
    """RFC 9101 §10.4: nothing is ever fetched for one."""
    assert parse_request_uri(text) is None


def test_parse_prompt_of_every_value_at_once_is_read():
    assert parse_prompt("login consent select_account login") == ("login", "consent", "select_account")
    assert parse_prompt("none") == ("none",)
    with pytest.raises(OAuthError, match="none together"):
        parse_prompt("login consent select_account none")


def test_parse_login_hint_at_its_cap_holds_it():
    assert parse_login_hint("a" * MAX_HINT_LENGTH) == "a" * MAX_HINT_LENGTH
    assert parse_login_hint("a" * (MAX_HINT_LENGTH + 1)) is None
    assert parse_login_hint("a\nb") is None
