"""Where a person enters the code that their device shows (RFC 8628 §3.3), and answers for it."""

from typing import Final
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from latchstring.authorization_server.answers import AnswerRefusal
from latchstring.authorization_server.ports import Claim, ConsentCommit
from latchstring.authorization_server.records import ClientRecord, DeviceAuthorizationRecord, UserRecord
from latchstring.protocol.device_authorization import parse_user_code, render_user_code
from latchstring.web.pages.access_wall import approve_at_once, request_access, show_wall
from latchstring.web.pages.answer import read_answer
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.pages.question import Question, ask, ask_again
from latchstring.web.throttle import RETRY_USER_CODE_SECONDS, find_source

DEVICE: Final = "/device"
ANSWER: Final = "/device/answer"
_PURPOSE: Final = b"device"
_MAX_SHOWN_LENGTH: Final = 32


class _Asked(msgspec.Struct, frozen=True):
    """Which device a page asks about and whom, as the page carries it. Bound to the browser that was asked."""

    device_id: bytes
    user_id: str


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Asked)


async def show_device(page: Page) -> Response:
    """GET /device: the code's form, for a person who has signed in; a code in the address is only filled in, so that
    nobody goes on by a link alone (RFC 8628 §3.3.1, §5.4)."""
    await page.require_user()
    return _render(page, page.request.query_params.get("user_code", ""))


async def enter_code(page: Page) -> Response:
    """POST /device: on to the device that shows the code. Wrong ones are few (RFC 8628 §5.1)."""
    form = await page.read_form()
    services = page.services
    typed = form.get("user_code", "")
    user = await page.find_user()
    if user is None:
        return page.redirect(f"/sign-in?continue={page.seal_continue(_render_location(typed))}")
    source = find_source(page.request.scope, services.settings)
    may_try = await services.throttle.may_enter_user_code(page.cookie, source)
    claimed = await services.user_codes.claim(typed, user.user_id, page.cookie) if may_try else Claim.TOO_MANY
    if claimed is Claim.TOO_MANY:
        response = _render(page, typed, error="throttled", status=429)
        response.headers["retry-after"] = str(RETRY_USER_CODE_SECONDS)
        return response
    if claimed is Claim.UNKNOWN:
        return _render(page, typed, error="unknown_code", status=422)
    return page.redirect(_render_answer_location(page, _Asked(claimed.id, user.user_id)))


async def show_answer(page: Page) -> Response:
    """GET /device/answer: the consent page while the device waits, and what was answered afterwards."""
    asked, user = await _find_asked(page, page.request.query_params.get("request", ""))
    services = page.services
    device = await services.user_codes.find_claimed(asked.device_id, page.cookie)
    if device is None:
        return await _show_connected(page, asked)
    client = await _find_client(page, device.client_id)
    if device.is_denied:
        return page.message("device_declined", {"app": client.name})
    if device.expires_at <= services.clock():
        raise PageRefused("device_code_spent")
    return await ask(page, _question(page, device, user), client, user)


async def answer_device(page: Page) -> Response:
    """POST /device/answer: Allow and Decline, by the browser in which the code was entered and no other. A second
    answer changes nothing, and is shown what the first one did."""
    form = await page.read_form()
    asked, user = await _find_asked(page, form.get("request", ""))
    services = page.services
    done = page.redirect(_render_answer_location(page, asked))
    device = await services.user_codes.find_claimed(asked.device_id, page.cookie)
    if device is None:
        return done
    decision = form.get("decision")
    if decision == "deny":
        await services.consent.decline_device(device, page.cookie)
        return done
    if decision not in {"allow", "request", "approve"}:
        raise PageRefused("unreadable_request")
    client = await _find_client(page, device.client_id)
    question = _question(page, device, user)
    if decision == "request":
        # A device waits for minutes, an admin may need days: it begins again once they have approved.
        return await request_access(page, question, client, user, form, None, None)
    if decision == "approve":
        await approve_at_once(page, question, client, form)
    answer = read_answer(page, form, device.scope)
    outcome: ConsentCommit | AnswerRefusal | None = None
    if answer is not None:
        outcome = await services.consent.allow_device(
            device,
            client,
            user.user_id,
            answer,
            cookie=page.cookie,
            authenticated_at=page.authenticated_at,
            acr=page.acr,
            origin=page.origin,
        )
    if outcome in {ConsentCommit.CREATED, ConsentCommit.REQUEST_USED}:
        return done
    if outcome is ConsentCommit.NEEDS_APPROVAL and answer is not None:
        return await show_wall(page, question, client, user, answer.organization_id, form)
    return await ask_again(page, question, client, user, outcome, answer)


async def _show_connected(page: Page, asked: _Asked) -> Response:
    store = page.services.store
    grant = await store.find_grant(asked.device_id)
    organization = None if grant is None else await store.find_organization(grant.organization_id)
    if grant is None or organization is None or grant.user_id != asked.user_id or grant.status == "ended":
        raise PageRefused("device_code_spent")
    client = await _find_client(page, grant.client_id)
    return page.message("device_connected", {"app": client.name, "organization": organization.name})


async def _find_asked(page: Page, sealed: str) -> tuple[_Asked, UserRecord]:
    raw = page.services.codec.parse_page_value(_PURPOSE, page.cookie.encode(), sealed)
    user = await page.find_user()
    asked = None if raw is None else _decoder.decode(raw)
    if asked is None or user is None or user.user_id != asked.user_id:
        raise PageRefused("wrong_session")
    return asked, user


async def _find_client(page: Page, client_id: str) -> ClientRecord:
    client = await page.services.clients.find(client_id)
    if client is None:
        raise PageRefused("device_code_spent")
    return client


def _render_location(typed: str) -> str:
    return f"{DEVICE}?{urlencode({'user_code': typed[:_MAX_SHOWN_LENGTH]})}" if typed else DEVICE


def _seal(page: Page, asked: _Asked) -> str:
    return page.services.codec.render_page_value(_PURPOSE, page.cookie.encode(), _encode(asked))


def _render_answer_location(page: Page, asked: _Asked) -> str:
    return f"{ANSWER}?{urlencode({'request': _seal(page, asked)})}"


def _question(page: Page, device: DeviceAuthorizationRecord, user: UserRecord) -> Question:
    user_code = render_user_code(device.user_code)
    return Question(
        action=ANSWER,
        request=_seal(page, _Asked(device.id, user.user_id)),
        location=_render_location(user_code),
        scope=device.scope,
        organization_id=device.organization_id,
        user_code=user_code,
    )


def _render(page: Page, typed: str, *, error: str | None = None, status: int = 200) -> Response:
    user_code = parse_user_code(typed)
    shown = typed[:_MAX_SHOWN_LENGTH] if user_code is None else render_user_code(user_code)
    context = {"user_code": shown, "error": error, "sign_out_continue": page.seal_continue(_render_location(typed))}
    return page.render("device.html", context, status)
