"""The guard for WSGI: the same as for ASGI, in threads; and the wrapper before an app."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import httpx

from latchstring.resource_server.connections import Connections
from latchstring.resource_server.discovery import Search
from latchstring.resource_server.feed import Feed
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
from latchstring.resource_server.introspection import Introspection
from latchstring.resource_server.limit_memory import find_thread_limit_memory
from latchstring.resource_server.possession import Sent
from latchstring.resource_server.refusal import Refusal, RenderedAnswer
from latchstring.resource_server.replay import find_thread_memory
from latchstring.resource_server.requirement import NOTHING, Requirement, make_requirement
from latchstring.resource_server.verify import Access

if TYPE_CHECKING:
    from latchstring.resource_server.local_check import LocalCheck

Environ: TypeAlias = MutableMapping[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
WSGIApp: TypeAlias = Callable[[Any, Any], Iterable[bytes]]

ACCESS: Final = "latchstring.access"
REQUEST_ID: Final = "latchstring.request_id"
_GUARD: Final = "latchstring.guard"
_TOLD: Final = "latchstring.told"


class SyncGuard(BaseGuard[httpx.Client]):
    """The guard in threads: plain WSGI, Flask, Django. What it must be told, see `BaseGuard`; `http_client` lends an
    `httpx.Client`. One guard may be shared by threads, and made before a server forks."""

    def _connect(self, http_client: httpx.Client | None, memory: object, limit_memory: object) -> None:
        settings = self.settings
        self._memory = find_thread_memory(memory)
        self._limit_memory = find_thread_limit_memory(limit_memory)
        self._connections = Connections(settings.introspection_endpoint or settings.issuer, http_client)
        self._feed: Feed | None = None
        self._local_check: LocalCheck | None = None
        is_known = settings.introspection_endpoint is not None
        self._search = None if is_known else Search(settings, self._connections)

    def _connect_endpoints(self) -> None:
        settings = self.settings
        self._introspection = Introspection(settings, self._connections)
        if settings.revocations_endpoint is not None:
            self._feed = Feed(settings, self._verdicts, self._connections)
        if settings.jwks_uri is not None:
            with needing_jwt_extra():
                from latchstring.resource_server.local_check import LocalCheck
            self._local_check = LocalCheck(
                settings.jwks_uri, settings.issuer, self._connections, settings.timeout, self._clock
            )

    def wsgi(self, app: WSGIApp, scope: Sequence[str] = (), exempt: Collection[str] = ()) -> WSGIApp:
        """The app behind this guard: every request needs a token with all of `scope`, but for the paths in
        `exempt` (equal character for character). Answers for the API's metadata by itself (RFC 9728)."""
        return GuardedApp(self, app, make_requirement(scope), exempt)

    def where_required(self, app: WSGIApp) -> WSGIApp:
        """The app, whose endpoints ask for a token themselves (`require`); what asks for none is open. Answers for the
        API's metadata, as `wsgi` does."""
        return AttendedApp(self, app)

    def require(
        self, *scope: str, max_age: int | None = None, acr_values: Sequence[str] = ()
    ) -> Callable[[WSGIApp], WSGIApp]:
        """A wrapper for a part of an app that needs more: `guard.require("contacts.write")(part)`. With `max_age`
        (seconds) the member must have signed in that lately, with `acr_values` as strongly as any of them (RFC
        9470)."""
        requirement = make_requirement(scope, max_age, acr_values)
        return lambda app: GuardedApp(self, app, requirement, ())

    def check(
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
        return self.check_requirement(authorization, query, make_requirement(scope, max_age, acr_values), sent)

    def check_requirement(
        self, authorization: Sequence[bytes], query: bytes, requirement: Requirement, sent: Sent | None
    ) -> Access:
        """The same, for a requirement that was made before."""
        search = self._search
        if search is not None:
            with search.lock:
                if self._search is not None:
                    self._settle(search.find())
                    self._search = None
        if self._feed is not None:
            self._feed.attend()
        return self._run(self.check_flow(authorization, query, requirement, sent))

    def take(self, access: Access) -> Headers:
        """One request more of this caller's: the `RateLimit` headers for the answer; raises `Refusal` (429). For those
        who use `check`; everything else does it by itself."""
        return self._run(self.take_flow(access))

    def _run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                step = flow.send(self._perform(step))
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def _perform(self, step: Step) -> object:
        match step:
            case Introspect(token):
                return self._introspection.introspect(token)
            case CheckSigned(token):
                assert self._local_check is not None
                return self._local_check.check(token)
            case UseOnce(digest, expires_at, now):
                return self._memory.use_once(digest, expires_at=expires_at, now=now)
            case Take(buckets, now):
                return self._limit_memory.take(buckets, now)

    def admit(self, environ: Environ, requirement: Requirement = NOTHING, path: str | None = None) -> Access:
        """Who calls, now also in the environ; raises `Refusal`. A request already let in by this guard is not asked
        about twice. `path` is the whole decoded path, where the environ does not have it as WSGI says."""
        known = find_admitted(self, environ)
        if known is not None:
            self.decide(known, requirement)
            self.note(identify(environ), known)
            return known
        authorization, query, sent = read_environ(self, environ, path)
        access = self.check_requirement(authorization, query, requirement, sent)
        self.note(identify(environ), access)
        return remember(self, environ, access, self.take(access) if self.has_limits else ())

    def close(self) -> None:
        """Close the connections to the authorization server."""
        if self._feed is not None:
            self._feed.close()
        self._connections.close()


class AttendedApp:
    """An app whose answers are a guarded API's: the metadata at its path, `X-Request-Id` on every answer."""

    def __init__(self, guard: SyncGuard, app: WSGIApp) -> None:
        self._guard = guard
        self._app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = find_path(environ)
        if self._guard.is_metadata(path):
            return send_rendered(self._guard.answer_metadata(environ["REQUEST_METHOD"]), start_response)

        def stamping(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            has = {name.lower() for name, _ in headers}
            stamps = render_stamps(self._guard, environ)
            return start_response(status, headers + [stamp for stamp in stamps if stamp[0] not in has], *error)

        with auditing(self._guard, environ) as request_id:
            try:
                self._admit(environ, path)
            except Refusal as refusal:
                return send_rendered(self._guard.refuse(refusal, request_id), start_response)
            return self._app(environ, stamping)

    def _admit(self, environ: Environ, path: str) -> None:
        """Nothing is asked here."""


class GuardedApp(AttendedApp):
    """An app behind a guard, as plain WSGI."""

    def __init__(self, guard: SyncGuard, app: WSGIApp, requirement: Requirement, exempt: Collection[str]) -> None:
        super().__init__(guard, app)
        self._requirement = requirement
        self._exempt = frozenset((exempt,) if isinstance(exempt, str) else exempt)

    def _admit(self, environ: Environ, path: str) -> None:
        if path not in self._exempt:
            self._guard.admit(environ, self._requirement)


def find_access(environ: Mapping[str, Any]) -> Access:
    """Who calls, from what a guard left behind; `RuntimeError` where none has let the request in."""
    access = environ.get(ACCESS)
    if not isinstance(access, Access):
        raise RuntimeError("No guard has let this request in: put one before the app, or require scopes here.")
    return access


def find_admitted(guard: BaseGuard[Any], environ: Mapping[str, Any]) -> Access | None:
    """Who calls, if this guard has let the request in already."""
    return environ[ACCESS] if environ.get(_GUARD) is guard else None


def remember(guard: BaseGuard[Any], environ: Environ, access: Access, told: Headers = ()) -> Access:
    """The same, now also in the environ, and what the guard has to tell besides."""
    environ[ACCESS], environ[_GUARD], environ[_TOLD] = access, guard, told
    return access


def find_path(environ: Mapping[str, Any]) -> str:
    """The whole path, decoded (PEP 3333 has its bytes as Latin-1)."""
    raw: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return raw.encode("latin-1").decode("utf-8", "replace") or "/"


def read_environ(
    guard: BaseGuard[Any], environ: Mapping[str, Any], path: str | None = None
) -> tuple[Sequence[bytes], bytes, Sent]:
    """What of a request a guard reads: the `Authorization` headers, the raw query, what a bound token is proved with.

    Raises `Refusal` for a certificate that cannot be read. WSGI has no path with its percent signs: it is made anew.
    """
    headers = [(_header_name(name), _raw(value)) for name, value in environ.items() if name.startswith("HTTP_")]
    sent = Sent(
        method=environ["REQUEST_METHOD"],
        path=render_path(find_path(environ) if path is None else path),
        proofs=[value for name, value in headers if name == b"dpop"],
        certificate=guard.find_certificate(environ.get("REMOTE_ADDR"), headers),
    )
    authorization = [value for name, value in headers if name == b"authorization"]
    return authorization, _raw(environ.get("QUERY_STRING", "")), sent


@contextmanager
def auditing(guard: BaseGuard[Any], environ: Environ) -> Iterator[str]:
    """The request's id, noted for logs and traces until the request is over; where that is, whoever came first says. A
    thread is another request's afterwards."""
    is_first = REQUEST_ID not in environ
    request_id = identify(environ)
    if is_first:
        guard.note(request_id)
    try:
        yield request_id
    finally:
        if is_first:
            guard.forget()


def identify(environ: Environ) -> str:
    """The request's id, now also in the environ: a guard's or the caller's own, or a new one."""
    if REQUEST_ID not in environ:
        environ[REQUEST_ID] = choose_request_id(_raw(environ.get("HTTP_X_REQUEST_ID", "")))
    request_id: str = environ[REQUEST_ID]
    return request_id


def render_stamps(guard: BaseGuard[Any], environ: Environ) -> list[tuple[str, str]]:
    """The headers that the app's own answer is to carry, names in small letters."""
    nonce = guard.render_nonce() if "HTTP_DPOP" in environ else None
    nonces = [] if nonce is None else [("dpop-nonce", nonce)]
    return [("x-request-id", identify(environ)), *nonces, *environ.get(_TOLD, ())]


def send_rendered(rendered: RenderedAnswer, start_response: StartResponse) -> Iterable[bytes]:
    """Send the answer."""
    start_response(f"{rendered.status} {HTTPStatus(rendered.status).phrase}", list(rendered.headers))
    return [rendered.body]


def _raw(text: str) -> bytes:
    # What is not Latin-1 is no WSGI; it comes out as something that nothing accepts.
    return text.encode("latin-1", "replace")


def _header_name(name: str) -> bytes:
    return _raw(name.removeprefix("HTTP_").replace("_", "-").lower())
