"""The few things that every ASGI handler does: read a small body, send an answer."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

from latchstring.protocol.errors import OAuthError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

MAX_BODY_SIZE: Final = 64 * 1024
_FORM: Final = b"application/x-www-form-urlencoded"
_JSON: Final = b"application/json"
_WRONG_TYPE: Final = {
    _FORM: "The body's content type is application/x-www-form-urlencoded.",
    _JSON: "The body's content type is application/json.",
}


class MethodRefused(OAuthError):
    """405; `allow` is the value of its `Allow` header."""

    def __init__(self, description: str, allow: bytes) -> None:
        super().__init__("invalid_request", description, status=405)
        self.allow = allow


class FieldRefused(OAuthError):
    """400; `field` is the one whose value cannot be taken."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__("invalid_request", description)
        self.field = field


class ClientGone(Exception):
    """The caller hung up before its request was whole."""


def find_headers(scope: Scope, name: bytes) -> list[bytes]:
    """All values of a header; the name in small letters."""
    return [value for key, value in scope["headers"] if key == name]


async def read_form_body(scope: Scope, receive: Receive) -> bytes:
    """The body of a form POST; refuses other methods (405), other types (415) and what is too large (413)."""
    if scope["method"] != "POST":
        raise MethodRefused("This endpoint takes POST only.", b"POST")
    _refuse_other_types(scope, _FORM)
    return await read_body(receive)


async def read_json_body(scope: Scope, receive: Receive) -> bytes:
    """The body of a JSON request; refuses other types (415) and what is too large (413)."""
    _refuse_other_types(scope, _JSON)
    return await read_body(receive)


def _refuse_other_types(scope: Scope, expected: bytes) -> None:
    content_types = find_headers(scope, b"content-type")
    media_type, _, options = (content_types[0] if content_types else b"").partition(b";")
    charset = options.strip().lower().replace(b'"', b"")
    if len(content_types) != 1 or media_type.strip().lower() != expected or charset not in {b"", b"charset=utf-8"}:
        why = _WRONG_TYPE[expected]
        raise OAuthError("invalid_request", why, status=415)


def verify_read(scope: Scope) -> None:
    """Refuse all but reading (405): of documents that anybody may have."""
    if scope["method"] not in {"GET", "HEAD"}:
        raise MethodRefused("This document is read by GET.", b"GET, HEAD")


async def read_body(receive: Receive) -> bytes:
    """The body, up to the limit; refuses a larger one (413) without reading it to its end."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        if len(body) > MAX_BODY_SIZE:
            break
        message = await receive()
        body += message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise ClientGone
    if len(body) > MAX_BODY_SIZE:
        raise OAuthError("invalid_request", "The request is too large.", status=413)
    return body


async def send_answer(send: Send, status: int, headers: Sequence[Header], body: bytes) -> None:
    """Status, headers and body in two messages; the length is added here."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
