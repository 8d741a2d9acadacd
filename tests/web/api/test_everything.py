"""Every operation of the document, once with a good answer that fits its schema, on both engines."""

from typing import Any

from tests.support.deployment import REDIRECT_URI, App
from tests.support.journey import exchange, grant_code
from tests.web.api.conftest import ApiWorld, Caller

FULL = ("all.full_access", "offline_access")


async def connect(api: ApiWorld, app: App, user_id: str) -> None:
    """A connection of that person's to Acorn."""
    world = api.world
    code = await grant_code(world.deployment, app, user_id, world.acorn)
    assert (await exchange(world.http, app, code)).status_code == 200


async def look_after_members(ann: Caller, bob: str) -> None:
    await ann.do("add_member", {"email": "bob@example.com"})
    await ann.do("change_role", {"role": "admin"}, user_id=bob)
    await ann.do("change_role", {"role": "member"}, user_id=bob)
    await ann.do("suspend_member", user_id=bob)
    listed = await ann.do("list_members")
    assert [(each["email"], each["suspended_at"] is not None) for each in listed["items"]] == [
        ("ann@example.com", False),
        ("bob@example.com", True),
    ]
    await ann.do("resume_member", user_id=bob)


async def look_after_connections(api: ApiWorld, ann: Caller, bob: str) -> None:
    for user_id in (api.world.ann, bob, bob):
        await connect(api, api.world.app, user_id)
    await ann.do("end_member", user_id=bob)
    listed = await ann.do("list_connections", query={"person": "bob@example.com"})
    assert [each["status"] for each in listed["items"]] == ["suspended", "suspended"]
    first, second = (each["connection_id"] for each in listed["items"])
    await ann.do("take_over_connection", connection_id=first)
    assert await ann.do("disconnect", {"connection_ids": [second, first, "grant_x"]}) == {"ended": 2}
    apps = await ann.do("list_connected_apps")
    assert [each["name"] for each in apps["items"]] == ["Mailloop", "Reportly"]
    table = await ann.do("export_connections", query={"state": "ended"})
    assert first in table
    await ann.do("disconnect_app", {"client_id": api.world.app.client_id, "block": True})


async def look_after_policy(api: ApiWorld, ann: Caller) -> None:
    client_id = api.world.app.client_id
    await ann.do("save_policy", {"low": "allow", "medium": "listed", "high": "approval"})
    assert await ann.do("show_policy") == {"low": "allow", "medium": "listed", "high": "approval", "is_own": True}
    assert (await ann.do("show_governed_app", client_id=client_id))["decided"] == "blocked"
    await ann.do("approve_app", {}, client_id=client_id)
    [rule] = (await ann.do("list_rules"))["items"]
    assert (rule["is_blocked"], rule["scope"]) == (False, ["all.full_access"])
    await ann.do("block_app", client_id=client_id)
    await ann.do("forget_rule", {}, client_id=client_id)
    machine = await api.world.deployment.app(api.world.birch, name="Syncly")
    await api.world.deployment.services.approvals.approve(
        machine.client_id, api.world.acorn, scope=None, by=api.world.ann
    )
    [approval] = (await ann.do("list_approvals"))["items"]
    assert approval["app_name"] == "Syncly"
    await ann.do("end_approval", client_id=machine.client_id)


async def decide_requests(api: ApiWorld, ann: Caller, bob: str) -> None:
    world = api.world
    await ann.do("add_member", {"email": "bob@example.com"})
    user = await world.deployment.store.find_user(bob)
    assert user is not None
    for name, decision, body in (
        ("Ledgerly", "approve_request", {"word": "Fine."}),
        ("Notesy", "decline_request", {"word": "Not that one."}),
    ):
        app = await world.deployment.app(world.birch, name=name)
        await world.deployment.services.access_requests.ask(
            app.record,
            user,
            world.acorn,
            "Acorn Partners",
            asked=("all.full_access",),
            reason="Letters",
            parked=None,
            pushed_request_id=None,
            origin=_of(bob),
        )
        [waiting] = (await ann.do("list_requests"))["items"]
        assert (waiting["user_email"], waiting["reason"]) == ("bob@example.com", "Letters")
        await ann.do(decision, body, request_id=waiting["request_id"])
    decided = (await ann.do("list_decided_requests"))["items"]
    assert {(each["state"], each["word"]) for each in decided} == {
        ("declined", "Not that one."),
        ("approved", "Fine."),
    }


def _of(user_id: str) -> Any:
    from latchstring.authorization_server.events import Origin

    return Origin("user", user_id, "192.0.2.1", "req_x")


async def show_domains(ann: Caller) -> None:
    claimed = await ann.do("claim_domain", {"domain": "Acorn.Example"})
    assert claimed["record_name"] == "_latchstring.acorn.example"
    assert (await ann.do("check_domain", domain="acorn.example"))["verified_at"] is None
    assert [each["domain"] for each in (await ann.do("list_domains"))["items"]] == ["acorn.example"]
    await ann.do("forget_domain", domain="acorn.example")


