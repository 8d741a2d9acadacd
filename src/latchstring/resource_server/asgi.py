"""The guard for ASGI: one object that asks, decides and answers, and the wrapper before an app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import httpx

from latchstring.resource_server.connections import AsyncConnections
from latchstring.resource_server.discovery import AsyncSearch
from latchstring.resource_server.feed import AsyncFeed
from latchstring.resource_server.guarding import (
    BaseGuard,
    CheckSigned,
    Flow,
    Headers,
    Introspect,
    Step,
    T,
    Take,
    UseOnce,
    choose_request_id,
    needing_jwt_extra,
    render_path,
)
from latchstring.resource_server.introspection import AsyncIntrospection
from latchstring.resource_server.limit_memory import find_async_limit_memory
from latchstring.resource_server.possession import Sent
from latchstring.resource_server.refusal import Refusal, RenderedAnswer
from latchstring.resource_server.replay import find_async_memory
from latchstring.resource_server.requirement import NOTHING, Requirement, make_requirement
from latchstring.resource_server.verify import Access

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
_TOLD: Final = "latchstring_told"


class Guard(BaseGuard[httpx.AsyncClient]):
    """The guard in asyncio: plain ASGI, Starlette, FastAPI, Litestar, Django's async views. What it must be told, see
    `BaseGuard`; `http_client` lends an `httpx.AsyncClient`."""

    def _connect(self, http_client: httpx.AsyncClient | None, memory: object, limit_memory: object) -> None:
        settings = self.settings
        self._memory = find_async_memory(memory)
        self._limit_memory = find_async_limit_memory(limit_memory)
        self._connections = AsyncConnections(settings.introspection_endpoint or settings.issuer, http_client)
        self._feed: AsyncFeed | None = None
        self._local_check: AsyncLocalCheck | None = None
        is_known = settings.introspection_endpoint is not None
        self._search = None if is_known else AsyncSearch(settings, self._connections)

    def _connect_endpoints(self) -> None:
        settings = self.settings
        self._introspection = AsyncIntrospection(settings, self._connections)
        if settings.revocations_endpoint is not None:
            self._feed = AsyncFeed(settings, self._verdicts, self._connections)
        if settings.jwks_uri is not None:
            with needing_jwt_extra():
                from latchstring.resource_server.local_check import AsyncLocalCheck
            self._local_check = AsyncLocalCheck(
                settings.jwks_uri, settings.issuer, self._connections, settings.timeout, self._clock
            )

    def asgi(self, app: ASGIApp, scope: Sequence[str] = (), exempt: Collection[str] = ()) -> ASGIApp:
        """The app behind this guard: every request needs a token with all of `scope`, but for the paths in
        `exempt` (equal character for character). Answers for the API's metadata by itself (RFC 9728).

        In Starlette: `Middleware(guard.asgi, exempt={"/health"})`. CORS middleware belongs outside of it.
        """
        return GuardedApp(self, app, make_requirement(scope), exempt)

    def where_required(self, app: ASGIApp) -> ASGIApp:
        """The app, whose endpoints ask for a token themselves (`require`); what asks for none is open. Answers for the
        API's metadata, as `asgi` does."""
        return AttendedApp(self, app)

    def require(
        self, *scope: str, max_age: int | None = None, acr_values: Sequence[str] = ()
    ) -> Callable[[ASGIApp], ASGIApp]:
        """A wrapper for a part of an app that needs more: `guard.require("contacts.write")(part)`. With `max_age`
        (seconds) the member must have signed in that lately, with `acr_values` as strongly as any of them (RFC
        9470)."""
        requirement = make_requirement(scope, max_age, acr_values)
        return lambda app: GuardedApp(self, app, requirement, ())

    async def check(
        self,
        authorization: Sequence[bytes],
        query: bytes = b"",
        scope: Sequence[str] = (),
        sent: Sent | None = None,
        *,
        max_age: int | None = None,
        acr_values: Sequence[str] = (),
    ) -> Access:
        """Who calls, from the request's `Authorization` headers and raw query; raises `Refusal`.

        `sent` is what else a bound token is proved with; without it no bound token is taken. `scope`, `max_age` and
        `acr_values` are what the request needs.
        """
        return await self.check_requirement(authorization, query, make_requirement(scope, max_age, acr_values), sent)

    async def check_requirement(
        self, authorization: Sequence[bytes], query: bytes, requirement: Requirement, sent: Sent | None
    ) -> Access:
        """The same, for a requirement that was made before."""
        if self._search is not None:
            found = await self._search.find()
            if self._search is not None:  # of those who waited, one settles it
                self._search = None
                self._settle(found)
        if self._feed is not None:
            self._feed.attend()
        return await self._run(self.check_flow(authorization, query, requirement, sent))

    async def take(self, access: Access) -> Headers:
        """One request more of this caller's: the `RateLimit` headers for the answer; raises `Refusal` (429). For those
        who use `check`; everything else does it by itself."""
        return await self._run(self.take_flow(access))

    async def _run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                step = flow.send(await self._perform(step))
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    async def _perform(self, step: Step) -> object:
        match step:
            case Introspect(token):
                return await self._introspection.introspect(token)
            case CheckSigned(token):
                assert self._local_check is not None
                return await self._local_check.check(token)
            case UseOnce(digest, expires_at, now):
                return await self._memory.use_once(digest, expires_at=expires_at, now=now)
            case Take(buckets, now):
                return await self._limit_memory.take(buckets, now)

    async def admit(self, scope: Scope, requirement: Requirement = NOTHING) -> Access:
        """Who calls, now also in the ASGI scope's state; raises `Refusal`. A request already let in by this
        guard is not asked about twice."""
        state = scope.get("state") or {}
        if state.get(_GUARD) is self:
            access: Access = state[ACCESS]
            self.decide(access, requirement)
            self.note(identify(scope), access)
        else:
            authorization = [value for name, value in scope["headers"] if name == b"authorization"]
            sent = self._find_sent(scope)
            access = await self.check_requirement(authorization, scope.get("query_string", b""), requirement, sent)
            self.note(identify(scope), access)
            if self.has_limits:
                _find_told(scope).extend(await self.take(access))
            _remember(scope, {ACCESS: access, _GUARD: self})
        return access

    def find_nonce(self, scope: Scope) -> str | None:
        """The `DPoP-Nonce` for the answer to a request with a proof, if this API asks for nonces (RFC 9449 §8.2)."""
        has_proof = any(name == b"dpop" for name, _ in scope["headers"])
        return self.render_nonce() if has_proof else None

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
        peer = scope.get("client")
        chain = ((scope.get("extensions") or {}).get("tls") or {}).get("client_cert_chain")
        return self.find_certificate(peer[0] if peer else None, scope["headers"], chain[0] if chain else "")

    async def aclose(self) -> None:
        """Close the connections to the authorization server; done by itself when the app shuts down."""
        if self._feed is not None:
            await self._feed.aclose()
        await self._connections.aclose()


