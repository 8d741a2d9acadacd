"""The authorization endpoint: prove the request, sign the member in if need be, ask."""

from collections.abc import Sequence
from typing import Final

import msgspec
import structlog
from starlette.responses import Response

from latchstring.authorization_server import interaction
from latchstring.authorization_server.access_request_ports import AccessRequestRecord
from latchstring.authorization_server.access_requests import Parked
from latchstring.authorization_server.apps import find_editable
from latchstring.authorization_server.authorization_endpoint import (
    AuthorizationPrompt,
    AuthorizationResponse,
    RedirectTarget,
    UnsafeRequest,
    decide,
    find_target,
    render_code,
    render_error,
)
from latchstring.authorization_server.client_documents import DOCUMENT_SCHEME
from latchstring.authorization_server.consent import is_stranger, is_vouched_for
from latchstring.authorization_server.interaction import Interaction, Step, Visit
from latchstring.authorization_server.policy import find_used_allowances
from latchstring.authorization_server.pushed_request_endpoint import find_pushed_parameters
from latchstring.authorization_server.reconnecting import find_reconnected, is_anothers
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.resources import verify_resources
from latchstring.protocol.authentication_context import meets
from latchstring.protocol.authorization_request import NONE, AuthorizationRequest
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import MAX_VALUE_LENGTH, Parameters, parse_parameters
from latchstring.web.asgi import read_form_body
from latchstring.web.headers import form_action_for
from latchstring.web.pages.asked import AUTHORIZE, build_question, encode_prompt, render_location
from latchstring.web.pages.page import MAX_CARRIED_LENGTH, Page, PageRefused, render_address
from latchstring.web.pages.question import ask, refuse_reconnect
from latchstring.web.pages.send_back import render_error_details, send_back
from latchstring.web.pages.stronger_sign_in import can_meet, refuse_weak
from latchstring.web.pages.visit import open_visit, render_visit
from latchstring.web.rendering.messages import MessageKey, detail
from latchstring.web.throttle import find_source

log: Final = structlog.get_logger("latchstring.web")


async def authorize(page: Page) -> Response:
    """GET or POST /oauth2/authorize (RFC 6749 §3.1). Nothing is redirected before client and URI are proven."""
    query = await _read_query(page)
    address, visit = open_visit(page, query.decode("latin-1"))
    visit = visit or Visit(page.services.clock())
    try:
        parameters = parse_parameters(address.encode("latin-1"))
    except OAuthError as error:
        details = render_error_details(page, error.code, error.description)
        return page.message("unreadable_request", details=details)
    pushed_request_id = None
    try:
        await _count_document(page, parameters.get("client_id", ""))
        if "request_uri" in parameters:
            parameters, pushed_request_id = await find_pushed_parameters(
                parameters, page.services.store, visit.arrived_at
            )
        elif "request" in parameters:
            if page.request.method == "POST" and not page.has_cookie and len(address) <= MAX_VALUE_LENGTH:
                return page.redirect(render_address(AUTHORIZE, query))
            parameters = await page.services.request_objects.find_parameters(parameters, visit.arrived_at)
            visit = msgspec.structs.replace(visit, is_signed=True)
        found = await find_target(parameters, page.services.clients)
    except UnsafeRequest as unsafe:
        await page.find_user()
        return await _refuse_unsafe(page, unsafe, parameters)
    return await _proceed(page, parameters, found, visit, pushed_request_id)


async def go_on(page: Page, access_request: AccessRequestRecord, parked: Parked) -> Response:
    """A request that was parked while an admin decided, judged anew from its beginning; in the browser of the member
    who brought it, wherever that is now."""
    _, visit = open_visit(page, page.request.scope["query_string"].decode("latin-1"))
    visit = visit or Visit(page.services.clock(), is_signed=parked.is_signed, is_pushed=parked.is_pushed)
    parameters = parse_parameters(parked.query.encode())
    try:
        await _count_document(page, parameters.get("client_id", ""))
        found = await find_target(parameters, page.services.clients)
    except UnsafeRequest as unsafe:
        return await _refuse_unsafe(page, unsafe, parameters)
    return await _proceed(page, parameters, found, visit, access_request=access_request)


