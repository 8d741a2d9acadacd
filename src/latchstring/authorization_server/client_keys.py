"""The keys by which a client signs: given with its registration, or published at a URL of its own (RFC 7591 §2)."""

from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Final

import msgspec

from latchstring.authorization_server.ports import FetchRefused, KeySets
from latchstring.authorization_server.records import ClientRecord, ClientSecurity
from latchstring.protocol.client_metadata import PRIVATE_KEY_JWT, SELF_SIGNED_TLS_CLIENT_AUTH
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.https_url import parse_https_url
from latchstring.protocol.jose.jws import JwtRefused, UnverifiedJwt, verify_jwt
from latchstring.protocol.jose.keys import PublicKey, parse_jwk_set, select_by_id

_RETRY_AFTER: Final = 10


@lru_cache(maxsize=1024)
def _parse(key_set: str) -> tuple[PublicKey, ...]:
    return parse_jwk_set(key_set.encode())


def clean_key_set(document: bytes) -> str:
    """A JWK Set as it is kept: JSON text of public keys, of which at least one is usable. Raises `ValueError`."""
    if not parse_jwk_set(document):
        raise ValueError("none of its keys is usable: give EC keys on P-256, Ed25519 keys, or RSA keys of 2048 bits")
    return msgspec.json.format(document, indent=-1).decode()


def verify_keys_fit(method: str, security: ClientSecurity, signing_algorithms: Collection[str]) -> None:
    """Refuse, by `ValueError`, keys that do not fit what the client will sign: how it authenticates, and its requests
    (RFC 7591 §2, RFC 9101 §10.5)."""
    if security.jwks is not None and security.jwks_uri is not None:
        raise ValueError("give the keys by value or by URL, not both")
    if security.jwks_uri is not None:
        try:
            parse_https_url(security.jwks_uri)
        except ValueError as error:
            raise ValueError(f"the URL of the keys: {error}") from None
    if security.requires_signed_request and security.jwks is None and security.jwks_uri is None:
        raise ValueError("who has to sign its requests needs public keys")
    if security.request_object_signing_alg not in {None, *signing_algorithms}:
        raise ValueError(f"the signing algorithm of requests is one of {', '.join(signing_algorithms)}")
    own = security.token_endpoint_auth_signing_alg
    if own is not None and method != PRIVATE_KEY_JWT:
        raise ValueError(f"a signing algorithm has no part in {method}")
    if method not in {PRIVATE_KEY_JWT, SELF_SIGNED_TLS_CLIENT_AUTH}:
        return
    if security.jwks is None and security.jwks_uri is None:
        raise ValueError(f"{method} needs the client's public keys")
    if method == SELF_SIGNED_TLS_CLIENT_AUTH:
        if security.jwks is not None and not any(key.certificate_thumbprint for key in _parse(security.jwks)):
            raise ValueError("no key has its certificate with it (x5c or x5t#S256)")
        return
    if own is not None and own not in signing_algorithms:
        raise ValueError(f"the signing algorithm is one of {', '.join(signing_algorithms)}")
    if security.jwks is not None:
        wanted = set(signing_algorithms if own is None else [own])
        if not any(wanted.intersection(key.algorithms) for key in _parse(security.jwks)):
            raise ValueError("no key is of the signing algorithm")


class ClientKeys:
    """Finds a client's keys and verifies what it signed."""

    def __init__(self, *, key_sets: KeySets) -> None:
        self._key_sets = key_sets

    async def verify(
        self,
        client: ClientRecord,
        jwt: UnverifiedJwt,
        *,
        algorithms: Collection[str],
        types: Collection[str | None] | None = None,
    ) -> None:
        """Refuse a JWT that none of the client's keys signed, by `JwtRefused`; its claims are the caller's to judge.

        Where the client's key set cannot be read the answer is `temporarily_unavailable`: nothing is known of the
        signature then.
        """
        if jwt.header.get("alg") not in algorithms:
            raise JwtRefused("alg is not one that counts here")  # before anything is fetched
        keys = await self._find(client, select_by_id(jwt.header.get("kid")))
        verify_jwt(jwt, keys, algorithms=algorithms, types=types)

    async def has_certificate(self, client: ClientRecord, thumbprint: str) -> bool:
        """Whether a key of the client's names that certificate, by `x5c` or `x5t#S256` (RFC 8705 §2.2.2)."""

        def is_named(key: PublicKey) -> bool:
            return key.certificate_thumbprint == thumbprint

        return any(map(is_named, await self._find(client, is_named)))

    async def _find(self, client: ClientRecord, is_wanted: Callable[[PublicKey], bool] | None) -> tuple[PublicKey, ...]:
        security = client.security
        if security.jwks is not None:
            return _parse(security.jwks)
        if security.jwks_uri is None:
            return ()
        try:
            return await self._key_sets(security.jwks_uri, is_wanted=is_wanted)
        except FetchRefused as refused:
            raise OAuthError(
                "temporarily_unavailable",
                "The client's key set (jwks_uri) cannot be read now.",
                f"the client's key set cannot be read: {refused}",
                retry_after=_RETRY_AFTER,
            ) from None
