"""POST /oauth2/token (RFC 6749 §3.2): bytes to `TokenRequest`, `TokenResponse` to bytes."""

from latchstring.protocol.parameters import parse_parameters
from latchstring.protocol.token_request import parse_token_request
from latchstring.protocol.token_response import render_token_response
from latchstring.web.asgi import Receive, Scope, Send, read_form_body, send_answer
from latchstring.web.credentials import count_failures, find_credentials
from latchstring.web.errors import NO_STORE
from latchstring.web.origin import ProgramSource
from latchstring.web.proofs import find_proofs, offer_nonce
from latchstring.web.services import Services


async def answer_token(services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes) -> None:
    """One token request; a refusal is raised as `OAuthError`."""
    parameters = parse_parameters(await read_form_body(scope, receive))
    request = parse_token_request(parameters)
    credentials = find_credentials(services, scope, parameters)
    proofs = find_proofs(scope)
    source = ProgramSource(scope, services.settings, request_id)
    answer = services.token_endpoint.answer(request, credentials, proofs, source)
    response = await count_failures(services, scope, credentials, answer)
    headers = [*NO_STORE, (b"x-request-id", request_id), *offer_nonce(services, proofs)]
    await send_answer(send, 200, headers, render_token_response(response))
