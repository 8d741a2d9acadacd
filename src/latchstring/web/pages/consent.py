"""The authorization endpoint's question and its answer: what the page carries, and how the browser goes back."""

from typing import Final
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from latchstring.authorization_server.answers import AnswerRefusal
from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt, render_code, render_error
from latchstring.authorization_server.consent import render_version
from latchstring.authorization_server.interaction import Visit
from latchstring.authorization_server.ports import ConsentCommit
from latchstring.authorization_server.reconnecting import is_anothers, refuse_mismatch
from latchstring.authorization_server.records import ClientRecord, UserRecord
from latchstring.protocol.authorization_request import FIXED, render_request_uri
from latchstring.protocol.authorization_response import FORM_POST
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.pkce import S256
from latchstring.protocol.redirect_uri import find_registered
from latchstring.protocol.scope import render_scope
from latchstring.web.pages.answer import read_answer
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.pages.question import Question, ask, ask_again
from latchstring.web.pages.send_back import send_back
from latchstring.web.pages.visit import render_visit

AUTHORIZE: Final = "/oauth2/authorize/"
_CONSENT: Final = b"consent"


class _Asked(msgspec.Struct, frozen=True):
    """What a consent page asks and of whom, as the page carries it. Bound to the browser that was asked.

    `grant_id` is of the grant that Allow makes: a page that is answered twice makes one. `version` is of what was told
    of the app: an answer to anything else does not count.
    """

    prompt: AuthorizationPrompt
    user_id: str
    asked_at: int
    grant_id: bytes
    visit: Visit
    version: bytes


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Asked)


async def answer_consent(page: Page) -> Response:
    """POST /consent: Decline goes back with `access_denied`; Allow makes the grant for the chosen organization."""
    form = await page.read_form()
    services = page.services
    asked = _open_asked(page, form.get("request", ""))
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
        await services.consent.decline(prompt)
        denied = OAuthError("access_denied", "The member declined.")
        return send_back(page, render_error(prompt.target, denied, issuer))
    if decision == "mismatch":
        return send_back(page, render_error(prompt.target, refuse_mismatch(prompt), issuer))
    if decision != "allow" or is_anothers(prompt, user.user_id):
        raise PageRefused("unreadable_request")
    question = build_question(page, prompt, client, user, asked.visit)
    if render_version(client) != asked.version:
        return await ask(page, question, client, user, error="app_changed", status=409)
    answer = read_answer(page, form, prompt.scope)
    outcome: str | ConsentCommit | AnswerRefusal | None = None
    if answer is not None:
        outcome = await services.consent.allow(
            prompt,
            client,
            user.user_id,
            answer,
            grant_id=asked.grant_id,
            authenticated_at=page.authenticated_at,
            origin=page.origin,
        )
    if isinstance(outcome, str):
        return send_back(page, render_code(prompt.target, outcome, issuer))
    return await ask_again(page, question, client, user, outcome, answer)


def render_location(prompt: AuthorizationPrompt) -> str:
    """The request once more, as an address of our own: where the browser comes back to after a sign-in."""
    if prompt.pushed_request_id is not None:
        request_uri = render_request_uri(prompt.pushed_request_id)
        return f"{AUTHORIZE}?" + urlencode({"client_id": prompt.client_id, "request_uri": request_uri})
    parameters = {
        "client_id": prompt.client_id,
        "response_type": "code",
        "redirect_uri": prompt.sent_redirect_uri,
        "scope": render_scope(prompt.scope) or None,
        "state": prompt.state,
        "code_challenge": prompt.code_challenge,
        "code_challenge_method": None if prompt.code_challenge is None else S256,
        "organization_id": prompt.organization_id,
        "response_mode": FORM_POST if prompt.response_mode == FORM_POST else None,
        "prompt": " ".join(prompt.prompts) or None,
        "max_age": None if prompt.max_age is None else str(prompt.max_age),
        "login_hint": prompt.login_hint,
        "authorization_details": prompt.authorization_details,
        "dpop_jkt": prompt.dpop_jkt,
        "organization_selection": FIXED if prompt.is_organization_fixed else prompt.organization_selection,
        "grant_id": prompt.grant_id,
    }
    pairs = [(name, value) for name, value in parameters.items() if value is not None]
    return f"{AUTHORIZE}?" + urlencode([*pairs, *(("resource", resource) for resource in prompt.resource)])


def encode_prompt(prompt: AuthorizationPrompt) -> bytes:
    """The prompt as a consent page carries it."""
    return _encode(prompt)


def build_question(
    page: Page, prompt: AuthorizationPrompt, client: ClientRecord, user: UserRecord, visit: Visit
) -> Question:
    """The prompt as the member is asked it."""
    services = page.services
    now, grant_id = services.clock(), services.consent.new_grant_id()
    asked = _Asked(prompt, user.user_id, now, grant_id, visit, render_version(client))
    return Question(
        action="/consent",
        request=services.codec.render_page_value(_CONSENT, page.cookie.encode(), _encode(asked)),
        location=render_visit(page, render_location(prompt), visit.at("arrived")),
        scope=prompt.scope,
        organization_id=prompt.organization_id,
        redirect_uri=prompt.redirect_uri,
        authorization_details=prompt.authorization_details,
        is_fixed=prompt.is_organization_fixed,
    )


def _open_asked(page: Page, sealed: str) -> _Asked | None:
    raw = page.services.codec.parse_page_value(_CONSENT, page.cookie.encode(), sealed)
    return None if raw is None else _decoder.decode(raw)
