"""The history: an organization's for its admins, all of it for operators."""

from typing import Annotated, Any, Final

import msgspec

from latchstring.authorization_server.api_scopes import OPERATOR_READ, ORGANIZATION_READ
from latchstring.authorization_server.event_export import describe_event
from latchstring.authorization_server.event_search import find_filter
from latchstring.authorization_server.events import EVENT, Action, ActorKind, EventFilter, SubjectKind
from latchstring.authorization_server.identifiers import parse_identifier, render_identifier
from latchstring.web.api.operation import Call, Export, Listed, Operation, Paged
from latchstring.web.asgi import FieldRefused
from latchstring.web.exports import CSV, JSON_LINES, write_events

_AT: Final = "/organizations/{organization_id}/events"
_OPERATOR: Final = "/operator/events"
_Text = Annotated[str, msgspec.Meta(max_length=320)]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, as the exports have it: who did it, from where, in which request, through which app;
    `before` and `after` say what changed."""

    id: str
    at: int
    action: str
    actor_kind: ActorKind
    actor_id: str | None
    actor_client_id: str | None
    source_address: str | None
    request_id: str | None
    subject_kind: SubjectKind
    subject_id: str
    organization_id: str | None
    client_id: str | None
    user_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class EventSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events: of a kind, about a person by id or email, about an app."""

    action: Action | None = None
    person: _Text = ""
    client_id: _Text = ""


class EventQuery(Paged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, a page at a time."""

    action: Action | None = None
    person: _Text = ""
    client_id: _Text = ""


class AllEventSearch(EventSearch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same of the whole deployment, or of an organization."""

    organization_id: _Text = ""


class AllEventQuery(EventQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, a page at a time."""

    organization_id: _Text = ""


async def list_events(call: Call, asked: EventQuery) -> Listed[Event]:
    """List what has happened in the organization, the latest first."""
    return await _list(call, asked, call.organization_id)


async def export_events_csv(call: Call, asked: EventSearch) -> Export:
    """Export what has happened in the organization as a table (RFC 4180), the oldest first."""
    return await _export_csv(call, asked, call.organization_id)


async def export_events_jsonl(call: Call, asked: EventSearch) -> Export:
    """Export what has happened in the organization as a JSON object a line, the oldest first."""
    return await _export_jsonl(call, asked, call.organization_id)


async def list_all_events(call: Call, asked: AllEventQuery) -> Listed[Event]:
    """List what has happened in the whole deployment, the latest first."""
    return await _list(call, asked, asked.organization_id or None)


async def export_all_events_csv(call: Call, asked: AllEventSearch) -> Export:
    """Export what has happened in the whole deployment as a table (RFC 4180), the oldest first."""
    return await _export_csv(call, asked, asked.organization_id or None)


async def export_all_events_jsonl(call: Call, asked: AllEventSearch) -> Export:
    """Export what has happened in the whole deployment as a JSON object a line, the oldest first."""
    return await _export_jsonl(call, asked, asked.organization_id or None)


async def _list(call: Call, asked: EventQuery, organization_id: str | None) -> Listed[Event]:
    before = parse_identifier(EVENT, asked.after)
    if asked.after and before is None:
        raise FieldRefused("after", "This is no id of an event.")
    wanted = await _find_filter(call, asked, organization_id)
    found = await call.services.store.find_events(wanted, before=before, at_most=asked.limit + 1)
    shown = found[: asked.limit]
    after = render_identifier(EVENT, shown[-1].id) if len(found) > len(shown) else None
    return Listed(items=[Event(**describe_event(record)) for record in shown], next=call.render_next(after))


async def _export_csv(call: Call, asked: EventSearch, organization_id: str | None) -> Export:
    wanted = await _find_filter(call, asked, organization_id)
    return Export("events.csv", write_events(call.services.store, wanted, "csv"))


async def _export_jsonl(call: Call, asked: EventSearch, organization_id: str | None) -> Export:
    wanted = await _find_filter(call, asked, organization_id)
    return Export("events.jsonl", write_events(call.services.store, wanted, "jsonl"))


async def _find_filter(call: Call, asked: EventSearch | EventQuery, organization_id: str | None) -> EventFilter:
    return await find_filter(
        call.services.store,
        organization_id=organization_id,
        action=asked.action,
        person=asked.person,
        client_id=asked.client_id,
    )


OPERATIONS: Final = (
    Operation("GET", _AT, ORGANIZATION_READ, list_events),
    Operation("GET", f"{_AT}.csv", ORGANIZATION_READ, export_events_csv, media_type=CSV),
    Operation("GET", f"{_AT}.jsonl", ORGANIZATION_READ, export_events_jsonl, media_type=JSON_LINES),
    Operation("GET", _OPERATOR, OPERATOR_READ, list_all_events),
    Operation("GET", f"{_OPERATOR}.csv", OPERATOR_READ, export_all_events_csv, media_type=CSV),
    Operation("GET", f"{_OPERATOR}.jsonl", OPERATOR_READ, export_all_events_jsonl, media_type=JSON_LINES),
)
