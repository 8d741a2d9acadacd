"""Access tokens as JWTs, for resource servers that check them by themselves (RFC 9068)."""

from typing import Any, Final

import msgspec

from latchstring.authorization_server.identifiers import GRANT, parse_identifier, render_identifier
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.signing_keys import Signer, SigningKeys
from latchstring.authorization_server.tokens import (
    AccessToken,
    Actor,
    ClientAccessToken,
    TokenFacts,
)
from latchstring.protocol.access_token_jwt import TYPE, AccessTokenClaims, parse_access_token_claims
from latchstring.protocol.jose.jws import JwtRefused, parse_jwt, verify_jwt

_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode
_encode = msgspec.json.Encoder().encode
_NO_FACTS: Final = TokenFacts()


def render_signed_access_token(
    signer: Signer,
    settings: Settings,
    *,
    token_id: bytes,
    issued_at: int,
    lifetime: int,
    grant_id: bytes | None,
    client_id: str,
    sub: str,
    organization_id: str,
    scope: str,
    resource: tuple[str, ...],
    facts: TokenFacts | None,
    authenticated_at: int | None = None,
    acr: str | None = None,
    authorization_details: str | None = None,
) -> str:
    """A JWT that says what the opaque token would stand for. `grant_id` is None for a client's own; `client_id` is
    that of the grant or of that client, whomever an exchange has given the token to."""
    facts = facts or TokenFacts()
    details = facts.authorization_details or authorization_details
    claims = AccessTokenClaims(
        iss=settings.issuer,
        aud=resource[0] if len(resource) == 1 else list(resource),
        sub=sub,
        client_id=facts.client_id or client_id,
        organization_id=organization_id,
        iat=issued_at,
        exp=issued_at + lifetime,
        jti=token_id.hex(),
        scope=scope,
        auth_time=authenticated_at,
        acr=acr,
        grant_id=None if grant_id is None else render_identifier(GRANT, grant_id),
        cnf=facts.confirmation,
        act=msgspec.to_builtins(facts.actor),
        authorization_details=None if details is None else _decode(details),
        ancestors=[ancestor.hex() for ancestor in facts.ancestors],
        approval=facts.approval,
    )
    return signer.sign(claims, type=TYPE)


class SignedAccessTokens:
    """Reads the JWTs that this deployment signed."""

    def __init__(self, *, signing_keys: SigningKeys, settings: Settings) -> None:
        self._signing_keys = signing_keys
        self._settings = settings

    async def parse(self, text: str) -> AccessToken | ClientAccessToken | None:
        """What the JWT stands for, as `TokenCodec.parse_access_token` says it of an opaque token; None for every other
        string. The caller looks at the clock."""
        try:
            jwt = parse_jwt(text)
            key_id = jwt.header.get("kid")
            if not isinstance(key_id, str):
                return None
            keys = await self._signing_keys.find_verifiers(key_id)
            verify_jwt(jwt, keys, algorithms=[name for key in keys for name in key.algorithms], types=(TYPE,))
            claims = parse_access_token_claims(jwt.claims)
        except JwtRefused:
            return None
        if claims.iss != self._settings.issuer:
            return None
        return _read(claims)


def _read(claims: AccessTokenClaims) -> AccessToken | ClientAccessToken:
    # Only what this server wrote is signed by its keys; from here on nothing can be malformed.
    token_id, resource = bytes.fromhex(claims.jti), claims.audience
    facts: TokenFacts | None = TokenFacts(
        confirmation=claims.cnf,
        actor=None if claims.act is None else msgspec.convert(claims.act, Actor),
        authorization_details=None
        if claims.authorization_details is None
        else _encode(claims.authorization_details).decode(),
        client_id=claims.client_id if claims.ancestors else None,
        ancestors=tuple(bytes.fromhex(ancestor) for ancestor in claims.ancestors),
        approval=claims.approval,
    )
    if facts == _NO_FACTS:
        facts = None
    if claims.grant_id is None:
        return ClientAccessToken(
            token_id, claims.sub, claims.organization_id, claims.iat, claims.exp, claims.scope, resource, facts
        )
    grant_id = parse_identifier(GRANT, claims.grant_id)
    assert grant_id is not None
    return AccessToken(token_id, grant_id, claims.iat, claims.exp, claims.scope, resource, facts)
