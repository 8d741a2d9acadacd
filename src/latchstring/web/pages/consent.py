"""The answer to the authorization endpoint's question: how the browser goes back."""

from starlette.responses import Response

from latchstring.authorization_server.answers import AnswerRefusal
from latchstring.authorization_server.authorization_endpoint import render_code, render_error
from latchstring.authorization_server.consent import render_version
from latchstring.authorization_server.ports import ConsentCommit
from latchstring.authorization_server.reconnecting import is_anothers, refuse_mismatch
from latchstring.authorization_server.sign_in_levels import refuse_unmet
from latchstring.protocol.authentication_context import meets
from latchstring.protocol.authorization_request import SEVERAL
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.redirect_uri import find_registered
from latchstring.web.pages.access_wall import approve_at_once, request_access, show_wall
from latchstring.web.pages.answer import read_answer
from latchstring.web.pages.asked import build_question, open_asked, park
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.pages.question import ask, ask_again
from latchstring.web.pages.send_back import send_back
from latchstring.web.pages.several import decline_further, find_excluded, go_on


async def answer_consent(page: Page) -> Response:
    """POST /consent: Decline goes back with `access_denied`; Allow makes the grant for the chosen organization, where
    that lets its members. If not, a member asks its admins, and an admin approves at once."""
    form = await page.read_form()
    services = page.services
    asked = open_asked(page, form.get("request", ""))
    user = await page.find_user()
    if asked is None or user is None or user.user_id != asked.user_id:
        raise PageRefused("wrong_session")
    prompt = asked.prompt
    try:
        client = await services.clients.find_current(prompt.client_id)
    except OAuthError as error:
        is_busy = error.code == "temporarily_unavailable"
        raise PageRefused("document_busy" if is_busy else "page_expired") from None
    if client is None or not find_registered(prompt.redirect_uri, client.redirect_uris):
        raise PageRefused("page_expired")
    if services.clock() - asked.asked_at > services.settings.consent_page_lifetime:
        raise PageRefused("page_expired")
    decision = form.get("decision")
    issuer = services.settings.issuer
    if decision == "deny":
        if asked.earlier:
            return await decline_further(page, asked, user)
        await services.consent.decline(prompt)
        denied = OAuthError("access_denied", "The member declined.")
        return send_back(page, render_error(prompt.target, denied, issuer))
    if decision == "mismatch":
        return send_back(page, render_error(prompt.target, refuse_mismatch(prompt), issuer))
    if decision == "unmet":
        return send_back(page, render_error(prompt.target, refuse_unmet(), issuer))
    if decision not in {"allow", "request", "approve"} or is_anothers(prompt, user.user_id):
        raise PageRefused("unreadable_request")
    if not meets(page.acr, prompt.acr_values):
        # Of the page that says so, which asks nothing.
        raise PageRefused("unreadable_request")
    question = build_question(page, prompt, client, user, asked.visit, earlier=asked.earlier)
    excluded = await find_excluded(page, asked, user)
    if render_version(client) != asked.version:
        return await ask(page, question, client, user, error="app_changed", status=409, excluded=excluded)
    if decision == "request":
        parked = None if asked.earlier else park(prompt, asked.visit)
        response = await request_access(page, question, client, user, form, parked, prompt.pushed_request_id)
        # What was allowed before in this visit goes to the app now; this one waits.
        return await decline_further(page, asked, user) if asked.earlier and response.status_code == 303 else response
    if decision == "approve":
        await approve_at_once(page, question, client, form)
    answer = read_answer(page, form, prompt.scope)
    outcome: str | ConsentCommit | AnswerRefusal | None = None
    if answer is not None and answer.organization_id not in excluded:
        outcome = await services.consent.allow(
            prompt,
            client,
            user.user_id,
            answer,
            grant_id=asked.grant_id,
            authenticated_at=page.authenticated_at,
            acr=page.acr,
            origin=page.origin,
        )
    if isinstance(outcome, str) and prompt.organization_selection == SEVERAL:
        return await go_on(page, asked, client, user)
    if isinstance(outcome, str):
        return send_back(page, render_code(prompt.target, outcome, issuer))
    if outcome is ConsentCommit.NEEDS_APPROVAL and answer is not None:
        return await show_wall(page, question, client, user, answer.organization_id, form)
    return await ask_again(page, question, client, user, outcome, answer, excluded)
