"""An event as exports have it: flat, every field each time."""

from typing import Any, Final

from latchstring.authorization_server.events import EVENT, EventRecord
from latchstring.authorization_server.identifiers import render_identifier

FIELDS: Final = (
    "id",
    "at",
    "action",
    "actor_kind",
    "actor_id",
    "source_address",
    "request_id",
    "subject_kind",
    "subject_id",
    "organization_id",
    "client_id",
    "user_id",
    "before",
    "after",
    "actor_client_id",
)


def describe_event(record: EventRecord) -> dict[str, Any]:
    """The fields of an event by name."""
    event = record.event
    return {
        "id": render_identifier(EVENT, record.id),
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
        "before": event.before,
        "after": event.after,
        "actor_client_id": event.origin.client_id,
    }
