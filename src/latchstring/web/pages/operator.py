"""The operator's page on people, organizations and apps: find one, and pause, end or bring it back."""

from typing import Any, cast, get_args

from starlette.responses import Response

from latchstring.authorization_server.oversight import AppChange, OrganizationChange, Overseen, UserChange
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.rendering.renderer import initial_for, tint_for


async def show_operator(page: Page) -> Response:
    """GET /operator: what `q` names by its id, a user by email too."""
    await page.require_operator()
    query = page.request.query_params.get("q", "").strip()[:320]
    context: dict[str, Any] = {"query": query, "user_found": None, "organization_found": None, "app_found": None}
    if query and "\0" not in query:
        context |= await _find(page, query)
    context["notice"] = ("operator_done", "") if "done" in page.request.query_params else None
    return page.render("operator.html", context)


async def _find(page: Page, query: str) -> dict[str, Any]:
    store = page.services.store
    if "@" in query or query.startswith("user_"):
        user = await (store.find_user_by_email(query) if "@" in query else store.find_user(query))
        if user is None:
            return {}
        memberships = await store.find_memberships(user.user_id)
        return {
            "user_found": {
                "id": user.user_id,
                "name": user.name or user.user_id,
                "email": user.email,
                "is_disabled": user.disabled_at is not None,
                "is_deleted": user.deleted_at is not None,
                "tint": tint_for(user.user_id),
                "initial": initial_for(user.name),
                "organizations": [membership.organization_name for membership in memberships],
                "created_at": user.created_at,
            }
        }
    if query.startswith("orga_"):
        organization = await store.find_organization(query)
        if organization is None:
            return {}
        return {
            "organization_found": {
                "id": organization.organization_id,
                "name": organization.name,
                "is_closed": organization.closed_at is not None,
                "tint": tint_for(organization.organization_id),
                "initial": initial_for(organization.name),
                "created_at": organization.created_at,
            }
        }
    client = await store.find_client(query)
    if client is None or client.ended_at is not None:
        return {}
    reach = await store.find_app_reach(client.client_id, now=page.services.clock())
    return {
        "app_found": {
            "id": client.client_id,
            "name": client.name,
            "is_suspended": client.suspended_at is not None,
            "reason": client.suspended_reason or "",
            "is_owner_closed": client.owner_closed_at is not None,
            "tint": tint_for(client.client_id),
            "initial": initial_for(client.name),
            "organization_count": len(reach),
            "connection_count": sum(each.count for each in reach),
            "created_at": client.created_at,
        }
    }


async def change_user(page: Page) -> Response:
    """POST /operator/users/{user_id}: what `change` says."""
    await page.require_operator()
    form = await page.read_form()
    user_id: str = page.request.path_params["user_id"]
    change = form.get("change", "")
    if change not in get_args(UserChange):
        raise PageRefused("unreadable_request")
    outcome = await page.services.oversight.change_user(user_id, cast(UserChange, change), origin=page.origin)
    return _finish(page, outcome, user_id)


async def change_organization(page: Page) -> Response:
    """POST /operator/organizations/{organization_id}: close or reopen."""
    await page.require_operator()
    form = await page.read_form()
    organization_id: str = page.request.path_params["organization_id"]
    change = form.get("change", "")
    if change not in get_args(OrganizationChange):
        raise PageRefused("unreadable_request")
    outcome = await page.services.oversight.change_organization(
        organization_id, cast(OrganizationChange, change), origin=page.origin
    )
    return _finish(page, outcome, organization_id)


async def change_app(page: Page) -> Response:
    """POST /operator/apps/{client_id}: suspend, reinstate or delete."""
    await page.require_operator()
    form = await page.read_form()
    client_id: str = page.request.path_params["client_id"]
    change = form.get("change", "")
    if change not in get_args(AppChange):
        raise PageRefused("unreadable_request")
    outcome = await page.services.oversight.change_app(
        client_id, cast(AppChange, change), reason=form.get("reason", ""), origin=page.origin
    )
    return _finish(page, outcome, client_id)


def _finish(page: Page, outcome: Overseen, subject_id: str) -> Response:
    if outcome is Overseen.YOURSELF:
        raise PageRefused("not_yourself")
    if outcome is Overseen.STALE:
        raise PageRefused("page_expired")
    return page.redirect(f"/operator?q={subject_id}&done")
