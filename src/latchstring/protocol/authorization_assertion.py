"""Another issuer's JWT as an authorization grant (RFC 7521 §4.1, RFC 7523 §2.1, and the revision of both: 7523bis)."""

from collections.abc import Mapping
from typing import Any, Final

from latchstring.protocol.jose.claims import find_token_id, verify_sole_audience, verify_times

# `typ`: the revision's own, that of any JWT, or none; never that of another kind of token (RFC 8725 §3.11).
ASSERTION_TYPES: Final = ("authorization-grant+jwt", "jwt", None)
# Each is remembered until it expires, and a stolen one is good for no longer.
MAX_ASSERTION_LIFETIME: Final = 600


def verify_assertion_claims(claims: Mapping[str, Any], issuer: str, now: int) -> tuple[str, int]:
    """The assertion's `jti` and expiry, if it is for this server alone, and good now (RFC 7523 §3). Raises
    `JwtRefused`. Signature and `iss` are the caller's to verify."""
    verify_sole_audience(claims, issuer)
    expires_at = verify_times(claims, now, max_lifetime=MAX_ASSERTION_LIFETIME)
    return find_token_id(claims), expires_at
