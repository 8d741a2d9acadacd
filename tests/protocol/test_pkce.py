"""PKCE, S256 only (RFC 7636)."""

import base64
import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol.pkce import code_challenge, is_code_challenge, is_code_verifier, verify_code_verifier
from tests.protocol.properties import PROPERTY
from tests.vectors.reader import read_vectors

UNRESERVED = string.ascii_letters + string.digits + "-._~"
verifiers = st.text(UNRESERVED, min_size=43, max_size=128)


@pytest.mark.parametrize("vector", read_vectors("rfc7636", "s256"))
def test_code_challenge_rfc_example_matches(vector):
    octets = bytes(vector["octets"])
    assert base64.urlsafe_b64encode(octets).rstrip(b"=").decode() == vector["code_verifier"]
    assert code_challenge(vector["code_verifier"]) == vector["code_challenge"]
    assert verify_code_verifier(vector["code_verifier"], vector["code_challenge"])


@pytest.mark.parametrize(
    "verifier, is_one",
    [
        pytest.param("a" * 43, True, id="shortest"),
        pytest.param("a" * 128, True, id="longest"),
        pytest.param("a" * 42, False, id="C9-too-short"),
        pytest.param("a" * 129, False, id="C9-too-long"),
        pytest.param("", False, id="C9-empty"),
        pytest.param(UNRESERVED, True, id="every-unreserved-character"),
        *(
            pytest.param("a" * 42 + bad, False, id=f"C9-{bad!a}")
            for bad in ["+", "/", "=", " ", "%", "!", "é", "\0", "\n", "a\n"]
        ),
    ],
)
def test_is_code_verifier_holds_length_and_alphabet(verifier, is_one):
    assert is_code_verifier(verifier) is is_one


@pytest.mark.parametrize(
    "challenge, is_one",
    [
        pytest.param("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", True, id="rfc"),
        pytest.param("a" * 42, False, id="A13-too-short"),
        pytest.param("a" * 44, False, id="A13-too-long"),
        pytest.param("a" * 43 + "\n", False, id="A13-newline"),
        *(pytest.param("a" * 42 + bad, False, id=f"A13-{bad!a}") for bad in ["+", "/", "=", ".", "~", " ", "é"]),
    ],
)
def test_is_code_challenge_holds_length_and_alphabet(challenge, is_one):
    assert is_code_challenge(challenge) is is_one


@PROPERTY
@given(verifiers, verifiers)
def test_verify_code_verifier_matches_its_own_challenge_only(verifier, other):
    challenge = code_challenge(verifier)
    assert is_code_challenge(challenge)
    assert verify_code_verifier(verifier, challenge)
    assert verify_code_verifier(other, challenge) is (other == verifier)


def test_verify_code_verifier_plain_is_never_accepted():
    """A12: a challenge equal to the verifier is S256 of something else."""
    verifier = "a" * 43
    assert not verify_code_verifier(verifier, verifier)


@pytest.mark.parametrize("verifier", ["", "short", "a" * 129, "é" * 43, "a" * 42 + "="])
def test_verify_code_verifier_malformed_is_false(verifier):
    """C9: not even when its hash is the challenge."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode()[:43]
    assert not verify_code_verifier(verifier, challenge)
