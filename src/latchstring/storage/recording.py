"""Steps for inside of any other transaction: write down what happened. Undone with it, durable with it."""

import itertools
import os
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from latchstring.authorization_server.events import Action, Event, Facts, Origin
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.webhook_records import CLIENT_TYPES, ORGANIZATION_TYPES
from latchstring.storage.engine import Row, Steps
from latchstring.storage.statements import events, mails, webhooks
from latchstring.storage.statements.statement import Parameters, Statement

_encode = msgspec.json.Encoder().encode
_numbers: Final = itertools.count()


def new_event_id(now: int) -> bytes:
    """16 bytes that sort by time, and within one second in the order in which this process made them."""
    return now.to_bytes(5, "big") + (next(_numbers) & 0xFFFF_FFFF).to_bytes(4, "big") + os.urandom(7)


def first_event_id(at: int) -> bytes:
    """What no event's id of that second or later lies below."""
    return at.to_bytes(5, "big") + bytes(11)


def record_event(event: Event) -> Steps[None]:
    """Keep the event, and a delivery for each webhook that is told of it."""
    row = _write_told(event)
    told = yield events.INSERT_EVENT, row
    if told is not None and told[1] is not None:
        yield webhooks.INSERT_DELIVERIES, row


def record_grant_event(action: Action, row: Row, origin: Origin, now: int, after: Facts | None = None) -> Steps[None]:
    """The event of a grant, of which a statement has returned `GRANT_FACTS`."""
    yield from record_event(grant_event(action, row, origin, now, after))


def grant_event(action: Action, row: Row, origin: Origin, now: int, after: Facts | None = None) -> Event:
    """What `record_grant_event` keeps."""
    grant_id, client_id, user_id, organization_id = row
    return Event(
        action=action,
        at=now,
        origin=origin,
        subject_kind="grant",
        subject_id=render_identifier(GRANT, bytes(grant_id)),
        organization_id=organization_id,
        client_id=client_id,
        user_id=user_id,
        after=after,
    )


def record_events(events_of_many: Sequence[Event]) -> Steps[None]:
    """Keep many events at once, and a delivery of each for each webhook that is told of it."""
    if not events_of_many:
        return
    rows: list[Parameters] = [_write_told(event) for event in events_of_many]
    yield events.INSERT_EVENTS, rows
    if (yield webhooks.FIND_ANY_WEBHOOK, {}) is not None:
        yield webhooks.INSERT_DELIVERIES, rows


def change_each_grant(
    statement: Statement,
    parameters: Parameters,
    action: Action,
    origin: Origin,
    now: int,
    after: Facts | None = None,
) -> Steps[int]:
    """Run a statement that changes one more grant each time and returns its `GRANT_FACTS`, until there is none left;
    each gets its event. How many there were."""
    count = 0
    while (row := (yield statement, parameters)) is not None:
        yield from record_grant_event(action, row, origin, now, after)
        count += 1
    return count


def queue_mail(mail: MailRecord) -> Steps[None]:
    """Keep a mail that tells of what this transaction does; it is sent after its commit, at least once."""
    yield mails.INSERT_MAIL, write_mail(mail)


def write_mail(mail: MailRecord) -> dict[str, Any]:
    """A mail's row."""
    return {
        "id": mail.id,
        "template": mail.template,
        "sealed": mail.sealed,
        "created_at": mail.created_at,
        "due_at": mail.created_at,
        "attempts": 0,
        "last_error": None,
        "failed_at": None,
    }


def _write_told(event: Event) -> dict[str, Any]:
    """The event's row, and for whose webhooks it is."""
    return {
        **write_event(new_event_id(event.at), event),
        "told_client_id": event.client_id if event.action in CLIENT_TYPES else None,
        "told_organization_id": event.organization_id if event.action in ORGANIZATION_TYPES else None,
    }


def write_event(event_id: bytes, event: Event) -> dict[str, Any]:
    """The event's row."""
    return {
        "id": event_id,
        "at": event.at,
        "action": event.action.value,
        "actor_kind": event.origin.actor_kind,
        "actor_id": event.origin.actor_id,
        "source_address": event.origin.address,
        "request_id": event.origin.request_id,
        "subject_kind": event.subject_kind,
        "subject_id": event.subject_id,
        "organization_id": event.organization_id,
        "client_id": event.client_id,
        "user_id": event.user_id,
        "before": _write_json(event.before),
        "after": _write_json(event.after),
        "actor_client_id": event.origin.client_id,
    }


def _write_json(value: Facts | None) -> str | None:
    return None if value is None else _encode(value).decode()
