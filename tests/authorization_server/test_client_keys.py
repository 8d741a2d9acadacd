"""A client's keys: as they are kept, and when they are asked for anew (RFC 7591 §2, RFC 8705 §2.2.2)."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.client_keys import ClientKeys, clean_key_set, verify_keys_fit
from latchstring.authorization_server.records import ClientSecurity
from latchstring.outbound.key_sets import ASK_AGAIN_AFTER, CachedKeySets
from latchstring.protocol.client_metadata import PRIVATE_KEY_JWT, SELF_SIGNED_TLS_CLIENT_AUTH
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.jose.jws import JwtRefused, parse_jwt
from tests.authorization_server.builders import NOW, build_client
from tests.support.documents import FakeFetch
from tests.support.signing import key_set, make_key, public_jwk, sign

JWKS_URI = "https://app.example/keys.json"
OLD, NEW = "o" * 43, "n" * 43


def test_key_set_is_kept_without_the_space_between():
    document: dict[str, Any] = {"keys": [public_jwk(make_key(), kid="1")]}
    spacious = msgspec.json.format(msgspec.json.encode(document), indent=4)
    assert clean_key_set(spacious) == msgspec.json.encode(document).decode()
    with pytest.raises(ValueError, match="none of its keys is usable"):
        clean_key_set(b'{"keys":[]}')


EC, RSA = public_jwk(make_key()), public_jwk(make_key("RS256"))
BY_EC: dict[str, Any] = {"jwks": key_set(EC).decode()}
BY_RSA: dict[str, Any] = {"jwks": key_set(RSA).decode()}
BY_URL: dict[str, Any] = {"jwks_uri": JWKS_URI}
STRICT = ("ES256", "EdDSA", "PS256")
BY_KEY, BY_OWN_CERTIFICATE = PRIVATE_KEY_JWT, SELF_SIGNED_TLS_CLIENT_AUTH


@pytest.mark.parametrize(
    "method, given",
    [
        ("none", {}),
        ("none", BY_URL),
        ("client_secret_post", BY_EC | {"requires_signed_request": True}),
        ("client_secret_post", BY_URL | {"requires_signed_request": True, "request_object_signing_alg": "PS256"}),
        (BY_KEY, BY_EC),
        (BY_KEY, BY_RSA),
        (BY_KEY, BY_URL | {"token_endpoint_auth_signing_alg": "EdDSA"}),
        (BY_KEY, BY_EC | {"token_endpoint_auth_signing_alg": "ES256"}),
        (BY_KEY, {"jwks": key_set(RSA, EC).decode(), "token_endpoint_auth_signing_alg": "ES256"}),
        (BY_OWN_CERTIFICATE, BY_URL),
        (BY_OWN_CERTIFICATE, {"jwks": key_set(RSA, {**EC, "x5t#S256": OLD}).decode()}),
    ],
)
def test_keys_that_fit_what_the_client_signs_are_taken(method: str, given: dict[str, Any]):
    verify_keys_fit(method, ClientSecurity(**given), STRICT)


NO_PART = "a signing algorithm has no part in "


@pytest.mark.parametrize(
    "method, given, why",
    [
        ("none", BY_EC | BY_URL, "give the keys by value or by URL, not both"),
        ("none", {"jwks_uri": "http://app.example/"}, "the URL of the keys: it is not an absolute https URL"),
        ("none", {"requires_signed_request": True}, "who has to sign its requests needs public keys"),
        (
            "none",
            {"request_object_signing_alg": "RS256"},
            "the signing algorithm of requests is one of ES256, EdDSA, PS256",
        ),
        ("none", {"token_endpoint_auth_signing_alg": "ES256"}, NO_PART + "none"),
        (
            BY_OWN_CERTIFICATE,
            BY_URL | {"token_endpoint_auth_signing_alg": "ES256"},
            NO_PART + "self_signed_tls_client_auth",
        ),
        (BY_KEY, {}, "private_key_jwt needs the client's public keys"),
        (BY_OWN_CERTIFICATE, {}, "self_signed_tls_client_auth needs the client's public keys"),
        (BY_OWN_CERTIFICATE, BY_EC, "no key has its certificate with it (x5c or x5t#S256)"),
        (
            BY_KEY,
            BY_URL | {"token_endpoint_auth_signing_alg": "RS256"},
            "the signing algorithm is one of ES256, EdDSA, PS256",
        ),
        (BY_KEY, BY_RSA | {"token_endpoint_auth_signing_alg": "ES256"}, "no key is of the signing algorithm"),
        (BY_KEY, BY_EC | {"token_endpoint_auth_signing_alg": "PS256"}, "no key is of the signing algorithm"),
    ],
)
def test_keys_that_do_not_fit_what_the_client_signs_are_refused(method: str, given: dict[str, Any], why: str):
    """RFC 7591 §2, RFC 9101 §10.5."""
    with pytest.raises(ValueError) as refused:  # noqa: PT011 -- its whole text is compared below
        verify_keys_fit(method, ClientSecurity(**given), STRICT)
    assert str(refused.value) == why


def test_keys_of_no_algorithm_that_counts_for_the_client_do_not_fit():
    with pytest.raises(ValueError, match=r"^no key is of the signing algorithm$"):
        verify_keys_fit(BY_KEY, ClientSecurity(**BY_EC), ("PS256",))


class Publishing:
    """A client that publishes keys, and our keys of it."""

    def __init__(self) -> None:
        self.now, self.fetch = NOW, FakeFetch()
        self.keys = ClientKeys(key_sets=CachedKeySets(fetch=self.fetch, clock=lambda: self.now))
        self.client = build_client(token_endpoint_auth_method=BY_KEY, security=ClientSecurity(**BY_URL))

    def publish(self, number: int, **members: Any) -> None:
        self.fetch.documents[JWKS_URI] = key_set(public_jwk(make_key(number=number), **members))

    async def verify(self, number: int) -> None:
        jwt = parse_jwt(sign({"jti": "1"}, make_key(number=number), kid=str(number)))
        await self.keys.verify(self.client, jwt, algorithms=STRICT)


async def test_signature_by_a_key_that_the_client_has_just_published_counts_at_once():
    publishing = Publishing()
    publishing.publish(1, kid="1")
    await publishing.verify(1)
    publishing.publish(2, kid="2")
    publishing.now += ASK_AGAIN_AFTER
    await publishing.verify(2)
    assert publishing.fetch.asked[JWKS_URI] == 2
    with pytest.raises(JwtRefused):
        await publishing.verify(1)


async def test_client_whose_keys_cannot_be_read_is_told_when_to_come_again_and_the_log_why():
    """Nothing is known of the signature then: it is no refusal of the client."""
    with pytest.raises(OAuthError) as refused:
        await Publishing().verify(1)
    assert (refused.value.code, refused.value.status, refused.value.retry_after) == ("temporarily_unavailable", 503, 10)
    assert refused.value.description == "The client's key set (jwks_uri) cannot be read now."
    assert refused.value.reason == "the client's key set cannot be read: nothing there"


async def test_certificate_that_the_client_has_just_published_is_its_own_at_once():
    """A client that goes on to its next certificate does not have to wait until what we kept is old."""
    publishing = Publishing()
    keys, client = publishing.keys, publishing.client
    publishing.publish(1, **{"x5t#S256": OLD})
    assert await keys.has_certificate(client, OLD)
    publishing.publish(2, **{"x5t#S256": NEW})
    assert await keys.has_certificate(client, OLD)
    publishing.now += ASK_AGAIN_AFTER
    assert await keys.has_certificate(client, NEW)
    assert not await keys.has_certificate(client, OLD)
    assert publishing.fetch.asked[JWKS_URI] == 2
