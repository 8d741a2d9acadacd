"""An organization's connections for its admins: whose they are, which are found, and that what is ended is dead
(CVE-2025-64431, CVE-2024-46999; the admin's half of R8)."""

import csv
import io

import pytest

from latchstring.authorization_server.events import SYSTEM as _SYSTEM
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.records import GrantRecord
from latchstring.authorization_server.settings import ScopeDefinition
from tests.support.forms import find_form, submit
from tests.support.journey import follow, refresh
from tests.web.answers import assert_page, assert_refused
from tests.web.conftest import MakeWorld, World
from tests.web.state import connect, dump, find_grant, is_active

DAY = 24 * 3600
ASKED = {"response_type": "code"}


def path_of(world: World, rest: str = "") -> str:
    return f"/organizations/{world.acorn}/connections{rest}"


async def name_of(world: World, tokens: dict[str, str]) -> str:
    return render_identifier(GRANT, (await find_grant(world, tokens["access_token"])).id)


async def add_bob(world: World, role: str = "admin") -> str:
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.acorn, role)
    return bob


async def test_admin_sees_every_members_connections_and_nobody_elses(world: World) -> None:
    bob = await add_bob(world)
    await connect(world, organization_id=world.acorn)
    other = await world.deployment.app(world.birch, name="Ledgerly")
    await connect(world, other, organization_id=world.birch)
    await world.arrive(bob)
    page = await world.http.get(path_of(world))
    assert_page(page, 200)
    assert "Mailloop" in page.text
    assert "ann@example.com" in page.text
    assert "Ledgerly" not in page.text


@pytest.mark.parametrize("rest", ["", ".csv"])
@pytest.mark.parametrize("who", ["member", "stranger", "suspended admin", "admin elsewhere"])
async def test_organizations_connections_are_not_there_for_anybody_else(world: World, rest: str, who: str) -> None:
    await connect(world, organization_id=world.acorn)
    eve = await world.deployment.user("eve@example.com", "Eve")
    if who == "admin elsewhere":
        await world.deployment.member(eve, world.birch, "admin")
    elif who != "stranger":
        await world.deployment.member(eve, world.acorn, "member" if who == "member" else "admin")
    if who == "suspended admin":
        await world.deployment.store.suspend_membership(
            user_id=eve, organization_id=world.acorn, now=world.deployment.clock.now, origin=_SYSTEM
        )
    await world.arrive(eve)
    page = await world.http.get(path_of(world, rest))
    assert_page(page, 404)
    assert "Mailloop" not in page.text


async def test_disconnect_of_chosen_ones_ends_those_alone_and_says_how_many(world: World) -> None:
    tokens = [await connect(world, organization_id=world.acorn) for _ in range(3)]
    await world.arrive(world.ann)
    page = await world.http.get(path_of(world))
    form = find_form(page, path_of(world, "/disconnect"))
    picked = {f"pick_{await name_of(world, token)}": "true" for token in tokens[:2]}
    response = await submit(world.http, page, form, **picked)
    assert response.status_code == 303
    assert [await is_active(world, token["access_token"]) for token in tokens] == [False, False, True]
    refused = await refresh(world.http, world.app, tokens[0]["refresh_token"])
    assert_refused(refused, 400, "invalid_grant", "revoked: an admin of the organization disconnected the app.")
    grant = await find_grant(world, tokens[0]["access_token"])
    assert (grant.ended_by, grant.ended_reason) == (world.ann, "disconnected_by_admin")
    told = await follow(world.http, response)
    assert "2 connections are disconnected" in told.text
    history = await world.http.get(path_of(world, "?state=ended"))
    assert history.text.count("An admin disconnected it.") == 2


async def test_disconnect_of_nothing_says_that_nothing_was_done(world: World) -> None:
    tokens = await connect(world, organization_id=world.acorn)
    await world.arrive(world.ann)
    page = await world.http.get(path_of(world))
    told = await follow(world.http, await submit(world.http, page, find_form(page, path_of(world, "/disconnect"))))
    assert "Nothing was disconnected" in told.text
    assert "dead everywhere" not in told.text
    assert await is_active(world, tokens["access_token"])


