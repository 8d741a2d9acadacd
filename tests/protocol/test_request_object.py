"""The request object's claims (RFC 9101 §4, §5; A29)."""

import pytest

from latchstring.protocol.jose.jws import JwtRefused
from latchstring.protocol.request_object import read_request_claims, verify_request_claims

NOW = 1_800_000_000
ISSUER = "https://auth.example"
GOOD = {"iss": "app", "client_id": "app", "aud": ISSUER, "exp": NOW + 3600}


@pytest.mark.parametrize("audience", [ISSUER, [ISSUER], ["https://other.example", ISSUER]])
def test_verify_request_claims_of_a_good_one_is_silent(audience):
    verify_request_claims({**GOOD, "aud": audience, "iat": NOW, "nbf": NOW, "jti": "1"}, "app", ISSUER, NOW)


@pytest.mark.parametrize(
    "wrong,why",
    [
        ({"iss": "other"}, "iss is not the client"),
        ({"iss": ["app"]}, "iss is missing or not a string"),
        ({"client_id": "other"}, "client_id is another one outside"),
        ({"client_id": ["app"]}, "client_id is missing or not a string"),
        ({"aud": "https://auth.example/"}, "aud is not the issuer"),
        ({"aud": []}, "aud is not the issuer"),
        ({"aud": {"https://auth.example": 1}}, "aud is not the issuer"),
        ({"exp": NOW}, "exp"),
        ({"exp": NOW + 3611}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": True}, "exp"),
        ({"nbf": NOW + 11}, "nbf"),
        ({"iat": NOW + 11}, "iat"),
        ({"request": ""}, "it contains a request or request_uri"),
        ({"request_uri": None}, "it contains a request or request_uri"),
    ],
)
def test_a29_verify_request_claims_of_a_wrong_one_is_refused_with_the_reason(wrong, why):
    with pytest.raises(JwtRefused, match=why):
        verify_request_claims({**GOOD, **wrong}, "app", ISSUER, NOW)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a29_verify_request_claims_with_one_missing_is_refused(name):
    with pytest.raises(JwtRefused):
        verify_request_claims({key: value for key, value in GOOD.items() if key != name}, "app", ISSUER, NOW)


def test_read_request_claims_keeps_parameters_alone():
    claims = {
        **GOOD,
        "state": "s",
        "scope": "",
        "max_age": 0,
        "acr_values": "phr mfa",
        "organization_id": "orga_x",
        "resource": ["https://a/", "https://b/", ""],
        "nonce": 5,
        "claims": {"userinfo": {}},
        "client_secret": "x",
    }
    read = read_request_claims(claims)
    met = {"max_age": "0", "acr_values": "phr mfa"}
    assert read == {"client_id": "app", "state": "s", "organization_id": "orga_x", **met}
    assert read.lists == {"resource": ["https://a/", "https://b/"]}
    assert read_request_claims({"resource": "https://a/"}).lists == {"resource": ["https://a/"]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": 1},
        {"state": None},
        {"state": ["s"]},
        {"state": "a\0b"},
        {"state": "x" * 8193},
        {"max_age": True},
        {"acr_values": ["mfa"]},
        {"max_age": 1.5},
        {"resource": [1]},
        {"resource": {"a": 1}},
        {"resource": [["https://a/"]]},
    ],
)
def test_a29_read_request_claims_of_no_parameters_value_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(JwtRefused, match=f"{name} is not a parameter's value"):
        read_request_claims(wrong)


def test_read_request_claims_takes_the_longest_value():
    assert read_request_claims({"state": "x" * 8192}) == {"state": "x" * 8192}
