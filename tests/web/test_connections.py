"""The member's connections: only their own, dead at once when disconnected."""

import pytest

from latchstring.authorization_server.events import Action, EventFilter
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from tests.support.deployment import PASSWORD
from tests.support.forms import find_form, read_forms, submit
from tests.support.journey import follow, grant_code, refresh
from tests.web.answers import assert_page, assert_refused
from tests.web.conftest import World
from tests.web.state import connect, dump, find_grant, is_active


async def path_of(world: World, credential: str) -> str:
    """Where the grant's Disconnect button posts to."""
    grant = await find_grant(world, credential)
    return f"/connections/{render_identifier(GRANT, grant.id)}/disconnect"


async def test_connections_without_any_say_so(world: World) -> None:
    await world.arrive(world.ann)
    page = await world.http.get("/connections")
    assert_page(page, 200)
    assert "no app can reach your data" in page.text
    assert [form.action for form in read_forms(page.text)] == ["/sign-out"]


async def test_connections_show_each_app_with_its_organizations_and_a_button_for_each(world: World) -> None:
    other = await world.deployment.app(world.birch, name="Ledgerly")
    tokens = [
        await connect(world, organization_id=world.acorn),
        await connect(world, organization_id=world.birch, scope=("all.full_access",)),
        await connect(world, other, organization_id=world.birch),
    ]
    await world.arrive(world.ann)
    page = await world.http.get("/connections")
    assert_page(page, 200)
    for text in ("Mailloop", "Ledgerly", "Acorn Partners", "Birch &amp; Co", "2 apps can reach your data"):
        assert text in page.text, text
    actions = {form.action for form in read_forms(page.text)} - {"/sign-out"}
    everywhere = f"/connections/apps/{world.app.client_id}/disconnect"
    assert actions == {await path_of(world, token["access_token"]) for token in tokens} | {everywhere}
    assert "Its access ends by itself within the hour" in page.text
    for token in tokens:
        for secret in (token["access_token"], token.get("refresh_token", token["access_token"])):
            assert secret not in page.text


async def test_connections_leave_out_what_is_not_alive(world: World) -> None:
    """Codes never redeemed, ended grants, grants whose only token has expired."""
    await grant_code(world.deployment, world.app, world.ann, world.acorn)
    ended = await connect(world)
    await world.http.post("/oauth2/revoke/", data=world.app.body(token=ended["refresh_token"]))
    await connect(world, scope=("all.full_access",))
    world.deployment.clock.advance(3600)
    await world.arrive(world.ann)
    page = await world.http.get("/connections")
    assert [form.action for form in read_forms(page.text)] == ["/sign-out"]


async def test_connections_of_others_are_not_shown(world: World) -> None:
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.acorn, "admin")
    await connect(world)
    await world.arrive(bob)
    page = await world.http.get("/connections")
    assert "Mailloop" not in page.text


async def test_connection_paused_by_the_membership_says_so_and_can_still_be_disconnected(world: World) -> None:
    tokens = await connect(world, organization_id=world.birch)
    store, now = world.deployment.store, world.deployment.clock.now
    await store.end_membership(user_id=world.ann, organization_id=world.birch, now=now)
    await world.arrive(world.ann)
    page = await world.http.get("/connections")
    assert "Paused: it cannot reach" in page.text
    assert "No app can reach your data at the moment" in page.text
    path = await path_of(world, tokens["refresh_token"])
    assert (await submit(world.http, page, find_form(page, path))).status_code == 303
    await store.add_membership(user_id=world.ann, organization_id=world.birch, role="member", now=now)
    assert not await is_active(world, tokens["access_token"])


async def test_connection_disconnected_is_dead_at_once_and_the_page_says_so(world: World) -> None:
    first = await connect(world, organization_id=world.acorn)
    second = (await refresh(world.http, world.app, first["refresh_token"])).json()
    elsewhere = await connect(world, organization_id=world.birch)
    await world.arrive(world.ann)
    page = await world.http.get("/connections")
    world.deployment.clock.advance(5)
    response = await submit(world.http, page, find_form(page, await path_of(world, first["access_token"])))
    assert response.status_code == 303
    for tokens in (first, second):
        assert not await is_active(world, tokens["access_token"])
        refused = await refresh(world.http, world.app, tokens["refresh_token"])
        assert_refused(refused, 400, "invalid_grant", "revoked: a person disconnected")
    grant = await find_grant(world, first["access_token"])
    assert (grant.status, grant.ended_reason) == ("ended", "disconnected")
    assert (grant.ended_by, grant.ended_at) == (world.ann, world.deployment.clock.now)
    assert await is_active(world, elsewhere["access_token"])
    told = await follow(world.http, response)
    assert_page(told, 200)
    assert "<bdi>Mailloop</bdi> is disconnected" in told.text


