"""POST /oauth2/introspect (RFC 7662)."""

from typing import Final

from latchstring.protocol.introspection import SIGNED_TYPE, render_introspection
from latchstring.protocol.parameters import parse_parameters
from latchstring.web.asgi import Receive, Scope, Send, read_form_body, send_answer
from latchstring.web.credentials import count_failures, find_credentials
from latchstring.web.errors import NO_STORE
from latchstring.web.services import Services

_SIGNED: Final = f"application/{SIGNED_TYPE}".encode()


async def answer_introspection(
    services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes
) -> None:
    """The token's facts, or `{"active":false}` and nothing else; signed for a resource server that asks for it."""
    parameters = parse_parameters(await read_form_body(scope, receive))
    parameters.refuse_repeats()
    credentials = find_credentials(services, scope, parameters)
    endpoint, token = services.introspection_endpoint, parameters.get("token")
    answer = (
        endpoint.answer_signed(token, credentials) if _asks_for_signed(scope) else endpoint.answer(token, credentials)
    )
    response = await count_failures(services, scope, credentials, answer)
    if isinstance(response, str):
        headers = [*NO_STORE[1:], (b"content-type", _SIGNED), (b"x-request-id", request_id)]
        await send_answer(send, 200, headers, response.encode())
    else:
        await send_answer(send, 200, [*NO_STORE, (b"x-request-id", request_id)], render_introspection(response))


def _asks_for_signed(scope: Scope) -> bool:
    """Whether the caller names the signed form in its `Accept` header (RFC 9701 §4)."""
    return any(name == b"accept" and _SIGNED in value.lower() for name, value in scope["headers"])
