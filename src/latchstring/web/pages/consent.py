"""The authorization endpoint's pages: prove the request, ask the member, send the browser back."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from latchstring.authorization_server.apps import find_editable
from latchstring.authorization_server.authorization_endpoint import (
    AuthorizationPrompt,
    UnsafeRequest,
    decide,
    find_target,
    render_code_redirect,
    render_error_redirect,
)
from latchstring.authorization_server.pushed_request_endpoint import find_pushed_parameters
from latchstring.authorization_server.records import UserRecord
from latchstring.authorization_server.resources import verify_resources
from latchstring.protocol.authorization_request import render_request_uri
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import Parameters, parse_parameters
from latchstring.protocol.pkce import S256
from latchstring.protocol.redirect_uri import find_registered
from latchstring.protocol.scope import render_scope
from latchstring.web.asgi import read_form_body
from latchstring.web.pages.page import MAX_CARRIED_LENGTH, Page, PageRefused
from latchstring.web.pages.question import Question, ask, ask_again
from latchstring.web.rendering.messages import MessageKey, Text, detail

AUTHORIZE: Final = "/oauth2/authorize/"
_CONSENT: Final = b"consent"


class _Asked(msgspec.Struct, frozen=True):
    """What a consent page asks and of whom, as the page carries it. Bound to the browser that was asked."""

    prompt: AuthorizationPrompt
    user_id: str
    asked_at: int


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Asked)


async def authorize(page: Page) -> Response:
    """GET or POST /oauth2/authorize (RFC 6749 §3.1). Nothing is redirected before client and URI are proven."""
    query = await _read_query(page)
    try:
        parameters = parse_parameters(query)
    except OAuthError as error:
        return page.message("unreadable_request", details=_error_details(page, error))
    pushed_request_id = None
    try:
        if "request_uri" in parameters:
            parameters, pushed_request_id = await find_pushed_parameters(
                parameters, page.services.store, page.services.clock()
            )
        request, client, target = await find_target(parameters, page.services.clients)
    except UnsafeRequest as unsafe:
        await page.find_user()
        return await _refuse_unsafe(page, unsafe, parameters)
    settings = page.services.settings
    try:
        prompt = decide(parameters, request, client, target, settings, pushed_request_id)
        await verify_resources(prompt.resource, page.services.store)
        location = _render_location(prompt)
        _refuse_long(prompt, location)
    except OAuthError as error:
        return page.redirect(render_error_redirect(target, error, settings.issuer))
    user = await page.find_user()
    if user is None:
        return page.redirect(f"/sign-in?continue={page.seal_continue(location)}")
    return await ask(page, _question(page, prompt, user), client, user)


async def answer_consent(page: Page) -> Response:
    """POST /consent: Decline goes back with `access_denied`; Allow makes the grant for the chosen organization."""
    form = await page.read_form()
    services = page.services
    asked = _open_asked(page, form.get("request", ""))
    user = await page.find_user()
    if asked is None or user is None or user.user_id != asked.user_id:
        raise PageRefused("wrong_session")
    prompt = asked.prompt
    client = await services.clients.find(prompt.client_id)
    if client is None or not find_registered(prompt.redirect_uri, client.redirect_uris):
        raise PageRefused("page_expired")
    if services.clock() - asked.asked_at > services.settings.consent_page_lifetime:
        raise PageRefused("page_expired")
    decision = form.get("decision")
    issuer = services.settings.issuer
    if decision == "deny":
        await services.consent.decline(prompt)
        denied = OAuthError("access_denied", "The member declined.")
        return page.redirect(render_error_redirect(prompt.target, denied, issuer))
    if decision != "allow":
        raise PageRefused("unreadable_request")
    organization_id = form.get("organization_id", "")
    outcome = await services.consent.allow(prompt, user.user_id, organization_id) if organization_id else None
    if isinstance(outcome, str):
        return page.redirect(render_code_redirect(prompt.target, outcome, issuer))
    return await ask_again(page, _question(page, prompt, user), client, user, outcome, organization_id)


async def _read_query(page: Page) -> bytes:
    # OIDC Core §3.1.2.1 has the same request by POST; a cross-site post carries no cookie, so it goes on as a GET.
    if page.request.method != "POST":
        return bytes(page.request.scope["query_string"])
    try:
        return await read_form_body(page.request.scope, page.request.receive)
    except OAuthError as error:
        raise PageRefused("too_large" if error.status == 413 else "unreadable_request") from None


def _render_location(prompt: AuthorizationPrompt) -> str:
    """The request once more, as an address of our own: where the browser comes back to after a sign-in."""
    if prompt.pushed_request_id is not None:
        request_uri = render_request_uri(prompt.pushed_request_id)
        return f"{AUTHORIZE}?" + urlencode({"client_id": prompt.client_id, "request_uri": request_uri})
    parameters = {
        "client_id": prompt.client_id,
        "response_type": "code",
        "redirect_uri": prompt.sent_redirect_uri,
        "scope": render_scope(prompt.scope),
        "state": prompt.state,
        "code_challenge": prompt.code_challenge,
        "code_challenge_method": None if prompt.code_challenge is None else S256,
        "organization_id": prompt.organization_id,
    }
    pairs = [(name, value) for name, value in parameters.items() if value is not None]
    return f"{AUTHORIZE}?" + urlencode([*pairs, *(("resource", resource) for resource in prompt.resource)])


def _refuse_long(prompt: AuthorizationPrompt, location: str) -> None:
    # Both are carried by pages; refused now, the app's developer learns of it, and nobody has signed in for nothing.
    if max(len(location), len(_encode(prompt))) > MAX_CARRIED_LENGTH:
        raise OAuthError("invalid_request", "The request is too long: send a shorter state.")


def _open_asked(page: Page, sealed: str) -> _Asked | None:
    raw = page.services.codec.parse_page_value(_CONSENT, page.cookie.encode(), sealed)
    return None if raw is None else _decoder.decode(raw)


def _question(page: Page, prompt: AuthorizationPrompt, user: UserRecord) -> Question:
    asked = _Asked(prompt, user.user_id, page.services.clock())
    return Question(
        action="/consent",
        request=page.services.codec.render_page_value(_CONSENT, page.cookie.encode(), _encode(asked)),
        location=_render_location(prompt),
        scope=prompt.scope,
        organization_id=prompt.organization_id,
        redirect_uri=prompt.redirect_uri,
    )


def _error_details(page: Page, error: OAuthError) -> list[tuple[Text, str]]:
    return [
        detail("error", error.code),
        detail("error_description", error.description),
        detail("request_id", page.request_id),
    ]


async def _refuse_unsafe(page: Page, unsafe: UnsafeRequest, parameters: Parameters) -> Response:
    """A page instead of a redirect; what is registered is shown to the app's own people only."""
    keys: dict[str, MessageKey] = {
        "unknown_client": "unknown_client",
        "redirect_uri_mismatch": "redirect_uri_mismatch",
        "redirect_uri_missing": "redirect_uri_missing",
        "repeated_parameter": "repeated_parameter",
        "request_uri_unknown": "page_expired",
    }
    details = [detail("error", "invalid_request")]
    if "client_id" in parameters:
        details.append(detail("client_id", parameters["client_id"][:200]))
    if unsafe.received is not None:
        details.append(detail("redirect_uri", unsafe.received[:2000]))
    details.append(detail("request_id", page.request_id))
    placeholders = {}
    if unsafe.client is not None:
        placeholders["app"] = unsafe.client.name
    if unsafe.key == "repeated_parameter":
        placeholders["parameter"] = ", ".join(
            sorted(parameters.repeated & {"client_id", "redirect_uri", "request_uri"})
        )
    difference = None
    if unsafe.client is not None and unsafe.received is not None and page.user is not None:
        memberships = await page.services.store.find_memberships(page.user.user_id)
        if find_editable(unsafe.client, page.user.user_id, memberships):
            difference = find_difference(unsafe.received, unsafe.client.redirect_uris)
    return page.message(keys[unsafe.key], placeholders, details=details, difference=difference)


def find_difference(received: str, registered: Sequence[str]) -> dict[str, object]:
    """The registered URI nearest to the received one comes first; `position` is the first character that differs."""

    def common(uri: str) -> int:
        return next(
            (i for i, (a, b) in enumerate(zip(received, uri, strict=False)) if a != b), min(len(received), len(uri))
        )

    nearest_first = sorted(registered, key=common, reverse=True)
    return {
        "received": received[:2000],
        "registered": nearest_first,
        "position": common(nearest_first[0]) if nearest_first else 0,
    }
