"""POST /oauth2/register (RFC 7591 §3) and /oauth2/register/{client_id} (RFC 7592 §2)."""

from typing import Final

from latchstring.protocol.bearer import parse_bearer
from latchstring.protocol.client_metadata import (
    ClientInformation,
    ClientMetadata,
    parse_client_metadata,
    render_client_information,
)
from latchstring.protocol.errors import OAuthError
from latchstring.web.asgi import MethodRefused, Receive, Scope, Send, find_headers, read_json_body, send_answer
from latchstring.web.errors import NO_STORE
from latchstring.web.origin import ProgramSource
from latchstring.web.services import Services
from latchstring.web.throttle import find_source

REGISTER: Final = "/oauth2/register"


def _find_token(scope: Scope) -> str | None:
    return parse_bearer(find_headers(scope, b"authorization"))


async def _read_metadata(scope: Scope, receive: Receive) -> ClientMetadata:
    return parse_client_metadata(await read_json_body(scope, receive))


async def _send(send: Send, status: int, request_id: bytes, information: ClientInformation) -> None:
    headers = [*NO_STORE, (b"x-request-id", request_id)]
    await send_answer(send, status, headers, render_client_information(information))


async def answer_registration(
    services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes
) -> None:
    """201 with the client's credentials; a refusal is raised as `OAuthError`."""
    if services.settings.registration == "off":
        raise OAuthError("invalid_request", "This server registers no client by itself.", status=404)
    if scope["method"] != "POST":
        raise MethodRefused("This endpoint takes POST only.", b"POST")
    await services.throttle.count_registration(find_source(scope, services.settings))
    metadata = await _read_metadata(scope, receive)
    await _send(send, 201, request_id, await services.registration_endpoint.register(metadata, _find_token(scope)))


async def answer_registered_client(
    services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes
) -> None:
    """What is registered, read, replaced or deleted by the client itself."""
    method, endpoint = scope["method"], services.registration_endpoint
    if method not in {"GET", "PUT", "DELETE"}:
        raise MethodRefused("This endpoint takes GET, PUT and DELETE only.", b"GET, PUT, DELETE")
    client_id, token = scope["path"].removeprefix(f"{REGISTER}/").removesuffix("/"), _find_token(scope)
    if method == "GET":
        await _send(send, 200, request_id, await endpoint.find(client_id, token))
        return
    await services.throttle.count_registration(find_source(scope, services.settings))
    if method == "PUT":
        metadata = await _read_metadata(scope, receive)
        await _send(send, 200, request_id, await endpoint.replace(client_id, token, metadata))
        return
    await endpoint.end(client_id, token, ProgramSource(scope, services.settings, request_id))
    # Without a body there is neither type nor length to tell (RFC 9110 §8.6).
    headers = [*NO_STORE[1:], (b"x-request-id", request_id)]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
