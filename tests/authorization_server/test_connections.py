"""A member's connections: their own, live ones, and the end of them."""

import pytest

from latchstring.authorization_server.identifiers import GRANT, render_identifier
from tests.authorization_server.builders import ACORN, ANN, NOW, build_user
from tests.authorization_server.conftest import House

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
