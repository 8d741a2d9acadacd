"""A person's passkeys: add, rename, remove. Only to who has signed in just now."""

from typing import Final

import structlog
from starlette.responses import Response

from latchstring.authorization_server.interaction import Visit
from latchstring.authorization_server.passkey_ports import PasskeyRecord
from latchstring.authorization_server.passkey_verification import PasskeyRefused
from latchstring.authorization_server.passkeys import MAX_PASSKEYS, clean_name, is_recent
from latchstring.authorization_server.records import UserRecord
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.pages.visit import render_visit
from latchstring.web.rendering.messages import N_

log = structlog.get_logger("latchstring.web")

PASSKEYS: Final = "/account/passkeys"
_NAMELESS: Final = N_("Passkey")


async def show_passkeys(page: Page) -> Response:
    """GET /account/passkeys; sends who signed in a while ago to do so once more, and back here."""
    user = await page.require_user()
    return _ask_again(page) or await _render(page, user, done=page.request.query_params.get("done"))


async def add_passkey(page: Page) -> Response:
    """POST /account/passkeys: what the browser's authenticator has made. Its challenge was given out after a recent
    sign-in, in this browser, to this user."""
    user = await page.require_user()
    form = await page.read_form()
    try:
        await page.services.passkeys.add(
            user,
            form.get("credential", ""),
            _find_name(page, form.get("name", "")),
            cookie=page.cookie,
            locale=page.locale,
            origin=page.origin,
        )
    except PasskeyRefused as refused:
        error = explain_refusal(page, refused)
        return _ask_again(page) or await _render(page, user, error=error, status=422)
    return page.redirect(f"{PASSKEYS}?done=added")


async def rename_passkey(page: Page) -> Response:
    """POST /account/passkeys/{passkey_id}/rename."""
    user = await page.require_user()
    form = await page.read_form()
    if again := _ask_again(page):
        return again
    passkey = await _find(page, user)
    name = _find_name(page, form.get("name", ""))
    await page.services.passkeys.rename(user.user_id, passkey.credential_hash, name)
    return page.redirect(f"{PASSKEYS}?done=renamed")


async def remove_passkey(page: Page) -> Response:
    """POST /account/passkeys/{passkey_id}/remove."""
    user = await page.require_user()
    await page.read_form()
    if again := _ask_again(page):
        return again
    passkey = await _find(page, user)
    await page.services.passkeys.remove(user, passkey, locale=page.locale, origin=page.origin)
    return page.redirect(f"{PASSKEYS}?done=removed")


def explain_refusal(page: Page, refused: PasskeyRefused) -> str:
    """What the page says of a refusal, whose reason is in the log; a message page for what no script of ours sent."""
    log.info("passkey_refused", request_id=page.request_id, reason=refused.reason)
    if refused.fault == "malformed":
        raise PageRefused("unreadable_request")
    if refused.fault == "disabled":
        # Only to whoever holds the passkey: nobody learns of an account by asking.
        raise PageRefused("account_disabled")
    return {"expired": "expired_page", "refused": "passkey"}[refused.fault]


def _ask_again(page: Page) -> Response | None:
    """Nothing after a recent sign-in."""
    now = page.services.clock()
    assert page.authenticated_at is not None
    if is_recent(page.authenticated_at, now):
        return None
    back = render_visit(page, f"{PASSKEYS}?again=true", Visit(now, "must_sign_in"))
    return page.redirect(f"/sign-in?continue={page.seal_continue(back)}")


def _find_name(page: Page, typed: str) -> str:
    return clean_name(typed) or page.services.renderer.gettext(page.locale)(_NAMELESS)


async def _find(page: Page, user: UserRecord) -> PasskeyRecord:
    passkey_id = page.request.path_params["passkey_id"]
    for passkey in await page.services.passkeys.find_all(user.user_id):
        if passkey.credential_hash.hex() == passkey_id:
            return passkey
    raise PageRefused("not_found")


async def _render(
    page: Page, user: UserRecord, *, error: str | None = None, done: str | None = None, status: int = 200
) -> Response:
    passkeys = await page.services.passkeys.find_all(user.user_id)
    context = {
        "passkeys": [
            {
                "id": passkey.credential_hash.hex(),
                "name": passkey.name,
                "is_synced": passkey.is_synced,
                "created_at": passkey.created_at,
                "last_used_at": passkey.last_used_at,
            }
            for passkey in passkeys
        ],
        "question": page.services.passkeys.ask_for_new(user, passkeys, cookie=page.cookie),
        "is_possible": page.services.passkeys.relying_party is not None,
        "is_full": len(passkeys) >= MAX_PASSKEYS,
        "error": error,
        "done": done if done in {"added", "renamed", "removed"} else None,
    }
    return page.render("passkeys.html", context, status)
