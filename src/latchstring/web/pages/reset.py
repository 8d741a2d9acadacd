"""A way back in for whoever has forgotten the password: by mail, once, for half an hour. Nobody learns from it who has
an account."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from starlette.responses import Response

from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.rendering.messages import Text, account_error
from latchstring.web.throttle import find_source

RESET: Final = "/reset"


async def show_reset(page: Page) -> Response:
    """GET /reset: for which account."""
    await page.find_user()
    return page.render("reset.html", {"email": "" if page.user is None else page.user.email, "is_sent": False})


async def send_reset(page: Page) -> Response:
    """POST /reset: the same answer for every address, and as fast."""
    form = await page.read_form()
    email = form.get("email", "").strip()
    source = find_source(page.request.scope, page.services.settings)
    if email and await page.services.throttle.may_send_reset(email, source):
        page.services.background.start(page.services.accounts.send_reset(email, locale=page.locale), page.request_id)
    return page.render("reset.html", {"email": email[:254], "is_sent": True})


async def show_new_password(page: Page) -> Response:
    """GET /reset/{token}: looks, and uses nothing up: mail is opened by programs too."""
    return await _ask_for_password(page)


async def take_new_password(page: Page) -> Response:
    """POST /reset/{token}: the new password. Everybody is signed out; a second factor is asked for as ever.
    Passkeys stay unless the person has them removed."""
    form = await page.read_form()
    token: str = page.request.path_params["token"]
    try:
        done = await page.services.accounts.reset(
            token,
            form.get("new_password", ""),
            ends_passkeys=form.get("ends_passkeys") == "true",
            locale=page.locale,
            origin=page.origin,
        )
    except ValueError:
        return await _ask_for_password(page, {"new_password": account_error("password_unusable")})
    if not done:
        raise PageRefused("reset_expired")
    return page.message("password_reset")


async def _ask_for_password(page: Page, errors: Mapping[str, Text] = MappingProxyType({})) -> Response:
    token: str = page.request.path_params["token"]
    user = await page.services.accounts.find_reset(token)
    if user is None:
        raise PageRefused("reset_expired")
    context = {
        "token": token,
        "email": user.email,
        "passkeys": len(await page.services.passkeys.find_all(user.user_id)),
        "errors": errors,
    }
    return page.render("reset_password.html", context, 422 if errors else 200)
