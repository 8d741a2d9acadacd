"""POST /oauth2/introspect (RFC 7662)."""

from latchstring.protocol.introspection import render_introspection
from latchstring.protocol.parameters import parse_parameters
from latchstring.web.asgi import Receive, Scope, Send, read_form_body, send_answer
from latchstring.web.credentials import count_failures, find_credentials
from latchstring.web.errors import NO_STORE
from latchstring.web.services import Services


async def answer_introspection(
    services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes
) -> None:
    """The token's facts, or `{"active":false}` and nothing else."""
    parameters = parse_parameters(await read_form_body(scope, receive))
    parameters.refuse_repeats()
    credentials = find_credentials(services, scope, parameters)
    answer = services.introspection_endpoint.answer(parameters.get("token"), credentials)
    response = await count_failures(services, scope, credentials, answer)
    await send_answer(send, 200, [*NO_STORE, (b"x-request-id", request_id)], render_introspection(response))