async def _proceed(
    page: Page,
    parameters: Parameters,
    found: tuple[AuthorizationRequest, ClientRecord, RedirectTarget],
    visit: Visit,
    pushed_request_id: bytes | None = None,
    *,
    access_request: AccessRequestRecord | None = None,
) -> Response:
    request, client, target = found
    settings, now = page.services.settings, page.services.clock()
    user = await page.find_user()
    code = None
    try:
        is_pushed = visit.is_pushed or pushed_request_id is not None
        prompt = decide(
            parameters,
            request,
            client,
            target,
            settings,
            pushed_request_id,
            is_pushed=is_pushed,
            is_signed=is_pushed or visit.is_signed,
        )
        if access_request is not None:
            prompt = msgspec.structs.replace(
                prompt, access_request_id=access_request.id, organization_id=access_request.organization_id
            )
        await verify_resources(prompt.resource, page.services.store, settings.api_resource)
        prompt = await find_reconnected(prompt, client, page.services.store)
        _refuse_long(page, prompt)
        next_step = interaction.decide(prompt, visit, page.authenticated_at, now, page.acr)
        if user is not None and next_step is Interaction.NOTHING:
            memberships = await page.services.store.find_memberships(user.user_id)
            if is_anothers(prompt, user.user_id):
                if NONE in prompt.prompts:
                    raise OAuthError("account_selection_required", "The grant is of another account's.")
            elif _is_visit(page):
                code = await page.services.consent.recall(
                    prompt,
                    client,
                    user.user_id,
                    memberships,
                    authenticated_at=page.authenticated_at,
                    acr=page.acr,
                    origin=page.origin,
                )
            if code is None and NONE in prompt.prompts:
                is_welcome = bool(memberships) and not is_stranger(client, memberships)
                raise interaction.refuse_silence(is_welcome=is_welcome)
        for allowance in find_used_allowances(client, has_code_challenge=prompt.code_challenge is not None):
            page.services.allowance_log.note(client.client_id, allowance)
    except OAuthError as error:
        return await _send_error(page, client, render_error(target, error, settings.issuer))
    if code is not None:
        return send_back(page, render_code(target, code, settings.issuer))
    signed_in_at = page.authenticated_at
    if signed_in_at is not None and interaction.must_step_up(prompt, visit, signed_in_at, now, settings):
        next_step = Interaction.SIGN_IN
    if user is None:
        return _sign_in(page, prompt, visit)
    if not meets(page.acr, prompt.acr_values) and not await can_meet(page, user, prompt):
        return refuse_weak(page, build_question(page, prompt, client, user, visit), client, prompt, visit)
    if next_step is Interaction.SIGN_IN:
        return _sign_in(page, prompt, visit)
    if next_step is Interaction.SELECT_ACCOUNT:
        return _select_account(page, prompt, visit, client)
    question = build_question(page, prompt, client, user, visit)
    if is_anothers(prompt, user.user_id):
        return refuse_reconnect(page, question, client, "other_account")
    return await ask(page, question, client, user)


async def _count_document(page: Page, client_id: str) -> None:
    if client_id.startswith(DOCUMENT_SCHEME):
        try:
            await page.services.throttle.count_document(find_source(page.request.scope, page.services.settings))
        except OAuthError as error:
            raise UnsafeRequest("document_busy", error=error) from None


def _sign_in(page: Page, prompt: AuthorizationPrompt, visit: Visit) -> Response:
    # Whoever is not signed in may have done so in another tab by the time; whoever is, has to all the same.
    step: Step = "arrived" if page.user is None else "must_sign_in"
    location = render_visit(page, render_location(prompt), visit.at(step))
    return page.redirect(f"/sign-in?continue={page.seal_continue(location)}")


