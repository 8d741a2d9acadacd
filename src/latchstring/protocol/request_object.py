"""The request object (RFC 9101 §4): an authorization request as the claims of a JWT."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from latchstring.protocol.authorization_request import PUSHED_PARAMETERS
from latchstring.protocol.jose.claims import find_text, verify_times
from latchstring.protocol.jose.jws import JwtRefused
from latchstring.protocol.parameters import MAX_VALUE_LENGTH, Parameters

# RFC 9101 §10.8; many clients write JWT or nothing.
REQUEST_OBJECT_TYPES: Final = (None, "jwt", "oauth-authz-req+jwt")
# FAPI 2.0 Message Signing §5.3.1: an hour, from a time that is at most an hour past.
MAX_LIFETIME: Final = 3600


def verify_request_claims(claims: Mapping[str, Any], client_id: str, issuer: str, now: int) -> None:
    """Refuse, by `JwtRefused`, a request object that is not this client's, not for this server, not good now, or that
    leads on to another one (RFC 9101 §4, §5, §6.3)."""
    if find_text(claims, "iss") != client_id:
        raise JwtRefused("iss is not the client")
    if find_text(claims, "client_id") != client_id:
        raise JwtRefused("client_id is another one outside")
    audience = claims.get("aud")
    if issuer not in (audience if isinstance(audience, list) else [audience]):
        raise JwtRefused("aud is not the issuer")
    verify_times(claims, now, max_lifetime=MAX_LIFETIME)
    if "request" in claims or "request_uri" in claims:
        raise JwtRefused("it contains a request or request_uri")


def read_request_claims(claims: Mapping[str, Any]) -> Parameters:
    """The request's parameters (RFC 9101 §4); raises `JwtRefused` for one that has no form as a parameter.

    Values are strings; `resource` may be several, `max_age` a number, `authorization_details` JSON as such.
    """
    parameters = Parameters()
    for name, value in claims.items():
        if name not in PUSHED_PARAMETERS:
            continue
        if name == "resource":
            parts = value if isinstance(value, list) else [value]
            parameters.lists[name] = [text for part in parts if (text := _read_text(name, part))]
        elif text := _read_text(name, value):
            parameters[name] = text
    return parameters


def _read_text(name: str, value: object) -> str:
    if name == "max_age" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if name == "authorization_details" and isinstance(value, list):
        return msgspec.json.encode(value).decode()
    if not isinstance(value, str) or "\0" in value or len(value) > MAX_VALUE_LENGTH:
        raise JwtRefused(f"{name} is not a parameter's value")
    return value
