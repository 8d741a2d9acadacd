"""The pages by which memberships, organizations, users and apps begin, pause and end."""

import pytest

from latchstring.authorization_server.events import SYSTEM
from tests.support.deployment import PASSWORD
from tests.support.forms import find_form, submit
from tests.support.journey import refresh
from tests.web.answers import assert_page, assert_refused
from tests.web.conftest import World
from tests.web.state import connect, dump, is_active

ASKED = {"response_type": "code"}


async def csrf(world: World) -> dict[str, str]:
    return {"csrf_token": find_form(await world.http.get("/connections"), "/sign-out").fields["csrf_token"]}


async def operate(world: World) -> str:
    """An operator, signed in."""
    olga = await world.deployment.user("olga@example.com", "Olga")
    await world.deployment.store.set_operator(olga, is_operator=True, now=world.deployment.clock.now)
    await world.arrive(olga)
    return olga


# -- members


async def test_admin_adds_suspends_resumes_and_removes_a_member(world: World) -> None:
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.arrive(world.ann)
    members = f"/organizations/{world.acorn}/members"
    page = await world.http.get(members)
    assert_page(page, 200)
    await submit(world.http, page, find_form(page, members), email="bob@example.com", role="member")
    store = world.deployment.store
    body, path = await csrf(world), f"{members}/{bob}"
    for change, expected in (("suspend", False), ("resume", True), ("admin", True), ("end", False)):
        response = await world.http.post(path, data={**body, "change": change})
        assert response.status_code == 303, change
        membership = await store.find_membership(bob, world.acorn)
        assert membership is not None
        assert membership.is_active is expected, change
    assert "The membership has ended" in (await world.http.get(members + "?member_ended")).text


async def test_last_admin_cannot_leave_by_the_page(world: World) -> None:
    await world.arrive(world.ann)
    body, path = await csrf(world), f"/organizations/{world.acorn}/members/{world.ann}"
    for change in ("end", "suspend", "member"):
        response = await world.http.post(path, data={**body, "change": change})
        assert response.headers["location"].endswith("?last_admin")
    assert_page(await world.http.post(path, data={**body, "change": "x"}), 400)
    membership = await world.deployment.store.find_membership(world.ann, world.acorn)
    assert membership is not None
    assert (membership.role, membership.is_active) == ("admin", True)


async def test_member_unknown_by_email_is_told_in_the_form(world: World) -> None:
    await world.arrive(world.ann)
    members = f"/organizations/{world.acorn}/members"
    page = await world.http.get(members)
    response = await submit(world.http, page, find_form(page, members), email="<b>@x", role="member")
    assert_page(response, 422)
    assert "Nobody has an account with this email" in response.text
    assert "<b>@x" not in response.text


# -- the organization


async def test_organization_is_closed_by_its_typed_name_alone(world: World) -> None:
    tokens = await connect(world, organization_id=world.acorn)
    await world.arrive(world.ann)
    here = f"/organizations/{world.acorn}"
    page = await world.http.get(here)
    assert_page(page, 200)
    form = find_form(page, f"{here}/close")
    assert_page(await submit(world.http, page, form, confirmation="acorn partners"), 422)
    assert await is_active(world, tokens["access_token"])
    assert_page(await submit(world.http, page, form, confirmation="Acorn Partners"), 200)
    assert not await is_active(world, tokens["access_token"])
    refused = await refresh(world.http, world.app, tokens["refresh_token"])
    assert_refused(refused, 400, "invalid_grant", "app_suspended: ")
    assert_page(await world.http.get(here), 404)


async def test_rule_for_leavers_is_saved_and_nonsense_is_not(world: World) -> None:
    await world.arrive(world.ann)
    here = f"/organizations/{world.acorn}"
    page = await world.http.get(here)
    form = find_form(page, here)
    assert (await submit(world.http, page, form, leaver_days="30")).status_code == 303
    organization = await world.deployment.store.find_organization(world.acorn)
    assert organization is not None
    assert organization.leaver_grants_end_after == 30 * 24 * 3600
    assert_page(await submit(world.http, page, form, leaver_days="-1"), 400)


# -- the app


async def test_app_is_deleted_by_its_typed_name_and_its_connections_are_dead(world: World) -> None:
    tokens = await connect(world)
    await world.arrive(world.ann)
    here = f"/apps/{world.app.client_id}"
    page = await world.http.get(here)
    assert "Acorn Partners" in page.text
    form = find_form(page, f"{here}/delete")
    assert_page(await submit(world.http, page, form, confirmation="x"), 422)
    assert await is_active(world, tokens["access_token"])
    assert_page(await submit(world.http, page, form, confirmation="Mailloop"), 200)
    assert not await is_active(world, tokens["access_token"])
    refused = await refresh(world.http, world.app, tokens["refresh_token"])
    assert refused.json()["error"] == "invalid_client"
    assert_page(await world.http.get(here), 404)
    assert world.app.client_id not in (await world.http.get("/apps")).text


