"""A member's request to their admins: where it stands, and how the app's authorization goes on."""

from starlette.responses import Response

from latchstring.authorization_server.access_request_ports import AccessRequestRecord, AccessRequestState
from latchstring.authorization_server.access_requests import Parked
from latchstring.authorization_server.authorization_endpoint import RedirectTarget, UnsafeRequest, find_target
from latchstring.authorization_server.authorization_endpoint import render_error as render_authorization_error
from latchstring.authorization_server.identifiers import ACCESS_REQUEST, render_identifier
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import ClientRecord, UserRecord
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import parse_parameters
from latchstring.protocol.redirect_uri import redirect_host
from latchstring.web.headers import form_action_for
from latchstring.web.pages import authorize
from latchstring.web.pages.consent_words import render_items
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.pages.question import render_app
from latchstring.web.pages.send_back import send_back


async def show_access_request(page: Page) -> Response:
    """GET /access-requests/{request_id}: waiting, approved, declined or over; the address from the mail."""
    request, user = await _find(page, page.request.path_params["request_id"])
    services = page.services
    client = await services.store.find_client(request.client_id)
    organization = await services.store.find_organization(request.organization_id)
    membership = await services.store.find_membership(user.user_id, request.organization_id)
    if client is None or client.ended_at is not None or organization is None:
        return page.message("access_request_over")
    parked = services.access_requests.open_parked(request)
    is_over = request.state in {"waiting", "approved"} and not request.is_open(services.clock())
    is_member = membership is not None and membership.ended_at is None
    target = None if parked is None else await _find_parked_target(page, parked)
    context = {
        "id": render_identifier(ACCESS_REQUEST, request.id),
        "state": "lapsed" if is_over or not is_member else request.state,
        "app": await render_app(page, client),
        "organization": organization.name,
        "items": render_items(request.asked, services.settings),
        "granted": render_items(request.granted, services.settings),
        "word": request.word,
        "can_go_on": target is not None,
        "app_host": _find_start(client),
        "created_at": request.created_at,
        "decided_at": request.decided_at,
    }
    form_action = "'self'" if target is None else form_action_for(target.redirect_uri)
    return page.render("access_request.html", context, form_action=form_action)


async def go_on(page: Page) -> Response:
    """GET /access-requests/continue: the parked authorization, once an admin has approved it."""
    request, _ = await _find(page, page.request.query_params.get("request", ""))
    parked = page.services.access_requests.open_parked(request) if request.state == "approved" else None
    if parked is None:
        return page.redirect(f"/access-requests/{render_identifier(ACCESS_REQUEST, request.id)}")
    return await authorize.go_on(page, request, parked)


async def go_back(page: Page) -> Response:
    """POST /access-requests/{request_id}/return: back to the app with `access_denied`, which says how it stands. The
    request waits on; once approved, the member begins at the app."""
    await page.read_form()
    request, _ = await _find(page, page.request.path_params["request_id"])
    services = page.services
    parked = services.access_requests.open_parked(request)
    target = None if parked is None else await _find_parked_target(page, parked)
    if target is None or await services.access_requests.end_parking(request) is Commit.LOST:
        raise PageRefused("page_expired")
    return send_back(page, render_authorization_error(target, _refuse_for(request.state), services.settings.issuer))


def _refuse_for(state: AccessRequestState) -> OAuthError:
    if state == "waiting":
        return OAuthError("access_denied", "The member has asked an admin of the organization for approval: pending.")
    if state == "declined":
        return OAuthError("access_denied", "An admin of the organization has declined the app.")
    return OAuthError("access_denied", "The member declined.")


async def _find(page: Page, identifier: str) -> tuple[AccessRequestRecord, UserRecord]:
    user = await page.require_user()
    request = await page.services.access_requests.find_own(identifier, user.user_id)
    if request is None:
        raise PageRefused("access_request_over")
    return request, user


async def _find_parked_target(page: Page, parked: Parked) -> RedirectTarget | None:
    """The way back to the app, if it is still one."""
    try:
        _, _, target = await find_target(parse_parameters(parked.query.encode()), page.services.clients)
    except UnsafeRequest:
        return None
    return target


def _find_start(client: ClientRecord) -> str:
    """Where the member begins again: the host that the app is known by to them."""
    uri = next((uri for uri in client.redirect_uris if uri.startswith("https://")), "")
    return redirect_host(uri) if uri else ""
