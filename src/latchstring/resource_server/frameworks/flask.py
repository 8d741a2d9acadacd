"""The guard in Flask.

`guard_app(app, guard)` once; then `@require(guard, "contacts.read")` below `@app.get(…)`, and `current_access()` in
the view. What requires nothing is open; `app.wsgi_app = guard.wsgi(app.wsgi_app)` guards everything.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from flask import Flask, Response, current_app, make_response, request

from latchstring.resource_server.refusal import Refusal
from latchstring.resource_server.requirement import make_requirement
from latchstring.resource_server.verify import Access
from latchstring.resource_server.wsgi import SyncGuard, auditing, find_access, render_stamps

View: TypeAlias = Callable[..., Any]


def guard_app(app: Flask, guard: SyncGuard) -> None:
    """Have the app answer as the guard says: the API's metadata, `X-Request-Id`."""
    app.wsgi_app = guard.where_required(app.wsgi_app)  # type: ignore[assignment, method-assign]


def current_access() -> Access:
    """Who calls. Raises `RuntimeError` where no guard stands before the view."""
    return find_access(request.environ)


def require(
    guard: SyncGuard, *scope: str, max_age: int | None = None, acr_values: Sequence[str] = ()
) -> Callable[[View], Callable[..., Response]]:
    """A view, sync or async, that needs a token with all of `scope`, and with `max_age` (seconds) a member who
    signed in that lately, with `acr_values` as strongly as any of them, wherever else a guard stands."""
    requirement = make_requirement(scope, max_age, acr_values)

    def decorate(view: View) -> Callable[..., Response]:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Response:
            environ = request.environ
            with auditing(guard, environ) as request_id:
                try:
                    guard.admit(environ, requirement)
                except Refusal as refusal:
                    rendered = guard.refuse(refusal, request_id)
                    return Response(rendered.body, rendered.status, rendered.headers)
                response = make_response(current_app.ensure_sync(view)(*args, **kwargs))
            for name, value in render_stamps(guard, environ):
                response.headers.setdefault(name, value)
            return response

        return guarded

    return decorate