async def test_app_of_others_cannot_be_deleted(world: World) -> None:
    eve = await world.deployment.user("eve@example.com", "Eve")
    await world.deployment.member(eve, world.acorn)
    await world.arrive(eve)
    body = await csrf(world)
    before = dump(world)
    response = await world.http.post(f"/apps/{world.app.client_id}/delete", data={**body, "confirmation": "Mailloop"})
    assert_page(response, 404)
    assert dump(world) == before


# -- the operator


@pytest.mark.parametrize("path", ["/operator", "/operator?q=ann%40example.com"])
async def test_operators_page_is_not_there_for_others(world: World, path: str) -> None:
    await world.arrive(world.ann)
    assert_page(await world.http.get(path), 404)
    body = await csrf(world)
    before = dump(world)
    for address in (f"/operator/users/{world.ann}", f"/operator/apps/{world.app.client_id}"):
        assert_page(await world.http.post(address, data={**body, "change": "delete"}), 404)
    assert dump(world) == before


async def test_operator_disables_a_user_who_is_then_out_and_back_in_after(world: World) -> None:
    tokens = await connect(world)
    cookie = await world.arrive(world.ann)
    await operate(world)
    page = await world.http.get("/operator?q=ann%40example.com")
    assert_page(page, 200)
    path = f"/operator/users/{world.ann}"
    response = await submit(world.http, page, find_form(page, path), change="disable")
    assert response.status_code == 303
    assert await world.deployment.services.login.find(cookie) is None
    assert not await is_active(world, tokens["access_token"])
    refused = await refresh(world.http, world.app, tokens["refresh_token"])
    assert_refused(refused, 400, "invalid_grant", "user_disabled: ")
    again = await world.http.post(path, data={**await csrf(world), "change": "enable"})
    assert again.status_code == 303
    assert await is_active(world, tokens["access_token"])


async def test_disabled_user_with_the_right_password_is_told_and_with_a_wrong_one_is_not(world: World) -> None:
    now = world.deployment.clock.now
    await world.deployment.store.disable_user(world.ann, now=now, origin=SYSTEM)
    page = await world.http.get("/sign-in")
    form = find_form(page, "/sign-in")
    right = await submit(world.http, page, form, email="ann@example.com", password=PASSWORD)
    assert_page(right, 403)
    assert "Your account is disabled" in right.text
    wrong = await submit(world.http, page, form, email="ann@example.com", password="not it at all")
    assert "disabled" not in wrong.text


async def test_operator_suspends_an_app_and_everything_of_it_stops_until_it_is_reinstated(world: World) -> None:
    tokens = await connect(world)
    await operate(world)
    here = f"/operator?q={world.app.client_id}"
    page = await world.http.get(here)
    path = f"/operator/apps/{world.app.client_id}"
    await submit(world.http, page, find_form(page, path), change="suspend", reason="It sends <b>spam</b>.")
    assert not await is_active(world, tokens["access_token"])
    refused = await refresh(world.http, world.app, tokens["refresh_token"])
    assert_refused(refused, 400, "invalid_grant", "app_suspended: ")
    asked = await world.http.get(
        "/oauth2/authorize/", params={"client_id": world.app.client_id, "response_type": "code"}
    )
    assert_page(asked, 403)
    assert "switched off" in asked.text
    pushed = await world.http.post("/oauth2/par/", data=world.app.body(response_type="code"))
    assert_refused(pushed, 400, "unauthorized_client", "app_suspended: ")
    shown = await world.http.get(here)
    assert "It sends &lt;b&gt;spam&lt;/b&gt;." in shown.text
    await world.arrive(world.ann)
    assert "has suspended this app" in (await world.http.get(f"/apps/{world.app.client_id}")).text
    await operate_again(world)
    await world.http.post(path, data={**await csrf(world), "change": "reinstate"})
    assert await is_active(world, tokens["access_token"])


async def operate_again(world: World) -> None:
    user = await world.deployment.store.find_user_by_email("olga@example.com")
    assert user is not None
    await world.arrive(user.user_id)


async def test_operator_closes_and_reopens_an_organization(world: World) -> None:
    tokens = await connect(world, organization_id=world.birch)
    await operate(world)
    page = await world.http.get(f"/operator?q={world.birch}")
    path = f"/operator/organizations/{world.birch}"
    await submit(world.http, page, find_form(page, path), change="close")
    refused = await refresh(world.http, world.app, tokens["refresh_token"])
    assert_refused(refused, 400, "invalid_grant", "organization_closed: ")
    await world.http.post(path, data={**await csrf(world), "change": "reopen"})
    assert await is_active(world, tokens["access_token"])
    assert_page(await world.http.post(path, data={**await csrf(world), "change": "reopen"}), 400)


async def test_operator_cannot_disable_their_own_account(world: World) -> None:
    olga = await operate(world)
    response = await world.http.post(f"/operator/users/{olga}", data={**await csrf(world), "change": "disable"})
    assert_page(response, 400)


@pytest.mark.parametrize("query", ["x", "user_x", "orga_x", "%00", "a@b", "'" * 400])
async def test_operator_who_looks_for_what_is_not_there_is_told(world: World, query: str) -> None:
    await operate(world)
    assert_page(await world.http.get(f"/operator?q={query}"), 200)
