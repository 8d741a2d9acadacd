"""What changes by the API: the same as by a page, written down as the person's, and refused where a page refuses."""

from typing import Any

import httpx
import pytest

from latchstring.authorization_server.events import SYSTEM, EventFilter
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.protocol.errors import StoreUnavailable
from tests.support.forms import find_form
from tests.support.journey import exchange, grant_code, refresh
from tests.web.answers import assert_page, assert_refused
from tests.web.api.conftest import ApiWorld, Caller
from tests.web.state import connect, find_grant, is_active


async def find_last_event(api: ApiWorld) -> Any:
    """The latest event, as it was kept."""
    [record] = await api.world.deployment.store.find_events(EventFilter(), before=None, at_most=1)
    return record.event


def assert_conflict(response: httpx.Response, description: str) -> None:
    assert (response.status_code, response.json()["error"]) == (409, "conflict"), response.text
    assert response.json()["error_description"] == description


async def test_event_has_the_person_the_app_and_the_request(api_on_either: ApiWorld) -> None:
    api = api_on_either
    ann = await api.operator()
    response = await ann.ask("save_policy", {"low": "allow", "medium": "allow", "high": "approval"})
    origin = (await find_last_event(api)).origin
    assert (origin.actor_kind, origin.actor_id, origin.client_id) == ("user", api.world.ann, api.tool.client_id)
    assert origin.request_id == response.headers["x-request-id"]
    await ann.do("suspend_app", {"reason": "Spam"}, client_id=api.world.app.client_id)
    origin = (await find_last_event(api)).origin
    assert (origin.actor_kind, origin.actor_id, origin.client_id) == ("operator", api.world.ann, api.tool.client_id)
    [told] = (await ann.do("list_all_events", query={"limit": 1}))["items"]
    assert (told["actor_client_id"], told["action"]) == (api.tool.client_id, "app.suspended")


async def test_history_page_says_through_which_app_it_was_done(api: ApiWorld) -> None:
    ann = await api.caller()
    await ann.do("save_policy", {"low": "allow", "medium": "allow", "high": "approval"})
    await api.world.arrive(api.world.ann)
    page = await api.world.http.get(f"/organizations/{api.world.acorn}/events")
    assert_page(page, 200)
    assert "By <bdi>ann@example.com</bdi>, through <bdi>Reportly</bdi>" in page.text


async def test_disconnected_by_the_api_is_dead_when_it_answers_and_the_app_is_told_why(api: ApiWorld) -> None:
    world = api.world
    tokens = await connect(world)
    ann = await api.caller()
    name = render_identifier(GRANT, (await find_grant(world, tokens["access_token"])).id)
    assert await ann.do("disconnect", {"connection_ids": [name]}) == {"ended": 1}
    assert not await is_active(world, tokens["access_token"])
    refused = await refresh(world.http, world.app, tokens["refresh_token"])
    assert_refused(refused, 400, "invalid_grant", "revoked: an admin of the organization disconnected the app.")
    assert await ann.do("disconnect", {"connection_ids": [name]}) == {"ended": 0}
    [shown] = (await ann.do("list_connections", query={"state": "ended"}))["items"]
    assert (shown["connection_id"], shown["ended_by"]) == (name, world.ann)


async def test_forged_ids_of_another_organizations_connections_change_nothing(api: ApiWorld) -> None:
    """CVE-2025-64431."""
    world = api.world
    tokens = await connect(world, organization_id=world.birch)
    ann = await api.caller()
    name = render_identifier(GRANT, (await find_grant(world, tokens["access_token"])).id)
    assert await ann.do("disconnect", {"connection_ids": [name]}) == {"ended": 0}
    assert (await ann.ask("take_over_connection", connection_id=name)).status_code == 404
    assert await is_active(world, tokens["access_token"])


async def test_other_organizations_apps_and_webhooks_are_404(api: ApiWorld) -> None:
    world = api.world
    other = await world.deployment.app(world.birch, name="Ledgerly")
    hook, _ = await world.deployment.services.webhooks.create(
        "https://hooks.example/in", ["*"], organization_id=world.birch
    )
    ann = await api.caller()
    for name in ("show_app", "show_reach", "require_pkce", "replace_secrets", "list_webhooks_of_app"):
        assert (await ann.ask(name, client_id=other.client_id)).status_code == 404, name
    for name in ("show_webhook", "test_webhook", "rotate_webhook_secret", "delete_webhook", "list_deliveries"):
        response = await ann.ask(f"{name}_of_organization", webhook_id=hook.endpoint_id)
        assert response.status_code == 404, name
    assert await world.deployment.services.webhooks.find(hook.endpoint_id) is not None


