"""The token request and the client credentials in it (RFC 6749 §2.3, §3.2, Appendix B; RFC 7617)."""

import base64
import string
from urllib.parse import quote_plus, urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.client_metadata import TOKEN_EXCHANGE
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import parse_parameters
from latchstring.protocol.token_request import (
    ClientCredentials,
    TokenRequest,
    parse_basic,
    parse_client_credentials,
    parse_token_request,
)
from tests.protocol.properties import PROPERTY
from tests.vectors.reader import read_vectors

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


def basic(content: bytes | str) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return b"Basic " + base64.b64encode(raw)


@pytest.mark.parametrize("vector", [*read_vectors("rfc6749", "basic"), *read_vectors("rfc7617", "basic")])
def test_parse_basic_rfc_example_is_read(vector):
    credentials = parse_basic(vector["authorization"].encode())
    assert credentials == ClientCredentials(vector["client_id"], vector["client_secret"], "client_secret_basic")


@pytest.mark.parametrize("secret", ["a:b", "::", "100%", "a+b", "a b", "ü€", "%3A", "a&b=c", "", "/?#[]@"])
@pytest.mark.parametrize("client_id", ["c", "https://app.example:443/c?x=1", "ü:%+"])
def test_t7_parse_basic_form_encoded_inside_is_undone(client_id, secret):
    authorization = basic(f"{quote_plus(client_id)}:{quote_plus(secret)}")
    assert parse_basic(authorization) == ClientCredentials(client_id, secret, "client_secret_basic")


@pytest.mark.parametrize("secret", ["a:b", ":", "a::b:"])
def test_t7_parse_basic_colons_left_bare_are_the_secret_s(secret):
    """RFC 7617 §2: the id ends at the first colon."""
    assert parse_basic(basic(f"c:{secret}")) == ClientCredentials("c", secret, "client_secret_basic")


@pytest.mark.parametrize("scheme", [b"Basic", b"basic", b"BASIC", b"bAsIc"])
def test_parse_basic_scheme_in_any_case_is_accepted(scheme):
    """RFC 7617 §2."""
    assert parse_basic(scheme + b" Yzpz").client_id == "c"
    assert parse_basic(scheme + b"   Yzpz ").client_id == "c"


@PROPERTY
@given(text.filter(bool), text)
def test_parse_basic_of_any_credentials_yields_them(client_id, secret):
    credentials = parse_basic(basic(f"{quote_plus(client_id)}:{quote_plus(secret)}"))
    assert (credentials.client_id, credentials.client_secret) == (client_id, secret)


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"Basic", id="scheme-alone"),
        pytest.param(b"Basic ", id="nothing-after-it"),
        pytest.param(b"Bearer Yzpz", id="other-scheme"),
        pytest.param(b"BasicYzpz", id="no-space"),
        pytest.param(b"Basic\tYzpz", id="tab"),
        pytest.param(b"Basic Yzpz, Basic Yzpz", id="two-joined"),
        pytest.param(b"Basic Yz pz", id="sloppy-space-inside"),
        pytest.param(b"Basic Yz\npz", id="sloppy-newline-inside"),
        pytest.param(b"Basic Yzpz\n", id="sloppy-newline-at-the-end"),
        pytest.param(b"Basic Yzp", id="sloppy-cut"),
        pytest.param(b"Basic YzpzcQ", id="sloppy-no-padding"),
        pytest.param(b"Basic YzpzcQ=", id="sloppy-half-padding"),
        pytest.param(b"Basic YzpzcQ===", id="sloppy-too-much-padding"),
        pytest.param(b"Basic Yzpz=", id="sloppy-needless-padding"),
        pytest.param(b"Basic YzpzcR==", id="sloppy-idle-bits"),
        pytest.param(b"Basic YzpzcXF=", id="sloppy-idle-bits-of-two"),
        pytest.param(b"Basic Yzpz_-_-", id="sloppy-url-alphabet"),
        pytest.param(b"Basic Yzp!", id="sloppy-other-character"),
        pytest.param(b"Basic Yzpz\xff\xff\xff\xff", id="not-ascii"),
        pytest.param(basic("no-colon"), id="no-colon"),
        pytest.param(basic(b"c:\xff"), id="not-utf8"),
        pytest.param(basic("c:%ff"), id="encoded-not-utf8"),
        pytest.param(basic("%c3:s"), id="encoded-cut-utf8"),
        pytest.param(basic("c\0:s"), id="nul-in-the-id"),
        pytest.param(basic("c%00:s"), id="encoded-nul-in-the-id"),
    ],
)
def test_t7_parse_basic_sloppy_is_invalid_client(authorization):
    with pytest.raises(OAuthError) as refused:
        parse_basic(authorization)
    assert (refused.value.code, refused.value.status) == ("invalid_client", 401)


