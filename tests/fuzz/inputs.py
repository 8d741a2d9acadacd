"""Bytes that find things: well-formed texts of every kind that is read here, broken in the usual ways."""

from base64 import urlsafe_b64encode
from typing import Final

from hypothesis import strategies as st

from tests.fuzz.vocabulary import parameter_names, words


def _b64(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


_JWT: Final = ".".join(
    (
        _b64('{"alg":"ES256","typ":"at+jwt","kid":"1","jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}'),
        _b64('{"iss":"https://auth.example","sub":"x","aud":"https://auth.example","exp":1800000060,"iat":1800000000}'),
        _b64("s" * 64),
    )
)
# One of each kind of text.
SEEDS: Final[tuple[bytes, ...]] = tuple(
    text.encode()
    for text in (
        "",
        "grant_type=authorization_code&code=x&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&resource=a&resource=b",
        "client_id=oa2client_0000000000000000000000&response_type=code&scope=a+b&state=%C3%BC&code_challenge_method=S256",
        "Basic eDp5",
        "Basic JTo=",
        "Bearer abc.def",
        "bearer  x\nBearer y",
        "DPoP abc",
        "contacts.read offline_access",
        "https://app.example:8443/cb?x=1",
        "http://[::1]:53177/cb",
        "com.example.app:/cb",
        "urn:ietf:params:oauth:request_uri:" + "0" * 32,
        "oa2client_0000000000000000000000",
        "ls_ac_" + "0" * 60,
        "ls_rt_" + "0" * 60,
        "ls_at_" + "0" * 90,
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "#0f5a73",
        _JWT,
        _JWT + "~",
        '{"access_token":"a","token_type":"Bearer","expires_in":"3600","scope":"x"}',
        '{"error":"invalid_grant","error_description":"x"}',
        '{"active":true,"scope":"a","exp":1800000000,"aud":["x"],"cnf":{"jkt":"x"}}',
        '{"issuer":"https://auth.example","scopes_supported":["a"],"jwks_uri":"https://auth.example/jwks"}',
        '{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"1","alg":"ES256","use":"sig"}]}',
        '{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}',
        '{"kty":"EC","crv":"P-257","x":"AA","y":"AA"}',
        '{"kty":"OKP","crv":"Ed25519","x":"AA"}',
        '{"redirect_uris":["https://app.example/cb"],"client_name":"x","grant_types":["authorization_code"],"jwks":{}}',
        '[{"type":"payment","actions":["read"],"locations":["https://api.example/"]}]',
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        'Signature sig=("@method");created=1',
    )
)
# What has broken parsers before: borders of encodings, of numbers, of nesting, and what other readers read otherwise.
FRAGMENTS: Final[tuple[bytes, ...]] = tuple(
    text if isinstance(text, bytes) else text.encode()
    for text in (
        *"&=+%;,.:/?#@[]{}()\"'\\<>~*_- \t\r\n\0\x1f\x7f",
        "%00",
        "%0d%0a",
        "%zz",
        "%c0%af",
        "%ed%a0%80",
        "%",
        "é",
        "ſ",
        "\u0130",
        "\u2028",
        "４１",
        "\U0001f600",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        '"\\ud800"',
        "null",
        "true",
        "NaN",
        "1e999",
        "-0",
        "99999999999999999999999999",
        "0.1",
        "[" * 2000,
        '{"a":' * 600,
        "[]",
        "{}",
        '""',
        '{"":1,"":2}',
        "a" * 9000,
        "..",
        "%2e%2e",
        "//",
        "https://[",
        "https://[::1%25x]",
        "http://127.0.0.1:99999999999/",
        "\u0660",
        "==",
        "....",
    )
)


@st.composite
def hostile_bytes(draw: st.DrawFn) -> bytes:
    """A seed with some of its parts dropped, repeated and replaced; now and then bytes alone."""
    raw = draw(st.sampled_from(SEEDS) | st.sampled_from(parameter_names() + words()).map(str.encode))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + 12)))
        piece = draw(
            st.sampled_from(FRAGMENTS)
            | st.sampled_from(SEEDS)
            | st.sampled_from(words()).map(str.encode)
            | st.binary(max_size=6)
            | st.just(raw[start:end] * 2)
        )
        raw = raw[:start] + piece + raw[end:]
    return raw
