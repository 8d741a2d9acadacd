"""A member's connections: their own, live ones, and the end of them; and an organization's, for its admins."""

import os
from typing import Any

import pytest

from latchstring.authorization_server.connection_ports import ConnectionFilter, ConnectionStretch
from latchstring.authorization_server.connections import OrganizationConnections
from latchstring.authorization_server.events import Action, EventFilter, Origin
from latchstring.authorization_server.identifiers import GRANT, new_grant_id, render_identifier
from latchstring.authorization_server.records import GrantRecord
from latchstring.authorization_server.settings import ScopeDefinition
from tests.authorization_server.builders import ACORN, ANN, NOW, build_user
from tests.authorization_server.conftest import House

BOB = "user_0000000000000000000Bob"
BY_ANN = Origin("user", ANN, "192.0.2.1", "req_1")
BY_BOB = Origin("user", BOB, "192.0.2.2", "req_2")
EVERYTHING = ConnectionFilter()

DAY = 24 * 3600


async def test_find_lists_what_is_live_and_nothing_else(house: House):
    pending = await house.grant()
    live = await house.grant()
    ended = await house.grant()
    expired = await house.grant(scope=("all.full_access",))
    await house.redeem(expired)
    for grant in (live, ended):
        await house.redeem(grant)
    await house.store.end_grant(ended.id, by=ANN, reason="disconnected", now=NOW)
    house.now += 3600
    found = await house.connections.find(ANN)
    assert [connection.grant.id for connection in found] == [live.id]
    assert (found[0].client_name, found[0].publisher_name, found[0].organization_name) == (
        "Mailloop",
        "Acorn Partners",
        "Acorn Partners",
    )
    assert pending.id not in {connection.grant.id for connection in found}
    assert await house.connections.find("user_nobody") == []


async def test_find_lists_suspended_connections(house: House):
    grant = await house.grant()
    await house.redeem(grant)
    await house.store.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    assert [connection.grant.status for connection in await house.connections.find(ANN)] == ["suspended"]


@pytest.mark.parametrize("is_suspended", [False, True])
async def test_end_kills_the_connection_at_once(house: House, is_suspended):
    grant = await house.grant()
    answer = await house.redeem(grant)
    if is_suspended:
        await house.store.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    name = render_identifier(GRANT, grant.id)
    assert await house.connections.find_ended(name, ANN) is None
    ended = await house.connections.end(name, ANN)
    assert ended is not None
    kept = await house.find(grant)
    assert (kept.status, kept.ended_reason, kept.ended_by) == ("ended", "disconnected", ANN)
    assert await house.introspect(answer.access_token) == {"active": False}
    assert await house.connections.find_ended(name, ANN) == kept
    await house.store.add_membership(user_id=ANN, organization_id=ACORN, role="member", now=NOW)
    assert (await house.find(grant)).status == "ended"


async def test_end_of_somebody_elses_connection_is_none_and_leaves_it_alone(house: House):
    """CVE-2025-64431: whose it is stands in the condition, not in the address."""
    await house.store.create_user(build_user("user_bob", "bob@example.com"))
    grant = await house.grant()
    await house.redeem(grant)
    name = render_identifier(GRANT, grant.id)
    for attempt in (house.connections.end, house.connections.find_ended):
        assert await attempt(name, "user_bob") is None
    assert (await house.find(grant)).status == "active"


@pytest.mark.parametrize("name", ["", "x", "grant_", "grant_" + "0" * 22, "user_" + "0" * 22, "grant_" + "z" * 22])
async def test_end_of_what_does_not_exist_is_none(house: House, name):
    assert await house.connections.end(name, ANN) is None
    assert await house.connections.find_ended(name, ANN) is None


async def test_end_of_a_pending_grant_is_none(house: House):
    """It is no connection yet; its code dies within the minute."""
    grant = await house.grant()
    assert await house.connections.end(render_identifier(GRANT, grant.id), ANN) is None
    assert (await house.find(grant)).status == "pending"


async def test_end_is_written_down_with_who_ended_it(house: House):
    grant = await house.grant()
    await house.redeem(grant)
    await house.connections.end(render_identifier(GRANT, grant.id), ANN, origin=BY_ANN)
    (told,) = await house.store.find_events(EventFilter(action=Action.GRANT_ENDED), before=None, at_most=9)
    assert told.event.origin == BY_ANN


# -- an organization's


@pytest.fixture
async def bobs(house: House) -> OrganizationConnections:
    """What reaches Acorn, for Bob, an admin of it."""
    house.configure(scopes={"low": ScopeDefinition(risk="low"), "high": ScopeDefinition(risk="high")})
    await house.store.create_user(build_user(BOB, "bob@example.com"))
    await house.store.add_membership(user_id=BOB, organization_id=ACORN, role="admin", now=NOW)
    return OrganizationConnections(store=house.store, settings=house.settings, clock=house.clock)


