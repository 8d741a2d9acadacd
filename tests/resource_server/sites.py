"""A tiny guarded app in each framework: /read needs contacts.read, /write contacts.write, /fresh a sign-in of late,
/strong one by more than a password, /open nothing."""

from collections.abc import Callable
from typing import Annotated, Any

import httpx
from django.http import HttpResponse
from django.urls import path as django_path
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from flask import Flask
from litestar import Litestar, Request, get
from litestar import post as litestar_post
from litestar.di import NamedDependency
from litestar.enums import MediaType
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from latchstring.resource_server import Access
from latchstring.resource_server import asgi as plain_asgi
from latchstring.resource_server import wsgi as plain_wsgi
from latchstring.resource_server.frameworks import django, fastapi, flask, litestar, starlette
from tests.resource_server.fakes import (
    NOW,
    browse,
    browse_wsgi,
    make_guard,
    make_sync_guard,
)
from tests.resource_server.signed import JWKS_URI, KeyServer
from tests.support.django_site import serve_django

READ, WRITE = "contacts.read", "contacts.write"
FRESH: dict[str, Any] = {"max_age": 300}
STRONG: dict[str, Any] = {"max_age": 300, "acr_values": ["mfa", "urn:example:gold"]}


def show(access: Access) -> str:
    return f"{access.user_id} {access.organization_id} {access.client_id} {' '.join(access.scope)}"


def build_asgi(guard: Any) -> Any:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        text = show(plain_asgi.find_access(scope)) if scope["path"] != "/open" else "open"
        await PlainTextResponse(text)(scope, receive, send)

    parts = {
        "/read": guard.require(READ)(answer),
        "/write": guard.require(WRITE)(answer),
        "/fresh": guard.require(READ, **FRESH)(answer),
        "/strong": guard.require(READ, **STRONG)(answer),
        "/open": answer,
    }

    async def app(scope: Any, receive: Any, send: Any) -> None:
        part = parts.get(scope["path"], PlainTextResponse("no such path", 404))
        await part(scope, receive, send)

    return browse(guard.where_required(app))


def build_starlette(guard: Any) -> Any:
    @starlette.require(guard, READ)
    async def read(request: Any) -> PlainTextResponse:
        return PlainTextResponse(show(starlette.current_access(request)))

    @starlette.require(guard, WRITE)
    def write(request: Any) -> PlainTextResponse:
        return PlainTextResponse(show(starlette.current_access(request)))

    @starlette.require(guard, READ, **FRESH)
    async def fresh(request: Any) -> PlainTextResponse:
        return PlainTextResponse(show(starlette.current_access(request)))

    @starlette.require(guard, READ, **STRONG)
    async def strong(request: Any) -> PlainTextResponse:
        return PlainTextResponse(show(starlette.current_access(request)))

    def stay_open(request: Any) -> PlainTextResponse:
        return PlainTextResponse("open")

    both = ["GET", "POST"]
    routes = [Route("/read", read, methods=both), Route("/write", write, methods=both), Route("/open", stay_open)]
    routes += [Route("/fresh", fresh), Route("/strong", strong)]
    return browse(Starlette(routes=routes, middleware=[Middleware(guard.where_required)]))


def make_fastapi(guard: Any) -> FastAPI:
    app = FastAPI()
    fastapi.guard_app(app, guard)

    @app.api_route("/read", methods=["GET", "POST"], response_class=PlainTextResponse)
    async def read(access: Annotated[Access, fastapi.require(guard, READ)]) -> str:
        return show(access)

    @app.api_route("/write", methods=["GET", "POST"], response_class=PlainTextResponse)
    def write(access: Annotated[Access, fastapi.require(guard, WRITE)]) -> str:
        return show(access)

    @app.get("/fresh", response_class=PlainTextResponse)
    async def fresh(access: Annotated[Access, fastapi.require(guard, READ, **FRESH)]) -> str:
        return show(access)

    @app.get("/strong", response_class=PlainTextResponse)
    async def strong(access: Annotated[Access, fastapi.require(guard, READ, **STRONG)]) -> str:
        return show(access)

    @app.get("/open", response_class=PlainTextResponse)
    def stay_open() -> str:
        return "open"

    return app


def build_fastapi(guard: Any) -> Any:
    return browse(make_fastapi(guard))


def build_litestar(guard: Any) -> Any:
    plain: Any = {"media_type": MediaType.TEXT, "status_code": 200}

    async def read(access: NamedDependency[Access]) -> str:
        return show(access)

    async def write(request: Request[Any, Any, Any]) -> str:
        return show(litestar.current_access(request))

    @get("/open", media_type=MediaType.TEXT)
    async def stay_open() -> str:
        return "open"

    async def fresh(access: NamedDependency[Access]) -> str:
        return show(access)

    handlers: list[Any] = [
        method(path, guards=[litestar.require(guard, scope)], **plain)(handler)
        for path, scope, handler in (("/read", READ, read), ("/write", WRITE, write))
        for method in (get, litestar_post)
    ]
    handlers.append(get("/fresh", guards=[litestar.require(guard, READ, **FRESH)], **plain)(fresh))
    handlers.append(get("/strong", guards=[litestar.require(guard, READ, **STRONG)], **plain)(fresh))
    return browse(Litestar([*handlers, stay_open], plugins=[litestar.GuardPlugin(guard)]))


