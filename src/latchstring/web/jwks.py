"""GET /oauth2/jwks (RFC 7517 §5)."""

from latchstring.web.asgi import Receive, Scope, Send, send_answer, verify_read
from latchstring.web.headers import PUBLIC_DOCUMENT
from latchstring.web.services import Services


async def answer_key_set(services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes) -> None:
    """The keys that verify what this server signed; the first one is made for whoever asks first."""
    verify_read(scope)
    body = await services.signing_keys.render_key_set()
    await send_answer(send, 200, [*PUBLIC_DOCUMENT, (b"x-request-id", request_id)], body)
