"""Access tokens that an API can check by itself: signed JWTs (RFC 9068)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.jose.jws import JwtRefused

TYPE: Final = "at+jwt"

_Text = Annotated[str, msgspec.Meta(min_length=1)]


class AccessTokenClaims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The claims of a JWT access token (RFC 9068 §2.2); times in epoch seconds.

    `grant_id` names the grant that the token stands on; a client's own token has none. `ancestors` are the `jti` of the
    tokens that it came from by exchanges: it dies with each of them. `approval` is the generation of the approval under
    which a client acts for an organization that does not own it.
    """

    iss: _Text
    aud: _Text | list[_Text]
    sub: _Text
    client_id: _Text
    organization_id: _Text
    iat: int
    exp: int
    jti: _Text
    nbf: int | None = None
    scope: str = ""
    auth_time: int | None = None
    acr: str | None = None
    grant_id: str | None = None
    cnf: Confirmation | None = None
    act: dict[str, Any] | None = None
    authorization_details: list[dict[str, Any]] | None = None
    ancestors: list[str] = []
    approval: int | None = None

    @property
    def audience(self) -> tuple[str, ...]:
        """The resources that the token is for; never empty in a token that was parsed."""
        return (self.aud,) if isinstance(self.aud, str) else tuple(self.aud)


def parse_access_token_claims(claims: Mapping[str, object]) -> AccessTokenClaims:
    """The claims of a JWT whose signature is verified, each one there and of its type; raises `JwtRefused`.

    Says nothing of what they mean: the caller looks at issuer, audience and clock (RFC 9068 §4).
    """
    try:
        parsed = msgspec.convert(claims, AccessTokenClaims)
    except msgspec.ValidationError as error:
        raise JwtRefused(f"not an access token: {error}") from None
    if not parsed.audience:
        raise JwtRefused("not an access token: aud is empty")
    return parsed
