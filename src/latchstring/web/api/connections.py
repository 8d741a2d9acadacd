"""An organization's connections: find, export, disconnect, take over."""

from typing import Annotated, Any, Final, Literal

import msgspec

from latchstring.authorization_server.api_scopes import ORGANIZATION_MANAGE, ORGANIZATION_READ
from latchstring.authorization_server.connection_ports import ConnectionFilter
from latchstring.authorization_server.identifiers import GRANT, parse_identifier, render_identifier
from latchstring.authorization_server.organization_policy import Risk
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import ConnectionRecord
from latchstring.protocol.authorization_details import read_authorization_details
from latchstring.web.api.operation import (
    Call,
    Export,
    Listed,
    Nothing,
    Operation,
    Paged,
    refuse_unknown,
)
from latchstring.web.asgi import FieldRefused
from latchstring.web.exports import CSV, write_connections

_AT: Final = "/organizations/{organization_id}/connections"
_MAX_AT_ONCE: Final = 200


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """What an app may do for a member in the organization. `last_used_at` is to the hour or so. `reason` is why it has
    ended or is paused."""

    connection_id: str
    client_id: str
    app_name: str
    publisher: str | None
    user_id: str
    user_name: str
    user_email: str
    scope: list[str]
    authorization_details: list[dict[str, Any]]
    status: Literal["active", "suspended", "ended", "expired"]
    connected_at: int
    last_used_at: int | None
    last_used_from: str | None
    expires_at: int | None
    ended_at: int | None
    ended_by: str | None
    reason: str | None


class ConnectionSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which connections: of an app, of a member by email, those that reach something of a risk, those that nobody has
    used for so many days, those that have ended."""

    client_id: str = ""
    person: Annotated[str, msgspec.Meta(max_length=320)] = ""
    risk: Risk | None = None
    unused_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = None
    state: Literal["live", "ended"] = "live"


class ConnectionQuery(Paged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, a page at a time."""

    client_id: str = ""
    person: Annotated[str, msgspec.Meta(max_length=320)] = ""
    risk: Risk | None = None
    unused_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = None
    state: Literal["live", "ended"] = "live"


class ConnectedApp(msgspec.Struct, frozen=True, kw_only=True):
    """An app that has, or lately had, a connection to the organization."""

    client_id: str
    name: str


class Chosen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Connections by id."""

    connection_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=_MAX_AT_ONCE)]


class Disconnected(msgspec.Struct, frozen=True, kw_only=True):
    """How many of them there were to end."""

    ended: int


class AppToDisconnect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An app, and whether nobody may connect it again."""

    client_id: Annotated[str, msgspec.Meta(min_length=1)]
    block: bool = False


async def list_connections(call: Call, asked: ConnectionQuery) -> Listed[Connection]:
    """List every member's connections, the newest first. A page may hold fewer than asked for and still have a
    next."""
    before = parse_identifier(GRANT, asked.after)
    if asked.after and before is None:
        raise FieldRefused("after", "This is no id of a connection.")
    wanted = await _find_filter(call, asked)
    if wanted is None:
        return Listed(items=[])
    found = await call.services.organization_connections.find(
        call.organization_id, wanted, risk=asked.risk, before=before, page_size=asked.limit
    )
    return Listed(
        items=[_describe(connection, call.services.clock()) for connection in found.connections],
        next=call.render_next(None if found.next_before is None else render_identifier(GRANT, found.next_before)),
    )


async def export_connections(call: Call, asked: ConnectionSearch) -> Export:
    """Export the connections as a table (RFC 4180)."""
    wanted = await _find_filter(call, asked)
    parts = write_connections(call.services.organization_connections, call.organization_id, wanted, asked.risk)
    return Export(f"connections-{call.organization_id}.csv", parts)


async def list_connected_apps(call: Call, asked: Nothing) -> Listed[ConnectedApp]:
    """List the apps that have a connection, live or ended, by name."""
    found = await call.services.store.find_connected_apps(call.organization_id)
    return Listed(items=[ConnectedApp(client_id=app.client_id, name=app.name) for app in found])


async def disconnect(call: Call, asked: Chosen) -> Disconnected:
    """Disconnect those connections. They are dead when this answers."""
    count = await call.services.organization_connections.end(
        call.organization_id, asked.connection_ids, by=call.user.user_id, origin=call.origin
    )
    return Disconnected(ended=count)


async def disconnect_app(call: Call, asked: AppToDisconnect) -> None:
    """Disconnect all that an app has, whoever connected it, and block it if wanted."""
    await call.services.organization_connections.end_app(call.organization_id, asked.client_id, origin=call.origin)
    if asked.block:
        policies = call.services.organization_policies
        if await policies.block(call.organization_id, asked.client_id, origin=call.origin) is Commit.LOST:
            raise refuse_unknown("organization")


async def take_over_connection(call: Call, asked: Nothing) -> None:
    """Take over the connection of a member who has left. It acts for whoever calls from now on."""
    taken = await call.services.organization_connections.take_over(
        call.organization_id, call.path["connection_id"], call.user.user_id, origin=call.origin
    )
    if taken is None:
        raise refuse_unknown("connection that waits for a member who has left")


async def _find_filter(call: Call, asked: ConnectionSearch | ConnectionQuery) -> ConnectionFilter | None:
    return await call.services.organization_connections.find_filter(
        client_id=asked.client_id,
        person=asked.person,
        unused_days=asked.unused_days,
        has_ended=asked.state == "ended",
    )


def _describe(connection: ConnectionRecord, now: int) -> Connection:
    grant = connection.grant
    assert grant.status != "pending"
    has_expired = grant.status != "ended" and grant.expires_at is not None and grant.expires_at <= now
    return Connection(
        connection_id=render_identifier(GRANT, grant.id),
        client_id=grant.client_id,
        app_name=connection.client_name,
        publisher=connection.publisher_name,
        user_id=grant.user_id,
        user_name=connection.user_name,
        user_email=connection.user_email,
        scope=list(grant.scope),
        authorization_details=read_authorization_details(grant.authorization_details) or [],
        status="expired" if has_expired else grant.status,
        connected_at=grant.activated_at or grant.created_at,
        last_used_at=connection.last_used_at,
        last_used_from=connection.used_from,
        expires_at=grant.expires_at,
        ended_at=grant.ended_at,
        ended_by=grant.ended_by,
        reason=grant.ended_reason or grant.suspended_reason,
    )


OPERATIONS: Final = (
    Operation("GET", _AT, ORGANIZATION_READ, list_connections),
    Operation("GET", f"{_AT}.csv", ORGANIZATION_READ, export_connections, media_type=CSV),
    Operation("GET", "/organizations/{organization_id}/connected-apps", ORGANIZATION_READ, list_connected_apps),
    Operation("POST", f"{_AT}/disconnect", ORGANIZATION_MANAGE, disconnect),
    Operation("POST", f"{_AT}/disconnect-app", ORGANIZATION_MANAGE, disconnect_app),
    Operation("POST", f"{_AT}/{{connection_id}}/take-over", ORGANIZATION_MANAGE, take_over_connection),
)
