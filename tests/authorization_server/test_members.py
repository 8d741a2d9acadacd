"""An organization's members, as an admin adds and changes them."""

import pytest

from latchstring.authorization_server.events import Action, EventFilter, Origin
from latchstring.authorization_server.life_cycle_ports import MembershipChange
from latchstring.authorization_server.members import Adding, Change, Members
from tests.authorization_server.builders import ACORN, ANN, NOW, build_user
from tests.authorization_server.conftest import House

BOB = "user_0000000000000000000Bob"
BY_ANN = Origin("user", ANN, "192.0.2.1", "req_1")


@pytest.fixture
async def members(house: House) -> Members:
    """Bob has an account, and is a member of nothing."""
    await house.store.create_user(build_user(BOB, "bob@example.com"))
    return Members(store=house.store, clock=house.clock)


async def test_member_is_added_by_email_and_it_is_written_down_by_whom(house: House, members: Members) -> None:
    assert await members.add(ACORN, " Bob@Example.com ", "admin", origin=BY_ANN) is Adding.ADDED
    membership = await house.store.find_membership(BOB, ACORN)
    assert membership is not None
    assert (membership.role, membership.created_at) == ("admin", NOW)
    found = await house.store.find_events(EventFilter(action=Action.MEMBERSHIP_ADDED), before=None, at_most=9)
    assert [told.event.origin for told in found if told.event.user_id == BOB] == [BY_ANN]


@pytest.mark.parametrize("email", ["", "carol@example.com", "bob@example.com\0", "bob\0@example.com", BOB])
async def test_member_without_an_account_is_not_added(members: Members, email: str) -> None:
    assert await members.add(ACORN, email, "member", origin=BY_ANN) is Adding.NO_ACCOUNT


async def test_member_of_an_organization_that_is_gone_is_not_added(members: Members) -> None:
    assert await members.add("orga_nowhere", "bob@example.com", "member", origin=BY_ANN) is Adding.NO_ORGANIZATION


async def test_member_is_changed_and_it_is_written_down_when_and_by_whom(house: House, members: Members) -> None:
    await members.add(ACORN, "bob@example.com", "member", origin=BY_ANN)
    await members.change(ACORN, ANN, "admin", origin=BY_ANN)
    changes: dict[Change, Action] = {
        "admin": Action.MEMBERSHIP_CHANGED,
        "suspend": Action.MEMBERSHIP_SUSPENDED,
        "resume": Action.MEMBERSHIP_RESUMED,
        "end": Action.MEMBERSHIP_ENDED,
    }
    for change, action in changes.items():
        house.now += 60
        assert await members.change(ACORN, BOB, change, origin=BY_ANN) is MembershipChange.APPLIED
        (told,) = await house.store.find_events(EventFilter(action=action, user_id=BOB), before=None, at_most=9)
        assert (told.event.origin, told.event.at) == (BY_ANN, house.now)


@pytest.mark.parametrize("change", ["member", "suspend", "end"])
async def test_last_admin_stays(house: House, members: Members, change: Change) -> None:
    await members.add(ACORN, "bob@example.com", "admin", origin=BY_ANN)
    assert await members.change(ACORN, BOB, change, origin=BY_ANN) is MembershipChange.LAST_ADMIN
    assert await members.change(ACORN, "user_nobody", change, origin=BY_ANN) is MembershipChange.NO_MEMBER
    await members.change(ACORN, ANN, "admin", origin=BY_ANN)
    assert await members.change(ACORN, BOB, change, origin=BY_ANN) is MembershipChange.APPLIED
