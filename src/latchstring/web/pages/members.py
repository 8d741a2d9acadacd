"""An organization and its members, for its admins."""

from collections.abc import Mapping
from typing import Final, cast

from starlette.responses import Response

from latchstring.authorization_server.administration import is_confirmed
from latchstring.authorization_server.life_cycle_ports import MembershipChange
from latchstring.authorization_server.members import Adding, Change
from latchstring.authorization_server.records import OrganizationRecord, Role
from latchstring.web.pages.administration import require_admin
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.rendering.messages import Text, field_error
from latchstring.web.rendering.renderer import initial_for, tint_for

_DAY: Final = 24 * 3600
LEAVER_DAYS: Final = ("", "0", "7", "30", "90")
_PAGE_SIZE: Final = 50
_NOTICE_OF: Final = {
    "admin": "member_changed",
    "member": "member_changed",
    "suspend": "member_suspended",
    "resume": "member_resumed",
    "end": "member_ended",
}
_NOTICES: Final = ("member_added", "member_changed", "member_ended", "member_suspended", "member_resumed", "last_admin")


async def show_members(page: Page) -> Response:
    """GET /organizations/{organization_id}/members."""
    return await _render_members(page)


async def _render_members(page: Page, errors: dict[str, Text] | None = None, email: str = "") -> Response:
    administration = await require_admin(page)
    organization_id = administration.organization.organization_id
    query = page.request.query_params
    members = await page.services.store.find_members(
        organization_id, after=query.get("after", "")[:1000], at_most=_PAGE_SIZE + 1
    )
    shown = members[:_PAGE_SIZE]
    notice = next((kind for kind in _NOTICES if kind in query), None)
    context = {
        "organization": {"id": organization_id, "name": administration.organization.name},
        "members": [
            {
                "id": member.user_id,
                "name": member.name,
                "email": member.email,
                "role": member.role,
                "tint": tint_for(member.user_id),
                "initial": initial_for(member.name),
                "is_suspended": member.suspended_at is not None,
                "is_disabled": member.is_disabled,
                "is_self": member.user_id == administration.user.user_id,
                "joined_at": member.created_at,
            }
            for member in shown
        ],
        "next_after": shown[-1].key if len(members) > _PAGE_SIZE else None,
        "errors": errors or {},
        "email": email,
        "notice": None if notice is None else (notice, ""),
    }
    return page.render("organization_members.html", context, 422 if errors else 200)


async def add_member(page: Page) -> Response:
    """POST /organizations/{organization_id}/members: somebody who has an account already."""
    administration = await require_admin(page)
    form = await page.read_form()
    email = form.get("email", "").strip()
    organization_id = administration.organization.organization_id
    role = _read_role(form.get("role", ""))
    added = await page.services.members.add(organization_id, email, role, origin=page.origin)
    if added is Adding.NO_ACCOUNT:
        return await _render_members(page, {"email": field_error("no_such_account")}, email[:320])
    if added is Adding.NO_ORGANIZATION:
        raise PageRefused("not_found")
    return page.redirect(f"/organizations/{organization_id}/members?member_added")


def _read_role(text: str) -> Role:
    return "admin" if text == "admin" else "member"


async def change_member(page: Page) -> Response:
    """POST /organizations/{organization_id}/members/{user_id}: what `change` says."""
    administration = await require_admin(page)
    form = await page.read_form()
    organization_id = administration.organization.organization_id
    change = form.get("change", "")
    if change not in _NOTICE_OF:
        raise PageRefused("unreadable_request")
    outcome = await page.services.members.change(
        organization_id, page.request.path_params["user_id"], cast(Change, change), origin=page.origin
    )
    notice = _NOTICE_OF[change]
    if outcome is MembershipChange.NO_MEMBER:
        raise PageRefused("not_found")
    if outcome is MembershipChange.LAST_ADMIN:
        notice = "last_admin"
    return page.redirect(f"/organizations/{organization_id}/members?{notice}")


# -- the organization itself


async def show_organization(page: Page) -> Response:
    """GET /organizations/{organization_id}."""
    organization = (await require_admin(page)).organization
    notice = ("saved_organization", organization.name) if "saved" in page.request.query_params else None
    return await _render_organization(page, organization, notice=notice)


async def _render_organization(
    page: Page,
    organization: OrganizationRecord,
    *,
    notice: tuple[str, str] | None = None,
    errors: Mapping[str, Text] | None = None,
) -> Response:
    apps = await page.services.store.find_connected_apps(organization.organization_id)
    after = organization.leaver_grants_end_after
    context = {
        "organization": {
            "id": organization.organization_id,
            "name": organization.name,
            "created_at": organization.created_at,
            "tint": tint_for(organization.organization_id),
            "initial": initial_for(organization.name),
        },
        "app_count": len(apps),
        "leaver_days": "" if after is None else str(after // _DAY),
        "leaver_choices": LEAVER_DAYS,
        "notice": notice,
        "errors": errors or {},
    }
    return page.render("organization.html", context, 422 if errors else 200)


async def save_organization(page: Page) -> Response:
    """POST the same: what becomes of the connections of members who leave."""
    administration = await require_admin(page)
    form = await page.read_form()
    days = form.get("leaver_days", "")
    if days not in LEAVER_DAYS:
        raise PageRefused("unreadable_request")
    organization_id = administration.organization.organization_id
    await page.services.store.set_leaver_policy(
        organization_id,
        end_after=int(days) * _DAY if days else None,
        now=page.services.clock(),
        origin=page.origin,
    )
    return page.redirect(f"/organizations/{organization_id}?saved")


async def close_organization(page: Page) -> Response:
    """POST /organizations/{organization_id}/close: by whoever types its name; the operator can open it again."""
    administration = await require_admin(page)
    form = await page.read_form()
    organization = administration.organization
    if not is_confirmed(form.get("confirmation", ""), organization.name):
        errors = {"confirmation": field_error("name_not_typed", name=organization.name)}
        return await _render_organization(page, organization, errors=errors)
    await page.services.store.close_organization(
        organization.organization_id, now=page.services.clock(), origin=page.origin
    )
    return page.message("organization_closed", {"organization": organization.name})
