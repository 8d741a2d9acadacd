"""A person's own account: password, second factor, where they are signed in."""

from collections.abc import Mapping
from typing import Final

import segno
from markupsafe import Markup
from starlette.responses import Response

from latchstring.authorization_server.records import UserRecord
from latchstring.authorization_server.second_factors import SECRET_SIZE, render_secret, render_uri
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.rendering.messages import Text, account_error
from latchstring.web.throttle import RETRY_SIGN_IN_SECONDS, find_source

ACCOUNT: Final = "/account"
_SECRET: Final = b"second-factor"


async def show_account(page: Page) -> Response:
    """GET /account."""
    user = await page.require_user()
    return await _render(page, user, notice=page.request.query_params.get("done"))


async def change_password(page: Page) -> Response:
    """POST /account/password: the old one and the new one; every other browser is signed out."""
    user = await page.require_user()
    form = await page.read_form()
    if refused := await _verify_password(page, user, form.get("password", "")):
        return refused
    try:
        await page.services.accounts.change_password(
            user, form.get("new_password", ""), cookie=page.cookie, locale=page.locale, origin=page.origin
        )
    except ValueError:
        errors = {"new_password": account_error("password_unusable")}
        return await _render(page, user, errors=errors, status=422)
    return page.redirect(f"{ACCOUNT}?done=password")


async def sign_out_elsewhere(page: Page) -> Response:
    """POST /account/sign-out-elsewhere."""
    user = await page.require_user()
    await page.read_form()
    await page.services.accounts.sign_out_elsewhere(user.user_id, cookie=page.cookie, origin=page.origin)
    return page.redirect(f"{ACCOUNT}?done=signed_out")


async def begin_second_factor(page: Page) -> Response:
    """POST /account/second-factor: the secret to scan. It is kept once a code of it has come back."""
    user = await page.require_user()
    form = await page.read_form()
    if refused := await _verify_password(page, user, form.get("password", ""), field="factor_password"):
        return refused
    if await page.services.second_factors.find(user.user_id) is not None:
        return page.redirect(ACCOUNT)
    return _show_secret(page, user, page.services.second_factors.new_secret())


async def confirm_second_factor(page: Page) -> Response:
    """POST /account/second-factor/confirm: the first code of the app."""
    user = await page.require_user()
    form = await page.read_form()
    raw = page.services.codec.parse_page_value(_SECRET, page.cookie.encode(), form.get("secret", ""))
    if raw is None or raw[SECRET_SIZE:] != user.user_id.encode():
        raise PageRefused("page_expired")
    secret = raw[:SECRET_SIZE]
    codes = await page.services.second_factors.add(user.user_id, secret, form.get("code", ""), origin=page.origin)
    if codes is not None:
        return await _render(page, user, recovery_codes=codes)
    if await page.services.second_factors.find(user.user_id) is not None:
        return page.redirect(ACCOUNT)
    return _show_secret(page, user, secret, errors={"code": account_error("code_wrong")})


async def replace_recovery_codes(page: Page) -> Response:
    """POST /account/recovery-codes: others, shown once."""
    user = await page.require_user()
    form = await page.read_form()
    if refused := await _verify_password(page, user, form.get("password", ""), field="codes_password"):
        return refused
    codes = await page.services.second_factors.replace_recovery_codes(user.user_id, origin=page.origin)
    return page.redirect(ACCOUNT) if codes is None else await _render(page, user, recovery_codes=codes)


async def remove_second_factor(page: Page) -> Response:
    """POST /account/second-factor/remove."""
    user = await page.require_user()
    form = await page.read_form()
    if refused := await _verify_password(page, user, form.get("password", ""), field="remove_password"):
        return refused
    await page.services.second_factors.remove(user.user_id, origin=page.origin)
    return page.redirect(f"{ACCOUNT}?done=second_factor_removed")


async def _verify_password(page: Page, user: UserRecord, password: str, *, field: str = "password") -> Response | None:
    """Nothing where it is right: whoever finds a browser open changes nothing. Guesses count as at the sign-in."""
    source = find_source(page.request.scope, page.services.settings)
    if not await page.services.throttle.may_sign_in(user.email, source):
        response = await _render(page, user, errors={field: account_error("throttled")}, status=429)
        response.headers["retry-after"] = str(RETRY_SIGN_IN_SECONDS)
        return response
    known = await page.services.authenticate(user.email, password)
    if known is None or known.user_id != user.user_id:
        return await _render(page, user, errors={field: account_error("password_wrong")}, status=422)
    await page.services.throttle.take_back_sign_in(user.email, source)
    return None


def _show_secret(page: Page, user: UserRecord, secret: bytes, *, errors: Mapping[str, Text] | None = None) -> Response:
    raw = secret + user.user_id.encode()
    uri = render_uri(secret, issuer=page.services.settings.deployment_name, account=user.email)
    context = {
        "secret": page.services.codec.render_page_value(_SECRET, page.cookie.encode(), raw),
        "typed_secret": render_secret(secret),
        "uri": uri,
        "picture": Markup(segno.make(uri, micro=False).svg_inline(scale=5, border=2, omitsize=True)),  # noqa: S704
        "errors": errors or {},
    }
    return page.render("second_factor.html", context, 422 if errors else 200)


async def _render(
    page: Page,
    user: UserRecord,
    *,
    errors: Mapping[str, Text] | None = None,
    recovery_codes: list[str] | None = None,
    notice: str | None = None,
    status: int = 200,
) -> Response:
    factor = await page.services.second_factors.find(user.user_id)
    context = {
        "account": {"name": user.name, "email": user.email},
        "factor": None
        if factor is None
        else {"created_at": factor.created_at, "recovery_codes": factor.recovery_codes},
        "passkeys": {
            "is_possible": page.services.passkeys.relying_party is not None,
            "count": len(await page.services.passkeys.find_all(user.user_id)),
        },
        "sessions": await page.services.accounts.count_sessions(user.user_id),
        "recovery_codes": recovery_codes,
        "errors": errors or {},
        "done": notice if notice in {"password", "signed_out", "second_factor_removed"} else None,
    }
    return page.render("account.html", context, status)
