"""An organization's policy at work: on the consent page, in its click, for devices and assertions; and the page on
which its admins make it, which nobody else can open."""

import httpx
import pytest

from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.organization_policy import OrganizationPolicy
from latchstring.authorization_server.settings import ScopeDefinition
from tests.support import device
from tests.support.forms import find_form, read_forms, submit
from tests.support.journey import answer_of, decide, exchange, open_consent
from tests.web.answers import assert_page
from tests.web.conftest import MakeWorld, World
from tests.web.state import connect, dump, find_grant, find_grants, is_active

STRICT = OrganizationPolicy(low="approval", medium="approval", high="approval")
CLOSED = OrganizationPolicy(low="none", medium="none", high="none")
FULL = "all.full_access"
SCOPES = {
    "contacts.read": ScopeDefinition(title="Read your contacts", risk="low"),
    "contacts.delete": ScopeDefinition(title="Delete contacts", risk="high"),
}


async def hold(world: World, policy: OrganizationPolicy = STRICT, organization_id: str | None = None) -> None:
    """The organization (Birch) has that policy from now on."""
    policies = world.deployment.services.organization_policies
    await policies.change_policy(organization_id or world.birch, policy, origin=COMMAND_LINE)


async def approve(world: World, organization_id: str | None = None, **given: tuple[str, ...]) -> None:
    policies = world.deployment.services.organization_policies
    scope = given.pop("scope", (FULL,))
    await policies.approve(
        organization_id or world.birch, world.app.client_id, scope=scope, origin=COMMAND_LINE, **given
    )


async def ask(world: World, **parameters: str) -> httpx.Response:
    await world.arrive(world.ann)
    return await open_consent(world.http, world.app, **parameters)


# -- on the consent page


async def test_consent_page_says_which_organizations_need_approval_and_which_block(world: World) -> None:
    await hold(world)
    page = await ask(world)
    assert_page(page, 200)
    assert page.text.count("needs approval — your request goes to the admins") == 1
    await hold(world, CLOSED)
    page = await ask(world)
    assert page.text.count("does not let its members connect this app") == 1
    assert page.text.count("disabled") == 1
    await hold(world, STRICT, world.acorn)
    assert "needs approval — as an admin you can give it" in (await ask(world)).text


async def test_member_of_nothing_but_a_closed_organization_is_told_so_at_once(world: World) -> None:
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch)
    await hold(world, CLOSED)
    await world.arrive(bob)
    page = await open_consent(world.http, world.app)
    assert_page(page, 403)
    assert "Birch &amp; Co</bdi> does not let its members connect" in page.text


@pytest.mark.parametrize("policy", [STRICT, CLOSED])
async def test_allow_after_the_policy_has_changed_gets_no_code_and_leaves_nothing(
    world: World, policy: OrganizationPolicy
) -> None:
    """A25: what changed between page and click holds."""
    page = await ask(world)
    await hold(world, policy)
    before = dump(world)
    answer = await decide(world.http, page, "allow", world.birch)
    assert_page(answer, 403)
    assert dump(world) == before
    assert await find_grants(world) == []
    assert "code" in answer_of(await decide(world.http, page, "allow", world.acorn)), "the other one goes on"


async def test_what_the_admins_left_out_is_named_and_not_granted(make_world: MakeWorld) -> None:
    world = await make_world(scopes=SCOPES)
    await approve(world, scope=("contacts.read",), left_out=("contacts.delete",))
    page = await ask(world)
    assert "without, as its admins decided: Delete contacts" in " ".join(page.text.split())
    code = answer_of(await decide(world.http, page, "allow", world.birch))["code"]
    assert (await find_grant(world, code)).scope == ("contacts.read", "offline_access")
    tokens = (await exchange(world.http, world.app, code)).json()
    assert tokens["scope"] == "contacts.read offline_access", "and the app is told (RFC 6749 §3.3)"


