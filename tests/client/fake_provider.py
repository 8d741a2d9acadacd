"""A small provider for tests of the client: the reference CRM's wire, rotation with a retry window, faults.

It runs in process (`transport()`, for httpx) and as a real HTTP server (`serve()`).
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from latchstring.protocol.pkce import verify_code_verifier

Reply = tuple[int, dict[str, str], bytes]
CLIENT_ID = "oa2client_mailloop"
CLIENT_SECRET = "ls_cs_TheSecretThatIsNeverShown0001"


class Dropped(Exception):
    """The connection breaks; `processed` tells whether the request took effect first."""

    def __init__(self, processed: bool) -> None:
        self.processed = processed


@dataclass
class Grant:
    organization_id: str
    user_id: str
    scope: str
    code_challenge: str | None
    redirect_uri: str | None
    generation: int = 0
    rotated_at: float = 0.0
    status: str = "pending"


@dataclass
class FakeProvider:
    """State and switches. `faults` are spent one by one on token and revocation requests."""

    issuer: str = "http://127.0.0.1:9"
    clock: Callable[[], float] = time.time
    retry_window: float = 60.0
    expires_in: Any = 3600
    latency: float = 0.0
    announces_iss: bool = True
    organization_override: str | None = None
    faults: list[str | Reply] = field(default_factory=list)
    grants: dict[str, Grant] = field(default_factory=dict)
    dead_access_tokens: set[str] = field(default_factory=set)
    access_tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    refreshes: int = 0
    in_flight: int = 0
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.serial = 0

    # what a person does in the browser ------------------------------------------------------------------

    def authorize(
        self, url: str, *, organization_id: str = "orga_acorn", user_id: str = "user_ann", allow: bool = True
    ) -> str:
        """The callback URL that the browser is sent to after Allow or Decline."""
        query = dict(parse_qsl(urlsplit(url).query))
        assert query["client_id"] == CLIENT_ID
        assert query["response_type"] == "code"
        answer = {"state": query["state"]}
        if self.announces_iss:
            answer["iss"] = self.issuer
        if not allow:
            said = {"error": "access_denied", "error_description": "The member declined."}
            return f"{query['redirect_uri']}?{urlencode(said | answer)}"
        grant_id = self._next("g")
        self.grants[grant_id] = Grant(
            organization_id,
            user_id,
            query.get("scope", "all.full_access offline_access"),
            query.get("code_challenge"),
            query["redirect_uri"],
        )
        return f"{query['redirect_uri']}?{urlencode({'code': f'ls_ac_{grant_id}'} | answer)}"

    # the wire ---------------------------------------------------------------------------------------------

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        path = urlsplit(target).path
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        with self.lock:
            self.requests.append((path, form))
            self.in_flight += method == "POST"
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.latency:
                time.sleep(self.latency)
            return self._route(method, path, headers, form)
        finally:
            with self.lock:
                self.in_flight -= method == "POST"

    def _route(self, method: str, path: str, headers: dict[str, str], form: dict[str, str]) -> Reply:
        if path == "/.well-known/oauth-authorization-server":
            return _json(200, self.metadata())
        if path.startswith("/api/"):
            return self._api(path, headers)
        assert method == "POST", (method, path)
        with self.lock:
            fault = self.faults.pop(0) if self.faults else ""
            if isinstance(fault, tuple):
                return fault
            if fault == "drop_before":
                raise Dropped(processed=False)
            reply = self._revoke(form) if path == "/oauth2/revoke/" else self._token(form)
            if fault == "drop_after":
                raise Dropped(processed=True)
            return reply

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/oauth2/authorize/",
            "token_endpoint": f"{self.issuer}/oauth2/token/",
            "revocation_endpoint": f"{self.issuer}/oauth2/revoke/",
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": self.announces_iss,
        }

    def _token(self, form: dict[str, str]) -> Reply:
        if form.get("client_id") != CLIENT_ID or form.get("client_secret") != CLIENT_SECRET:
            return _error(401, "invalid_client", "The client secret is wrong.")
        if form["grant_type"] == "authorization_code":
            return self._redeem(form)
        self.refreshes += 1
        grant_id, generation = self._parse_refresh(form["refresh_token"])
        grant = self.grants[grant_id]
        if grant.status != "active":
            return _error(400, "invalid_grant", "revoked: a person disconnected the app.")
        if generation == grant.generation:
            grant.generation += 1
            grant.rotated_at = self.clock()
        elif generation != grant.generation - 1 or self.clock() - grant.rotated_at >= self.retry_window:
            grant.status = "ended"
            return _error(400, "invalid_grant", "superseded: an old refresh token was used again.")
        return self._issue(grant_id)

    def _redeem(self, form: dict[str, str]) -> Reply:
        grant_id = form["code"].removeprefix("ls_ac_")
        grant = self.grants[grant_id]
        if grant.status != "pending":
            grant.status = "ended"
            return _error(400, "invalid_grant", "The code was used before.")
        if form["redirect_uri"] != grant.redirect_uri or not verify_code_verifier(
            form.get("code_verifier", ""), grant.code_challenge or ""
        ):
            return _error(400, "invalid_grant", "The code does not fit.")
        grant.status, grant.generation = "active", 1
        return self._issue(grant_id)

    def _issue(self, grant_id: str) -> Reply:
        grant = self.grants[grant_id]
        access_token = f"ls_at_{self._next('a')}"
        lifetime = float(self.expires_in or 3600)
        self.access_tokens[access_token] = (grant_id, self.clock() + lifetime)
        answer = {
            "token_type": "Bearer",
            "access_token": access_token,
            "expires_in": self.expires_in,
            "scope": grant.scope,
            "organization_id": self.organization_override or grant.organization_id,
            "user_id": grant.user_id,
        }
        if "offline_access" in grant.scope:
            answer["refresh_token"] = f"ls_rt_{grant_id}Gen{grant.generation:04}Gen0123456789"
        if self.expires_in is None:
            del answer["expires_in"]
        return _json(200, answer)

    def _revoke(self, form: dict[str, str]) -> Reply:
        token = form["token"]
        if token.startswith("ls_rt_"):
            self.grants[self._parse_refresh(token)[0]].status = "ended"
        self.dead_access_tokens.add(token)
        return _json(200, {})

    def _parse_refresh(self, token: str) -> tuple[str, int]:
        grant_id, generation, _ = token.removeprefix("ls_rt_").split("Gen")
        return grant_id, int(generation)

    def _api(self, path: str, headers: dict[str, str]) -> Reply:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        grant_id, expires_at = self.access_tokens.get(token, ("", 0.0))
        grant = self.grants.get(grant_id)
        if grant is None or grant.status != "active" or token in self.dead_access_tokens or expires_at <= self.clock():
            challenge = 'Bearer realm="api", error="invalid_token", error_description="The token is not active."'
            return _json(401, {"error": "invalid_token"}, {"WWW-Authenticate": challenge})
        if path == "/api/v1/contacts/":
            contacts = [{"id": "cont_1", "name": "Priya Raman", "email": "priya@acorn.example"}]
            return _json(200, {"organization_id": grant.organization_id, "data": contacts})
        return _json(200, {"id": grant.user_id, "organization_id": grant.organization_id})

    def _next(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}{self.serial:04}Body0123456789"

    # how it is reached ------------------------------------------------------------------------------------

    def transport(self) -> httpx.MockTransport:
        """For `httpx.Client` and `httpx.AsyncClient`, in process."""

        def handler(request: httpx.Request) -> httpx.Response:
            headers = {name.lower(): value for name, value in request.headers.items()}
            try:
                status, answer_headers, body = self.handle(request.method, str(request.url), headers, request.content)
            except Dropped as dropped:
                if dropped.processed:
                    raise httpx.ReadTimeout("timed out", request=request) from None
                raise httpx.ConnectError("refused", request=request) from None
            return httpx.Response(status, headers=answer_headers, content=body)

        return httpx.MockTransport(handler)

    @contextmanager
    def serve(self, port: int = 0) -> "Iterator[FakeProvider]":
        """A real server on 127.0.0.1; `issuer` becomes its address."""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                try:
                    status, answer_headers, body = provider.handle(
                        self.command, self.path, headers, self.rfile.read(length)
                    )
                except Dropped:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {**answer_headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


def _json(status: int, value: Any, headers: dict[str, str] | None = None) -> Reply:
    return status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode()


def _error(status: int, error: str, description: str) -> Reply:
    return _json(status, {"error": error, "error_description": description}, {"X-Request-Id": "req_0001"})


SERVICE_UNAVAILABLE = _json(503, {"error": "temporarily_unavailable"}, {"Retry-After": "7"})
RATE_LIMITED = _json(429, {"error": "invalid_grant"}, {"Retry-After": "7"})
REDIRECT = (307, {"Location": "https://evil.example/oauth2/token/"}, b"")
HTML = (200, {"Content-Type": "text/html"}, b"<html>please sign in to the airport's network")
