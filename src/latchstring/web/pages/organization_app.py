"""One app as an organization's admin decides about it, asked or not: what it could do, approve, block."""

from starlette.responses import Response

from latchstring.authorization_server.organization_policy import list_all
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import ClientRecord
from latchstring.web.pages.administration import Administration, require_admin
from latchstring.web.pages.consent_words import render_items
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.pages.question import render_app


async def look_up_app(page: Page) -> Response:
    """GET /organizations/{organization_id}/apps: on to the app with the client ID in the address."""
    organization_id = (await require_admin(page)).organization.organization_id
    client = await page.services.clients.find(page.request.query_params.get("client_id", "").strip()[:64])
    if client is None:
        raise PageRefused("unknown_app")
    return page.redirect(f"/organizations/{organization_id}/apps/{client.client_id}")


async def show_app(page: Page) -> Response:
    """GET /organizations/{organization_id}/apps/{client_id}."""
    administration, client = await _find(page)
    services, organization = page.services, administration.organization
    rules = await services.organization_policies.find_rules(organization.organization_id)
    own = [listed.rule for listed in rules if listed.rule.client_id == client.client_id and not listed.rule.user_id]
    left_out = {item for rule in own for item in rule.left_out}
    items = [
        {**item, "field": f"item_{number}", "is_ticked": asked not in left_out}
        for number, asked in enumerate(list_all(client))
        for item in render_items([asked], services.settings)
    ]
    context = {
        "organization": {"id": organization.organization_id, "name": organization.name},
        "client_id": client.client_id,
        "app": await render_app(page, client),
        "items": items,
        "decided": None if not own else "blocked" if own[0].is_blocked else "approved",
        "notice": ("request_empty", organization.name) if "request_empty" in page.request.query_params else None,
    }
    return page.render("organization_app.html", context)


async def decide_app(page: Page) -> Response:
    """POST the same: approve the app for everyone, with what is ticked, or block it."""
    administration, client = await _find(page)
    form = await page.read_form()
    policies, organization_id = page.services.organization_policies, administration.organization.organization_id
    decision = form.get("decision")
    if decision == "block":
        commit = await policies.block(organization_id, client.client_id, origin=page.origin)
    elif decision == "approve":
        chosen = [item for number, item in enumerate(list_all(client)) if f"item_{number}" in form]
        if not chosen:
            return page.redirect(f"/organizations/{organization_id}/apps/{client.client_id}?request_empty")
        commit = await policies.approve_parts(organization_id, client, chosen, origin=page.origin)
    else:
        raise PageRefused("unreadable_request")
    if commit is Commit.LOST:
        raise PageRefused("not_found")
    return page.redirect(f"/organizations/{organization_id}/policy?app_decided")


async def _find(page: Page) -> tuple[Administration, ClientRecord]:
    administration = await require_admin(page)
    client = await page.services.store.find_client(page.request.path_params["client_id"])
    if client is None or client.ended_at is not None:
        raise PageRefused("unknown_app")
    return administration, client
