"""The guard in Litestar, as one of its guards.

`Litestar(…, plugins=[GuardPlugin(guard)])` once; then `guards=[require(guard, "contacts.read")]` on a handler, a
controller, a router or the app. A handler that takes
`access: NamedDependency[Access]` is told who calls.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast

from litestar import Request, Response, asgi
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.exceptions import WebSocketException
from litestar.handlers import BaseRouteHandler
from litestar.plugins import InitPlugin
from litestar.types import Message, Receive, Scope, Send

from latchstring.resource_server.asgi import Guard, find_access, identify, send_rendered, stamp
from latchstring.resource_server.asgi import Scope as PlainScope
from latchstring.resource_server.asgi import Send as PlainSend
from latchstring.resource_server.guarding import RefusedRequest
from latchstring.resource_server.refusal import Refusal
from latchstring.resource_server.requirement import make_requirement
from latchstring.resource_server.verify import Access

AnyConnection: TypeAlias = ASGIConnection[Any, Any, Any, Any]
LitestarGuard: TypeAlias = Callable[[AnyConnection, BaseRouteHandler], Awaitable[None]]


class GuardPlugin(InitPlugin):
    """Has the app answer as the guard says: refusals, the API's metadata, `X-Request-Id`."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        guard = self._guard
        app_config.exception_handlers[RefusedRequest] = _answer
        app_config.route_handlers.append(asgi(guard.settings.metadata_path, copy_scope=False)(self._answer_metadata))
        app_config.dependencies.setdefault("access", Provide(_provide_access, sync_to_thread=False))
        app_config.before_send.append(self._stamp)
        app_config.on_shutdown.append(guard.aclose)
        return app_config

    async def _answer_metadata(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_rendered(self._guard.answer_metadata(_plain(scope)["method"]), cast(PlainSend, send))

    async def _stamp(self, message: Message, scope: Scope) -> None:
        is_metadata = self._guard.is_metadata(scope["path"])
        if message["type"] == "http.response.start" and not is_metadata:
            message["headers"] = stamp(message.get("headers", ()), self._guard, _plain(scope))


def current_access(connection: AnyConnection) -> Access:
    """Who calls. Raises `RuntimeError` where nothing requires a token."""
    return find_access(connection.scope)


def _provide_access(scope: Scope) -> Access:
    return find_access(scope)


def require(guard: Guard, *scope: str, max_age: int | None = None, acr_values: Sequence[str] = ()) -> LitestarGuard:
    """The Litestar guard: lets in who comes with a token that has all of `scope`, and with `max_age` (seconds) for a
    member who signed in that lately, with `acr_values` as strongly as any of them."""
    requirement = make_requirement(scope, max_age, acr_values)

    async def check(connection: AnyConnection, _: BaseRouteHandler) -> None:
        request_id = identify(_plain(connection.scope))
        try:
            await guard.admit(_plain(connection.scope), requirement)
        except Refusal as refusal:
            rendered = guard.refuse(refusal, request_id)
            if _plain(connection.scope)["type"] == "websocket":
                raise WebSocketException("", detail=refusal.description, code=1008) from None
            raise RefusedRequest(rendered) from None

    return check


def _plain(scope: Scope) -> PlainScope:
    return cast(PlainScope, scope)


def _answer(_: Request[Any, Any, Any], error: RefusedRequest) -> Response[bytes]:
    rendered = error.rendered
    return Response(rendered.body, status_code=rendered.status, headers=dict(rendered.headers))
