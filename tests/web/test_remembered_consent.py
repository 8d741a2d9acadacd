"""A consent that is remembered answers without a page, and only that which was agreed to (A23, O1, ADR 0020)."""

from typing import Any

import httpx
import msgspec
import pytest

from latchstring.authorization_server.events import COMMAND_LINE, Action, EventFilter
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.organization_policy import OrganizationPolicy
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.settings import ScopeDefinition
from tests.support.deployment import REDIRECT_URI, App
from tests.support.forms import find_form, submit
from tests.support.journey import answer_of, decide, exchange, open_consent
from tests.web.answers import assert_page, assert_sent_back
from tests.web.conftest import World
from tests.web.state import CHALLENGE, dump, find_grant, find_grants, is_active
from tests.web.test_interaction import ask, is_consent

PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}


async def allow(world: World, organization_id: str | None = None, app: App | None = None, **parameters: str) -> Any:
    """Ann answers the page, and the code is redeemed."""
    app = app or world.app
    await world.arrive(world.ann)
    page = await open_consent(world.http, app, **parameters)
    assert_page(page, 200)
    code = answer_of(await decide(world.http, page, "allow", organization_id or world.acorn))["code"]
    return (await exchange(world.http, app, code)).json()


async def test_same_request_again_is_answered_without_a_page(world: World) -> None:
    await allow(world)
    world.deployment.clock.advance(100)
    response = await ask(world, organization_id=world.acorn, state="again")
    answer = answer_of(response)
    assert (answer["state"], answer["iss"]) == ("again", "https://auth.example")
    grant = await find_grant(world, answer["code"])
    assert (grant.status, grant.user_id, grant.organization_id) == ("pending", world.ann, world.acorn)
    assert (grant.scope, grant.created_at) == (world.app.record.scope, world.deployment.clock.now)
    assert (await exchange(world.http, world.app, answer["code"])).status_code == 200
    assert [kept.status for kept in await find_grants(world)] == ["active", "active"], "the first grant goes on"


async def test_answer_from_memory_is_written_down_like_any_other(world: World) -> None:
    """By whom, when they had signed in, and with a receipt that says that nobody was asked."""
    await allow(world)
    signed_in = world.deployment.clock.now
    world.deployment.clock.advance(100)
    code = answer_of(await ask(world, organization_id=world.acorn))["code"]
    grant = await find_grant(world, code)
    assert grant.authenticated_at == signed_in
    assert (await exchange(world.http, world.app, code)).status_code == 200
    wanted = EventFilter(action=Action.GRANT_CREATED)
    told = (await world.deployment.store.find_events(wanted, before=None, at_most=9))[0]
    assert told.event.subject_id == render_identifier(GRANT, grant.id)
    assert (told.event.origin.actor_kind, told.event.origin.actor_id) == ("user", world.ann)
    assert told.event.after is not None
    assert told.event.after["is_remembered"] is True
    receipt = await world.http.get(f"/connections/{told.event.subject_id}/receipt")
    assert_page(receipt, 200)
    assert "app.example" in receipt.text


async def test_answer_from_memory_leaves_out_what_admins_have_left_out_since(make_world: Any) -> None:
    scopes = {name: ScopeDefinition(title=name, risk="low") for name in ("contacts.read", "mail.send")}
    world = await make_world(scopes=scopes, organization_policy=OrganizationPolicy(low="approval", high="none"))
    app = await world.deployment.app(world.acorn, scope=(*scopes, "offline_access"))
    policies = world.deployment.services.organization_policies
    approved = {"scope": (*scopes, "offline_access"), "origin": COMMAND_LINE}
    assert await policies.approve(world.acorn, app.client_id, **approved) is Commit.APPLIED
    await allow(world, app=app)
    query = {"client_id": app.client_id, "response_type": "code", "organization_id": world.acorn}
    whole = await find_grant(world, answer_of(await world.http.get("/oauth2/authorize/", params=query))["code"])
    assert set(whole.scope) == {*scopes, "offline_access"}
    without = {"scope": ("contacts.read", "offline_access"), "left_out": ("mail.send",), "origin": COMMAND_LINE}
    assert await policies.approve(world.acorn, app.client_id, **without) is Commit.APPLIED
    less = await find_grant(world, answer_of(await world.http.get("/oauth2/authorize/", params=query))["code"])
    assert less.scope == ("contacts.read", "offline_access")


