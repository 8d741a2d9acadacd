"""An organization's connections, for its admins: find, disconnect, block, take over, export."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response, StreamingResponse

from latchstring.authorization_server.connection_ports import ConnectionFilter
from latchstring.authorization_server.identifiers import GRANT, parse_identifier, render_identifier
from latchstring.authorization_server.organization_policy import RISKS, Risk
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import ConnectionRecord
from latchstring.authorization_server.registration import find_document_host
from latchstring.web.exports import CSV, write_connections
from latchstring.web.headers import render_page_headers
from latchstring.web.pages.administration import Administration, require_admin
from latchstring.web.pages.connections import render_grant
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.rendering.renderer import initial_for, tint_for

UNUSED_DAYS: Final = (30, 90, 180)
_NOTICES: Final = ("connections_ended", "connections_none", "app_disconnected", "app_blocked", "taken_over")


class _Search(msgspec.Struct, frozen=True):
    """What the admin looks for, as it stands in the address."""

    client_id: str
    person: str
    risk: str
    unused: str
    state: str

    @property
    def has_ended(self) -> bool:
        return self.state == "ended"

    def render(self, **more: str) -> str:
        """The address's query."""
        return urlencode({name: value for name, value in {**msgspec.structs.asdict(self), **more}.items() if value})


def _read_search(values: Mapping[str, str]) -> _Search:
    names = ("client_id", "person", "risk", "unused", "state")
    found = {name: values.get(name, "").strip()[:320] for name in names}
    if found["risk"] not in RISKS:
        found["risk"] = ""
    if found["unused"] not in {str(days) for days in UNUSED_DAYS}:
        found["unused"] = ""
    return _Search(**{**found, "state": "ended" if found["state"] == "ended" else ""})


async def _find_filter(page: Page, search: _Search) -> ConnectionFilter | None:
    """What is asked of the store; None where the person is nobody, so that nothing can be theirs."""
    return await page.services.organization_connections.find_filter(
        client_id=search.client_id,
        person=search.person,
        unused_days=int(search.unused) if search.unused else None,
        has_ended=search.has_ended,
    )


def _risk_of(search: _Search) -> Risk | None:
    return cast(Risk, search.risk) if search.risk else None


async def show_organization_connections(page: Page) -> Response:
    """GET /organizations/{organization_id}/connections."""
    administration = await require_admin(page)
    return await _render(page, administration, _read_search(page.request.query_params))


async def _render(page: Page, administration: Administration, search: _Search) -> Response:
    organization_id = administration.organization.organization_id
    services = page.services
    query = page.request.query_params
    before = parse_identifier(GRANT, query.get("before", ""))
    wanted = await _find_filter(page, search)
    connections: Sequence[ConnectionRecord] = ()
    next_before: bytes | None = None
    if wanted is not None:
        found = await services.organization_connections.find(
            organization_id, wanted, risk=_risk_of(search), before=before
        )
        connections, next_before = found.connections, found.next_before
    apps = await services.store.find_connected_apps(organization_id)
    notice = next((kind for kind in _NOTICES if kind in query), None)
    context = {
        "organization": {"id": organization_id, "name": administration.organization.name},
        "search": msgspec.structs.asdict(search),
        "is_searching": any((search.client_id, search.person, search.risk, search.unused)),
        "is_first_page": before is None,
        "apps": [{"id": app.client_id, "name": app.name} for app in apps],
        "app": next((app.name for app in apps if app.client_id == search.client_id), None),
        "unused_days": UNUSED_DAYS,
        "connections": [_render_connection(connection, page) for connection in connections],
        "next_href": None if next_before is None else "?" + search.render(before=render_identifier(GRANT, next_before)),
        "export_href": "/connections.csv?" + search.render(),
        "notice": None if notice is None else (notice, query.get("count", "")[:9]),
    }
    return page.render("organization_connections.html", context)


def _render_connection(connection: ConnectionRecord, page: Page) -> dict[str, Any]:
    grant = connection.grant
    now = page.services.clock()
    has_expired = grant.status != "ended" and grant.expires_at is not None and grant.expires_at <= now
    return {
        **render_grant(connection, page.services.settings),
        "app": {
            "name": connection.client_name or grant.client_id,
            "publisher": connection.publisher_name,
            "is_self_registered": connection.client_public_id is not None,
            "host": find_document_host(connection.client_public_id),
            "tint": tint_for(grant.client_id),
            "initial": initial_for(connection.client_name),
        },
        "member": connection.user_name or grant.user_id,
        "email": connection.user_email,
        "ended_at": grant.expires_at if has_expired else grant.ended_at,
        "reason": "expired" if has_expired else grant.ended_reason,
        "can_take_over": grant.status == "suspended" and grant.suspended_reason == "membership_ended",
    }


# -- changes, each dead when the page answers


async def disconnect_selected(page: Page) -> Response:
    """POST /organizations/{organization_id}/connections/disconnect: those whose boxes are ticked."""
    administration = await require_admin(page)
    form = await page.read_form()
    organization_id = administration.organization.organization_id
    chosen = [name.removeprefix("pick_") for name in form if name.startswith("pick_")]
    if "only" in form:
        chosen = [form["only"]]
    count = await page.services.organization_connections.end(
        organization_id, chosen, by=administration.user.user_id, origin=page.origin
    )
    return _go_back(page, organization_id, form, f"connections_ended&count={count}" if count else "connections_none")


async def disconnect_app(page: Page) -> Response:
    """POST /organizations/{organization_id}/connections/disconnect-app: all of an app's, whoever made them."""
    administration = await require_admin(page)
    form = await page.read_form()
    organization_id = administration.organization.organization_id
    client_id = form.get("client_id", "")
    if not client_id:
        raise PageRefused("not_found")
    await page.services.organization_connections.end_app(organization_id, client_id, origin=page.origin)
    if "block" in form:
        policies = page.services.organization_policies
        if await policies.block(organization_id, client_id, origin=page.origin) is Commit.LOST:
            raise PageRefused("not_found")
        return _go_back(page, organization_id, {}, "app_blocked")
    return _go_back(page, organization_id, {}, "app_disconnected")


async def take_over(page: Page) -> Response:
    """POST /organizations/{organization_id}/connections/take-over: the connection of one who has left acts for the
    admin from now on."""
    administration = await require_admin(page)
    form = await page.read_form()
    organization_id = administration.organization.organization_id
    taken = await page.services.organization_connections.take_over(
        organization_id, form.get("grant_id", ""), administration.user.user_id, origin=page.origin
    )
    if taken is None:
        raise PageRefused("page_expired")
    return _go_back(page, organization_id, form, "taken_over")


def _go_back(page: Page, organization_id: str, form: Mapping[str, str], notice: str) -> Response:
    query = _read_search(form).render()
    return page.redirect(f"/organizations/{organization_id}/connections?{query}{'&' if query else ''}{notice}")


# -- export


async def export_connections(page: Page) -> Response:
    """GET /organizations/{organization_id}/connections.csv: all that the filter finds, as it is read."""
    administration = await require_admin(page)
    search = _read_search(page.request.query_params)
    wanted = await _find_filter(page, search)
    organization_id = administration.organization.organization_id
    headers = {
        **dict(render_page_headers(page.services.settings)),
        "content-disposition": f'attachment; filename="connections-{organization_id}.csv"',
        "cache-control": "no-store",
    }

    lines = write_connections(page.services.organization_connections, organization_id, wanted, _risk_of(search))
    return StreamingResponse(lines, headers=headers, media_type=CSV)
