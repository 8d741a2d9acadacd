"""The introspection answer (RFC 7662 §2.2)."""

from typing import Any, Final

import msgspec


class IntrospectionResponse(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An active token's facts; times in epoch seconds. An inactive token has none (`INACTIVE`)."""

    active: bool
    scope: str | None = None
    client_id: str | None = None
    token_type: str | None = None
    exp: int | None = None
    iat: int | None = None
    nbf: int | None = None
    sub: str | None = None
    iss: str | None = None
    aud: str | list[str] | None = None
    cnf: dict[str, Any] | None = None
    act: dict[str, Any] | None = None
    jti: str | None = None
    organization_id: str | None = None
    user_id: str | None = None
    authorization_details: list[dict[str, Any]] | None = None
    auth_time: int | None = None
    acr: str | None = None


class SignedIntrospection(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of a signed answer (RFC 9701 §5). None of them makes it look like an access token."""

    iss: str
    aud: str
    iat: int
    token_introspection: IntrospectionResponse


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(IntrospectionResponse)

SIGNED_TYPE: Final = "token-introspection+jwt"
INACTIVE: Final = b'{"active":false}'


def render_introspection(response: IntrospectionResponse) -> bytes:
    """The answer as JSON; for an inactive token nothing but `{"active":false}` (RFC 7662 §2.2)."""
    return _encoder.encode(response) if response.active else INACTIVE


def parse_introspection(body: bytes) -> IntrospectionResponse:
    """Read an introspection answer; raises `ValueError` for anything else."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("not an introspection answer") from error
