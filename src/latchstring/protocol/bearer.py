"""Bearer tokens in the `Authorization` header, and the challenge that answers a bad one (RFC 6750)."""

from collections.abc import Mapping, Sequence
from typing import Final

from latchstring.protocol.errors import OAuthError

MAX_TOKEN_LENGTH: Final = 4096
_B64TOKEN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=")


def parse_bearer(authorization: Sequence[bytes]) -> str | None:
    """The token from the request's `Authorization` headers (RFC 6750 §2.1); None when there is none at all.

    The scheme is case-insensitive and followed by spaces, never by a tab. Two headers, another scheme's
    credentials or a malformed token are refused, never guessed at.
    """
    if not authorization:
        return None
    if len(authorization) > 1:
        raise OAuthError("invalid_request", "There is more than one Authorization header.")
    try:
        value = authorization[0].decode("ascii")
    except UnicodeDecodeError:
        raise OAuthError("invalid_token", "The access token is malformed.") from None
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer":
        if scheme.lower().startswith("bearer"):
            raise OAuthError("invalid_request", "The Authorization header is malformed.")
        return None
    token = token.strip(" ")
    if not token or len(token) > MAX_TOKEN_LENGTH or not _B64TOKEN.issuperset(token):
        raise OAuthError("invalid_token", "The access token is malformed.")
    return token


def render_challenge(scheme: str, parameters: Mapping[str, str]) -> str:
    """A `WWW-Authenticate` value: the scheme and its parameters, each quoted (RFC 6750 §3)."""
    return f"{scheme} " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())
