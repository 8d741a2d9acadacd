"""Whose keys an assertion is verified by, and when they are asked for anew (RFC 7523 §3)."""

from typing import Any

import pytest

from latchstring.authorization_server.assertion_verifier import AssertionVerifier
from latchstring.authorization_server.trusted_issuers import TrustedIssuer
from latchstring.outbound.key_sets import ASK_AGAIN_AFTER, CachedKeySets
from latchstring.protocol.errors import OAuthError
from tests.authorization_server.builders import ANN, NOW
from tests.support.documents import FakeFetch
from tests.support.signing import key_set, make_key, public_jwk, sign

OWN, IDP, KEYS = "https://auth.example", "https://idp.example", "https://idp.example/keys.json"


class Believing:
    """A verifier that trusts one issuer, who publishes keys."""

    def __init__(self) -> None:
        self.now = NOW
        self.fetch = FakeFetch()
        trusted = TrustedIssuer(organizations=("*",), jwks_uri=KEYS)
        key_sets = CachedKeySets(fetch=self.fetch, clock=lambda: self.now)
        self.verifier = AssertionVerifier(issuers={IDP: trusted}, own_issuer=OWN, key_sets=key_sets)

    def publish(self, number: int) -> None:
        self.fetch.documents[KEYS] = key_set(public_jwk(make_key(number=number), kid=str(number)))

    async def verify(self, number: int, **header: Any) -> str:
        claims = {"iss": IDP, "aud": OWN, "jti": "1", "exp": self.now + 60, "sub": ANN}
        assertion = sign(claims, make_key(number=number), **{"kid": str(number), **header})
        return (await self.verifier.verify(assertion, self.now)).issuer


async def test_assertion_by_a_key_that_has_just_been_published_counts_at_once():
    """An issuer that goes on to its next key does not have to wait until what we kept is old."""
    believing = Believing()
    believing.publish(1)
    assert await believing.verify(1) == IDP
    believing.publish(2)
    believing.now += ASK_AGAIN_AFTER
    assert await believing.verify(2) == IDP
    assert await believing.verify(2, kid=None) == IDP, "by whichever of its keys"
    assert believing.fetch.asked[KEYS] == 2


async def test_assertion_whose_issuer_cannot_be_asked_is_told_when_to_come_again_and_the_log_why():
    with pytest.raises(OAuthError) as refused:
        await Believing().verify(1)
    assert (refused.value.code, refused.value.status, refused.value.retry_after) == ("temporarily_unavailable", 503, 10)
    assert refused.value.description == "The issuer's key set cannot be read now."
    assert refused.value.reason == "the key set of https://idp.example cannot be read: nothing there"
