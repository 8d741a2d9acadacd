"""Signing in and out."""

from starlette.responses import Response

from latchstring.web.pages.page import Page

HOME = "/connections"


async def show_sign_in(page: Page) -> Response:
    """GET /sign-in; somebody who is signed in goes on at once."""
    sealed = page.request.query_params.get("continue", "")
    continue_to = page.open_continue(sealed)
    if await page.find_user() is not None:
        return page.redirect(continue_to or HOME)
    return _render(page, sealed if continue_to else "")


async def sign_in(page: Page) -> Response:
    """POST /sign-in; a new session and a new cookie on success."""
    form = await page.read_form()
    sealed = form.get("continue", "")
    continue_to = page.open_continue(sealed)
    email = form.get("email", "")
    user = await page.services.authenticate(email, form.get("password", ""))
    if user is None:
        return _render(page, sealed if continue_to else "", email=email, error="credentials", status=422)
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


def _render(page: Page, sealed: str, *, email: str = "", error: str | None = None, status: int = 200) -> Response:
    context = {"continue_to": sealed, "email": email, "error": error, "app_name": None}
    # The answer may lead through the authorization endpoint to an app.
    return page.render(
        "sign_in.html", context, status, form_action="'self' https: http://127.0.0.1:* http://localhost:*"
    )
