"""Signing in and out."""

from starlette.responses import Response

from latchstring.protocol.parameters import parse_parameters
from latchstring.web.pages.consent import AUTHORIZE
from latchstring.web.pages.page import Page
from latchstring.web.throttle import RETRY_SIGN_IN_SECONDS, find_source

HOME = "/connections"


async def show_sign_in(page: Page) -> Response:
    """GET /sign-in; somebody who is signed in goes on at once."""
    continue_to = page.open_continue(page.request.query_params.get("continue", ""))
    if await page.find_user() is not None:
        return page.redirect(continue_to or HOME)
    return await _render(page, continue_to)


async def sign_in(page: Page) -> Response:
    """POST /sign-in; a new session and a new cookie on success."""
    form = await page.read_form()
    continue_to = page.open_continue(form.get("continue", ""))
    email = form.get("email", "")
    source = find_source(page.request.scope, page.services.settings)
    if not await page.services.throttle.may_sign_in(email, source):
        response = await _render(page, continue_to, email=email, error="throttled", status=429)
        response.headers["retry-after"] = str(RETRY_SIGN_IN_SECONDS)
        return response
    user = await page.services.authenticate(email, form.get("password", ""))
    if user is None:
        return await _render(page, continue_to, email=email, error="credentials", status=422)
    await page.services.login.end(page.cookie)
    page.take_cookie(await page.services.login.begin(user.user_id))
    return page.redirect(continue_to or HOME)


async def sign_out(page: Page) -> Response:
    """POST /sign-out; the session is dead, the cookie replaced."""
    form = await page.read_form()
    continue_to = page.open_continue(form.get("continue", ""))
    await page.services.login.end(page.cookie)
    page.take_cookie(page.services.login.new_cookie())
    if continue_to:
        return page.redirect(continue_to)
    return page.message("signed_out")


async def _render(
    page: Page, continue_to: str | None, *, email: str = "", error: str | None = None, status: int = 200
) -> Response:
    context = {
        "continue_to": page.seal_continue(continue_to) if continue_to else "",
        "email": email,
        "error": error,
        "app_name": await _find_app_name(page, continue_to),
    }
    # The answer may lead through the authorization endpoint to an app.
    form_action = "'self' https: http://127.0.0.1:* http://localhost:*"
    return page.render("sign_in.html", context, status, form_action=form_action)


async def _find_app_name(page: Page, continue_to: str | None) -> str | None:
    """The app for whose sake the person signs in, if it is for one's."""
    if continue_to is None or not continue_to.startswith(AUTHORIZE):
        return None
    client_id = parse_parameters(continue_to.partition("?")[2].encode()).get("client_id", "")
    client = await page.services.clients.find(client_id)
    return None if client is None else client.name