async def connect(house: House, *scopes: str) -> list[GrantRecord]:
    """A live grant of Ann's for each of the scopes, the oldest first."""
    grants = []
    for scope in scopes:
        house.now += 1
        grants.append(await house.grant(id=new_grant_id(house.now, os.urandom(12)), scope=(scope, "offline_access")))
        await house.redeem(grants[-1])
    return grants


@pytest.mark.parametrize("email", ["nobody@example.com", "ann@example.com\0", "a\0b"])
async def test_filter_by_a_person_who_is_nobody_is_none(bobs: OrganizationConnections, email: str):
    assert await bobs.find_filter(client_id="", person=email, unused_days=None, has_ended=False) is None


async def test_filter_names_what_was_entered_and_leaves_out_the_rest(house: House, bobs: OrganizationConnections):
    everything = await bobs.find_filter(client_id="", person="", unused_days=None, has_ended=False)
    assert everything == EVERYTHING
    wanted = await bobs.find_filter(client_id="app", person="Ann@example.com", unused_days=30, has_ended=True)
    assert wanted == ConnectionFilter(client_id="app", user_id=ANN, has_ended=True, unused_since=NOW - 30 * DAY)


async def test_page_by_risk_looks_further_than_it_is_long(house: House, bobs: OrganizationConnections):
    """A page by risk is not empty because what is newest is of another one."""
    wanted, *_ = await connect(house, "high", *["low"] * 6)
    page = await bobs.find(ACORN, EVERYTHING, risk="high", page_size=1)
    assert [each.grant.id for each in page.connections] == [wanted.id]


async def test_page_without_a_risk_reads_no_more_than_it_shows(
    house: House, bobs: OrganizationConnections, monkeypatch: pytest.MonkeyPatch
):
    await connect(house, *["low"] * 3)
    read: list[int] = []
    find = house.store.find_connections_before

    async def watch(*arguments: Any, **given: Any) -> ConnectionStretch:
        stretch = await find(*arguments, **given)
        read.append(len(stretch.connections))
        return stretch

    monkeypatch.setattr(house.store, "find_connections_before", watch)
    page = await bobs.find(ACORN, EVERYTHING, page_size=2)
    assert (len(page.connections), read) == (2, [2])
    assert page.next_before == page.connections[-1].grant.id
    rest = await bobs.find(ACORN, EVERYTHING, before=page.next_before, page_size=2)
    assert (len(rest.connections), rest.next_before) == (1, None)


async def test_page_that_looked_far_enough_says_where_to_look_on(
    house: House, bobs: OrganizationConnections, monkeypatch: pytest.MonkeyPatch
):
    """Found nothing, and not at the end: the next page goes on until what is there is found."""
    wanted, *_ = await connect(house, "high", *["low"] * 6)
    monkeypatch.setattr("latchstring.storage.connection_rows.STRETCH", 1)
    first = await bobs.find(ACORN, EVERYTHING, risk="high")
    assert first.connections == []
    assert first.next_before is not None
    second = await bobs.find(ACORN, EVERYTHING, risk="high", before=first.next_before)
    assert [each.grant.id for each in second.connections] == [wanted.id]


async def test_admin_ends_what_is_a_connection_and_it_is_written_down(house: House, bobs: OrganizationConnections):
    (live,) = await connect(house, "low")
    pending = await house.grant()
    names = [render_identifier(GRANT, grant.id) for grant in (live, pending)]
    assert await bobs.end(ACORN, names, by=BOB, origin=BY_BOB) == 1
    assert await bobs.end(ACORN, names, by=BOB, origin=BY_BOB) == 0
    assert await bobs.end("orga_other", names, by=BOB, origin=BY_BOB) == 0
    (told,) = await house.store.find_events(EventFilter(action=Action.GRANT_ENDED), before=None, at_most=9)
    assert told.event.origin == BY_BOB
    assert ((await house.find(live)).status, (await house.find(pending)).status) == ("ended", "pending")


async def test_connection_is_taken_over_of_one_who_left_alone_and_by_a_member(
    house: House, bobs: OrganizationConnections
):
    (grant,) = await connect(house, "low")
    name = render_identifier(GRANT, grant.id)
    assert await bobs.find_left(ACORN, name) is None, "Ann is still there"
    await house.store.disable_user(ANN, now=house.now, origin=BY_BOB)
    assert await bobs.find_left(ACORN, name) is None, "she may come back"
    await house.store.enable_user(ANN, now=house.now, origin=BY_BOB)
    await house.store.end_membership(user_id=ANN, organization_id=ACORN, now=house.now)
    assert await bobs.find_left(ACORN, name) == await house.find(grant)
    assert await bobs.take_over(ACORN, name, "user_stranger", origin=BY_BOB) is None
    assert (await house.find(grant)).user_id == ANN
    taken = await bobs.take_over(ACORN, name, BOB, origin=BY_BOB)
    assert taken is not None
    assert taken.id == grant.id
    assert (await house.find(grant)).user_id == BOB
