"""`authorization_details` on the wire (RFC 9396 §2): a JSON array of objects, each with a `type`."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from latchstring.protocol.errors import OAuthError

MAX_SIZE: Final = 2048  # bytes: it is kept with the grant, carried by pages, and may stand in access tokens
MAX_OBJECTS: Final = 8
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode


def refuse_details(description: str) -> OAuthError:
    """`invalid_authorization_details` (RFC 9396 §5) with that description."""
    return OAuthError("invalid_authorization_details", description)


def parse_authorization_details(text: str) -> list[dict[str, Any]]:
    """The objects, judged by nothing but their form and size; refuses everything else (RFC 9396 §5)."""
    try:
        details = _decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise refuse_details("authorization_details is not a JSON array of objects.") from None
    if not 1 <= len(details) <= MAX_OBJECTS:
        raise refuse_details("authorization_details has no object, or too many.")
    if not all(isinstance(detail.get("type"), str) for detail in details):
        raise refuse_details("authorization_details has an object without a type.")
    return details


def render_authorization_details(details: Sequence[dict[str, Any]]) -> str:
    """The objects as JSON, one spelling for one content; refuses what is too long."""
    try:
        rendered = _encode(details)
    except RecursionError:
        raise refuse_details("authorization_details is nested too deeply.") from None
    if len(rendered) > MAX_SIZE:
        raise refuse_details("authorization_details is too long.")
    return rendered.decode()


def read_authorization_details(kept: str | None) -> list[dict[str, Any]] | None:
    """What `render_authorization_details` made; None where there are none."""
    return None if kept is None else _decode(kept)
