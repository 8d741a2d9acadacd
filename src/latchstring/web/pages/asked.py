"""The authorization endpoint's question, as a consent page carries it, and as an address of our own."""

from typing import Final
from urllib.parse import urlencode

import msgspec

from latchstring.authorization_server.access_requests import Parked
from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from latchstring.authorization_server.consent import render_version
from latchstring.authorization_server.identifiers import ACCESS_REQUEST, render_identifier
from latchstring.authorization_server.interaction import Visit
from latchstring.authorization_server.records import ClientRecord, UserRecord
from latchstring.protocol.authorization_request import FIXED, render_request_uri
from latchstring.protocol.authorization_response import FORM_POST
from latchstring.protocol.pkce import S256
from latchstring.protocol.scope import render_scope
from latchstring.web.pages.page import Page
from latchstring.web.pages.question import Question
from latchstring.web.pages.visit import render_visit

AUTHORIZE: Final = "/oauth2/authorize/"
CONTINUE: Final = "/access-requests/continue"
_CONSENT: Final = b"consent"


class Asked(msgspec.Struct, frozen=True):
    """What a consent page asks and of whom, as the page carries it. Bound to the browser that was asked.

    `grant_id` is of the grant that Allow makes: a page that is answered twice makes one. `version` is of what was told
    of the app: an answer to anything else does not count. `earlier` are the grants that this visit has made before.
    """

    prompt: AuthorizationPrompt
    user_id: str
    asked_at: int
    grant_id: bytes
    visit: Visit
    version: bytes
    earlier: tuple[bytes, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Asked)


def render_location(prompt: AuthorizationPrompt) -> str:
    """The request once more, as an address of our own: where the browser comes back to after a sign-in."""
    if prompt.access_request_id is not None:
        identifier = render_identifier(ACCESS_REQUEST, prompt.access_request_id)
        return f"{CONTINUE}?{urlencode({'request': identifier})}"
    if prompt.pushed_request_id is not None:
        request_uri = render_request_uri(prompt.pushed_request_id)
        return f"{AUTHORIZE}?" + urlencode({"client_id": prompt.client_id, "request_uri": request_uri})
    return f"{AUTHORIZE}?{render_parameters(prompt)}"


def park(prompt: AuthorizationPrompt, visit: Visit) -> Parked:
    """The request as it waits for an admin."""
    is_pushed = visit.is_pushed or prompt.pushed_request_id is not None
    return Parked(render_parameters(prompt), is_pushed=is_pushed, is_signed=visit.is_signed)


def render_parameters(prompt: AuthorizationPrompt) -> str:
    """The request as a query, however it came."""
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
        "acr_values": " ".join(prompt.acr_values) or None,
        "login_hint": prompt.login_hint,
        "authorization_details": prompt.authorization_details,
        "dpop_jkt": prompt.dpop_jkt,
        "organization_selection": FIXED if prompt.is_organization_fixed else prompt.organization_selection,
        "grant_id": prompt.grant_id,
    }
    pairs = [(name, value) for name, value in parameters.items() if value is not None]
    return urlencode([*pairs, *(("resource", resource) for resource in prompt.resource)])


def encode_prompt(prompt: AuthorizationPrompt) -> bytes:
    """The prompt as a consent page carries it."""
    return _encode(prompt)


def build_question(
    page: Page,
    prompt: AuthorizationPrompt,
    client: ClientRecord,
    user: UserRecord,
    visit: Visit,
    *,
    earlier: tuple[bytes, ...] = (),
) -> Question:
    """The prompt as the member is asked it."""
    services = page.services
    now, grant_id = services.clock(), services.consent.new_grant_id()
    asked = Asked(prompt, user.user_id, now, grant_id, visit, render_version(client), earlier)
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


def open_asked(page: Page, sealed: str) -> Asked | None:
    """What the page asked that sent this back, if it was this browser's."""
    raw = page.services.codec.parse_page_value(_CONSENT, page.cookie.encode(), sealed)
    return None if raw is None else _decoder.decode(raw)