class AttendedApp:
    """An app whose answers are a guarded API's: the metadata at its path, `X-Request-Id` on every HTTP answer."""

    def __init__(self, guard: Guard, app: ASGIApp) -> None:
        self._guard = guard
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._closing(send))
            return
        is_http = scope["type"] == "http"
        if not is_http and scope["type"] != "websocket":
            raise RuntimeError(f"The guard does not know the ASGI scope type {scope['type']!r}.")
        if is_http and self._guard.is_metadata(scope["path"]):
            await send_rendered(self._guard.answer_metadata(scope["method"]), send)
            return
        with auditing(self._guard, scope) as request_id:
            try:
                await self._admit(scope)
            except Refusal as refusal:
                await answer_refused(self._guard.refuse(refusal, request_id), scope, receive, send)
                return
            await self._app(scope, receive, _stamping(send, self._guard, scope))

    async def _admit(self, scope: Scope) -> None:
        """Nothing is asked here."""

    def _closing(self, send: Send) -> Send:
        async def closing(message: Message) -> None:
            if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
                await self._guard.aclose()
            await send(message)

        return closing


class GuardedApp(AttendedApp):
    """An app behind a guard, as pure ASGI."""

    def __init__(self, guard: Guard, app: ASGIApp, requirement: Requirement, exempt: Collection[str]) -> None:
        super().__init__(guard, app)
        self._requirement = requirement
        self._exempt = frozenset((exempt,) if isinstance(exempt, str) else exempt)

    async def _admit(self, scope: Scope) -> None:
        if scope["path"] not in self._exempt:
            await self._guard.admit(scope, self._requirement)


