"""Scope values (RFC 6749 §3.3)."""

from typing import Final

from latchstring.protocol.errors import OAuthError

OFFLINE_ACCESS: Final = "offline_access"
MAX_SCOPE_LENGTH: Final = 2048
_TOKEN_CHARACTERS: Final = frozenset(chr(c) for c in range(0x21, 0x7F)) - {'"', "\\"}


def is_scope_token(text: str) -> bool:
    """Whether the text is one scope-token (RFC 6749 §3.3)."""
    return bool(text) and _TOKEN_CHARACTERS.issuperset(text)


def parse_scope(value: str) -> tuple[str, ...]:
    """The scope's tokens in the order given, each once; refuses what is not a scope (RFC 6749 §3.3)."""
    if len(value) > MAX_SCOPE_LENGTH:
        raise OAuthError("invalid_scope", "The scope is too long.")
    tokens = tuple(dict.fromkeys(value.split(" ")))
    if not all(is_scope_token(token) for token in tokens):
        raise OAuthError("invalid_scope", "The scope is malformed.")
    return tokens


def render_scope(tokens: tuple[str, ...]) -> str:
    """The tokens as one space-delimited string."""
    return " ".join(tokens)
