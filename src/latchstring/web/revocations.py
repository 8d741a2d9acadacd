"""POST /oauth2/revocations: the feed for guards, held until there is something to tell."""

import asyncio
from typing import Final

import msgspec

from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import Parameters, parse_parameters
from latchstring.protocol.revocation_feed import MAX_WAIT, render_feed
from latchstring.web.asgi import Receive, Scope, Send, read_form_body, send_answer
from latchstring.web.credentials import count_failures, find_credentials
from latchstring.web.errors import NO_STORE
from latchstring.web.services import Services

PATH: Final = "/oauth2/revocations"
# What another process has committed is seen that many seconds later at most.
INTERVAL: Final = 0.2


async def answer_revocations(services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes) -> None:
    """What has ended behind the guard's cursor; an empty list says that nothing has."""
    parameters = parse_parameters(await read_form_body(scope, receive))
    parameters.refuse_repeats()
    credentials = find_credentials(services, scope, parameters)
    wait = _read_wait(parameters)
    feed = services.revocation_feed
    cursor = await count_failures(services, scope, credentials, feed.find_cursor(parameters.get("after"), credentials))
    began = asyncio.get_running_loop().time()
    answer, held = await feed.read(cursor), 0.0
    while not (answer.revocations or answer.has_more) and held < wait:
        await asyncio.sleep(min(INTERVAL, wait - held))
        held = asyncio.get_running_loop().time() - began
        answer = await feed.read(cursor)
    body = render_feed(msgspec.structs.replace(answer, held=round(held, 3)))
    await send_answer(send, 200, [*NO_STORE, (b"x-request-id", request_id)], body)


def _read_wait(parameters: Parameters) -> float:
    text = parameters.get("wait", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 4):
        raise OAuthError("invalid_request", "wait is a number of seconds, 0 to 5.")
    return min(float(text), MAX_WAIT)