async def test_app_disconnected_everywhere_is_dead_in_every_organization_and_others_live_on(world: World) -> None:
    other = await world.deployment.app(world.birch, name="Ledgerly")
    ending = [await connect(world, organization_id=place) for place in (world.acorn, world.birch)]
    staying = await connect(world, other, organization_id=world.birch)
    await world.arrive(world.ann)
    page = await world.http.get("/connections")
    path = f"/connections/apps/{world.app.client_id}/disconnect"
    response = await submit(world.http, page, find_form(page, path))
    assert response.status_code == 303
    assert [await is_active(world, token["access_token"]) for token in (*ending, staying)] == [False, False, True]
    for tokens in ending:
        grant = await find_grant(world, tokens["access_token"])
        assert (grant.ended_by, grant.ended_reason) == (world.ann, "disconnected")
    told = await world.deployment.store.find_events(EventFilter(action=Action.GRANT_ENDED), before=None, at_most=9)
    assert [(one.event.origin.actor_kind, one.event.origin.actor_id) for one in told] == [("user", world.ann)] * 2
    assert "<bdi>Mailloop</bdi> is disconnected" in (await follow(world.http, response)).text
    token = find_form(page, "/sign-out").fields["csrf_token"]
    assert_page(await world.http.post(path, data={"csrf_token": token}), 404)


async def test_connections_tell_when_and_from_where_one_was_used(world: World) -> None:
    tokens = await connect(world)
    grant = await find_grant(world, tokens["access_token"])
    await world.deployment.store.note_grant_uses({grant.id: ("203.0.113.9", world.deployment.clock.now + 60)})
    world.deployment.clock.advance(3600)
    await world.arrive(world.ann)
    page = await world.http.get("/connections")
    assert "from <bdi>203.0.113.9</bdi>" in page.text
    assert "59 minutes ago" in page.text


async def test_connection_disconnected_twice_stays_as_it_ended(world: World) -> None:
    tokens = await connect(world)
    await world.arrive(world.ann)
    page = await world.http.get("/connections")
    form = find_form(page, await path_of(world, tokens["access_token"]))
    await submit(world.http, page, form)
    before = dump(world)
    world.deployment.clock.advance(100)
    assert (await submit(world.http, page, form)).status_code == 303
    assert dump(world) == before


async def test_connection_of_another_member_cannot_be_disconnected_nor_probed(world: World) -> None:
    """CVE-2025-64431: 404, the same as for one that does not exist; an admin of the organization is no exception."""
    tokens = await connect(world)
    pending = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.acorn, "admin")
    await world.arrive(bob)
    token = find_form(await world.http.get("/connections"), "/sign-out").fields["csrf_token"]
    before = dump(world)
    texts = set()
    paths = [await path_of(world, tokens["access_token"]), await path_of(world, pending)]
    for path in [*paths, "/connections/grant_0000000000000000000000/disconnect", "/connections/x/disconnect"]:
        response = await world.http.post(path, data={"csrf_token": token})
        assert_page(response, 404)
        texts.add(response.text.replace(response.headers["x-request-id"], ""))
        identifier = path.split("/")[2]
        notice = await world.http.get("/connections", params={"disconnected": identifier})
        assert "is disconnected" not in notice.text
    assert len(texts) == 1
    assert dump(world) == before
    assert await is_active(world, tokens["access_token"])


@pytest.mark.parametrize(
    "identifier",
    ["grant_", "grant_é", "grant_" + "z" * 22, "user_0000000000000000000000", "a" * 5000, "%00", "..", "'"],
)
async def test_connection_with_a_malformed_name_is_not_found(world: World, identifier: str) -> None:
    await world.arrive(world.ann)
    token = find_form(await world.http.get("/connections"), "/sign-out").fields["csrf_token"]
    response = await world.http.post(f"/connections/{identifier}/disconnect", data={"csrf_token": token})
    assert_page(response, 404)
    page = await world.http.get("/connections", params={"disconnected": identifier})
    assert_page(page, 200)


async def test_connection_cannot_be_disconnected_by_a_link(world: World) -> None:
    tokens = await connect(world)
    await world.arrive(world.ann)
    assert_page(await world.http.get(await path_of(world, tokens["access_token"])), 405)
    assert await is_active(world, tokens["access_token"])


async def test_connection_whose_post_finds_nobody_signed_in_leads_to_sign_in_and_disconnects_nothing(
    world: World,
) -> None:
    tokens = await connect(world)
    response = await world.http.post(await path_of(world, tokens["access_token"]), data={"csrf_token": "x"})
    assert (response.status_code, response.headers["location"]) == (303, "/sign-in")
    page = await follow(world.http, response)
    done = await submit(world.http, page, find_form(page, "/sign-in"), email="ann@example.com", password=PASSWORD)
    assert done.headers["location"] == "/connections"
    assert await is_active(world, tokens["access_token"])


async def test_connections_make_an_apps_html_inert_and_its_direction_marks_harmless(world: World) -> None:
    app = await world.deployment.app(world.acorn, name="<b>x</b>\u202e\u2066y")
    tokens = await connect(world, app)
    await world.arrive(world.ann)
    page = await world.http.get("/connections")
    assert_page(page, 200)
    assert "&lt;b&gt;x&lt;/b&gt; y" in page.text
    done = await submit(world.http, page, find_form(page, await path_of(world, tokens["access_token"])))
    assert "<b>x" not in (await follow(world.http, done)).text
