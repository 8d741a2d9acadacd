"""POST /oauth2/revoke (RFC 7009)."""

from latchstring.protocol.parameters import parse_parameters
from latchstring.web.asgi import Receive, Scope, Send, read_form_body, send_answer
from latchstring.web.credentials import count_failures, find_credentials
from latchstring.web.errors import NO_STORE
from latchstring.web.origin import ProgramSource
from latchstring.web.services import Services


async def answer_revocation(services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes) -> None:
    """200 with an empty body once the token is dead, or was never alive (RFC 7009 §2.2)."""
    parameters = parse_parameters(await read_form_body(scope, receive))
    parameters.refuse_repeats()
    credentials = find_credentials(services, scope, parameters)
    source = ProgramSource(scope, services.settings, request_id)
    answer = services.revocation_endpoint.answer(parameters.get("token"), credentials, source)
    await count_failures(services, scope, credentials, answer)
    await send_answer(send, 200, [*NO_STORE, (b"x-request-id", request_id)], b"")