async def test_block_kills_the_tokens_at_once_and_says_why(world: World) -> None:
    tokens = await connect(world, organization_id=world.birch)
    elsewhere = await connect(world)
    policies = world.deployment.services.organization_policies
    await policies.block(world.birch, world.app.client_id, origin=COMMAND_LINE)
    assert not await is_active(world, tokens["access_token"])
    assert await is_active(world, elsewhere["access_token"])
    body = world.app.body(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    refused = await world.http.post("/oauth2/token/", data=body)
    assert refused.status_code == 400
    assert refused.json()["error_description"].startswith("revoked: an admin of the organization blocked the app.")


# -- devices and assertions


async def test_device_is_held_to_the_policy(world: World) -> None:
    await hold(world)
    started = await device.ask(world.http, world.app)
    await world.arrive(world.ann)
    page = await device.enter(world.http, started["user_code"])
    assert "needs approval" in page.text
    form = find_form(page, "/device/answer")
    answer = await submit(world.http, page, form, decision="allow", organization_id=world.birch)
    assert_page(answer, 403)
    assert await find_grants(world) == []


# -- the admin's page


async def admin_page(world: World, organization_id: str | None = None) -> httpx.Response:
    await world.arrive(world.ann)
    return await world.http.get(f"/organizations/{organization_id or world.acorn}/policy")


async def test_policy_page_shows_saves_and_counts_at_once(world: World) -> None:
    page = await admin_page(world)
    assert_page(page, 200)
    assert "has made no policy of its own yet" in page.text
    path = f"/organizations/{world.acorn}/policy"
    form = find_form(page, path)
    assert form.checked == {"low": "allow", "medium": "allow", "high": "allow"}
    saved = await submit(world.http, page, form, high="approval", decision="save")
    assert (saved.status_code, saved.headers["location"]) == (303, f"{path}?policy_saved")
    page = await world.http.get(saved.headers["location"])
    assert find_form(page, path).checked["high"] == "approval"
    assert "has made no policy of its own yet" not in page.text
    answer = await decide(world.http, await ask(world), "allow", world.acorn)
    assert answer.status_code == 403


async def test_policy_preview_tells_and_saves_nothing(world: World) -> None:
    page = await admin_page(world)
    before = dump(world)
    form = find_form(page, f"/organizations/{world.acorn}/policy")
    shown = await submit(world.http, page, form, high="none", decision="preview")
    assert_page(shown, 200)
    assert "What this policy would mean" in shown.text
    assert find_form(shown, f"/organizations/{world.acorn}/policy").checked["high"] == "none"
    assert dump(world) == before


@pytest.mark.parametrize("values", [{"low": "everything"}, {"high": ""}, {"medium": "<script>"}])
async def test_policy_of_no_known_mode_is_refused(world: World, values: dict[str, str]) -> None:
    page = await admin_page(world)
    before = dump(world)
    form = find_form(page, f"/organizations/{world.acorn}/policy")
    assert (await submit(world.http, page, form, **values, decision="save")).status_code == 400
    assert dump(world) == before


async def test_policy_page_is_there_for_its_admins_alone(world: World) -> None:
    """IDOR: a member, a stranger, an admin of another organization and nobody at all see the same as for no such
    organization."""
    own = await admin_page(world)
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch, "admin")
    nothing = await world.http.get("/organizations/orga_0000000000000000000000/policy")
    assert nothing.status_code == 404
    assert (await admin_page(world, world.birch)).status_code == 404, "Ann is no admin there"
    before = dump(world)
    for user_id, organization_id in ((bob, world.acorn), (world.ann, world.birch)):
        await world.arrive(user_id)
        csrf = find_form(await world.http.get("/connections"), "/sign-out").fields["csrf_token"]
        assert (await world.http.get(f"/organizations/{organization_id}/policy")).status_code == 404
        for path in ("policy", f"apps/{world.app.client_id}/forget", f"apps/{world.app.client_id}/unapprove"):
            data = {"csrf_token": csrf, "low": "none", "medium": "none", "high": "none", "decision": "save"}
            answer = await world.http.post(f"/organizations/{organization_id}/{path}", data=data)
            assert answer.status_code == 404, path
    assert {row for row in dump(world) if row[0] != "browser_session"} == {
        row for row in before if row[0] != "browser_session"
    }
    stranger = world.deployment.http()
    assert (await stranger.get(f"/organizations/{world.acorn}/policy")).headers["location"].startswith("/sign-in")
    assert own.status_code == 200