async def test_role_taken_away_by_the_api_is_felt_by_the_next_request(api: ApiWorld) -> None:
    world = api.world
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.acorn, "admin")
    ann, second = await api.caller(), await api.caller(bob)
    assert (await second.ask("list_members")).status_code == 200
    await ann.do("change_role", {"role": "member"}, user_id=bob)
    assert (await second.ask("list_members")).status_code == 403
    await ann.do("change_role", {"role": "admin"}, user_id=bob)
    assert (await second.ask("list_members")).status_code == 200


async def test_last_admin_stays(api: ApiWorld) -> None:
    ann = await api.caller()
    for name, body in (("change_role", {"role": "member"}), ("suspend_member", None), ("end_member", None)):
        response = await ann.ask(name, body, user_id=api.world.ann)
        assert_conflict(response, "This is the last admin: make somebody else an admin first.")
    assert (await ann.ask("list_members")).status_code == 200


async def test_operator_cannot_shut_themselves_out(api: ApiWorld) -> None:
    ann = await api.operator()
    for name in ("disable_user", "delete_user"):
        response = await ann.ask(name, user_id=api.world.ann)
        assert_conflict(response, "An operator's own account is another operator's to change.")


async def test_change_that_stands_already_is_a_conflict(api: ApiWorld) -> None:
    ann = await api.operator()
    stale = "It stands like that already, or cannot any more."
    assert_conflict(await ann.ask("reopen_overseen_organization", organization_id=api.world.birch), stale)
    assert_conflict(await ann.ask("reinstate_app", client_id=api.world.app.client_id), stale)
    bob = await api.world.deployment.user("bob@example.com", "Bob")
    assert_conflict(await ann.ask("enable_user", user_id=bob), stale)
    response = await ann.ask("withdraw_review", client_id=api.world.app.client_id)
    assert_conflict(response, "No review of the app waits.")


async def test_review_is_decided_about_what_was_seen(api: ApiWorld) -> None:
    ann = await api.operator()
    made = await ann.do("create_app", {"name": "Plotly", "redirect_uris": ["https://plotly.example/cb"]})
    of_app = {"client_id": made["client_id"]}
    await ann.do("ask_review", {"wants": "public", "category": "other"}, **of_app)
    [review] = (await ann.do("list_reviews"))["items"]
    await ann.do("save_app", {"name": "Plotly Bank", "redirect_uris": ["https://plotly.example/cb"]}, **of_app)
    response = await ann.ask("approve_review", {"seen": review["seen"]}, **of_app)
    assert_conflict(response, "The review was decided or taken back, or the app has changed since: look again.")
    assert (await ann.do("show_app", **of_app))["state"] == "in_review"


@pytest.mark.parametrize(
    "name, body, field",
    [
        ("create_app", {"name": ""}, "name"),
        ("create_app", {"name": "x", "redirect_uris": ["http://evil.example/"]}, "redirect_uris"),
        ("add_member", {"email": "nobody@example.com"}, "email"),
        ("add_member", {"email": "ann\0@example.com"}, "email"),
        ("add_member", {"email": "ann@example.com", "role": "owner"}, "role"),
        ("claim_domain", {"domain": "localhost"}, "domain"),
        ("create_webhook_of_organization", {"url": "http://hooks.example"}, "url"),
        ("create_webhook_of_organization", {"url": "https://hooks.example", "event_types": ["x"]}, "event_types"),
        ("close_organization", {"confirmation": "Acorn"}, "confirmation"),
        ("disconnect", {"connection_ids": []}, "connection_ids"),
        ("disconnect", {"connection_ids": ["a\0"]}, "connection_ids"),
        ("save_policy", {"low": "allow", "medium": "allow"}, "high"),
        ("change_organization", {"leaver_grants_end_after": -1}, "leaver_grants_end_after"),
    ],
)
async def test_what_does_not_fit_is_400_and_names_the_field(api: ApiWorld, name: str, body: Any, field: str) -> None:
    ann = await api.caller()
    response = await ann.ask(name, body)
    assert (response.status_code, response.json()["error"], response.json()["field"]) == (400, "invalid_request", field)