async def test_forged_names_of_another_organizations_connections_change_nothing(world: World) -> None:
    """CVE-2025-64431: the organization in the address is the one in the grant, or there is no such grant."""
    elsewhere = await connect(world, organization_id=world.birch)
    await world.arrive(world.ann)
    page = await world.http.get(path_of(world))
    csrf = {"csrf_token": find_form(page, "/sign-out").fields["csrf_token"]}
    name = await name_of(world, elsewhere)
    before = dump(world)
    for body in ({f"pick_{name}": "true"}, {"only": name}, {"only": "grant_x"}, {"pick_": "true"}):
        response = await world.http.post(path_of(world, "/disconnect"), data={**csrf, **body})
        assert response.status_code == 303
    assert_page(await world.http.post(path_of(world, "/take-over"), data={**csrf, "grant_id": name}), 400)
    assert dump(world) == before
    assert await is_active(world, elsewhere["access_token"])


async def test_changes_without_a_token_of_this_browser_change_nothing(world: World) -> None:
    tokens = await connect(world, organization_id=world.acorn)
    await world.arrive(world.ann)
    name = await name_of(world, tokens)
    before = dump(world)
    for rest, body in (("/disconnect", {"only": name}), ("/disconnect-app", {"client_id": world.app.client_id})):
        assert_page(await world.http.post(path_of(world, rest), data=body), 403)
    assert dump(world) == before


@pytest.mark.parametrize("block", [False, True])
async def test_app_is_disconnected_for_everyone_and_blocked_if_wanted(world: World, block: bool) -> None:
    bob = await add_bob(world, "member")
    tokens = [await connect(world, organization_id=world.acorn)]
    await world.arrive(world.ann)
    page = await world.http.get(path_of(world, f"?client_id={world.app.client_id}"))
    form = find_form(page, path_of(world, "/disconnect-app"))
    response = await submit(world.http, page, form, **({"block": "true"} if block else {}))
    assert response.status_code == 303
    assert not await is_active(world, tokens[0]["access_token"])
    ended = await find_grant(world, tokens[0]["access_token"])
    assert ended.ended_reason == "disconnected_by_admin"
    told = await follow(world.http, response)
    assert ("nobody can connect it again" in told.text) is block
    await world.arrive(bob)
    asked = await world.http.get(
        "/oauth2/authorize/", params={"client_id": world.app.client_id, "response_type": "code"}
    )
    assert ("Allow" in asked.text) is not block


async def test_filters_find_by_app_person_risk_and_time_unused(world: World) -> None:
    bob = await add_bob(world, "member")
    other = await world.deployment.app(world.acorn, name="Ledgerly")
    await connect(world, organization_id=world.acorn)
    world.deployment.clock.advance(100 * DAY)
    await connect(world, other, organization_id=world.acorn)
    await world.arrive(world.ann)

    async def found(query: str) -> set[str]:
        page = await world.http.get(path_of(world, "?" + query))
        assert_page(page, 200)
        listed = page.text.partition('class="card grants')[2]
        return {name for name in ("Mailloop", "Ledgerly") if f"<bdi>{name}</bdi>" in listed}

    assert await found("") == {"Mailloop", "Ledgerly"}
    assert await found(f"client_id={other.client_id}") == {"Ledgerly"}
    assert await found("unused=90") == {"Mailloop"}
    assert await found("unused=180") == set()
    assert await found("risk=high") == {"Mailloop", "Ledgerly"}
    assert await found("risk=low") == set()
    assert await found("person=ann%40example.com") == {"Mailloop", "Ledgerly"}
    assert await found("person=bob%40example.com") == set()
    assert await found(f"person=ann%40example.com&client_id={other.client_id}") == {"Ledgerly"}
    assert await found("person=nobody%40example.com") == set()
    assert await found("risk=x&unused=1&state=x&before=grant_x") == {"Mailloop", "Ledgerly"}
    assert bob


