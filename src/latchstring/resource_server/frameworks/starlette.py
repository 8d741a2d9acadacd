"""The guard in Starlette.

The whole app: `Starlette(middleware=[Middleware(guard.asgi, exempt={"/health"})])`, then
`current_access(request)` in an endpoint. One endpoint that needs more: `@require(guard, "contacts.write")`.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from latchstring.resource_server.asgi import Guard, auditing, find_access, identify, render_stamps
from latchstring.resource_server.refusal import Refusal
from latchstring.resource_server.requirement import make_requirement
from latchstring.resource_server.verify import Access

Endpoint: TypeAlias = Callable[[Request], Any]
Guarded: TypeAlias = Callable[[Request], Awaitable[Response]]


def current_access(connection: HTTPConnection) -> Access:
    """Who calls. Raises `RuntimeError` where no guard stands before the endpoint, or the path is exempt."""
    return find_access(connection.scope)


def current_request_id(connection: HTTPConnection) -> str:
    """The id by which this request is found in the logs; the answer carries it as `X-Request-Id`."""
    return identify(connection.scope)


def require(
    guard: Guard, *scope: str, max_age: int | None = None, acr_values: Sequence[str] = ()
) -> Callable[[Endpoint], Guarded]:
    """An endpoint, sync or async, that needs a token with all of `scope`, and with `max_age` (seconds) a member who
    signed in that lately, with `acr_values` as strongly as any of them, wherever else a guard stands."""
    requirement = make_requirement(scope, max_age, acr_values)

    def decorate(endpoint: Endpoint) -> Guarded:
        @functools.wraps(endpoint)
        async def guarded(request: Request) -> Response:
            with auditing(guard, request.scope) as request_id:
                try:
                    await guard.admit(request.scope, requirement)
                except Refusal as refusal:
                    rendered = guard.refuse(refusal, request_id)
                    return Response(rendered.body, rendered.status, dict(rendered.headers))
                response: Response
                if inspect.iscoroutinefunction(endpoint):
                    response = await endpoint(request)
                else:
                    response = await run_in_threadpool(endpoint, request)
            for name, value in render_stamps(guard, request.scope):
                response.headers.setdefault(name, value)
            return response

        return guarded

    return decorate
