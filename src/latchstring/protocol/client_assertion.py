"""A client's own JWT as its authentication (RFC 7521 §4.2, RFC 7523 §2.2, and the revision of both: 7523bis)."""

from collections.abc import Mapping
from typing import Any, Final

from latchstring.protocol.jose.claims import find_text, find_token_id, verify_sole_audience, verify_times
from latchstring.protocol.jose.jws import JwtRefused, parse_jwt

JWT_BEARER_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# `typ`: the revision's own, that of any JWT, or none; never that of another kind of token (RFC 8725 §3.11).
ASSERTION_TYPES: Final = ("client-authentication+jwt", "jwt", None)
# Each is remembered until it expires, and a stolen one is good for no longer.
MAX_ASSERTION_LIFETIME: Final = 600


def find_subject(assertion: str) -> str:
    """Whom the assertion claims to speak for, unverified; raises `JwtRefused`."""
    return find_text(parse_jwt(assertion).claims, "sub")


def verify_assertion_claims(claims: Mapping[str, Any], client_id: str, issuer: str, now: int) -> tuple[str, int]:
    """The assertion's `jti` and expiry, if its claims are those of that client to this server (RFC 7523 §3).

    Issuer and subject are the client; the audience is the server's issuer as the sole string, no endpoint's URL, so
    that another server cannot be made to pass it on. Raises `JwtRefused`. The signature is the caller's to verify.
    """
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise JwtRefused("iss and sub are not both the client")
    verify_sole_audience(claims, issuer)
    expires_at = verify_times(claims, now, max_lifetime=MAX_ASSERTION_LIFETIME)
    return find_token_id(claims), expires_at
