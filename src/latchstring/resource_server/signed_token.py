"""Checking a signed access token without asking (RFC 9068 §4). Pure; needs joserfc."""

from latchstring.protocol.access_token_jwt import TYPE, AccessTokenClaims, parse_access_token_claims
from latchstring.protocol.bearer import MAX_TOKEN_LENGTH
from latchstring.protocol.introspection import IntrospectionResponse
from latchstring.protocol.jose.algorithms import ALGORITHMS
from latchstring.protocol.jose.claims import MAX_SKEW
from latchstring.protocol.jose.jws import JwtRefused, UnverifiedJwt, parse_jwt, verify_jwt
from latchstring.protocol.jose.keys import PublicKey
from latchstring.resource_server.refusal import Refusal


def parse_signed(token: str) -> tuple[UnverifiedJwt, str]:
    """The JWT and the id of the key that it names, nothing of it proven; `Refusal` for anything else."""
    try:
        jwt = parse_jwt(token, max_length=MAX_TOKEN_LENGTH)
    except JwtRefused as refused:
        raise _refuse(str(refused)) from None
    key_id = jwt.header.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise _refuse("kid is missing")
    return jwt, key_id


def verify_signed(jwt: UnverifiedJwt, key: PublicKey, *, issuer: str, now: float) -> IntrospectionResponse:
    """What the server says of the token by its signature, as introspection would: the same rules judge it then. Refuses
    another type of JWT, another issuer's, and one without what RFC 9068 §2.2 asks for."""
    try:
        verify_jwt(jwt, (key,), algorithms=ALGORITHMS, types=(TYPE,))
        claims = parse_access_token_claims(jwt.claims)
    except JwtRefused as refused:
        raise _refuse(str(refused)) from None
    if claims.iss != issuer:
        raise _refuse(f"iss is {claims.iss[:200]!r}")
    refuse_future(claims.iat, now)
    return _as_answer(claims, jwt)


def refuse_future(issued_at: int, now: float) -> None:
    """Refuse a token that will only be issued yet."""
    if issued_at > now + MAX_SKEW:
        raise _refuse("iat is in the future")


def _as_answer(claims: AccessTokenClaims, jwt: UnverifiedJwt) -> IntrospectionResponse:
    cnf = jwt.claims.get("cnf")
    return IntrospectionResponse(
        active=True,
        scope=claims.scope or None,
        client_id=claims.client_id,
        token_type="DPoP" if cnf and "jkt" in cnf else "Bearer",
        exp=claims.exp,
        iat=claims.iat,
        nbf=claims.nbf,
        sub=claims.sub,
        iss=claims.iss,
        aud=list(claims.audience),
        # As it stands there: what confirms a token in a way unknown here must not be lost.
        cnf=cnf,
        act=claims.act,
        authorization_details=claims.authorization_details,
        jti=claims.jti,
        auth_time=claims.auth_time,
        acr=claims.acr,
        organization_id=claims.organization_id,
        user_id=None if claims.grant_id is None else claims.sub,
    )


def _refuse(reason: str) -> Refusal:
    return Refusal(
        "invalid_token",
        "The access token is malformed or not signed for this API: refresh it, and if that is refused, reconnect.",
        reason,
    )
