"""The only renderer of refusals at the machine endpoints (RFC 6749 §5.2)."""

from collections.abc import Sequence
from traceback import format_exception
from typing import Final

import msgspec
import structlog

from latchstring.protocol.bearer import render_challenge
from latchstring.protocol.errors import OAuthError, StoreUnavailable, visible_ascii
from latchstring.web.asgi import FieldRefused, Header, MethodRefused, Scope, Send, find_headers, send_answer

log = structlog.get_logger("latchstring.web")

NO_STORE: Final[list[Header]] = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"pragma", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
]
RETRY_AFTER_SECONDS: Final = 2
_encode = msgspec.json.Encoder().encode


async def send_refusal(
    scope: Scope, send: Send, request_id: bytes, error: OAuthError, extra: Sequence[Header] = ()
) -> None:
    """The error as JSON, never cached, with the request id that the developer can quote."""
    headers = [*NO_STORE, (b"x-request-id", request_id), *extra]
    if isinstance(error, MethodRefused):
        headers.append((b"allow", error.allow))
    # Basic is the only scheme here, so it is the answer to whatever an Authorization header tried (RFC 6749 §5.2).
    if error.code == "invalid_client" and find_headers(scope, b"authorization"):
        challenge = render_challenge("Basic", {"realm": "latchstring", "charset": "UTF-8"})
        headers.append((b"www-authenticate", challenge.encode()))
    if error.code == "invalid_token":
        # RFC 6750 §3.1: without a token there is nothing to call wrong.
        fault = {"error": error.code} if find_headers(scope, b"authorization") else {}
        headers.append((b"www-authenticate", render_challenge("Bearer", {"realm": "latchstring", **fault}).encode()))
    if error.status in {429, 503}:
        headers.append((b"retry-after", b"%d" % error.retry_after))
    log.info(
        "refused",
        request_id=request_id.decode(),
        path=scope["path"],
        error=error.code,
        status=error.status,
        reason=error.reason,
    )
    body = {"error": error.code, "error_description": visible_ascii(error.description)}
    if isinstance(error, FieldRefused):
        body["field"] = error.field
    await send_answer(send, error.status, headers, _encode(body))


def as_unavailable(error: StoreUnavailable, request_id: bytes) -> OAuthError:
    """A failing store as the 503 that it is: no answer that a client could read as a bad credential."""
    log.error("store_unavailable", request_id=request_id.decode(), reason=str(error))
    return OAuthError("temporarily_unavailable", "The server cannot answer now. Nothing was consumed; try again.")


def log_defect(error: Exception, request_id: str) -> None:
    """Where our code broke: the traceback as text, since a log that renders it would print the variables, too."""
    log.error("server_error", request_id=request_id, exception="".join(format_exception(error)))


def as_server_error(error: Exception, request_id: bytes) -> OAuthError:
    """A defect of ours: logged whole, told in one sentence."""
    log_defect(error, request_id.decode())
    return OAuthError("server_error", "Something broke on our side. Quote the request id when you report it.")
