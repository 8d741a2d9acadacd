"""The guard in Django, for sync and async views, under WSGI and ASGI.

`@require(guard, "contacts.read")` on a view, `current_access(request)` in it, and `middleware(guard)` named in
`MIDDLEWARE`: it guards every path but the exempt ones, or answers for the API's metadata alone (`where_required`).
Sync views take a `SyncGuard`. Async ones take that too, in a thread, or a `Guard` where ASGI serves the project.
"""

import functools
from asyncio import to_thread
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

from asgiref.sync import iscoroutinefunction as is_async
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from latchstring.protocol.errors import ConfigurationError
from latchstring.resource_server.asgi import Guard
from latchstring.resource_server.refusal import Refusal, RenderedAnswer
from latchstring.resource_server.requirement import Requirement, make_requirement
from latchstring.resource_server.verify import Access
from latchstring.resource_server.wsgi import (
    SyncGuard,
    auditing,
    find_access,
    find_admitted,
    identify,
    read_environ,
    remember,
    render_stamps,
)

AnyGuard: TypeAlias = SyncGuard | Guard
View: TypeAlias = Callable[..., Any]


def current_access(request: HttpRequest) -> Access:
    """Who calls. Raises `RuntimeError` where no guard stands before the view, or the path is exempt."""
    return find_access(request.META)


def require(
    guard: AnyGuard, *scope: str, max_age: int | None = None, acr_values: Sequence[str] = ()
) -> Callable[[View], View]:
    """A view that needs a token with all of `scope`, and with `max_age` (seconds) a member who signed in that lately,
    with `acr_values` as strongly as any of them, wherever else a guard stands. It needs no CSRF token then: no browser
    sends an access token by itself. A method of a class takes it through `method_decorator`."""
    requirement = make_requirement(scope, max_age, acr_values)

    def decorate(view: View) -> View:
        guarded = _guard_view(guard, view, lambda _: requirement)
        guarded.csrf_exempt = True  # type: ignore[attr-defined]
        return guarded

    return decorate


def middleware(guard: AnyGuard, *, scope: Sequence[str] = (), exempt: Collection[str] = ()) -> View:
    """A middleware for `MIDDLEWARE`: every request needs a token with all of `scope`, but for the paths in `exempt`
    (equal character for character). Answers for the API's metadata by itself (RFC 9728)."""
    requirement = make_requirement(scope)
    is_exempt = frozenset((exempt,) if isinstance(exempt, str) else exempt)
    return _middleware(guard, lambda request: None if request.path in is_exempt else requirement)


def where_required(guard: AnyGuard) -> View:
    """A middleware for projects whose views ask themselves (`require`); what asks for nothing is open. Answers for the
    API's metadata, as `middleware` does."""
    return _middleware(guard, lambda _: None)


def _middleware(guard: AnyGuard, find_requirement: Callable[[HttpRequest], Requirement | None]) -> View:
    @sync_and_async_middleware  # type: ignore[untyped-decorator]
    def build(get_response: View) -> View:
        guarded = _guard_view(guard, get_response, find_requirement)

        def answer(request: HttpRequest) -> Any:
            if guard.is_metadata(request.path):
                return _as_response(guard.answer_metadata(request.method or ""))
            return guarded(request)

        async def answer_async(request: HttpRequest) -> Any:
            answered = answer(request)
            return answered if isinstance(answered, HttpResponse) else await answered

        return answer_async if is_async(guarded) else answer

    return build  # type: ignore[no-any-return]


def _guard_view(guard: AnyGuard, view: View, find_requirement: Callable[[HttpRequest], Requirement | None]) -> View:
    """The view behind the guard; `find_requirement` says what a request needs, None if nothing."""

    @functools.wraps(view)
    async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with auditing(guard, request.META) as request_id:
            try:
                await _admit_async(guard, request, find_requirement(request))
            except Refusal as refusal:
                return _as_response(guard.refuse(refusal, request_id))
            return _stamp(guard, request, await view(request, *args, **kwargs))

    if is_async(view):
        return guarded_async
    if not isinstance(guard, SyncGuard):
        raise ConfigurationError(f"Guard: {view!r} is not async and takes a SyncGuard; so does everything under WSGI.")

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with auditing(guard, request.META) as request_id:
            try:
                requirement = find_requirement(request)
                if requirement is not None:
                    guard.admit(request.META, requirement, request.path)
            except Refusal as refusal:
                return _as_response(guard.refuse(refusal, request_id))
            return _stamp(guard, request, view(request, *args, **kwargs))

    return guarded


async def _admit_async(guard: AnyGuard, request: HttpRequest, requirement: Requirement | None) -> None:
    if requirement is None:
        return
    known = find_admitted(guard, request.META)
    if known is not None:
        guard.decide(known, requirement)
        guard.note(identify(request.META), known)
    elif isinstance(guard, SyncGuard):
        access = await to_thread(guard.admit, request.META, requirement, request.path)
        guard.note(identify(request.META), access)  # what a thread notes stays there
    else:
        authorization, query, sent = read_environ(guard, request.META, request.path)
        access = await guard.check_requirement(authorization, query, requirement, sent)
        guard.note(identify(request.META), access)
        remember(guard, request.META, access, await guard.take(access) if guard.has_limits else ())


def _stamp(guard: AnyGuard, request: HttpRequest, response: HttpResponse) -> HttpResponse:
    for name, value in render_stamps(guard, request.META):
        response.headers.setdefault(name, value)
    return response


def _as_response(rendered: RenderedAnswer) -> HttpResponse:
    return HttpResponse(rendered.body, status=rendered.status, headers=dict(rendered.headers))