async def test_pages_go_on_by_key_and_show_each_connection_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latchstring.storage.connection_rows.STRETCH", 3)
    names = set()
    for second in range(5):
        world.deployment.clock.advance(second)
        names.add(await name_of(world, await connect(world, organization_id=world.acorn)))
    await world.arrive(world.ann)
    seen: list[str] = []
    address = path_of(world)
    for _ in range(6):
        page = await world.http.get(address)
        seen += [part.partition('"')[0] for part in page.text.split('id="pick_')[1:]]
        following = [
            part.partition('"')[0] for part in page.text.split('href="') if "before=" in part.partition('"')[0]
        ]
        if not following:
            break
        address = following[0].replace("&amp;", "&")
    assert len(seen) == len(set(seen))
    assert set(seen) == names


async def test_export_goes_on_to_the_end_and_keeps_to_the_risk(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latchstring.authorization_server.connections._EXPORTED_AT_ONCE", 2)
    scopes = {"read": ScopeDefinition(title="Read", risk="low"), "delete": ScopeDefinition(title="D", risk="high")}
    world = await make_world(scopes=scopes)
    low = await world.deployment.app(world.acorn, name="Low", scope=("read", "offline_access"))
    high = await world.deployment.app(world.acorn, name="High", scope=("delete", "offline_access"))
    for app in (low, high, low, low, high):
        world.deployment.clock.advance(1)
        await connect(world, app, organization_id=world.acorn)
    await world.arrive(world.ann)

    async def export(query: str) -> list[str]:
        text = (await world.http.get(path_of(world, ".csv" + query))).text
        return sorted(row["app"] for row in csv.DictReader(io.StringIO(text)))

    assert await export("") == ["High", "High", "Low", "Low", "Low"]
    assert await export("?risk=high") == ["High", "High"]
    assert await export("?risk=low") == ["Low", "Low", "Low"]


async def test_export_has_a_line_for_each_and_no_cell_is_a_formula(world: World) -> None:
    app = await world.deployment.app(world.acorn, name="=HYPERLINK(1)")
    tokens = [await connect(world, organization_id=world.acorn), await connect(world, app, organization_id=world.acorn)]
    await world.arrive(world.ann)
    response = await world.http.get(path_of(world, ".csv"))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-disposition"].startswith("attachment; ")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert sorted(row["app"] for row in rows) == ["'=HYPERLINK(1)", "Mailloop"]
    assert {row["email"] for row in rows} == {"ann@example.com"}
    assert {row["status"] for row in rows} == {"active"}
    for token in tokens:
        assert token["access_token"] not in response.text
        assert token["refresh_token"] not in response.text
    none = await world.http.get(path_of(world, ".csv?person=nobody%40example.com"))
    assert none.text.count("\n") == 1


async def test_connection_of_one_who_left_is_taken_over_by_the_admin_who_asks(world: World) -> None:
    """`docs/decisions/0023`: nobody but the one who clicks, nothing wider, and no token from before."""
    bob = await add_bob(world)
    tokens = await connect(world, organization_id=world.acorn)
    now = world.deployment.clock.now
    await world.deployment.store.end_membership(user_id=world.ann, organization_id=world.acorn, now=now)
    world.deployment.clock.advance(5)
    await world.arrive(bob)
    page = await world.http.get(path_of(world))
    assert "acts for you instead of <bdi>Ann</bdi>" in page.text
    form = find_form(page, path_of(world, "/disconnect"))
    name = await name_of(world, tokens)
    response = await world.http.post(
        path_of(world, "/take-over"), data={"csrf_token": form.fields["csrf_token"], "grant_id": name}
    )
    assert response.status_code == 303
    grant: GrantRecord = await find_grant(world, tokens["refresh_token"])
    assert (grant.user_id, grant.status, grant.taken_over_from) == (bob, "active", world.ann)
    assert not await is_active(world, tokens["access_token"]), "it was issued for Ann"
    world.deployment.clock.advance(1)
    again = await refresh(world.http, world.app, tokens["refresh_token"])
    assert again.status_code == 200
    assert again.json()["user_id"] == bob
    assert await is_active(world, again.json()["access_token"])
    await world.deployment.member(world.ann, world.acorn)
    assert (await find_grant(world, tokens["refresh_token"])).user_id == bob