async def look_after_webhooks(ann: Caller, of: str, **owner: str) -> None:
    hooks = {"url": "https://hooks.example/in"}
    made = await ann.do(f"create_webhook_of_{of}", hooks, **owner)
    one = {**owner, "webhook_id": made["webhook_id"]}
    assert made["secret"].startswith("whsec_")
    rotated = await ann.do(f"rotate_webhook_secret_of_{of}", **one)
    assert rotated["secret"] != made["secret"]
    await ann.do(f"save_webhook_of_{of}", {**hooks, "event_types": ["grant.ended"]}, **one)
    shown = await ann.do(f"show_webhook_of_{of}", **one)
    assert (shown["event_types"], shown["is_enabled"]) == (["grant.ended"], True)
    await ann.do(f"test_webhook_of_{of}", **one)
    deliveries = (await ann.do(f"list_deliveries_of_{of}", **one))["items"]
    [delivery] = [each for each in deliveries if each["action"] == "webhook.test"]
    await ann.do(f"replay_delivery_of_{of}", {"event_id": delivery["event_id"]}, **one)
    await ann.do(f"replay_deliveries_of_{of}", {"since": 0}, **one)
    await ann.do(f"disable_webhook_of_{of}", **one)
    await ann.do(f"enable_webhook_of_{of}", **one)
    assert [each["webhook_id"] for each in (await ann.do(f"list_webhooks_of_{of}", **owner))["items"]] == [
        made["webhook_id"]
    ]
    await ann.do(f"delete_webhook_of_{of}", **one)


async def develop(ann: Caller) -> str:
    details = {"name": "Plotly", "redirect_uris": [REDIRECT_URI]}
    made = await ann.do("create_app", details)
    client_id: str = made["client_id"]
    second = await ann.do("add_secret", {"name": "next"}, client_id=client_id)
    assert second["client_secret"] != made["client_secret"]
    secrets = (await ann.do("show_app", client_id=client_id))["secrets"]
    assert [each["name"] for each in secrets] == ["", "next"]
    await ann.do("retire_secret", {"in_a_week": True}, client_id=client_id, secret_id=secrets[0]["secret_id"])
    assert (await ann.do("replace_secrets", client_id=client_id))["client_secret"].startswith("ls_cs_")
    await ann.do("save_app", {**details, "description": "Draws"}, client_id=client_id)
    await ann.do("require_pkce", client_id=client_id)
    assert (await ann.do("show_reach", client_id=client_id))["items"] == []
    review = {"wants": "listed", "category": "analytics"}
    await ann.do("ask_review", review, client_id=client_id)
    await ann.do("withdraw_review", client_id=client_id)
    await ann.do("ask_review", review, client_id=client_id)
    assert {each["name"] for each in (await ann.do("list_apps"))["items"]} == {"Mailloop", "Reportly", "Plotly"}
    return client_id


async def operate(api: ApiWorld, ann: Caller, bob: str, client_id: str) -> None:
    [review] = (await ann.do("list_reviews"))["items"]
    assert (review["app_name"], review["wants_listing"]) == ("Plotly", True)
    await ann.do("approve_review", {"seen": review["seen"]}, client_id=client_id)
    await ann.do("unpublish_app", client_id=client_id)
    await ann.do("ask_review", {"wants": "public", "category": "other"}, client_id=client_id)
    [again] = (await ann.do("list_reviews"))["items"]
    await ann.do("decline_review", {"seen": again["seen"], "word": "No."}, client_id=client_id)
    assert [each["word"] for each in (await ann.do("list_decided_reviews"))["items"]] == ["No."]
    await ann.do("delete_app", {"confirmation": "Plotly"}, client_id=client_id)
    of_app = {"client_id": api.world.app.client_id}
    await ann.do("suspend_app", {"reason": "Spam"}, **of_app)
    assert (await ann.do("show_overseen_app", **of_app))["suspended_reason"] == "Spam"
    await ann.do("reinstate_app", **of_app)
    await ann.do("delete_overseen_app", **of_app)
    [found] = (await ann.do("find_users", query={"email": "BOB@example.com"}))["items"]
    assert found["user_id"] == bob
    for change in ("disable_user", "enable_user", "delete_user"):
        await ann.do(change, user_id=bob)
    assert (await ann.do("show_user", user_id=bob))["deleted_at"] is not None
    birch = {"organization_id": api.world.birch}
    await ann.do("close_overseen_organization", **birch)
    assert (await ann.do("show_overseen_organization", **birch))["closed_at"] is not None
    await ann.do("reopen_overseen_organization", **birch)


async def read_history(ann: Caller, of_all: str = "") -> None:
    page = await ann.do(f"list_{of_all}events", query={"limit": 2})
    assert len(page["items"]) == 2
    assert page["next"] is not None
    assert (await ann.do(f"export_{of_all}events_csv")).startswith("id,at,action,")
    assert len((await ann.do(f"export_{of_all}events_jsonl")).splitlines()) > 2


async def test_every_operation_is_answered_and_its_answer_fits_the_document(api_on_either: ApiWorld) -> None:
    api = api_on_either
    bob = await api.world.deployment.user("bob@example.com", "Bob")
    ann = await api.operator()
    assert (await ann.do("show_organization"))["name"] == "Acorn Partners"
    await ann.do("change_organization", {"leaver_grants_end_after": None})
    await look_after_members(ann, bob)
    await look_after_connections(api, ann, bob)
    await look_after_policy(api, ann)
    await decide_requests(api, ann, bob)
    await show_domains(ann)
    await look_after_webhooks(ann, "organization")
    await look_after_webhooks(ann, "app", client_id=api.world.app.client_id)
    client_id = await develop(ann)
    await operate(api, ann, bob, client_id)
    await read_history(ann)
    await read_history(ann, "all_")
    await ann.do("close_organization", {"confirmation": "Acorn Partners"})
    assert (await ann.ask("show_organization")).status_code == 401
    names = {each["operationId"] for methods in api.document["paths"].values() for each in methods.values()}
    assert names - ann.called == set()
