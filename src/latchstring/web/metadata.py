"""GET /.well-known/oauth-authorization-server (RFC 8414 §3)."""

from latchstring.authorization_server.metadata_endpoint import build_metadata
from latchstring.protocol.server_metadata import render_server_metadata
from latchstring.web.asgi import Receive, Scope, Send, send_answer, verify_read
from latchstring.web.headers import PUBLIC_DOCUMENT
from latchstring.web.services import Services


async def answer_metadata(services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes) -> None:
    """The document, from settings alone: forged host headers change nothing in it."""
    verify_read(scope)
    body = render_server_metadata(build_metadata(services.settings))
    # On HEAD the server in front drops the body; the length must be that of a GET (RFC 9110 §8.6).
    await send_answer(send, 200, [*PUBLIC_DOCUMENT, (b"x-request-id", request_id)], body)
