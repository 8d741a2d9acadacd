"""An authorization server's introspection endpoint in the process, and a small API behind the guard."""

from base64 import b64encode
from typing import Any

import httpx

from latchstring.protocol.parameters import parse_parameters
from latchstring.resource_server import Access, Guard
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
    settings: dict[str, Any] = {
        "issuer": ISSUER,
        "introspection_endpoint": ENDPOINT,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "resource": RESOURCE,
        "scopes_supported": ["contacts.read", "contacts.write"],
        "http_client": httpx.AsyncClient(transport=server),
        "clock": lambda: NOW,
    }
    return Guard(**settings | overrides)


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
