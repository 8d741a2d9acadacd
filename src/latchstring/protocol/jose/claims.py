"""The registered claims of a JWT that has been verified (RFC 7519 §4.1): present, of the right type, good now."""

from collections.abc import Mapping
from typing import Any, Final

from latchstring.protocol.jose.jws import JwtRefused

# FAPI 2.0 §5.3.2.1: up to 10 s in the future is a clock that is ahead, beyond 60 s it is a lie.
MAX_SKEW: Final = 10
MAX_ID_LENGTH: Final = 256


def find_text(claims: Mapping[str, Any], name: str) -> str:
    """A claim that must be a non-empty string; raises `JwtRefused`. NUL is in none: not every database keeps it."""
    value = claims.get(name)
    if not isinstance(value, str) or not value or "\0" in value:
        raise JwtRefused(f"{name} is missing or not a string")
    return value


def find_time(claims: Mapping[str, Any], name: str) -> int | None:
    """A NumericDate (RFC 7519 §2), in whole seconds; None where it is absent. A string is never a number."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -(2**53) < value < 2**53:
        raise JwtRefused(f"{name} is not a time")
    return int(value)


def find_token_id(claims: Mapping[str, Any]) -> str:
    """`jti`: a short string that must be there (RFC 7519 §4.1.7)."""
    token_id = find_text(claims, "jti")
    if len(token_id) > MAX_ID_LENGTH:
        raise JwtRefused("jti is too long")
    return token_id


def verify_times(claims: Mapping[str, Any], now: int, *, max_lifetime: int) -> int:
    """`exp`, which must be there, once it is proven to lie ahead by at most `max_lifetime` seconds, and `nbf` and
    `iat`, where they are there, behind (RFC 7519 §4.1.4 to §4.1.6)."""
    expires_at = find_time(claims, "exp")
    if expires_at is None:
        raise JwtRefused("exp is missing")
    if expires_at <= now:
        raise JwtRefused("the JWT has expired")
    if expires_at > now + max_lifetime + MAX_SKEW:
        raise JwtRefused("exp is too far in the future")
    for name in ("nbf", "iat"):
        time = find_time(claims, name)
        if time is not None and time > now + MAX_SKEW:
            raise JwtRefused(f"{name} is in the future")
    return expires_at


def verify_sole_audience(claims: Mapping[str, Any], audience: str) -> None:
    """Refuse all but that one string as `aud` (RFC 7523bis §4: no array, no endpoint's URL)."""
    if claims.get("aud") != audience:
        raise JwtRefused("aud is not the issuer as its sole value")
