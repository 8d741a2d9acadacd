"""A member's connections: what can reach their data, and Disconnect."""

from collections.abc import Sequence

from starlette.responses import Response

from latchstring.authorization_server.authorization_details import describe
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.records import ConnectionRecord
from latchstring.authorization_server.refusals import MEMBERSHIP_ENDED
from latchstring.authorization_server.registration import find_document_host
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.scope import OFFLINE_ACCESS
from latchstring.web.pages.consent_words import render_scopes
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.rendering.renderer import initial_for, tint_for


async def show_connections(page: Page) -> Response:
    """GET /connections."""
    user = await page.require_user()
    connections = await page.services.connections.find(user.user_id)
    notice = None
    if disconnected := page.request.query_params.get("disconnected"):
        notice = await _find_notice(page, disconnected, user.user_id)
    context = {"apps": await _mark(page, _group_by_app(connections, page.services.settings)), "notice": notice}
    return page.render("connections.html", context)


async def disconnect(page: Page) -> Response:
    """POST /connections/{grant_id}/disconnect: the grant is dead when this answers."""
    user = await page.require_user()
    await page.read_form()
    grant_identifier: str = page.request.path_params["grant_id"]
    grant = await page.services.connections.end(grant_identifier, user.user_id, origin=page.origin)
    if grant is None:
        raise PageRefused("not_found")
    return page.redirect(f"/connections?disconnected={grant_identifier}")


async def disconnect_app(page: Page) -> Response:
    """POST /connections/apps/{client_id}/disconnect: all of the member's own connections of an app."""
    user = await page.require_user()
    await page.read_form()
    ended = await page.services.connections.end_app(
        page.request.path_params["client_id"], user.user_id, origin=page.origin
    )
    if not ended:
        raise PageRefused("not_found")
    return page.redirect(f"/connections?disconnected={render_identifier(GRANT, ended[0].grant.id)}")


async def _find_notice(page: Page, grant_identifier: str, user_id: str) -> tuple[str, str] | None:
    grant = await page.services.connections.find_ended(grant_identifier, user_id)
    client = None if grant is None else await page.services.store.find_client(grant.client_id)
    return None if client is None else ("disconnected", client.name)


def _group_by_app(connections: Sequence[ConnectionRecord], settings: Settings) -> list[dict[str, object]]:
    by_client: dict[str, list[ConnectionRecord]] = {}
    for connection in connections:
        by_client.setdefault(connection.grant.client_id, []).append(connection)
    return [
        {
            "id": client_id,
            "client_id": client_id,
            "name": of_client[0].client_name,
            "publisher": of_client[0].publisher_name,
            "is_self_registered": of_client[0].client_public_id is not None,
            "host": find_document_host(of_client[0].client_public_id),
            "tint": tint_for(client_id),
            "initial": initial_for(of_client[0].client_name),
            "grants": [render_grant(connection, settings) for connection in of_client],
        }
        for client_id, of_client in by_client.items()
    ]


def render_grant(connection: ConnectionRecord, settings: Settings) -> dict[str, object]:
    """What a page tells of one connection."""
    grant = connection.grant
    return {
        "id": render_identifier(GRANT, grant.id),
        "organization": {
            "name": connection.organization_name,
            "tint": tint_for(grant.organization_id),
            "initial": initial_for(connection.organization_name),
        },
        "details": describe(grant.authorization_details, settings.authorization_details_types),
        "scopes": render_scopes(grant.scope, settings),
        "is_offline": OFFLINE_ACCESS in grant.scope,
        "ends_at": grant.absolute_expires_at,
        "created_at": grant.activated_at or grant.created_at,
        "expires_at": grant.expires_at,
        "last_used_at": connection.last_used_at,
        "used_from": connection.used_from,
        "status": grant.status,
        "held_by": (grant.suspended_reason or MEMBERSHIP_ENDED) if grant.status == "suspended" else None,
    }


async def _mark(page: Page, apps: list[dict[str, object]]) -> list[dict[str, object]]:
    """The apps with the domain that each one's publisher has shown to be its own."""
    for app in apps:
        client = await page.services.store.find_client(str(app["client_id"]))
        owner = None if client is None else client.organization_id
        app["domain"] = await page.services.publishers.find_verified(owner)
    return apps