def _select_account(page: Page, prompt: AuthorizationPrompt, visit: Visit, client: ClientRecord) -> Response:
    location = render_location(prompt)
    context = {
        "app_name": client.name,
        "selected_href": render_visit(page, location, visit.at("selected")),
        "sign_out_continue": page.seal_continue(render_visit(page, location, visit.at("arrived"))),
    }
    return page.render("select_account.html", context, form_action=form_action_for(prompt.redirect_uri))


def _is_visit(page: Page) -> bool:
    """Whether a browser goes there, rather than looks ahead or loads a part of another page: what answers without a
    question writes (RFC 9110 §9.2.1 has a GET that does not)."""
    headers = page.request.headers
    is_ahead = page.request.method == "HEAD" or "prefetch" in headers.get("sec-purpose", "")
    return not is_ahead and headers.get("sec-fetch-mode", "navigate") == "navigate"


async def _send_error(page: Page, client: ClientRecord, response: AuthorizationResponse) -> Response:
    # Nobody has clicked yet: for a client that may be anybody's the person is told first where this leads.
    memberships = []
    if page.user is not None and not client.is_published:
        memberships = list(await page.services.store.find_memberships(page.user.user_id))
    return send_back(page, response, stranger=None if is_vouched_for(client, memberships) else client)


async def _read_query(page: Page) -> bytes:
    # OIDC Core §3.1.2.1 has the same request by POST; a cross-site post carries no cookie, so it goes on as a GET.
    if page.request.method != "POST":
        return bytes(page.request.scope["query_string"])
    try:
        return await read_form_body(page.request.scope, page.request.receive)
    except OAuthError as error:
        raise PageRefused("too_large" if error.status == 413 else "unreadable_request") from None


def _refuse_long(page: Page, prompt: AuthorizationPrompt) -> None:
    # Both are carried by pages; refused now, the app's developer learns of it, and nobody has signed in for nothing.
    location = render_visit(page, render_location(prompt), Visit(page.services.clock()))
    if max(len(location), len(encode_prompt(prompt))) > MAX_CARRIED_LENGTH:
        raise OAuthError("invalid_request", "The request is too long: send a shorter state, or push it.")


async def _refuse_unsafe(page: Page, unsafe: UnsafeRequest, parameters: Parameters) -> Response:
    """A page instead of a redirect; what is registered is shown to the app's own people only."""
    keys: dict[str, MessageKey] = {
        "unknown_client": "unknown_client",
        "redirect_uri_mismatch": "redirect_uri_mismatch",
        "redirect_uri_missing": "redirect_uri_missing",
        "repeated_parameter": "repeated_parameter",
        "request_uri_unknown": "page_expired",
        "request_refused": "unreadable_request",
        "document_unusable": "document_unusable",
        "document_busy": "document_busy",
        "app_disabled": "app_disabled",
    }
    details = [detail("error", "invalid_request" if unsafe.error is None else unsafe.error.code)]
    if unsafe.error is not None:
        details.append(detail("error_description", unsafe.error.description))
        log.info("refused", request_id=page.request_id, path=AUTHORIZE, reason=unsafe.error.reason)
    if "client_id" in parameters:
        details.append(detail("client_id", parameters["client_id"][:200]))
    if unsafe.received is not None:
        details.append(detail("redirect_uri", unsafe.received[:2000]))
    details.append(detail("request_id", page.request_id))
    placeholders = {"host": "".join(parameters.get("client_id", "").split("/")[2:3])[:200]}
    if unsafe.client is not None:
        placeholders["app"] = unsafe.client.name
    if unsafe.key == "repeated_parameter":
        placeholders["parameter"] = ", ".join(
            sorted(parameters.repeated & {"client_id", "redirect_uri", "request", "request_uri"})
        )
    difference = None
    if unsafe.client is not None and unsafe.received is not None and page.user is not None:
        memberships = await page.services.store.find_memberships(page.user.user_id)
        if find_editable(unsafe.client, page.user.user_id, memberships):
            difference = find_difference(unsafe.received, unsafe.client.redirect_uris)
    response = page.message(keys[unsafe.key], placeholders, details=details, difference=difference)
    if unsafe.key == "document_busy":
        response.headers["retry-after"] = "60"
    return response


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