@pytest.mark.parametrize("path", ["policy", "apps/x/forget", "apps/x/unapprove"])
async def test_admins_forms_need_their_own_token(world: World, path: str) -> None:
    """A22 (CSRF)."""
    await admin_page(world)
    before = dump(world)
    data = {"csrf_token": "forged", "low": "none", "medium": "none", "high": "none", "decision": "save"}
    assert (await world.http.post(f"/organizations/{world.acorn}/{path}", data=data)).status_code == 403
    assert dump(world) == before


async def test_rules_and_approvals_are_listed_and_ended(world: World) -> None:
    other = await world.deployment.app(world.birch, name="<b>Led\u202eger</b>")
    policies = world.deployment.services.organization_policies
    await policies.approve(world.acorn, other.client_id, scope=(FULL,), origin=COMMAND_LINE)
    await world.deployment.services.approvals.approve(other.client_id, world.acorn, scope=None, by=world.ann)
    page = await admin_page(world)
    assert "<b>Led" not in page.text
    assert "\u202e" not in page.text
    forms = [form for form in read_forms(page.text) if f"/apps/{other.client_id}/" in form.action]
    assert [form.action.rpartition("/")[2] for form in forms] == ["forget", "unapprove"]
    for form in forms:
        assert (await submit(world.http, page, form)).status_code == 303
    page = await admin_page(world)
    assert "the policy decides about all of them" in page.text
    approval = await world.deployment.store.find_client_approval(other.client_id, world.acorn)
    assert approval is not None
    assert approval.ended_by == world.ann


async def test_policy_of_the_deployment_counts_until_an_organization_makes_one(make_world: MakeWorld) -> None:
    world = await make_world(organization_policy=OrganizationPolicy(high="approval"))
    page = await ask(world)
    assert page.text.count("needs approval") == 2
    await hold(world, OrganizationPolicy())
    assert (await ask(world)).text.count("needs approval") == 1


# -- one app, asked or not


async def test_admin_looks_at_an_app_approves_less_of_it_and_blocks_it(make_world: MakeWorld) -> None:
    world = await make_world(scopes=SCOPES)
    await hold(world, STRICT, world.acorn)
    await world.arrive(world.ann)
    place = f"/organizations/{world.acorn}/apps"
    found = await world.http.get(place, params={"client_id": world.app.client_id})
    assert found.headers["location"] == f"{place}/{world.app.client_id}"
    page = await world.http.get(found.headers["location"])
    assert_page(page, 200)
    form = find_form(page, f"{place}/{world.app.client_id}")
    assert set(form.checked) == {"item_0", "item_1"}
    empty = await world.http.post(form.action, data={**form.fields, "decision": "approve"})
    assert empty.headers["location"].endswith("?request_empty")
    await world.http.post(form.action, data={**form.fields, "item_0": "true", "decision": "approve"})
    consent = await ask(world)
    code = answer_of(await decide(world.http, consent, "allow", world.acorn))["code"]
    assert (await find_grant(world, code)).scope == ("contacts.read", "offline_access")
    again = await world.http.get(f"{place}/{world.app.client_id}")
    form = find_form(again, form.action)
    assert set(form.checked) == {"item_0"}
    blocked = await world.http.post(form.action, data={**form.fields, "decision": "block"})
    assert blocked.headers["location"].endswith("?app_decided")
    assert (await find_grant(world, code)).status == "ended"
    assert_page(await world.http.get(place, params={"client_id": "nobody"}), 404)


async def test_app_page_is_there_for_its_admins_alone(world: World) -> None:
    await world.arrive(world.ann)
    csrf = find_form(await world.http.get("/connections"), "/sign-out").fields["csrf_token"]
    address = f"/organizations/{world.birch}/apps/{world.app.client_id}"
    assert (await world.http.get(address)).status_code == 404
    assert (await world.http.get(f"/organizations/{world.birch}/apps?client_id=x")).status_code == 404
    before = dump(world)
    assert (await world.http.post(address, data={"csrf_token": csrf, "decision": "block"})).status_code == 404
    forged = f"/organizations/{world.acorn}/apps/{world.app.client_id}"
    assert (await world.http.post(forged, data={"csrf_token": "x", "decision": "block"})).status_code == 403
    assert dump(world) == before
