"""The operator's page on people, organizations and apps: find one, and pause, end or bring it back."""

from typing import Any

from starlette.responses import Response

from latchstring.authorization_server.ports import Commit
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.rendering.renderer import initial_for, tint_for

_MAX_REASON = 300


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
    operator = await page.require_operator()
    form = await page.read_form()
    user_id: str = page.request.path_params["user_id"]
    if user_id == operator.user_id:
        raise PageRefused("not_yourself")
    store, now = page.services.store, page.services.clock()
    changes = {"disable": store.disable_user, "enable": store.enable_user, "delete": store.delete_user}
    change = changes.get(form.get("change", ""))
    if change is None:
        raise PageRefused("unreadable_request")
    return _finish(page, await change(user_id, now=now, origin=page.origin), user_id)


async def change_organization(page: Page) -> Response:
    """POST /operator/organizations/{organization_id}: close or reopen."""
    await page.require_operator()
    form = await page.read_form()
    organization_id: str = page.request.path_params["organization_id"]
    store, now = page.services.store, page.services.clock()
    changes = {"close": store.close_organization, "reopen": store.reopen_organization}
    change = changes.get(form.get("change", ""))
    if change is None:
        raise PageRefused("unreadable_request")
    return _finish(page, await change(organization_id, now=now, origin=page.origin), organization_id)


async def change_app(page: Page) -> Response:
    """POST /operator/apps/{client_id}: suspend, reinstate or delete."""
    await page.require_operator()
    form = await page.read_form()
    client_id: str = page.request.path_params["client_id"]
    store, now = page.services.store, page.services.clock()
    match form.get("change"):
        case "suspend":
            reason = form.get("reason", "").strip()[:_MAX_REASON]
            commit = await store.suspend_client(client_id, reason=reason, now=now, origin=page.origin)
        case "reinstate":
            commit = await store.reinstate_client(client_id, now=now, origin=page.origin)
        case "delete":
            kept_until = now + page.services.settings.ended_grant_lifetime
            commit = await store.delete_client(client_id, now=now, kept_until=kept_until, origin=page.origin)
        case _:
            raise PageRefused("unreadable_request")
    return _finish(page, commit, client_id)


def _finish(page: Page, commit: Commit, subject_id: str) -> Response:
    if commit is Commit.LOST:
        raise PageRefused("page_expired")
    return page.redirect(f"/operator?q={subject_id}&done")
