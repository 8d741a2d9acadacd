"""An authorization server's introspection endpoint in the process, and a small API behind the guard."""

import asyncio
from base64 import b64encode
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import httpx

from latchstring.protocol.parameters import parse_parameters
from latchstring.resource_server import Access, Guard, SyncGuard
from latchstring.resource_server.asgi import ACCESS

ISSUER = "https://login.test"
ENDPOINT = "https://login.test/oauth2/introspect/"
RESOURCE = "https://api.test/v1"
METADATA_URL = "https://api.test/.well-known/oauth-protected-resource/v1"
CLIENT_ID = "rs:1 %"
CLIENT_SECRET = "s+ecret"
BASIC = "Basic " + b64encode(b"rs%3A1+%25:s%2Becret").decode()
NOW = 1_800_000_000

ACTIVE: dict[str, Any] = {
    "active": True,
    "token_type": "Bearer",
    "iss": ISSUER,
    "sub": "user_1",
    "user_id": "user_1",
    "organization_id": "orga_1",
    "client_id": "oa2client_1",
    "scope": "contacts.read offline_access",
    "jti": "at_1",
    "exp": NOW + 60,
    "iat": NOW - 60,
}

SETTINGS: dict[str, Any] = {
    "issuer": ISSUER,
    "introspection_endpoint": ENDPOINT,
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "resource": RESOURCE,
    "scopes_supported": ["contacts.read", "contacts.write"],
    "clock": lambda: NOW,
}


class FakeServer(httpx.MockTransport):
    """Answers as RFC 7662 says for the tokens it knows; `respond` replaces its next answers."""

    def __init__(self) -> None:
        super().__init__(self._handle)
        self.tokens: dict[str, dict[str, Any]] = {"good": ACTIVE}
        self.asked: list[str] = []
        self.respond: list[httpx.Response | Exception] = []

    def _handle(self, request: httpx.Request) -> httpx.Response:
        assert (request.method, str(request.url)) == ("POST", ENDPOINT)
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        parameters = parse_parameters(request.content)
        assert parameters["token_type_hint"] == "access_token"
        self.asked.append(parameters["token"])
        if self.respond:
            answer = self.respond.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if request.headers["authorization"] != BASIC:
            return httpx.Response(401, json={"error": "invalid_client"})
        return httpx.Response(200, json=self.tokens.get(parameters["token"], {"active": False}))


def make_guard(server: FakeServer, **overrides: Any) -> Guard:
    """A guard of `RESOURCE` that asks the fake server, at `NOW`."""
    return Guard(**SETTINGS | {"http_client": httpx.AsyncClient(transport=server)} | overrides)


def make_sync_guard(server: FakeServer, **overrides: Any) -> SyncGuard:
    """The same for threads."""
    return SyncGuard(**SETTINGS | {"http_client": httpx.Client(transport=server)} | overrides)


class Api:
    """A plain ASGI app that says who called, and remembers what reached it."""

    def __init__(self) -> None:
        self.seen: list[Access | None] = []
        self.types: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.types.append(scope["type"])
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        self.seen.append((scope.get("state") or {}).get(ACCESS))
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"1")]})
            await send({"type": "http.response.body", "body": b"hello"})


def browse(app: Any) -> httpx.AsyncClient:
    """A client of the app, in the process; an exception in the app fails the test."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://api.test")


class WsgiTransport(httpx.AsyncBaseTransport):
    """To an app in the process, by a thread; headers that come twice are joined by commas, as WSGI servers do. The app
    is held to PEP 3333."""

    def __init__(self, app: Any) -> None:
        self._app = validator(app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await asyncio.to_thread(self._handle, request, await request.aread())

    def _handle(self, request: httpx.Request, body: bytes) -> httpx.Response:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "PATH_INFO": unquote_to_bytes(request.url.raw_path.partition(b"?")[0]).decode("latin-1"),
            "QUERY_STRING": request.url.query.decode("ascii"),
            "SCRIPT_NAME": "",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.input": BytesIO(body),
        }
        for name, value in request.headers.raw:
            key = "HTTP_" + name.decode().upper().replace("-", "_")
            text = value.decode("latin-1")
            environ[key] = f"{environ[key]},{text}" if key in environ else text
        environ.pop("HTTP_CONTENT_LENGTH", None)
        setup_testing_defaults(environ)
        started: list[Any] = []

        def start_response(status: str, headers: Any, error: Any = None, /) -> Any:
            started.extend((status, headers))
            return lambda _: None

        chunks: Any = self._app(environ, start_response)
        try:
            content = b"".join(chunks)
        finally:
            chunks.close()
        return httpx.Response(int(started[0][:3]), headers=started[1], content=content)


def browse_wsgi(app: Any) -> httpx.AsyncClient:
    """A client of the WSGI app, in the process."""
    return httpx.AsyncClient(transport=WsgiTransport(app), base_url="https://api.test")
