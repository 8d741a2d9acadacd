"""Where a member meets their organization's policy: they ask the admins, or approve the app if they are one."""

from typing import Final

from starlette.responses import Response

from latchstring.authorization_server.access_request_ports import Asking
from latchstring.authorization_server.access_requests import MAX_REASON_LENGTH, Parked
from latchstring.authorization_server.answers import Answer
from latchstring.authorization_server.identifiers import ACCESS_REQUEST, render_identifier
from latchstring.authorization_server.organization_policy import Verdict, list_asked
from latchstring.authorization_server.ports import ConsentCommit
from latchstring.authorization_server.records import ClientRecord, UserRecord
from latchstring.protocol.parameters import Parameters
from latchstring.web.headers import form_action_for
from latchstring.web.pages.answer import KEEP
from latchstring.web.pages.consent_words import render_items
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.pages.question import Question, ask, ask_again, render_app
from latchstring.web.rendering.renderer import initial_for, tint_for
from latchstring.web.throttle import find_source

_CARRIED: Final = ("until", "roles")


async def show_wall(
    page: Page,
    question: Question,
    client: ClientRecord,
    user: UserRecord,
    organization_id: str,
    form: Parameters,
    *,
    error: str | None = None,
    status: int = 403,
) -> Response:
    """The page in place of a code: what needs approval, and whose move it is. It carries the member's answer on."""
    services = page.services
    membership = await services.store.find_membership(user.user_id, organization_id)
    asked = list_asked(question.scope, question.authorization_details)
    decisions = await services.organization_policies.decide(client.client_id, user.user_id, asked)
    decision = decisions.get(organization_id)
    if membership is None or decision is None or decision.verdict is not Verdict.NEEDS_APPROVAL:
        return await ask(page, question, client, user)
    uri = question.redirect_uri
    context = {
        "action": question.action,
        "request": question.request,
        "app": await render_app(page, client),
        "organization": {
            "id": organization_id,
            "name": membership.organization_name,
            "tint": tint_for(organization_id),
            "initial": initial_for(membership.organization_name),
        },
        "is_admin": decision.is_admin,
        "items": render_items(asked, services.settings),
        "deciding": [item["name"] for item in render_items(decision.deciding, services.settings)],
        "is_device": question.user_code is not None,
        "reason": form.get("reason", "")[:MAX_REASON_LENGTH],
        "carried": [(name, value) for name, value in form.items() if name in _CARRIED or name.startswith(KEEP)],
        "max_reason_length": MAX_REASON_LENGTH,
        "error": error,
        "sign_out_continue": page.seal_continue(question.location),
    }
    return page.render(
        "access_wall.html", context, status, form_action="'self'" if uri is None else form_action_for(uri)
    )


async def request_access(
    page: Page,
    question: Question,
    client: ClientRecord,
    user: UserRecord,
    form: Parameters,
    parked: Parked | None,
    pushed_request_id: bytes | None,
) -> Response:
    """Keep the member's request, and with it what they were about to do."""
    services, organization_id = page.services, form.get("organization_id", "")
    membership = await services.store.find_membership(user.user_id, organization_id)
    answer = Answer(organization_id=organization_id)
    if membership is None or membership.ended_at is not None:
        return await ask_again(page, question, client, user, ConsentCommit.MEMBERSHIP_ENDED, answer)
    if not await services.throttle.may_request_access(user.user_id, find_source(page.request.scope, services.settings)):
        return await show_wall(page, question, client, user, organization_id, form, error="throttled", status=429)
    outcome = await services.access_requests.ask(
        client,
        user,
        organization_id,
        membership.organization_name,
        asked=list_asked(question.scope, question.authorization_details),
        reason=form.get("reason", ""),
        parked=parked,
        pushed_request_id=pushed_request_id,
        origin=page.origin,
    )
    if isinstance(outcome, bytes):
        return page.redirect(f"/access-requests/{render_identifier(ACCESS_REQUEST, outcome)}")
    if outcome is Asking.TOO_MANY:
        return await show_wall(page, question, client, user, organization_id, form, error="too_many")
    if outcome is Asking.ALLOWED:
        return await ask(page, question, client, user)
    if outcome in {Asking.REQUEST_USED, Asking.APP_UNAVAILABLE}:
        raise PageRefused("page_expired")
    commit = {
        Asking.BLOCKED: ConsentCommit.BLOCKED,
        Asking.MEMBERSHIP_ENDED: ConsentCommit.MEMBERSHIP_ENDED,
    }[outcome]
    return await ask_again(page, question, client, user, commit, answer)


async def approve_at_once(page: Page, question: Question, client: ClientRecord, form: Parameters) -> None:
    """An admin's approval of what they are asked for, for themselves or for everyone. For anybody else it is none: the
    wall stands."""
    await page.services.organization_policies.approve(
        form.get("organization_id", ""),
        client.client_id,
        scope=list_asked(question.scope, question.authorization_details),
        user_id=None if form.get("for") == "everyone" else "" if page.user is None else page.user.user_id,
        adds=True,
        origin=page.origin,
    )
