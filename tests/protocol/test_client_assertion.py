"""What an assertion of a client must claim (RFC 7523 §3 and its revision): each of it, and as that client."""

from typing import Any

import pytest

from latchstring.protocol.client_assertion import MAX_ASSERTION_LIFETIME, find_subject, verify_assertion_claims
from latchstring.protocol.jose.claims import MAX_SKEW
from latchstring.protocol.jose.jws import JwtRefused
from tests.support.proofs import Prover

NOW = 1_800_000_000
ISSUER = "https://as.example"
CLAIMS = {"iss": "c1", "sub": "c1", "aud": ISSUER, "jti": "1", "exp": NOW + 60}


def verify(now: int = NOW, **changed: Any) -> tuple[str, int]:
    claims = {name: value for name, value in {**CLAIMS, **changed}.items() if value is not None}
    return verify_assertion_claims(claims, "c1", ISSUER, now)


def test_assertion_claims_of_the_client_give_id_and_expiry():
    assert verify() == ("1", NOW + 60)
    assert verify(exp=NOW + 1) == ("1", NOW + 1)


def test_assertion_claims_at_the_edges_of_their_times_count():
    latest = NOW + MAX_ASSERTION_LIFETIME + MAX_SKEW
    assert verify(exp=latest, nbf=NOW + MAX_SKEW, iat=NOW + MAX_SKEW) == ("1", latest)


@pytest.mark.parametrize(
    "changed, why",
    [
        pytest.param({"iss": None}, "iss and sub", id="iss-missing"),
        pytest.param({"iss": "c2"}, "iss and sub", id="iss-of-another"),
        pytest.param({"sub": None}, "iss and sub", id="sub-missing"),
        pytest.param({"sub": "c2"}, "iss and sub", id="sub-of-another"),
        pytest.param({"iss": "c2", "sub": "c2"}, "iss and sub", id="another-client"),
        pytest.param({"aud": None}, "^aud is not", id="aud-missing"),
        pytest.param({"aud": "https://other.example"}, "^aud is not", id="aud-of-another-server"),
        pytest.param({"aud": f"{ISSUER}/token"}, "^aud is not", id="aud-of-the-endpoint"),
        pytest.param({"aud": [ISSUER]}, "^aud is not", id="aud-list"),
        pytest.param({"jti": None}, "^jti is missing", id="jti-missing"),
        pytest.param({"jti": "x" * 257}, "^jti is too long", id="jti-too-long"),
        pytest.param({"exp": None}, "^exp is missing", id="exp-missing"),
        pytest.param({"exp": NOW}, "^the JWT has expired", id="exp-now"),
        pytest.param({"exp": NOW + MAX_ASSERTION_LIFETIME + MAX_SKEW + 1}, "^exp is too far", id="exp-too-far"),
        pytest.param({"exp": str(NOW + 60)}, "^exp is not a time", id="exp-string"),
        pytest.param({"nbf": NOW + MAX_SKEW + 1}, "^nbf is in the future", id="nbf-future"),
        pytest.param({"iat": NOW + MAX_SKEW + 1}, "^iat is in the future", id="iat-future"),
    ],
)
def test_assertion_claims_with_one_thing_wrong_are_refused(changed, why):
    with pytest.raises(JwtRefused, match=why):
        verify(**changed)


def test_assertion_claims_of_a_client_are_refused_to_another():
    with pytest.raises(JwtRefused, match="iss and sub"):
        verify_assertion_claims(CLAIMS, "c2", ISSUER, NOW)


def test_find_subject_is_read_before_anything_is_proven():
    assert find_subject(Prover().prove("POST", ISSUER, now=NOW, sub="c1")) == "c1"
    with pytest.raises(JwtRefused, match="^sub is missing"):
        find_subject(Prover().prove("POST", ISSUER, now=NOW))