@pytest.mark.parametrize(
    "name, query, field",
    [
        ("list_members", {"limit": "0"}, "limit"),
        ("list_members", {"limit": "201"}, "limit"),
        ("list_members", {"limit": "ten"}, "limit"),
        ("list_connections", {"after": "grant_x"}, "after"),
        ("list_connections", {"risk": "huge"}, "risk"),
        ("list_events", {"action": "no.such"}, "action"),
        ("list_events", {"after": "x"}, "after"),
        ("list_requests", {"after": "x"}, "after"),
    ],
)
async def test_query_that_does_not_fit_is_400_and_names_the_parameter(
    api: ApiWorld, name: str, query: dict[str, str], field: str
) -> None:
    ann = await api.caller()
    response = await ann.ask(name, None, query)
    assert (response.status_code, response.json()["error"], response.json()["field"]) == (400, "invalid_request", field)


async def walk(ann: Caller, name: str, query: dict[str, str], key: str) -> list[str]:
    """What all pages of a list have, following `next` as it comes."""
    page = await ann.do(name, query=query)
    found = [each[key] for each in page["items"]]
    while page["next"] is not None:
        assert page["next"].startswith("https://auth.example/api/v1/")
        answer = await ann.http.get(page["next"], headers={"authorization": f"Bearer {ann.token}"})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += [each[key] for each in page["items"]]
    return found


async def test_pages_of_lists_have_everything_once(api_on_either: ApiWorld) -> None:
    api = api_on_either
    world = api.world
    people = [await world.deployment.user(f"member{number}@example.com", f"M{number}") for number in range(5)]
    for user_id in people:
        await world.deployment.member(user_id, world.acorn)
        code = await grant_code(world.deployment, world.app, user_id, world.acorn)
        await exchange(world.http, world.app, code)
        world.deployment.clock.advance(1)
    ann = await api.caller()
    members = await walk(ann, "list_members", {"limit": "2"}, "user_id")
    assert sorted(members) == sorted([world.ann, *people])
    connected = await walk(ann, "list_connections", {"limit": "2", "client_id": world.app.client_id}, "user_id")
    assert connected == people[::-1]
    events = await walk(ann, "list_events", {"limit": "3", "action": "membership.added"}, "user_id")
    assert len(events) == len(set(events)) == 6
    hooked = await ann.do("create_webhook_of_organization", {"url": "https://hooks.example/in"})
    one = {"webhook_id": hooked["webhook_id"]}
    for _ in range(3):
        await ann.do("test_webhook_of_organization", **one)
    page = await ann.do("list_deliveries_of_organization", query={"limit": "1"}, **one)
    assert page["next"] is not None


async def test_page_and_api_see_one_policy(api: ApiWorld) -> None:
    world = api.world
    ann = await api.caller()
    await ann.do("save_policy", {"low": "none", "medium": "none", "high": "none"})
    await world.arrive(world.ann)
    path = f"/organizations/{world.acorn}/policy"
    form = find_form(await world.http.get(path), path)
    assert {form.fields.get(risk) or form.checked.get(risk) for risk in ("low", "medium", "high")} == {"none"}
    given = {**form.fields, "low": "allow", "medium": "listed", "high": "approval", "decision": "save"}
    assert (await world.http.post(path, data=given)).status_code == 303
    assert await ann.do("show_policy") == {"low": "allow", "medium": "listed", "high": "approval", "is_own": True}


async def test_secret_made_by_the_api_is_the_apps(api: ApiWorld) -> None:
    ann = await api.caller()
    made = await ann.do("add_secret", {"name": "next"}, client_id=api.world.app.client_id)
    tokens = await connect(api.world)
    body = {"client_id": api.world.app.client_id, "client_secret": made["client_secret"], "token": "x"}
    assert (await api.world.http.post("/oauth2/revoke", data=body)).status_code == 200
    assert await is_active(api.world, tokens["access_token"])
    shown = await ann.do("show_app", client_id=api.world.app.client_id)
    assert made["client_secret"] not in str(shown)


async def test_export_that_breaks_at_the_beginning_is_503(api: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = await api.caller()

    async def fail(*arguments: Any, **options: Any) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(api.world.deployment.store, "find_events_after", fail)
    assert (await ann.ask("export_events_jsonl")).status_code == 503


async def test_cells_of_exports_are_no_formulas(api: ApiWorld) -> None:
    app = await api.world.deployment.app(api.world.birch, name="=cmd()")
    await connect(api.world, app)
    ann = await api.caller()
    table = await ann.do("export_connections", query={"client_id": app.client_id})
    assert ",'=cmd()," in table


async def test_closed_organization_is_nobodys_any_more(api: ApiWorld) -> None:
    ann = await api.caller()
    await api.world.deployment.store.close_organization(api.world.acorn, now=1_800_000_000, origin=SYSTEM)
    assert (await ann.ask("show_organization")).status_code == 401
