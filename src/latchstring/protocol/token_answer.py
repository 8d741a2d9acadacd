"""The token endpoint's answer as a client receives it, from any server: read leniently, kept exactly
(RFC 6749 §5.1, §5.2). What our own server sends is `token_response`."""

from collections.abc import Mapping
from typing import Final

import msgspec

# Longer than any lifetime a server means; keeps a hostile number out of date arithmetic.
MAX_LIFETIME: Final = 10 * 365 * 86_400
_CREDENTIAL_CHARACTERS: Final = frozenset(chr(c) for c in range(0x21, 0x7F))
_decoder = msgspec.json.Decoder()


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was issued. `expires_in` is in seconds, None if the server does not say; `members` are all."""

    token_type: str
    access_token: str
    refresh_token: str | None
    expires_in: float | None
    scope: str | None
    members: Mapping[str, object]

    def find_text(self, path: str) -> str | None:
        """The string or number at a dotted path (`team.id`), as text; None when there is none."""
        return find_text(self.members, path)

    def __repr__(self) -> str:
        return f"TokenAnswer(token_type={self.token_type!r}, scope={self.scope!r}, access_token=…)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("token_type", self.token_type), ("scope", self.scope)]


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The refusal (RFC 6749 §5.2): a code, and a sentence for the developer."""

    error: str
    error_description: str | None = None


def find_text(value: object, path: str) -> str | None:
    """The string or number at a dotted path, as text; None when there is none. `*` stands for every item of a list:
    what they say, each once and in order, joined by commas."""
    name, _, rest = path.partition(".")
    if name == "*":
        found = [find_text(item, rest) for item in value] if isinstance(value, list) else []
        return ",".join(sorted({text for text in found if text})) or None
    if path:
        return find_text(value.get(name), rest) if isinstance(value, Mapping) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def parse_json(body: bytes) -> object:
    """The JSON value in a body; raises `ValueError` where there is none."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("not JSON") from error


def parse_members(body: bytes) -> Mapping[str, object]:
    """The JSON object in a body; raises `ValueError` for anything else."""
    members = parse_json(body)
    if not isinstance(members, dict):
        raise ValueError("not a JSON object")
    return members


def parse_error_answer(body: bytes, error_field: str) -> ErrorAnswer | None:
    """The refusal in a body; None when it holds none. `error_field` is the path of the code: `error` by the RFC."""
    try:
        members = parse_members(body)
    except ValueError:
        return None
    named = find_text(members, error_field) if error_field != "error" else None
    error, description = named or members.get("error"), members.get("error_description")
    if not isinstance(error, str) or not error:
        return None
    return ErrorAnswer(error=error, error_description=description if isinstance(description, str) else None)


def parse_token_answer(body: bytes, *, default_type: str | None = None) -> TokenAnswer:
    """Read a successful answer; raises `ValueError` for anything else. `default_type` is for a provider that names no
    `token_type`.

    `expires_in` may be absent or a number in a string, an empty `refresh_token` counts as none, `scope` may
    be absent (RFC 6749 §5.1: as asked). A credential that could not stand in a header is refused.
    """
    members = parse_members(body)
    token_type, access_token = members.get("token_type", default_type), members.get("access_token")
    if not isinstance(token_type, str) or not isinstance(access_token, str):
        raise ValueError("token_type or access_token is missing")
    refresh_token, scope = members.get("refresh_token") or None, members.get("scope")
    if refresh_token is not None and not isinstance(refresh_token, str):
        raise ValueError("refresh_token is not a string")
    if not all(_is_credential(text) for text in (access_token, refresh_token) if text is not None):
        raise ValueError("a token has characters that no credential has")
    return TokenAnswer(
        token_type=token_type,
        access_token=access_token,
        refresh_token=refresh_token,
        expires_in=_parse_lifetime(members.get("expires_in")),
        scope=scope if isinstance(scope, str) else None,
        members=members,
    )


def _is_credential(text: str) -> bool:
    return bool(text) and _CREDENTIAL_CHARACTERS.issuperset(text)


def _parse_lifetime(value: object) -> float | None:
    if isinstance(value, str) and len(value) <= 12 and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(min(max(value, 0), MAX_LIFETIME))
