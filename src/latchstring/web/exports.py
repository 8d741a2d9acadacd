"""Connections and events as files, for pages and API alike: read and written a stretch at a time."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from latchstring.authorization_server.connection_ports import ConnectionFilter
from latchstring.authorization_server.connections import OrganizationConnections
from latchstring.authorization_server.event_export import FIELDS, describe_event
from latchstring.authorization_server.events import EventFilter
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.organization_policy import Risk
from latchstring.authorization_server.ports import EventStore
from latchstring.authorization_server.records import ConnectionRecord

CSV: Final = "text/csv; charset=utf-8"
JSON_LINES: Final = "application/jsonl"
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_EXPORTED_AT_ONCE: Final = 500
_COLUMNS: Final = (
    "connection",
    "app",
    "client_id",
    "member",
    "email",
    "user_id",
    "scope",
    "status",
    "connected_at",
    "last_used_at",
    "last_used_from",
    "expires_at",
    "ended_at",
    "ended_by",
    "reason",
)


async def write_connections(
    connections: OrganizationConnections,
    organization_id: str,
    wanted: ConnectionFilter | None,
    risk: Risk | None,
) -> AsyncIterator[bytes]:
    """Those that the filter finds, as a table; none where it is None."""
    yield render_csv([_COLUMNS])
    if wanted is None:
        return
    async for connection in connections.export(organization_id, wanted, risk=risk):
        yield render_csv([[_render_cell(value) for value in _list_facts(connection)]])


def _list_facts(connection: ConnectionRecord) -> Sequence[object]:
    grant = connection.grant
    return (
        render_identifier(GRANT, grant.id),
        connection.client_name,
        grant.client_id,
        connection.user_name,
        connection.user_email,
        grant.user_id,
        " ".join(grant.scope),
        grant.status,
        _moment(grant.activated_at or grant.created_at),
        _moment(connection.last_used_at),
        connection.used_from or "",
        _moment(grant.expires_at),
        _moment(grant.ended_at),
        grant.ended_by or "",
        grant.ended_reason or grant.suspended_reason or "",
    )


def _moment(at: int | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def write_events(store: EventStore, wanted: EventFilter, kind: Literal["csv", "jsonl"]) -> AsyncIterator[bytes]:
    """The events that the filter finds, the oldest first, as a table or as a JSON object a line."""
    if kind == "csv":
        yield render_csv([FIELDS])
    after = b""
    while found := await store.find_events_after(wanted, after=after, at_most=_EXPORTED_AT_ONCE):
        records = [describe_event(record) for record in found]
        if kind == "csv":
            yield render_csv([[_render_cell(record[name]) for name in FIELDS] for record in records])
        else:
            yield b"".join(msgspec.json.encode(record) + b"\n" for record in records)
        after = found[-1].id


def render_csv(rows: Sequence[Sequence[str]]) -> bytes:
    """Lines of a table (RFC 4180)."""
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()


def _render_cell(value: Any) -> str:
    """A value that no spreadsheet takes for a formula, whatever an app calls itself."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
