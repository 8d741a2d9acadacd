"""Who signed an assertion (RFC 7523 §3): a trusted issuer, for this server, just now."""

from collections.abc import Mapping
from typing import Final

from latchstring.authorization_server.ports import FetchRefused, KeySets
from latchstring.authorization_server.trusted_issuers import Asserted, TrustedIssuer, parse_keys
from latchstring.protocol.authorization_assertion import ASSERTION_TYPES, verify_assertion_claims
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.jose.claims import find_text
from latchstring.protocol.jose.jws import JwtRefused, parse_jwt, verify_jwt
from latchstring.protocol.jose.keys import PublicKey, select_by_id

_RETRY_AFTER: Final = 10


class AssertionVerifier:
    """Verifies what trusted issuers assert."""

    def __init__(self, *, issuers: Mapping[str, TrustedIssuer], own_issuer: str, key_sets: KeySets) -> None:
        self._issuers = issuers
        self._own_issuer = own_issuer
        self._key_sets = key_sets
        self._keys = {name: parse_keys(trusted) for name, trusted in issuers.items() if trusted.keys}

    async def verify(self, assertion: str, now: int) -> Asserted:
        """The assertion, once it is proven to be a trusted issuer's, for this server alone and good now
        (RFC 7523 §3); raises `JwtRefused`. Whether it was used before is not known yet."""
        jwt = parse_jwt(assertion)
        issuer = find_text(jwt.claims, "iss")
        trusted = self._issuers.get(issuer)
        if trusted is None:
            raise JwtRefused("iss is none that is trusted here")
        token_id, expires_at = verify_assertion_claims(jwt.claims, self._own_issuer, now)
        if jwt.header.get("alg") not in trusted.algorithms:
            raise JwtRefused("alg is not one that counts here")  # before anything is fetched
        keys = await self._find_keys(issuer, trusted, jwt.header.get("kid"))
        verify_jwt(jwt, keys, algorithms=trusted.algorithms, types=ASSERTION_TYPES)
        return Asserted(issuer, trusted, jwt.claims, token_id, expires_at)

    async def _find_keys(self, issuer: str, trusted: TrustedIssuer, key_id: object) -> tuple[PublicKey, ...]:
        if trusted.jwks_uri is None:
            return self._keys[issuer]
        try:
            return await self._key_sets(trusted.jwks_uri, is_wanted=select_by_id(key_id))
        except FetchRefused as refused:
            raise OAuthError(
                "temporarily_unavailable",
                "The issuer's key set cannot be read now.",
                f"the key set of {issuer} cannot be read: {refused}",
                retry_after=_RETRY_AFTER,
            ) from None
