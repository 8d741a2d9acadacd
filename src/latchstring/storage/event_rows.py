"""The store's reading of the audit log."""

from collections.abc import Sequence
from typing import Final

import msgspec

from latchstring.authorization_server.events import Action, Event, EventFilter, EventRecord, Origin
from latchstring.storage.engine import Engine, Row
from latchstring.storage.statements import events

_AFTER_ALL: Final = b"\xff" * 16


class EventRows:
    """Implements `authorization_server.ports.EventStore` on any engine."""

    _engine: Engine

    async def find_events(self, wanted: EventFilter, *, before: bytes | None, at_most: int) -> Sequence[EventRecord]:
        parameters = {**_write_filter(wanted), "before_id": before or _AFTER_ALL, "at_most": at_most}
        statement = events.FIND_EVENTS[_find_leading(wanted)]
        return [read_event(row) for row in await self._engine.read_all(statement, parameters)]

    async def find_ending_events(self, after: bytes, *, at_most: int) -> Sequence[EventRecord]:
        parameters = {"after_id": after, "at_most": at_most}
        return [read_event(row) for row in await self._engine.read_all(events.FIND_ENDING_EVENTS, parameters)]

    async def find_events_after(self, wanted: EventFilter, *, after: bytes, at_most: int) -> Sequence[EventRecord]:
        parameters = {**_write_filter(wanted), "after_id": after, "at_most": at_most}
        statement = events.FIND_EVENTS_AFTER[_find_leading(wanted)]
        return [read_event(row) for row in await self._engine.read_all(statement, parameters)]


def _find_leading(wanted: EventFilter) -> str | None:
    return next((part for part in events.LEADING if getattr(wanted, part) is not None), None)


def _write_filter(wanted: EventFilter) -> dict[str, str | None]:
    return {
        "of_organization_id": wanted.organization_id,
        "of_client_id": wanted.client_id,
        "of_user_id": wanted.user_id,
        "of_action": None if wanted.action is None else wanted.action.value,
    }


def read_event(row: Row) -> EventRecord:
    """An event from its row."""
    event = Event(
        action=Action(row[2]),
        at=row[1],
        origin=Origin(actor_kind=row[3], actor_id=row[4], address=row[5], request_id=row[6], client_id=row[14]),
        subject_kind=row[7],
        subject_id=row[8],
        organization_id=row[9],
        client_id=row[10],
        user_id=row[11],
        before=None if row[12] is None else msgspec.json.decode(row[12]),
        after=None if row[13] is None else msgspec.json.decode(row[13]),
    )
    return EventRecord(id=bytes(row[0]), event=event)
