"""Mailloop's pages: one page, its buttons, the browser's session. Plain forms that work without JavaScript."""

import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from latchstring.client import AsyncOAuthClient, ClientError, Connection, ConnectionKey, Verdict, redact_token
from latchstring.demo.sample_app_lessons import Lessons
from latchstring.demo.sample_app_panel import Action, Note, Panel
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import Parameters, parse_parameters

COOKIE: Final = "mailloop_session"
_HERE: Final = Path(__file__).parent
_MAX_FORM: Final = 8192
Endpoint = Callable[[Request], Awaitable[Response]]


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """Who pressed a button, and what stood in the form."""

    browser_session: str
    form: Parameters


class Site:
    """Renders the page, and runs what a button does inside one action of the panel."""

    def __init__(
        self,
        client: AsyncOAuthClient,
        panel: Panel,
        lessons: Lessons,
        name: Callable[[Connection], str],
        *,
        redirect_uri: str,
        issuer: str,
    ) -> None:
        self._client = client
        self._panel = panel
        self._lessons = lessons
        self._name = name
        self._origin = _origin(redirect_uri)
        self._csrf_key = secrets.token_bytes(32)
        templates = FileSystemLoader(_HERE / "templates" / "mailloop")
        self._templates = Environment(
            loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        # Chromium checks a form's whole chain of redirects: Connect leads to the server and back.
        self._headers = {
            "Content-Security-Policy": (
                "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
                f"form-action 'self' {_origin(issuer)} {self._origin}"
            ),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Cache-Control": "no-store",
        }

    def routes(self) -> list[BaseRoute]:
        """The page itself, and what it is drawn with."""
        return [self.page("/", self._show), Mount("/static", StaticFiles(directory=_HERE / "static"))]

    def page(self, path: str, endpoint: Endpoint) -> Route:
        """A page that is only looked at."""
        return Route(path, endpoint, methods=["GET"])

    def login_button(self, path: str, title: str, begin: Callable[[Visit], Awaitable[str]]) -> Route:
        """A button that sends the browser away to log in."""

        async def press(request: Request) -> Response:
            visit = await self._read_visit(request)
            if visit is None:
                return self._refuse()
            with self._panel.action(title) as action:
                try:
                    url = await begin(visit)
                except ClientError as error:
                    _report(action, error)
                    return self._back()
                self._panel.add_authorization(url)
            return RedirectResponse(url, 303, headers=self._headers)

        return Route(path, press, methods=["POST"])

    def button(self, path: str, title: str, act: Callable[[ConnectionKey], Awaitable[str]]) -> Route:
        """A button of one connection: runs, says how it went, and shows the page again."""

        async def press(request: Request) -> Response:
            visit = await self._read_visit(request)
            if visit is None:
                return self._refuse()
            key = self._client.key(visit.form.get("organization_id", ""), visit.form.get("user_id", ""))
            with self._panel.action(title) as action:
                await self._lessons.look(key)
                try:
                    _conclude(action, await act(key))
                except (ClientError, httpx.HTTPError) as error:
                    _report(action, error)
                await self._lessons.look(key)
            return self._back()

        return Route(path, press, methods=["POST"])

    async def finish_login(self, request: Request, complete: Callable[[str, str], Awaitable[str]]) -> Response:
        """The callback: continues the action that Connect began, and leaves nothing in the address bar."""
        with self._panel.action("Connect", state=request.query_params.get("state")) as action:
            self._panel.add_callback(str(request.url))
            try:
                _conclude(action, await complete(str(request.url), request.cookies.get(COOKIE, "") or "none"))
            except (ClientError, httpx.HTTPError) as error:
                _report(action, error)
            for connection in await self._client.connections():
                await self._lessons.look(connection.key)
        return self._back()

    async def _show(self, request: Request) -> Response:
        if f"{request.url.scheme}://{request.url.netloc}" != self._origin:
            # The callback comes to the registered host, so the session's cookie must be that host's, too.
            return RedirectResponse(self._origin + "/", 307, headers=self._headers)
        known = request.cookies.get(COOKIE, "")
        session = known or secrets.token_urlsafe(32)
        now = time.time()
        body = self._templates.get_template("home.html").render(
            connections=[self._show_connection(each, now) for each in await self._client.connections()],
            actions=self._panel.actions,
            csrf_token=self._csrf_token(session),
        )
        response = HTMLResponse(body, headers=self._headers)
        if not known:
            response.set_cookie(
                COOKIE, session, httponly=True, samesite="lax", secure=self._origin.startswith("https:")
            )
        return response

    def _show_connection(self, connection: Connection, now: float) -> dict[str, object]:
        return {
            "name": self._name(connection),
            "initial": self._name(connection)[:1].upper(),
            "organization_id": connection.organization_id,
            "user_id": connection.user_id,
            "scope": connection.scope,
            "generation": connection.generation,
            "access_token": redact_token(connection.access_token),
            "refresh_token": redact_token(connection.refresh_token) if connection.refresh_token else "",
            "expiry": _show_expiry(connection, now),
            "is_disconnected": connection.disconnected_at is not None,
            "verdict": connection.verdict.value,
            "failure": connection.failure,
            "old_tokens": self._lessons.count_old(connection),
            "remembers_token": self._lessons.remembers_access_token(connection),
        }

    async def _read_visit(self, request: Request) -> Visit | None:
        """The form, if it is from our own page in this browser."""
        session, body = request.cookies.get(COOKIE, ""), bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_FORM:
                return None
        try:
            form = parse_parameters(bytes(body))
        except OAuthError:
            return None
        if not session or not hmac.compare_digest(form.get("csrf_token", ""), self._csrf_token(session)):
            return None
        return Visit(browser_session=session, form=form)

    def _csrf_token(self, session: str) -> str:
        return hmac.digest(self._csrf_key, session.encode("utf-8", "replace"), "sha256").hex()

    def _refuse(self) -> Response:
        body = self._templates.get_template("stale.html").render()
        return HTMLResponse(body, 403, headers=self._headers)

    def _back(self) -> Response:
        return RedirectResponse("/#latest", 303, headers=self._headers)


def _conclude(action: Action, outcome: str) -> None:
    action.outcome, action.tone = outcome, "note" if isinstance(outcome, Note) else "good"


def _report(action: Action, error: Exception) -> None:
    """Whose move it is, in a sentence; then what a developer wants to know."""
    action.tone = "bad"
    if not isinstance(error, ClientError):
        action.outcome = f"The API call failed: {error}"
        return
    move = {
        Verdict.REAUTHORIZE: "This needs you: connect again.",
        Verdict.MISCONFIGURED: "This needs Mailloop's developer.",
        Verdict.TEMPORARY: "This needs a little time: try again.",
        Verdict.OK: "",
    }[error.verdict]
    action.outcome = f"{move} {error}"


def _show_expiry(connection: Connection, now: float) -> str:
    if connection.verdict is Verdict.REAUTHORIZE:
        return "dead, as the connection is"
    if connection.expires_at is None:
        return "good until the API says otherwise"
    left = connection.expires_at - now
    if left <= 0:
        return "expired; it is refreshed when it is needed next"
    return f"good for {round(left / 60)} more minutes" if left >= 90 else f"good for {round(left)} more seconds"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