def build_wsgi(guard: Any) -> Any:
    def answer(environ: Any, start_response: Any) -> list[bytes]:
        text = show(plain_wsgi.find_access(environ)) if environ["PATH_INFO"] != "/open" else "open"
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text.encode()]

    parts = {
        "/read": guard.require(READ)(answer),
        "/write": guard.require(WRITE)(answer),
        "/fresh": guard.require(READ, **FRESH)(answer),
        "/strong": guard.require(READ, **STRONG)(answer),
        "/open": answer,
    }

    def app(environ: Any, start_response: Any) -> Any:
        part = parts.get(environ["PATH_INFO"])
        if part is None:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"no such path"]
        return part(environ, start_response)

    return browse_wsgi(guard.where_required(app))


def build_flask(guard: Any) -> Any:
    app = Flask(__name__)
    flask.guard_app(app, guard)

    @app.route("/read", methods=["GET", "POST"])
    @flask.require(guard, READ)
    def read() -> str:
        return show(flask.current_access())

    @app.route("/write", methods=["GET", "POST"])
    @flask.require(guard, WRITE)
    async def write() -> str:
        return show(flask.current_access())

    @app.get("/fresh")
    @flask.require(guard, READ, **FRESH)
    def fresh() -> str:
        return show(flask.current_access())

    @app.get("/strong")
    @flask.require(guard, READ, **STRONG)
    def strong() -> str:
        return show(flask.current_access())

    @app.get("/open")
    def stay_open() -> str:
        return "open"

    return browse_wsgi(app)


def build_django(guard: Any) -> Any:
    @django.require(guard, READ)
    def read(request: Any) -> HttpResponse:
        return HttpResponse(show(django.current_access(request)))

    @django.require(guard, WRITE)
    def write(request: Any) -> HttpResponse:
        return HttpResponse(show(django.current_access(request)))

    @django.require(guard, READ, **FRESH)
    def fresh(request: Any) -> HttpResponse:
        return HttpResponse(show(django.current_access(request)))

    @django.require(guard, READ, **STRONG)
    def strong(request: Any) -> HttpResponse:
        return HttpResponse(show(django.current_access(request)))

    def stay_open(request: Any) -> HttpResponse:
        return HttpResponse("open")

    patterns = [django_path("read", read), django_path("write", write), django_path("open", stay_open)]
    patterns += [django_path("fresh", fresh), django_path("strong", strong)]
    return browse_wsgi(serve_django(patterns, django.where_required(guard)))


def build_django_async(guard: Any) -> Any:
    @django.require(guard, READ)
    async def read(request: Any) -> HttpResponse:
        return HttpResponse(show(django.current_access(request)))

    @django.require(guard, WRITE)
    async def write(request: Any) -> HttpResponse:
        return HttpResponse(show(django.current_access(request)))

    @django.require(guard, READ, **FRESH)
    async def fresh(request: Any) -> HttpResponse:
        return HttpResponse(show(django.current_access(request)))

    @django.require(guard, READ, **STRONG)
    async def strong(request: Any) -> HttpResponse:
        return HttpResponse(show(django.current_access(request)))

    async def stay_open(request: Any) -> HttpResponse:
        return HttpResponse("open")

    patterns = [django_path("read", read), django_path("write", write), django_path("open", stay_open)]
    patterns += [django_path("fresh", fresh), django_path("strong", strong)]
    return browse(serve_django(patterns, django.where_required(guard), is_async=True))


FRAMEWORKS: dict[str, tuple[Callable[..., Any], Callable[[Any], Any]]] = {
    "asgi": (make_guard, build_asgi),
    "starlette": (make_guard, build_starlette),
    "fastapi": (make_guard, build_fastapi),
    "litestar": (make_guard, build_litestar),
    "wsgi": (make_sync_guard, build_wsgi),
    "flask": (make_sync_guard, build_flask),
    "django": (make_sync_guard, build_django),
    "django async": (make_guard, build_django_async),
    "django async by threads": (make_sync_guard, build_django_async),
}


class Site:
    """The tiny app of one framework, its guard, and the server that the guard asks."""

    def __init__(self, framework: str) -> None:
        self.make_guard, self.build = FRAMEWORKS[framework]
        self.server = KeyServer()
        self.now = NOW
        self.set_up()

    def set_up(self, **settings: Any) -> None:
        settings = {"jwks_uri": JWKS_URI, "clock": lambda: self.now} | settings
        self.guard = self.make_guard(self.server, **settings)
        self.http = self.build(self.guard)

    async def call(self, *headers: Any, path: str = "/read", method: str = "GET") -> httpx.Response:
        response: httpx.Response = await self.http.request(
            method, path, headers=[("x-request-id", "from-the-client"), *headers]
        )
        return response

    async def bear(self, token: str, path: str = "/read", method: str = "GET") -> httpx.Response:
        return await self.call(("authorization", f"Bearer {token}"), path=path, method=method)


def whole(response: httpx.Response) -> Any:
    """All of an answer, to the byte."""
    return (
        response.status_code,
        sorted((name.lower(), value) for name, value in response.headers.items()),
        response.content,
    )
