"""POST /oauth2/par (RFC 9126)."""

import msgspec

from latchstring.authorization_server.client_documents import DOCUMENT_SCHEME
from latchstring.protocol.client_metadata import NONE
from latchstring.protocol.parameters import parse_parameters
from latchstring.web.asgi import Receive, Scope, Send, read_form_body, send_answer
from latchstring.web.credentials import count_failures, find_credentials
from latchstring.web.errors import NO_STORE
from latchstring.web.proofs import find_proofs, offer_nonce
from latchstring.web.services import Services
from latchstring.web.throttle import find_source

_encode = msgspec.json.Encoder().encode


async def answer_pushed_request(
    services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes
) -> None:
    """201 with the `request_uri` and how long it lasts (RFC 9126 §2.2)."""
    parameters = parse_parameters(await read_form_body(scope, receive))
    parameters.refuse_repeats()
    credentials = find_credentials(services, scope, parameters)
    if credentials.method == NONE and credentials.certificate is None:
        await services.throttle.count_push(find_source(scope, services.settings))
    if credentials.client_id.startswith(DOCUMENT_SCHEME):
        await services.throttle.count_document(find_source(scope, services.settings))
    proofs = find_proofs(scope)
    answer = services.pushed_request_endpoint.answer(parameters, credentials, proofs)
    pushed = await count_failures(services, scope, credentials, answer)
    headers = [*NO_STORE, (b"x-request-id", request_id), *offer_nonce(services, proofs)]
    await send_answer(send, 201, headers, _encode(pushed))