@PROPERTY
@given(st.binary(max_size=80) | st.binary(max_size=60).map(basic))
def test_parse_basic_any_bytes_yield_credentials_or_invalid_client(authorization):
    try:
        credentials = parse_basic(authorization)
    except OAuthError as refused:
        assert refused.code == "invalid_client"
    else:
        assert credentials.method == "client_secret_basic"


@pytest.mark.parametrize(
    "authorization, body, expected",
    [
        pytest.param(None, "client_id=c&client_secret=s", ("c", "s", "client_secret_post"), id="body"),
        pytest.param(None, "client_id=c", ("c", None, "none"), id="public"),
        pytest.param(None, "client_id=c&client_secret=", ("c", None, "none"), id="A9-empty-secret-is-omitted"),
        pytest.param(basic("c:s"), "", ("c", "s", "client_secret_basic"), id="basic"),
        pytest.param(basic("c:s"), "client_id=c", ("c", "s", "client_secret_basic"), id="basic-and-same-id"),
        pytest.param(basic("c:s"), "client_secret=", ("c", "s", "client_secret_basic"), id="basic-and-empty-secret"),
    ],
)
def test_parse_client_credentials_one_method_is_read(authorization, body, expected):
    credentials = parse_client_credentials(authorization, parse_parameters(body.encode()))
    assert (credentials.client_id, credentials.client_secret, credentials.method) == expected


@pytest.mark.parametrize(
    "authorization, body, code",
    [
        pytest.param(basic("c:s"), "client_id=c&client_secret=s", "invalid_request", id="T6-two-methods"),
        pytest.param(basic("c:s"), "client_secret=s", "invalid_request", id="T6-two-secrets"),
        pytest.param(b"Bearer x", "client_id=c&client_secret=s", "invalid_request", id="T6-other-scheme-and-secret"),
        pytest.param(basic("c:s"), "client_id=d", "invalid_request", id="T6-two-ids"),
        pytest.param(b"Bearer x", "client_id=c", "invalid_client", id="other-scheme"),
        pytest.param(b"", "client_id=c", "invalid_client", id="empty-header"),
        pytest.param(None, "", "invalid_client", id="none"),
        pytest.param(None, "client_secret=s", "invalid_client", id="secret-without-id"),
        pytest.param(None, "client_id=&client_secret=s", "invalid_client", id="secret-with-empty-id"),
    ],
)
def test_parse_client_credentials_two_methods_or_none_is_refused(authorization, body, code):
    with pytest.raises(OAuthError) as refused:
        parse_client_credentials(authorization, parse_parameters(body.encode()))
    assert refused.value.code == code


ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def render_assertion(**claims: object) -> str:
    parts = (b'{"alg":"ES256"}', msgspec.json.encode(claims), b"signature")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


@pytest.mark.parametrize("given, client_id", [({"client_id": "c"}, "c"), ({}, "s")], ids=["named", "of the JWT"])
def test_j_parse_client_credentials_of_an_assertion_names_the_client_and_keeps_it_unread(given, client_id):
    """RFC 7521 §4.2: `client_id` may be left out."""
    assertion = render_assertion(sub="s")
    form = {**given, "client_assertion": assertion, "client_assertion_type": ASSERTION_TYPE}
    credentials = parse_client_credentials(None, parse_parameters(urlencode(form).encode()))
    assert credentials == ClientCredentials(client_id, None, "private_key_jwt", assertion)
    assert assertion not in repr(credentials)


