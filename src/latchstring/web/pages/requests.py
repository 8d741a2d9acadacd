"""The queue of an organization's admins: who asks for which app and why, and what an approval would let it do."""

from typing import Final

from starlette.responses import Response

from latchstring.authorization_server.access_request_ports import ListedRequest
from latchstring.authorization_server.access_requests import MAX_WORD_LENGTH
from latchstring.authorization_server.identifiers import ACCESS_REQUEST, render_identifier
from latchstring.authorization_server.organization_policy import RISKS
from latchstring.authorization_server.ports import Commit
from latchstring.web.pages.administration import require_admin
from latchstring.web.pages.consent_words import render_items
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.pages.question import render_app

_AT_ONCE: Final = 25
_DECIDED_SHOWN: Final = 20
_NOTICES: Final = ("request_approved", "request_declined", "request_gone", "request_empty")


async def show_requests(page: Page) -> Response:
    """GET /organizations/{organization_id}/requests."""
    organization = (await require_admin(page)).organization
    services, after = page.services, page.request.query_params.get("after", "")
    waiting = await services.access_requests.find_waiting(
        organization.organization_id, after=after, at_most=_AT_ONCE + 1
    )
    decided = (
        []
        if after
        else await services.access_requests.find_decided(organization.organization_id, at_most=_DECIDED_SHOWN)
    )
    notice = next((kind for kind in _NOTICES if kind in page.request.query_params), None)
    shown = waiting[:_AT_ONCE]
    context = {
        "organization": {"id": organization.organization_id, "name": organization.name},
        "requests": [each for each in [await _render(page, listed) for listed in shown] if each["app"] is not None],
        "decided": [await _render(page, listed) for listed in decided],
        "next": render_identifier(ACCESS_REQUEST, shown[-1].request.id) if len(waiting) > len(shown) else None,
        "max_word_length": MAX_WORD_LENGTH,
        "notice": None if notice is None else (notice, organization.name),
    }
    return page.render("organization_requests.html", context)


async def decide_request(page: Page) -> Response:
    """POST /organizations/{organization_id}/requests/{request_id}: approve it, for the member or for everyone, with
    what was left ticked; or decline it, with a word."""
    organization = (await require_admin(page)).organization
    form = await page.read_form()
    services = page.services
    identifier: str = page.request.path_params["request_id"]
    request = await services.access_requests.find_in(organization.organization_id, identifier)
    client = None if request is None else await services.store.find_client(request.client_id)
    if request is None or client is None:
        raise PageRefused("not_found")
    decision = form.get("decision")
    if decision not in {"approve", "approve_everyone", "decline"}:
        raise PageRefused("unreadable_request")
    ticked = tuple(item for number, item in enumerate(request.asked) if f"item_{number}" in form)
    granted = None if decision == "decline" else ticked
    pages = f"/organizations/{organization.organization_id}/requests"
    if granted is not None and not granted:
        return page.redirect(f"{pages}?request_empty")
    commit = await services.access_requests.decide(
        request,
        client.name,
        organization.name,
        granted=granted,
        is_for_everyone=decision == "approve_everyone",
        word=form.get("word", ""),
        origin=page.origin,
    )
    outcome = "request_gone" if commit is Commit.LOST else "request_declined" if granted is None else "request_approved"
    return page.redirect(f"{pages}?{outcome}")


async def _render(page: Page, listed: ListedRequest) -> dict[str, object]:
    request, settings = listed.request, page.services.settings
    client = await page.services.store.find_client(request.client_id)
    items = [
        {**item, "field": f"item_{number}"}
        for number, asked in enumerate(request.asked)
        for item in render_items([asked], settings)
    ]
    risks = [item["risk"] for item in items]
    return {
        "id": render_identifier(ACCESS_REQUEST, request.id),
        "state": request.state,
        "app": None if client is None else await render_app(page, client),
        "user_name": listed.user_name,
        "user_email": listed.user_email,
        "reason": request.reason,
        "risk": next((risk for risk in reversed(RISKS) if risk in risks), "low"),
        "items": items,
        "granted": render_items(request.granted, settings),
        "word": request.word,
        "created_at": request.created_at,
        "decided_at": request.decided_at,
    }
