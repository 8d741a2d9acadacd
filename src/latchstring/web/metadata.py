"""GET /.well-known/oauth-authorization-server (RFC 8414 §3)."""

from latchstring.authorization_server.metadata_endpoint import build_metadata
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.server_metadata import render_server_metadata
from latchstring.web.asgi import Receive, Scope, Send, send_answer
from latchstring.web.services import Services


async def answer_metadata(services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes) -> None:
    """The document, from settings alone: forged host headers change nothing in it."""
    if scope["method"] not in {"GET", "HEAD"}:
        raise OAuthError("invalid_request", "This document is read by GET.", status=405)
    body = render_server_metadata(build_metadata(services.settings))
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"public, max-age=300"),
        (b"access-control-allow-origin", b"*"),
        (b"x-request-id", request_id),
    ]
    # On HEAD the server in front drops the body; the length must be that of a GET (RFC 9110 §8.6).
    await send_answer(send, 200, headers, body)
