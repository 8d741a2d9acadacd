"""Reading the authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3)."""

from latchstring.protocol.authorization_request import AuthorizationRequest, parse_authorization_request
from latchstring.protocol.parameters import parse_parameters


def test_parse_authorization_request_reads_known_parameters_and_ignores_others():
    """A9."""
    raw = (
        b"client_id=c&response_type=code&redirect_uri=https://a/&scope=x&state=s&code_challenge=y"
        b"&code_challenge_method=S256&response_mode=query&organization_id=o&login_hint=ann&prompt=login&max_age=5&foo=bar"
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
        login_hint="ann",
    )


def test_parse_authorization_request_empty_parameters_count_as_omitted():
    """A9."""
    raw = b"client_id=&response_type=&redirect_uri=&scope=&state=&code_challenge=&response_mode=&organization_id="
    assert parse_authorization_request(parse_parameters(raw)) == AuthorizationRequest(client_id="")
