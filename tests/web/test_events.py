"""The history of events: an admin reads their organization's, an operator all of it, nobody else any."""

import csv
import io
import json
from functools import partial

from latchstring.authorization_server.event_export import FIELDS
from latchstring.authorization_server.events import COMMAND_LINE, SYSTEM, Action, Event, EventFilter
from latchstring.web.rendering.actions import ACTIONS
from tests.support.forms import find_form, submit
from tests.web.answers import assert_page
from tests.web.conftest import World
from tests.web.state import connect


def history(world: World) -> str:
    return f"/organizations/{world.acorn}/events"


async def make_operator(world: World) -> None:
    await world.deployment.store.set_operator(world.ann, is_operator=True, now=world.deployment.clock.now)


def test_every_action_has_a_sentence() -> None:
    assert set(ACTIONS) == set(Action)
    assert all(len(action) <= 64 and "%" not in action for action in Action)


async def test_history_shows_who_did_what_from_where(world: World) -> None:
    await world.arrive(world.ann)
    await world.http.post("/sign-out")  # forged: without the page's token, so nothing happens
    page = await world.http.get(f"/apps/{world.app.client_id}")
    form = find_form(page, f"/apps/{world.app.client_id}")
    await submit(world.http, page, form, name="Mailloop <script>")
    shown = await world.http.get(history(world))
    assert_page(shown, 200)
    assert "App changed" in shown.text
    assert "ann@example.com" in shown.text
    assert "Mailloop &lt;script&gt;" in shown.text
    assert "<script>" not in shown.text
    (changed,) = await world.deployment.store.find_events(
        EventFilter(action=Action.APP_CHANGED), before=None, at_most=9
    )
    assert changed.event.origin.actor_kind == "user"
    assert changed.event.origin.actor_id == world.ann
    assert changed.event.origin.address == "127.0.0.1"
    assert str(changed.event.origin.request_id) in shown.text


async def test_history_is_for_admins_of_that_organization_alone(world: World) -> None:
    assert (await world.http.get(history(world))).status_code == 303
    await world.arrive(world.ann)
    assert_page(await world.http.get(history(world)), 200)
    assert_page(await world.http.get(f"/organizations/{world.birch}/events"), 404)
    assert_page(await world.http.get("/organizations/orga_nowhere/events"), 404)
    store, now = world.deployment.store, world.deployment.clock.now
    await store.add_membership(user_id=world.ann, organization_id=world.acorn, role="member", now=now)
    assert_page(await world.http.get(history(world)), 404)
    for kind in ("csv", "jsonl"):
        assert (await world.http.get(f"{history(world)}?format={kind}")).status_code == 404


async def test_history_tells_nothing_of_other_organizations(world: World) -> None:
    store, now = world.deployment.store, world.deployment.clock.now
    await store.add_membership(user_id=world.ann, organization_id=world.birch, role="admin", now=now)
    await world.arrive(world.ann)
    for suffix in ("", "?format=jsonl", f"?organization={world.birch}&format=jsonl", f"?organization={world.birch}"):
        shown = await world.http.get(history(world) + suffix)
        assert "membership.changed" not in shown.text or "format" not in suffix
        if "format" in suffix:
            assert {json.loads(line)["organization_id"] for line in shown.text.splitlines()} == {world.acorn}


async def test_operators_history_is_for_operators_alone(world: World) -> None:
    await world.arrive(world.ann)
    assert_page(await world.http.get("/operator/events"), 404)
    assert "History of everything" not in (await world.http.get("/connections")).text
    await make_operator(world)
    shown = await world.http.get("/operator/events")
    assert_page(shown, 200)
    assert "Operator added" in shown.text
    assert "History of everything" in (await world.http.get("/connections")).text
    only = await world.http.get(f"/operator/events?organization={world.birch}&format=jsonl")
    assert {json.loads(line)["organization_id"] for line in only.text.splitlines()} == {world.birch}
    await world.deployment.store.set_operator(world.ann, is_operator=False, now=world.deployment.clock.now)
    assert_page(await world.http.get("/operator/events"), 404)


