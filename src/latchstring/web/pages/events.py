"""The history of what has happened: an organization's for its admins, all of it for operators."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from starlette.responses import Response, StreamingResponse

from latchstring.authorization_server.event_search import find_filter
from latchstring.authorization_server.events import EVENT, Action, Event, EventFilter, EventRecord
from latchstring.authorization_server.identifiers import parse_identifier, render_identifier
from latchstring.web.exports import CSV, JSON_LINES, write_events
from latchstring.web.headers import render_page_headers
from latchstring.web.pages.administration import require_admin
from latchstring.web.pages.page import Page
from latchstring.web.rendering.actions import ACTIONS
from latchstring.web.rendering.messages import Text

PAGE_SIZE: Final = 50


async def show_organization_events(page: Page) -> Response:
    """GET /organizations/{organization_id}/events: `action`, `person`, `app` narrow it; `before` is where an older page
    begins; with `format` it is an export."""
    organization = (await require_admin(page)).organization
    context = {"organization": {"id": organization.organization_id, "name": organization.name}}
    return await _show(
        page, context, f"/organizations/{organization.organization_id}/events", organization.organization_id
    )


async def show_operator_events(page: Page) -> Response:
    """GET /operator/events: the same of the whole deployment; `organization` narrows it."""
    await page.require_operator()
    asked = page.request.query_params.get("organization", "").strip()
    return await _show(page, {"organization": None}, "/operator/events", asked or None)


async def _show(page: Page, context: Mapping[str, object], path: str, organization_id: str | None) -> Response:
    query = page.request.query_params
    asked = {name: query.get(name, "").strip()[:200] for name in ("action", "person", "app", "organization")}
    wanted = await find_filter(
        page.services.store,
        organization_id=organization_id,
        action=Action(asked["action"]) if asked["action"] in set(Action) else None,
        person=asked["person"],
        client_id=asked["app"],
    )
    match query.get("format"):
        case "csv" | "jsonl" as kind:
            return _export(page, wanted, kind)
    before = parse_identifier(EVENT, query.get("before", ""))
    found = await page.services.store.find_events(wanted, before=before, at_most=PAGE_SIZE + 1)
    shown = found[:PAGE_SIZE]
    names = _Names(page)
    return page.render(
        "events.html",
        {
            **context,
            "path": path,
            "filter": asked,
            "is_filtered": any(value for name, value in asked.items() if name != "organization")
            or bool(asked["organization"]),
            "actions": [(action.value, Text(sentence)) for action, sentence in ACTIONS.items()],
            "events": [await _render(record, names) for record in shown],
            "older": render_identifier(EVENT, shown[-1].id) if len(found) > PAGE_SIZE else None,
        },
    )


class _Names:
    """Names of people, apps and organizations, each looked up once for a page."""

    def __init__(self, page: Page) -> None:
        self._store = page.services.store
        self._known: dict[str, str] = {}

    async def find_user(self, user_id: str | None) -> str | None:
        if user_id is None:
            return None
        if user_id not in self._known:
            user = await self._store.find_user(user_id)
            self._known[user_id] = user_id if user is None else user.email
        return self._known[user_id]

    async def find_client(self, client_id: str | None) -> str | None:
        if client_id is None:
            return None
        if client_id not in self._known:
            client = await self._store.find_client(client_id)
            self._known[client_id] = client_id if client is None else client.name
        return self._known[client_id]

    async def find_organization(self, organization_id: str | None) -> str | None:
        if organization_id is None:
            return None
        if organization_id not in self._known:
            organization = await self._store.find_organization(organization_id)
            self._known[organization_id] = organization_id if organization is None else organization.name
        return self._known[organization_id]


async def _render(record: EventRecord, names: _Names) -> dict[str, object]:
    event = record.event
    origin = event.origin
    find_actor = names.find_client if origin.actor_kind == "client" else names.find_user
    return {
        "id": render_identifier(EVENT, record.id),
        "at": event.at,
        "action": event.action.value,
        "sentence": Text(ACTIONS[event.action]),
        "actor_kind": origin.actor_kind,
        "actor": await find_actor(origin.actor_id),
        "through": await names.find_client(origin.client_id),
        "person": await names.find_user(event.user_id),
        "app": await names.find_client(event.client_id),
        "organization": await names.find_organization(event.organization_id),
        "address": origin.address,
        "request_id": origin.request_id,
        "subject": event.subject_id,
        "changes": _render_changes(event),
    }


def _render_changes(event: Event) -> list[tuple[str, str, str]]:
    before, after = event.before or {}, event.after or {}
    return [
        (name, _render_value(before.get(name)), _render_value(after.get(name)))
        for name in dict.fromkeys([*before, *after])
    ]


def _render_value(value: Any) -> str:
    if value is None:
        return "—"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


# -- exports


def _export(page: Page, wanted: EventFilter, kind: Literal["csv", "jsonl"]) -> Response:
    headers = {
        **render_page_headers(page.services.settings),
        "content-disposition": f'attachment; filename="events.{kind}"',
    }
    lines = write_events(page.services.store, wanted, kind)
    return StreamingResponse(lines, media_type=CSV if kind == "csv" else JSON_LINES, headers=headers)