@pytest.mark.parametrize("meanwhile", ["consent taken back", "role lowered"])
async def test_answer_from_memory_holds_in_the_very_write(
    make_world: Any, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """What ended between the look and the write: the member is asked instead."""
    scopes = {"members.delete": ScopeDefinition(title="Remove members", roles=("admin",), risk="low")}
    world = await make_world(scopes=scopes)
    app = await world.deployment.app(world.acorn, scope=(*scopes, "offline_access"))
    tokens = await allow(world, app=app)
    first = await find_grant(world, tokens["refresh_token"])
    store = world.deployment.store
    commit = store.commit_consent

    async def change_and_commit(*arguments: Any, **given: Any) -> Any:
        if meanwhile == "role lowered":
            await world.deployment.member(world.ann, world.acorn, "member")
        else:
            await store.disconnect(first, by=world.ann, reason="disconnected", now=world.deployment.clock.now)
        return await commit(*arguments, **given)

    monkeypatch.setattr(store, "commit_consent", change_and_commit)
    query = {"client_id": app.client_id, "response_type": "code", "organization_id": world.acorn}
    page = await world.http.get("/oauth2/authorize/", params=query)
    assert "location" not in page.headers
    assert [grant.id for grant in await find_grants(world)] == [first.id]


async def test_member_of_several_without_a_hint_always_chooses(world: World) -> None:
    """No silent choice, though both are remembered."""
    await allow(world)
    await allow(world, world.birch)
    page = await ask(world)
    assert is_consent(page)
    assert find_form(page, "/consent").checked == {}
    assert_sent_back(await ask(world, prompt="none"), REDIRECT_URI, "consent_required")


async def test_member_of_one_organization_needs_no_hint(world: World) -> None:
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch)
    await world.arrive(bob)
    page = await open_consent(world.http, world.app)
    answer_of(await decide(world.http, page, "allow"))
    grant = await find_grant(world, answer_of(await ask(world, prompt="none"))["code"])
    assert (grant.user_id, grant.organization_id) == (bob, world.birch)


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": "consent"},
        {"organization_id": "${birch}"},
        {"scope": "all.full_access contacts.read offline_access"},
        {"resource": "https://api.example/"},
        {"redirect_uri": "https://other.example/callback"},
    ],
    ids=str,
)
async def test_request_for_anything_new_is_asked(make_world: Any, changed: dict[str, str]) -> None:
    world = await make_world(scopes={name: ScopeDefinition() for name in ("all.full_access", "contacts.read")})
    app = await world.deployment.app(
        world.acorn,
        redirect_uris=(REDIRECT_URI, "https://other.example/callback"),
        scope=("all.full_access", "contacts.read", "offline_access"),
    )
    first = {"redirect_uri": REDIRECT_URI, "scope": "all.full_access offline_access", "organization_id": world.acorn}
    await allow(world, app=app, **first)
    same = {"client_id": app.client_id, "response_type": "code", **first}
    assert answer_of(await world.http.get("/oauth2/authorize/", params=same))["code"]
    changed = {name: value.replace("${birch}", world.birch) for name, value in changed.items()}
    before = dump(world)
    assert is_consent(await world.http.get("/oauth2/authorize/", params={**same, **changed}))
    assert dump(world) == before, "a question writes nothing"


async def test_app_with_another_name_or_owner_is_asked_again(world: World) -> None:
    await allow(world)
    record = world.app.record
    await world.deployment.store.update_client_details(
        msgspec.structs.replace(record, name="Mailloop by Google"), now=world.deployment.clock.now
    )
    assert is_consent(await ask(world, organization_id=world.acorn))
    await world.deployment.store.update_client_details(
        msgspec.structs.replace(record, description="Just other words"), now=world.deployment.clock.now
    )
    assert answer_of(await ask(world, organization_id=world.acorn))["code"]