def find_access(scope: Mapping[str, Any]) -> Access:
    """Who calls, from what a guard left behind; `RuntimeError` where none has let the request in."""
    access = (scope.get("state") or {}).get(ACCESS)
    if not isinstance(access, Access):
        raise RuntimeError("No guard has let this request in: put one before the app, or require scopes here.")
    return access


@contextmanager
def auditing(guard: Guard, scope: Scope) -> Iterator[str]:
    """The request's id, noted for logs and traces until the request is over; where that is, whoever came first says."""
    is_first = REQUEST_ID not in (scope.get("state") or {})
    request_id = identify(scope)
    if is_first:
        guard.note(request_id)
    try:
        yield request_id
    finally:
        if is_first:
            guard.forget()


def identify(scope: Scope) -> str:
    """The request's id, now also in the scope's state: a guard's or the caller's own, or a new one."""
    known: str | None = (scope.get("state") or {}).get(REQUEST_ID)
    if known is not None:
        return known
    sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    request_id = choose_request_id(sent)
    _remember(scope, {REQUEST_ID: request_id, _TOLD: []})
    return request_id


def _remember(scope: Scope, facts: dict[str, Any]) -> None:
    # A new dict, never an update in place: some servers give all requests of one connection the same state,
    # and one person's access must not be seen by another's request.
    scope["state"] = {**(scope.get("state") or {}), **facts}


def render_stamps(guard: Guard, scope: Scope) -> list[tuple[str, str]]:
    """The headers that the app's own answer is to carry, names in small letters."""
    nonce = guard.find_nonce(scope)
    return [
        ("x-request-id", identify(scope)),
        *([] if nonce is None else [("dpop-nonce", nonce)]),
        *_find_told(scope),
    ]


def stamp(headers: Iterable[tuple[bytes, bytes]], guard: Guard, scope: Scope) -> list[tuple[bytes, bytes]]:
    """An app's own headers, with what a guarded API says in every answer; what the app has said stays."""
    own = list(headers)
    said = {name.lower() for name, _ in own}
    stamps = [(name.encode("ascii"), value.encode("ascii")) for name, value in render_stamps(guard, scope)]
    return own + [each for each in stamps if each[0] not in said]


def _find_told(scope: Scope) -> list[tuple[str, str]]:
    """What a guard has to tell besides. A list, so that one found in a copy of the scope is seen outside as well."""
    told: list[tuple[str, str]] | None = (scope.get("state") or {}).get(_TOLD)
    if told is None:
        told = []
        _remember(scope, {_TOLD: told})
    return told


def _stamping(send: Send, guard: Guard, scope: Scope) -> Send:
    async def stamping(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": stamp(message.get("headers", ()), guard, scope)}
        await send(message)

    return stamping


async def send_rendered(rendered: RenderedAnswer, send: Send, prefix: str = "http") -> None:
    """Send the answer."""
    raw = [(name.encode("ascii"), value.encode("ascii")) for name, value in rendered.headers]
    await send({"type": f"{prefix}.response.start", "status": rendered.status, "headers": raw})
    await send({"type": f"{prefix}.response.body", "body": rendered.body})


async def answer_refused(rendered: RenderedAnswer, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the refusal. A WebSocket is refused before it opens, with the whole answer where the server can carry it."""
    if scope["type"] == "http":
        await send_rendered(rendered, send)
        return
    await receive()
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await send_rendered(rendered, send, "websocket.http")
    else:
        await send({"type": "websocket.close", "code": 1008})