@pytest.mark.parametrize(
    "authorization, changed, code, word",
    [
        pytest.param(None, {"client_assertion": ""}, "invalid_request", "go together", id="type-alone"),
        pytest.param(None, {"client_assertion_type": ""}, "invalid_request", "go together", id="assertion-alone"),
        pytest.param(None, {"client_assertion_type": "x"}, "invalid_client", "not supported", id="another-type"),
        pytest.param(None, {"client_assertion": "x"}, "invalid_client", "cannot be read", id="no-jwt"),
        pytest.param(None, {"client_assertion": render_assertion()}, "invalid_client", "cannot be read", id="no-sub"),
        pytest.param(None, {"client_secret": "s"}, "invalid_request", "more than one way", id="T6-and-a-secret"),
        pytest.param(basic("c:s"), {}, "invalid_request", "more than one way", id="T6-and-basic"),
        pytest.param(basic("c:s"), {"client_assertion": ""}, "invalid_request", "more than one", id="T6-and-half"),
    ],
)
def test_j_parse_client_credentials_of_a_faulty_assertion_is_refused(authorization, changed, code, word):
    form = {"client_assertion": render_assertion(sub="s"), "client_assertion_type": ASSERTION_TYPE, **changed}
    with pytest.raises(OAuthError) as refused:
        parse_client_credentials(authorization, parse_parameters(urlencode(form).encode()))
    assert (refused.value.code, word in refused.value.description) == (code, True)
    assert refused.value.reason


def test_parse_client_credentials_of_an_unreadable_assertion_tells_the_log_why():
    form = {"client_assertion": "x", "client_assertion_type": ASSERTION_TYPE}
    with pytest.raises(OAuthError) as refused:
        parse_client_credentials(None, parse_parameters(urlencode(form).encode()))
    assert refused.value.reason not in {"", "None", refused.value.description}


def test_parse_token_request_reads_known_parameters_and_ignores_others():
    form = {
        "grant_type": "authorization_code",
        "code": "c",
        "redirect_uri": "https://a/",
        "code_verifier": "v",
        "refresh_token": "r",
        "device_code": "d",
        "scope": "s",
        "organization_id": "o",
        "assertion": "a",
        "foo": "bar",
        "logout_uri": "https://evil.example/",
    }
    resources = "&resource=https://b/&resource=https://a/&resource=https://b/"
    assert parse_token_request(parse_parameters((urlencode(form) + resources).encode())) == TokenRequest(
        grant_type="authorization_code",
        code="c",
        redirect_uri="https://a/",
        code_verifier="v",
        refresh_token="r",
        device_code="d",
        scope="s",
        resource=("https://b/", "https://a/"),
        organization_id="o",
        assertion="a",
    )


def test_parse_token_request_has_an_exchange_where_it_is_one():
    """RFC 8693 §2.1."""
    form = {"grant_type": TOKEN_EXCHANGE, "subject_token": "t", "subject_token_type": "x"}
    request = parse_token_request(parse_parameters(urlencode(form).encode()))
    assert request.exchange is not None
    assert (request.exchange.subject_token, request.exchange.subject_token_type) == ("t", "x")
    other = parse_parameters(urlencode({**form, "grant_type": "refresh_token"}).encode())
    assert parse_token_request(other).exchange is None


@pytest.mark.parametrize("body", [b"", b"code=c", b"grant_type=", b"grant_type"])
def test_t9_parse_token_request_without_grant_type_is_invalid_request(body):
    with pytest.raises(OAuthError) as refused:
        parse_token_request(parse_parameters(body))
    assert (refused.value.code, refused.value.description) == ("invalid_request", "grant_type is missing.")


@pytest.mark.parametrize(
    "name", ["grant_type", "code", "client_id", "client_secret", "code_verifier", "refresh_token", "unknown"]
)
def test_t10_parse_token_request_repeated_parameter_is_invalid_request(name):
    body = f"grant_type=refresh_token&{name}=a&{name}=b".encode()
    with pytest.raises(OAuthError) as refused:
        parse_token_request(parse_parameters(body))
    assert refused.value.code == "invalid_request"


def test_token_request_and_credentials_repr_hold_no_secret():
    """I7."""
    request = TokenRequest(grant_type="x", code="GEHEIM", code_verifier="GEHEIM", refresh_token="GEHEIM")
    credentials = ClientCredentials("c", "GEHEIM", "client_secret_post")
    for value in (request, credentials, [request, credentials]):
        assert "GEHEIM" not in repr(value)
        assert "GEHEIM" not in str(value)


def test_token_request_alphabet_of_verifier_is_left_to_the_rule():
    """Parsing judges nothing: `decide` tells a malformed verifier from a wrong one."""
    body = urlencode({"grant_type": "g", "code_verifier": string.printable}).encode()
    assert parse_token_request(parse_parameters(body)).code_verifier == string.printable