@pytest.mark.parametrize(
    "redirect_uri, is_public, asked",
    [
        ("https://app.example/cb", True, False),
        ("http://127.0.0.1/cb", True, True),
        ("com.example.app:/cb", True, True),
        ("http://127.0.0.1/cb", False, False),
    ],
)
async def test_a23_public_client_whose_identity_is_not_assured_is_always_asked(
    world: World, redirect_uri: str, is_public: bool, asked: bool
) -> None:
    """RFC 8252 §8.6, CVE-2023-34246."""
    app = await world.deployment.app(world.acorn, redirect_uris=(redirect_uri,), is_public=is_public)
    await world.arrive(world.ann)
    page = await open_consent(world.http, app, **PKCE)
    answer_of(await decide(world.http, page, "allow", world.acorn))
    query = {"client_id": app.client_id, "response_type": "code", "organization_id": world.acorn, **PKCE}
    response = await world.http.get("/oauth2/authorize/", params=query)
    assert is_consent(response) is asked
    silent = await world.http.get("/oauth2/authorize/", params={**query, "prompt": "none"})
    assert ("consent_required" in silent.headers["location"]) is asked


async def test_disconnected_app_is_asked_again(world: World) -> None:
    tokens = await allow(world)
    page = await world.http.get("/connections")
    (action,) = {form for form in page.text.split('"') if form.endswith("/disconnect")}
    assert (await submit(world.http, page, find_form(page, action))).status_code == 303
    assert not await is_active(world, tokens["access_token"])
    assert is_consent(await ask(world, organization_id=world.acorn))
    assert_sent_back(await ask(world, organization_id=world.acorn, prompt="none"), REDIRECT_URI, "consent_required")


async def test_app_that_revoked_its_own_token_is_not_asked_again(world: World) -> None:
    """Signing out at the app takes back no consent."""
    tokens = await allow(world)
    await world.http.post("/oauth2/revoke/", data=world.app.body(token=tokens["refresh_token"]))
    assert answer_of(await ask(world, organization_id=world.acorn))["code"]


async def test_a25_consent_of_a_membership_that_ended_is_none(world: World) -> None:
    await allow(world)
    now = world.deployment.clock.now
    await world.deployment.store.end_membership(user_id=world.ann, organization_id=world.acorn, now=now)
    assert is_consent(await ask(world, organization_id=world.acorn))
    await world.deployment.member(world.ann, world.acorn)
    assert is_consent(await ask(world, organization_id=world.acorn)), "and it comes back with no membership"
    assert len(await find_grants(world)) == 1


async def test_app_that_became_private_to_others_gets_no_code_in_silence(world: World) -> None:
    chestnut = await world.deployment.organization("Chestnut")
    app = await world.deployment.app(chestnut)
    await allow(world, app=app)
    await world.deployment.store.publish_client(
        app.client_id, is_published=False, now=world.deployment.clock.now, origin=COMMAND_LINE
    )
    query = {"client_id": app.client_id, "response_type": "code", "organization_id": world.acorn}
    page = await world.http.get("/oauth2/authorize/", params=query)
    assert_page(page, 403)
    assert len(await find_grants(world)) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {"sec-fetch-mode": "cors"},
        {"sec-purpose": "prefetch"},
        {"sec-purpose": "prefetch;prerender", "sec-fetch-mode": "navigate"},
    ],
    ids=str,
)
async def test_picture_script_or_look_ahead_makes_no_grant(world: World, headers: dict[str, str]) -> None:
    await allow(world)
    query = {"client_id": world.app.client_id, "response_type": "code", "organization_id": world.acorn}
    before = dump(world)
    assert is_consent(await world.http.get("/oauth2/authorize/", params=query, headers=headers))
    head = await world.http.head("/oauth2/authorize/", params=query)
    assert head.status_code == 200
    assert dump(world) == before
    response = await world.http.get("/oauth2/authorize/", params=query, headers={"sec-fetch-mode": "navigate"})
    assert answer_of(response)["code"]


async def test_another_user_on_the_same_browser_has_consented_to_nothing(world: World) -> None:
    await allow(world)
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.acorn)
    await world.arrive(bob)
    assert is_consent(await ask(world, organization_id=world.acorn))


async def test_pushed_request_answered_in_silence_is_used_up(world: World) -> None:
    await allow(world)
    body = world.app.body(response_type="code", organization_id=world.acorn, redirect_uri=REDIRECT_URI)
    pushed = (await world.http.post("/oauth2/par/", data=body)).json()
    query = {"client_id": world.app.client_id, "request_uri": pushed["request_uri"]}

    async def go() -> httpx.Response:
        return await world.http.get("/oauth2/authorize/", params=query)

    assert answer_of(await go())["code"]
    assert_page(await go(), 400)
