"""The guard for ASGI: one object that asks, decides and answers, and the wrapper before an app."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote

import httpx

from latchstring.protocol.bearer import BEARER, DPOP
from latchstring.protocol.client_certificate import (
    CertificateRefused,
    certificate_thumbprint,
    parse_certificate_header,
)
from latchstring.protocol.errors import ConfigurationError
from latchstring.resource_server.connections import AsyncConnections
from latchstring.resource_server.dpop import Dpop, ProofChecker
from latchstring.resource_server.introspection import AsyncIntrospection
from latchstring.resource_server.possession import Sent, Shown
from latchstring.resource_server.refusal import Refusal, RenderedRefusal, render_refusal
from latchstring.resource_server.settings import DEFAULT_TIMEOUT, GuardSettings, verify_scopes
from latchstring.resource_server.verify import Access, decide_access, decide_scope, find_token, looks_signed

if TYPE_CHECKING:
    from latchstring.resource_server.local_check import AsyncLocalCheck

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

ACCESS: Final = "latchstring_access"
REQUEST_ID: Final = "latchstring_request_id"
_GUARD: Final = "latchstring_guard"
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,128}")

log = logging.getLogger(__name__)


class Guard:
    """Lets a request through to an API when its access token is good for it, and answers it otherwise.

    `issuer` and `introspection_endpoint` are the authorization server's; `client_id` and `client_secret` are
    this API's own credentials there; `resource` is this API's identifier, the audience of its tokens. Unset,
    it is refused with `ConfigurationError`. A token without an audience is for every API of the deployment.
    Nothing is cached: a token revoked is dead at the next request. `timeout` is in seconds.

    With `jwks_uri`, JWT access tokens (RFC 9068) are checked here, by their signature alone, and are good until they
    expire; opaque ones are asked about as ever. It needs `latchstring[jwt]`.

    Tokens bound to a key (RFC 9449) are taken where joserfc is installed; `dpop` says what is asked of them. Tokens
    bound to a certificate (RFC 8705) are taken with `client_certificate_header` and `trusted_proxy_networks`, or where
    the server itself ends TLS and says so (the ASGI extension `tls`).
    """

    def __init__(
        self,
        *,
        issuer: str,
        introspection_endpoint: str,
        client_id: str,
        client_secret: str,
        resource: str = "",
        jwks_uri: str | None = None,
        scopes_supported: Sequence[str] = (),
        timeout: float = DEFAULT_TIMEOUT,
        dpop: Dpop | None = None,
        client_certificate_header: str = "",
        trusted_proxy_networks: Sequence[str] = (),
        http_client: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        verify_scopes(scopes_supported)
        self.settings = GuardSettings(
            issuer=issuer,
            introspection_endpoint=introspection_endpoint,
            resource=resource,
            client_id=client_id,
            client_secret=client_secret,
            jwks_uri=jwks_uri,
            scopes_supported=tuple(scopes_supported),
            timeout=timeout,
            client_certificate_header=client_certificate_header,
            trusted_proxy_networks=tuple(trusted_proxy_networks),
        )
        self._certificate_header = self.settings.find_certificate_header()
        self._proofs = ProofChecker(dpop, resource)
        self._clock = clock
        self._connections = AsyncConnections(introspection_endpoint, http_client)
        self._introspection = AsyncIntrospection(self.settings, self._connections)
        self._local_check = None if jwks_uri is None else self._build_local_check(jwks_uri)

    def _build_local_check(self, jwks_uri: str) -> AsyncLocalCheck:
        try:
            from latchstring.resource_server.local_check import AsyncLocalCheck
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"Guard: with jwks_uri it needs {error.name}; install latchstring[jwt], or leave jwks_uri out"
            ) from None
        settings = self.settings
        return AsyncLocalCheck(jwks_uri, settings.issuer, self._connections, settings.timeout, self._clock)

    def asgi(self, app: ASGIApp, scope: Sequence[str] = (), exempt: Collection[str] = ()) -> ASGIApp:
        """The app behind this guard: every request needs a token with all of `scope`, but for the paths in
        `exempt` (equal character for character). Answers for the API's metadata by itself (RFC 9728).

        In Starlette: `Middleware(guard.asgi, exempt={"/health"})`. CORS middleware belongs outside of it.
        """
        return GuardedApp(self, app, scope, exempt)

    def require(self, *scope: str) -> Callable[[ASGIApp], ASGIApp]:
        """A wrapper for a part of an app that needs more: `guard.require("contacts.write")(part)`."""
        return lambda app: GuardedApp(self, app, scope, ())

    async def check(
        self,
        authorization: Sequence[bytes],
        query: bytes = b"",
        scope: Sequence[str] = (),
        sent: Sent | None = None,
    ) -> Access:
        """Who calls, from the request's `Authorization` headers and raw query; raises `Refusal`.

        `sent` is what else a bound token is proved with; without it no bound token is taken.
        """
        token = find_token(authorization, query, DPOP if self._proofs.is_required else BEARER)
        now = self._clock()
        proof = self._proofs.verify(token, sent, now)
        if self._local_check is not None and looks_signed(token.token):
            answer = await self._local_check.check(token.token)
        else:
            answer = await self._introspection.introspect(token.token)
        certificate = None if sent is None or sent.certificate is None else certificate_thumbprint(sent.certificate)
        access = decide_access(
            answer,
            issuer=self.settings.issuer,
            resource=self.settings.resource,
            now=self._clock(),
            shown=Shown(token.scheme, None if proof is None else proof.thumbprint, certificate),
            is_binding_required=self._proofs.is_required,
        )
        decide_scope(access, scope)
        if proof is not None:
            await self._proofs.use_up(proof, now)
        return access

    async def admit(self, scope: Scope, required: Sequence[str] = ()) -> Access:
        """Who calls, now also in the ASGI scope's state; raises `Refusal`. A request already let in by this
        guard is not asked about twice."""
        state = scope.get("state") or {}
        if state.get(_GUARD) is self:
            access: Access = state[ACCESS]
            decide_scope(access, required)
        else:
            authorization = [value for name, value in scope["headers"] if name == b"authorization"]
            access = await self.check(authorization, scope.get("query_string", b""), required, self._find_sent(scope))
            _remember(scope, {ACCESS: access, _GUARD: self})
        return access

    def refuse(self, refusal: Refusal, request_id: str) -> RenderedRefusal:
        """The refusal as this API says it. Logged without any credential; an error when it is our fault."""
        level = logging.INFO if refusal.retry_after is None else logging.ERROR
        log.log(level, "Refused %s: %s %s: %s", request_id, refusal.status, refusal.code, refusal.reason)
        settings = self.settings
        return render_refusal(
            refusal,
            realm=settings.realm,
            metadata_url=settings.metadata_url,
            request_id=request_id,
            algorithms=self._proofs.algorithms,
            nonce=self._proofs.render_nonce(self._clock()),
        )

    def find_nonce(self, scope: Scope) -> str | None:
        """The `DPoP-Nonce` for the answer to a request with a proof, if this API asks for nonces (RFC 9449 §8.2)."""
        has_proof = any(name == b"dpop" for name, _ in scope["headers"])
        return self._proofs.render_nonce(self._clock()) if has_proof else None

    def render_metadata(self) -> bytes:
        """What this API says of itself (RFC 9728 §2)."""
        return self.settings.render_metadata(self._proofs.algorithms, is_dpop_required=self._proofs.is_required)

    def _find_sent(self, scope: Scope) -> Sent:
        raw_path = scope.get("raw_path")
        path = render_path(scope["path"]) if raw_path is None else raw_path.partition(b"?")[0].decode("latin-1")
        return Sent(
            method=scope.get("method", "GET"),  # a WebSocket begins as one
            path=path,
            proofs=[value for name, value in scope["headers"] if name == b"dpop"],
            certificate=self._find_certificate(scope),
        )

    def _find_certificate(self, scope: Scope) -> bytes | None:
        try:
            if self._certificate_header is not None:
                peer = scope.get("client")
                return self._certificate_header.find(peer[0] if peer else None, scope["headers"])
            chain = ((scope.get("extensions") or {}).get("tls") or {}).get("client_cert_chain")
            return parse_certificate_header(chain[0].encode()) if chain else None
        except CertificateRefused as refused:
            raise Refusal("invalid_request", "The client certificate cannot be used.", str(refused)) from None

    async def aclose(self) -> None:
        """Close the connections to the authorization server; done by itself when the app shuts down."""
        await self._connections.aclose()


class GuardedApp:
    """An app behind a guard, as pure ASGI. Every HTTP answer carries `X-Request-Id`."""

    def __init__(self, guard: Guard, app: ASGIApp, scope: Sequence[str], exempt: Collection[str]) -> None:
        verify_scopes(scope)
        if isinstance(exempt, str):
            exempt = (exempt,)
        self._guard = guard
        self._app = app
        self._required = tuple(scope)
        self._exempt = frozenset(exempt)
        self._metadata_path = guard.settings.metadata_path.removesuffix("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._closing(send))
            return
        is_http = scope["type"] == "http"
        if not is_http and scope["type"] != "websocket":
            raise RuntimeError(f"The guard does not know the ASGI scope type {scope['type']!r}.")
        if is_http and scope["path"].removesuffix("/") == self._metadata_path:
            await self._answer_metadata(scope["method"], send)
            return
        request_id = identify(scope)
        if scope["path"] not in self._exempt:
            try:
                await self._guard.admit(scope, self._required)
            except Refusal as refusal:
                rendered = self._guard.refuse(refusal, request_id)
                await (_send_refusal(rendered, send) if is_http else _deny(rendered, scope, receive, send))
                return
        await self._app(scope, receive, _stamping(send, request_id, self._guard.find_nonce(scope)))

    async def _answer_metadata(self, method: str, send: Send) -> None:
        if method not in {"GET", "HEAD"}:
            await _send(send, 405, [("allow", "GET, HEAD"), ("content-length", "0")], b"")
            return
        body = self._guard.render_metadata()
        headers = [
            ("content-type", "application/json"),
            ("cache-control", "public, max-age=300"),
            ("access-control-allow-origin", "*"),
            ("content-length", str(len(body))),
        ]
        await _send(send, 200, headers, body if method == "GET" else b"")

    def _closing(self, send: Send) -> Send:
        async def closing(message: Message) -> None:
            if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
                await self._guard.aclose()
            await send(message)

        return closing


def render_path(path: str) -> str:
    """A decoded path as it stands in a URL."""
    return quote(path, safe="/~!$&'()*+,;=:@-._")


def identify(scope: Scope) -> str:
    """The request's id, now also in the scope's state: a guard's or the caller's own, or a new one."""
    known: str | None = (scope.get("state") or {}).get(REQUEST_ID)
    if known is not None:
        return known
    sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    request_id = sent.decode("ascii") if _REQUEST_ID.fullmatch(sent) else f"req_{secrets.token_hex(10)}"
    _remember(scope, {REQUEST_ID: request_id})
    return request_id


def _remember(scope: Scope, facts: dict[str, Any]) -> None:
    # A new dict, never an update in place: some servers give all requests of one connection the same state,
    # and one person's access must not be seen by another's request.
    scope["state"] = {**(scope.get("state") or {}), **facts}


def _stamping(send: Send, request_id: str, nonce: str | None) -> Send:
    async def stamping(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(name.lower() == b"x-request-id" for name, _ in headers):
                headers.append((b"x-request-id", request_id.encode("ascii")))
            if nonce is not None and not any(name.lower() == b"dpop-nonce" for name, _ in headers):
                headers.append((b"dpop-nonce", nonce.encode("ascii")))
            message = {**message, "headers": headers}
        await send(message)

    return stamping


async def _send(send: Send, status: int, headers: list[tuple[str, str]], body: bytes, prefix: str = "http") -> None:
    raw = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers]
    await send({"type": f"{prefix}.response.start", "status": status, "headers": raw})
    await send({"type": f"{prefix}.response.body", "body": body})


async def _send_refusal(rendered: RenderedRefusal, send: Send) -> None:
    await _send(send, rendered.status, rendered.headers, rendered.body)


async def _deny(rendered: RenderedRefusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a WebSocket before it opens; with the whole answer where the server can carry it."""
    await receive()
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await _send(send, rendered.status, rendered.headers, rendered.body, "websocket.http")
    else:
        await send({"type": "websocket.close", "code": 1008})
