"""The port `ConnectionStore` over an engine."""

from collections.abc import Mapping, Sequence
from typing import Final

from latchstring.authorization_server.connection_ports import (
    AppReach,
    ConnectedApp,
    ConnectionFilter,
    ConnectionStretch,
)
from latchstring.authorization_server.records import ConnectionRecord
from latchstring.storage.engine import Engine, Row, Steps
from latchstring.storage.grant_rows import read_grant
from latchstring.storage.statements import connections

STRETCH: Final = 5000
"""Ids that one look-up goes through at most: what bounds the time of a page, whatever is asked for."""
_MAX_LISTED: Final = 1000
_AFTER_ALL: Final = b"\xff" * 16
_GRANT_COLUMNS: Final = -8


class ConnectionRows:
    """Connections, listed; a part of `SqlStore`."""

    _engine: Engine

    async def find_connections(self, user_id: str, *, now: int) -> Sequence[ConnectionRecord]:
        rows = await self._engine.read_all(connections.FIND_CONNECTIONS, {"user_id": user_id, "now": now})
        return [_read_connection(row) for row in rows]

    async def find_connections_before(
        self, organization_id: str, wanted: ConnectionFilter, *, before: bytes | None, at_most: int, now: int
    ) -> ConnectionStretch:
        find_floor, pages = connections.LISTINGS[wanted.client_id is not None, wanted.user_id is not None]
        place = {
            "organization_id": organization_id,
            "client_id": wanted.client_id,
            "user_id": wanted.user_id,
            "before": before or _AFTER_ALL,
        }
        floor = await self._engine.read(find_floor, {**place, "skipped": STRETCH - 1})
        rows = await self._engine.read_all(
            pages[wanted.has_ended],
            {
                **place,
                "floor": b"" if floor is None else floor[0],
                "unused_since": wanted.unused_since,
                "now": now,
                "at_most": at_most,
            },
        )
        found = [_read_connection(row) for row in rows]
        if len(found) == at_most:
            return ConnectionStretch(found, found[-1].grant.id)
        return ConnectionStretch(found, None if floor is None else bytes(floor[0]))

    async def find_connected_apps(self, organization_id: str) -> Sequence[ConnectedApp]:
        rows = await self._engine.read_all(connections.FIND_CONNECTED_APPS, {"organization_id": organization_id})
        return [ConnectedApp(row[0], row[1]) for row in rows]

    async def find_app_reach(self, client_id: str, *, now: int) -> Sequence[AppReach]:
        counted = {"client_id": client_id, "now": now, "at_most": _MAX_LISTED}
        rows = await self._engine.read_all(connections.COUNT_CONNECTIONS_OF_APP, counted)
        return [AppReach(row[0], row[1], row[2], row[3]) for row in rows]

    async def note_grant_uses(self, uses: Mapping[bytes, tuple[str | None, int]]) -> None:
        """Note when grants were used, and from which address, where that is known."""
        noted = [
            {"grant_id": grant_id, "used_from": address, "used_at": used_at}
            # Sorted, so that two servers lock in the same order.
            for grant_id, (address, used_at) in sorted(uses.items())
        ]

        def note() -> Steps[None]:
            yield connections.NOTE_GRANT_USE, [*noted]

        await self._engine.commit(note)


def _read_connection(row: Row) -> ConnectionRecord:
    public_id, client_name, publisher, organization_name, user_name, user_email, last_used_at, used_from = row[
        _GRANT_COLUMNS:
    ]
    return ConnectionRecord(
        grant=read_grant(row[:_GRANT_COLUMNS]),
        client_public_id=public_id,
        client_name=client_name or "",
        publisher_name=publisher,
        organization_name=organization_name or "",
        user_name=user_name or "",
        user_email=user_email or "",
        last_used_at=last_used_at,
        used_from=used_from,
    )
