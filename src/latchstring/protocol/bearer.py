"""Access tokens in the `Authorization` header, and the challenge that answers a bad one (RFC 6750, RFC 9449 §7)."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from latchstring.protocol.errors import OAuthError

# A JWT with all that may stand in one (RFC 9068, RFC 8693, RFC 9396) is longer than an opaque token ever is.
MAX_TOKEN_LENGTH: Final = 8192
BEARER: Final = "Bearer"
DPOP: Final = "DPoP"
_BY_NAME: Final = {b"bearer": BEARER, b"dpop": DPOP}
_B64TOKEN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="


class SentToken(msgspec.Struct, frozen=True):
    """An access token as a request has it, and under which scheme: `Bearer` or `DPoP`."""

    token: str
    scheme: str

    def __repr__(self) -> str:
        return f"SentToken(scheme={self.scheme!r})"


def parse_sent_token(authorization: Sequence[bytes], schemes: tuple[str, ...] = (BEARER, DPOP)) -> SentToken | None:
    """The token from the request's `Authorization` headers (RFC 6750 §2.1, RFC 9449 §7.1); None when there is none.

    The scheme is case-insensitive and followed by spaces, never by a tab. Two headers, another scheme's
    credentials or a malformed token are refused, never guessed at.
    """
    if not authorization:
        return None
    if len(authorization) > 1:
        raise OAuthError("invalid_request", "There is more than one Authorization header.")
    value = authorization[0]
    if not value.isascii():
        raise OAuthError("invalid_token", "The access token is malformed.")
    name, _, token = value.partition(b" ")
    name = name.lower()
    scheme = _BY_NAME.get(name)
    if scheme is None or scheme not in schemes:
        if name.startswith(tuple(each for each, known in _BY_NAME.items() if known in schemes)):
            raise OAuthError("invalid_request", "The Authorization header is malformed.")
        return None
    token = token.strip(b" ")
    # What is left without the alphabet's characters must be nothing: one pass, however long the token is.
    if not token or len(token) > MAX_TOKEN_LENGTH or token.translate(None, _B64TOKEN):
        raise OAuthError("invalid_token", "The access token is malformed.")
    return SentToken(token.decode("ascii"), scheme)


def parse_bearer(authorization: Sequence[bytes]) -> str | None:
    """The token, where only bearer tokens count (RFC 6750 §2.1)."""
    sent = parse_sent_token(authorization, (BEARER,))
    return None if sent is None else sent.token


def render_challenge(scheme: str, parameters: Mapping[str, str]) -> str:
    """A `WWW-Authenticate` value: the scheme and its parameters, each quoted (RFC 6750 §3)."""
    return f"{scheme} " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())
