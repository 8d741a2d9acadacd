"""GET /healthz and GET /readyz, for whoever keeps the process alive and whoever sends it requests."""

from typing import Final

from latchstring.protocol.errors import StoreUnavailable
from latchstring.web.asgi import Receive, Scope, Send, send_answer, verify_read
from latchstring.web.errors import NO_STORE, RETRY_AFTER_SECONDS
from latchstring.web.services import Services

LIVENESS: Final = "/healthz"
READINESS: Final = "/readyz"


async def answer_liveness(services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes) -> None:
    """200 while the process answers at all. The store is not asked: a restart would not bring it back."""
    verify_read(scope)
    await send_answer(send, 200, [*NO_STORE, (b"x-request-id", request_id)], b'{"status":"alive"}')


async def answer_readiness(services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes) -> None:
    """200 when a request would be served now; 503 while the store does not answer or its schema is not there yet.

    Nothing is logged: it is asked every other second, and requests that fail log the reason.
    """
    verify_read(scope)
    try:
        reason = b"migrations_pending" if await services.has_pending_migrations() else None
    except StoreUnavailable:
        reason = b"store_unavailable"
    headers = [*NO_STORE, (b"x-request-id", request_id)]
    if reason is None:
        await send_answer(send, 200, headers, b'{"status":"ready"}')
        return
    headers.append((b"retry-after", b"%d" % RETRY_AFTER_SECONDS))
    await send_answer(send, 503, headers, b'{"status":"unready","reason":"%b"}' % reason)