async def test_history_is_narrowed_by_action_person_and_app(world: World) -> None:
    await make_operator(world)
    await world.arrive(world.ann)

    async def find(**query: str) -> list[dict[str, str]]:
        answer = await world.http.get("/operator/events", params={**query, "format": "jsonl"})
        return [json.loads(line) for line in answer.text.splitlines()]

    assert {event["action"] for event in await find(action="membership.added")} == {"membership.added"}
    assert {event["user_id"] for event in await find(person="Ann@Example.com")} == {world.ann}
    assert {event["user_id"] for event in await find(person=world.ann)} == {world.ann}
    assert {event["client_id"] for event in await find(app=world.app.client_id)} == {world.app.client_id}
    assert await find(person="nobody@example.com") == []
    assert await find(person="a\0b@c", app="' OR 1=1 --") == []
    page = await world.http.get("/operator/events", params={"person": "nobody@example.com"})
    assert "Nothing like that has happened." in page.text


async def test_history_is_paged_by_key(world: World) -> None:
    store, now = world.deployment.store, world.deployment.clock.now
    await world.arrive(world.ann)
    for number in range(60):
        role = "admin" if number % 2 else "member"
        await store.add_membership(user_id=world.ann, organization_id=world.birch, role=role, now=now + number)
    await store.add_membership(user_id=world.ann, organization_id=world.birch, role="admin", now=now + 61)
    first = await world.http.get(f"/organizations/{world.birch}/events")
    assert first.text.count("history-entry") == 50
    older = first.text.split("&amp;before=")[1].split('"')[0]
    second = await world.http.get(f"/organizations/{world.birch}/events?before={older}")
    total = await store.find_events(EventFilter(organization_id=world.birch), before=None, at_most=1000)
    assert second.text.count("history-entry") == len(total) - 50
    assert "before=" not in second.text
    assert_page(await world.http.get(f"/organizations/{world.birch}/events?before=evnt_nonsense"), 200)


async def test_export_has_every_event_and_no_formula(world: World) -> None:
    await world.arrive(world.ann)
    store, now = world.deployment.store, world.deployment.clock.now
    record = world.app.record
    import msgspec

    await store.update_client_details(msgspec.structs.replace(record, name="=cmd|' /C calc'!A1"), now=now)
    answer = await world.http.get(f"{history(world)}?format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="events.csv"'
    assert answer.headers["cache-control"] == "no-store"
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == list(FIELDS)
    lines = (await world.http.get(f"{history(world)}?format=jsonl")).text.splitlines()
    assert len(rows) - 1 == len(lines) > 0
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


async def test_revocation_by_the_app_tells_which_app_in_which_request(world: World) -> None:
    await world.arrive(world.ann)
    tokens = await connect(world)
    answer = await world.http.post("/oauth2/revoke/", data=world.app.body(token=tokens["refresh_token"]))
    assert answer.status_code == 200
    (ended,) = await world.deployment.store.find_events(EventFilter(action=Action.GRANT_ENDED), before=None, at_most=9)
    origin = ended.event.origin
    assert (origin.actor_kind, origin.actor_id) == ("client", world.app.client_id)
    assert origin.request_id == answer.headers["x-request-id"]
    assert ended.event.after == {"reason": "revoked_by_client"}


async def test_every_kind_of_event_and_actor_renders(world: World) -> None:
    """An event of each kind, with names of people and apps that are not there any more."""
    from latchstring.authorization_server.events import Origin
    from latchstring.storage.recording import record_event

    await make_operator(world)
    await world.arrive(world.ann)
    origins = [SYSTEM, COMMAND_LINE, Origin("operator", world.ann, "::1", "req_1"), Origin("client", "oa2client_gone")]
    for number, action in enumerate(Action):
        event = Event(
            action=action, at=world.deployment.clock.now, origin=origins[number % 4], subject_kind="app",
            subject_id="x", client_id="oa2client_gone", user_id="user_gone", organization_id="orga_gone",
            before={"name": "\u202eevil"}, after={"name": None, "list": [1]},
        )  # fmt: skip
        await world.deployment.store._engine.commit(partial(record_event, event))
    shown = await world.http.get("/operator/events")
    assert_page(shown, 200)
