"""One page request: whose browser it is, what its form says, and the answer with every header it needs."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.records import UserRecord
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import Parameters, parse_parameters
from latchstring.web.asgi import read_form_body
from latchstring.web.cookies import (
    LANGUAGE_COOKIE,
    is_session_cookie,
    render_session_cookie,
    session_cookie_name,
)
from latchstring.web.headers import render_page_headers
from latchstring.web.origin import find_address
from latchstring.web.rendering.messages import MESSAGES, MessageKey, Text, message_page
from latchstring.web.services import Services

_CSRF: Final = b"csrf"
_CONTINUE: Final = b"continue"
# What a page carries for later stands in a form's hidden field and in an address, in Base64: longer, it would be
# refused there, when it is too late to say so to anyone who can change it.
MAX_CARRIED_LENGTH: Final = 5500
_QUERY_SAFE: Final = "%/?:@!$&'()*+,;=[]"


def render_address(path: str, query: bytes) -> str:
    """One of our own addresses in visible ASCII, whatever bytes were sent: it will stand in a `Location` header."""
    location = quote(path)
    return f"{location}?{quote(query, safe=_QUERY_SAFE)}" if query else location


class PageRefused(Exception):
    """Ends the request with a message page."""

    def __init__(self, key: MessageKey, **placeholders: str) -> None:
        super().__init__(key)
        self.key = key
        self.placeholders = placeholders


class SignInNeeded(Exception):
    """Sends the browser to the sign-in page, and back to this address afterwards."""


class Page:
    """A request to a page, with the browser's cookie read (or a fresh one made) and its user found."""

    def __init__(self, services: Services, request: Request, request_id: str) -> None:
        self.services = services
        self.request = request
        self.request_id = request_id
        cookie = request.cookies.get(session_cookie_name(services.settings), "")
        self.has_cookie = is_session_cookie(cookie)
        self._is_cookie_new = False
        self.cookie = cookie if self.has_cookie else services.login.new_cookie()
        self.locale = services.renderer.negotiate_locale(
            request.headers.get("accept-language"), request.cookies.get(LANGUAGE_COOKIE)
        )
        self.user: UserRecord | None = None
        self.administered: list[dict[str, object]] = []
        self.authenticated_at: int | None = None
        self.acr: str | None = None
        self._is_operating = False

    async def find_user(self) -> UserRecord | None:
        """Who is signed in with this browser, if anyone."""
        if self.has_cookie and (signed_in := await self.services.login.find(self.cookie)) is not None:
            self.user, self.authenticated_at, self.acr = signed_in.user, signed_in.authenticated_at, signed_in.acr
        return self.user

    async def require_user(self) -> UserRecord:
        """Who is signed in; otherwise `SignInNeeded`."""
        user = await self.find_user()
        if user is None:
            raise SignInNeeded
        self.administered = [
            {"id": organization.organization_id, "name": organization.name, "waiting": organization.waiting}
            for organization in await self.services.access_requests.find_administered(user.user_id)
        ]
        return user

    async def require_operator(self) -> UserRecord:
        """Who is signed in, if an operator of the deployment: for others there is no such page."""
        user = await self.require_user()
        if not user.is_operator:
            raise PageRefused("not_found")
        self._is_operating = True
        return user

    @property
    def origin(self) -> Origin:
        """Who asks for a change, from where: for the event that tells of it."""
        user_id = None if self.user is None else self.user.user_id
        address = find_address(self.request.scope, self.services.settings)
        return Origin("operator" if self._is_operating else "user", user_id, address, self.request_id)

    def take_cookie(self, cookie: str) -> None:
        """Give the browser this cookie with the answer, in place of the one it has."""
        self.cookie, self.has_cookie, self._is_cookie_new = cookie, False, True

    # -- forms

    @property
    def csrf_token(self) -> str:
        """What every form carries: bound to this browser's cookie, worthless in another one (RFC 6749 §10.12)."""
        return self.services.codec.render_page_value(_CSRF, self.cookie.encode(), b"")

    async def read_form(self) -> Parameters:
        """The posted form; a message page if it is malformed or was not made by a page of this browser's."""
        try:
            form = parse_parameters(await read_form_body(self.request.scope, self.request.receive))
            form.refuse_repeats()
        except OAuthError as error:
            key: MessageKey = "too_large" if error.status == 413 else "unreadable_request"
            raise PageRefused(key) from None
        token = form.get("csrf_token", "")
        if not self.has_cookie or (self.services.codec.parse_page_value(_CSRF, self.cookie.encode(), token) is None):
            raise PageRefused("forged_form")
        return form

    # -- where to go on

    def seal_continue(self, location: str) -> str:
        """One of our own addresses, for a form to carry through the sign-in; empty where it is too long for that."""
        if len(location) > MAX_CARRIED_LENGTH:
            return ""
        return self.services.codec.render_page_value(_CONTINUE, b"", location.encode())

    def open_continue(self, sealed: str) -> str | None:
        """The address, or None for anything that we did not seal: no form can send a browser elsewhere."""
        raw = self.services.codec.parse_page_value(_CONTINUE, b"", sealed) if sealed else None
        return None if raw is None else raw.decode()

    # -- answers

    def render(
        self, template: str, context: Mapping[str, object], status: int = 200, *, form_action: str = "'self'"
    ) -> Response:
        """A page in the reader's language."""
        user = (
            None
            if self.user is None
            else {
                "name": self.user.name,
                "email": self.user.email,
                "is_operator": self.user.is_operator,
            }
        )
        common = {
            "user": user,
            "csrf_token": self.csrf_token,
            "now": self.services.clock(),
            "request_id": self.request_id,
            "administered": self.administered,
            "is_operator": self.user is not None and self.user.is_operator,
        }
        html = self.services.renderer.render_page(template, {**common, **context}, self.locale)
        return self._finish(
            HTMLResponse(html, status, headers=render_page_headers(self.services.settings, form_action))
        )

    def message(
        self,
        key: MessageKey,
        placeholders: Mapping[str, str] | None = None,
        *,
        details: list[tuple[Text, str]] | None = None,
        difference: object = None,
    ) -> Response:
        """A message page, with the developer's details folded below."""
        context = message_page(key, **(placeholders or {}))
        if details:
            context["details"] = details
        context["difference"] = difference
        return self.render("message.html", context, MESSAGES[key].status)

    def redirect(self, location: str) -> Response:
        """A 303, so that a form is never posted on (RFC 9700 §4.12). A location that is a path is one of our own."""
        if location.startswith("/"):
            location = self.services.settings.base_path + location
        response = RedirectResponse(location, 303, headers=render_page_headers(self.services.settings))
        response.headers["location"] = location  # as rendered, not quoted a second time
        return self._finish(response)

    def _finish(self, response: Response) -> Response:
        # A cross-site post comes without the cookie that the browser has: a fresh one would replace it, and sign the
        # member out. Only a page that is opened gives one, and an answer that was told to.
        if not self.has_cookie and (self._is_cookie_new or self.request.method in {"GET", "HEAD"}):
            response.headers.append("set-cookie", render_session_cookie(self.services.settings, self.cookie))
        return response
