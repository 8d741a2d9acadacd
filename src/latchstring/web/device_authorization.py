"""POST /oauth2/device_authorization (RFC 8628 §3.1)."""

import msgspec

from latchstring.protocol.parameters import parse_parameters
from latchstring.web.asgi import Receive, Scope, Send, read_form_body, send_answer
from latchstring.web.credentials import count_failures, find_credentials
from latchstring.web.errors import NO_STORE
from latchstring.web.services import Services
from latchstring.web.throttle import find_source

_encode = msgspec.json.Encoder().encode


async def answer_device_authorization(
    services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes
) -> None:
    """200 with both codes and where to enter the one for people (RFC 8628 §3.2)."""
    parameters = parse_parameters(await read_form_body(scope, receive))
    parameters.refuse_repeats()
    credentials = find_credentials(services, scope, parameters)
    source = find_source(scope, services.settings)
    await services.throttle.count_device_authorization(credentials.client_id, source)
    answer = services.device_authorization_endpoint.answer(parameters, credentials)
    device = await count_failures(services, scope, credentials, answer)
    await send_answer(send, 200, [*NO_STORE, (b"x-request-id", request_id)], _encode(device))
