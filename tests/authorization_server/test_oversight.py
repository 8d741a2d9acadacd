"""What an operator does to apps, people and organizations: done once, told with who did it."""

import pytest

from latchstring.authorization_server.events import Action, EventFilter, Origin
from latchstring.authorization_server.oversight import (
    MAX_REASON_LENGTH,
    AppChange,
    OrganizationChange,
    Overseen,
    Oversight,
    UserChange,
)
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW
from tests.authorization_server.conftest import House

BY_OLGA = Origin("operator", "user_olga", "192.0.2.1", "req_1")


@pytest.fixture
def oversight(house: House) -> Oversight:
    return Oversight(store=house.store, apps=house.apps, clock=house.clock)


@pytest.mark.parametrize(
    "changes, action",
    [
        (("suspend",), Action.APP_SUSPENDED),
        (("suspend", "reinstate"), Action.APP_REINSTATED),
        (("delete",), Action.APP_DELETED),
    ],
)
async def test_app_is_changed_once_and_it_is_written_down_by_whom(
    house: House, oversight: Oversight, changes: tuple[AppChange, ...], action: Action
) -> None:
    for change in changes:
        assert await oversight.change_app(MAILLOOP, change, reason="", origin=BY_OLGA) is Overseen.APPLIED
    assert await oversight.change_app(MAILLOOP, changes[-1], reason="", origin=BY_OLGA) is Overseen.STALE
    (told,) = await house.store.find_events(EventFilter(action=action), before=None, at_most=9)
    assert (told.event.subject_id, told.event.origin, told.event.at) == (MAILLOOP, BY_OLGA, NOW)
    client = await house.store.find_client(MAILLOOP)
    assert client is not None
    assert (client.ended_at is not None) is (action is Action.APP_DELETED)


async def test_reason_of_a_suspension_is_kept_without_what_surrounds_it(house: House, oversight: Oversight) -> None:
    await oversight.change_app(MAILLOOP, "suspend", reason=f"  {'x' * 400}", origin=BY_OLGA)
    client = await house.store.find_client(MAILLOOP)
    assert client is not None
    assert client.suspended_reason == "x" * MAX_REASON_LENGTH


@pytest.mark.parametrize("change", ["suspend", "reinstate", "delete"])
async def test_change_of_an_app_that_is_not_there_is_stale(oversight: Oversight, change: AppChange) -> None:
    assert await oversight.change_app("oa2client_nobody", change, reason="", origin=BY_OLGA) is Overseen.STALE


@pytest.mark.parametrize(
    "changes, action",
    [
        (("disable",), Action.USER_DISABLED),
        (("disable", "enable"), Action.USER_ENABLED),
        (("delete",), Action.USER_DELETED),
    ],
)
async def test_account_is_changed_once_and_never_ones_own(
    house: House, oversight: Oversight, changes: tuple[UserChange, ...], action: Action
) -> None:
    assert await oversight.change_user(ANN, changes[-1], origin=Origin("operator", ANN)) is Overseen.YOURSELF
    for change in changes:
        assert await oversight.change_user(ANN, change, origin=BY_OLGA) is Overseen.APPLIED
    assert await oversight.change_user(ANN, changes[-1], origin=BY_OLGA) is Overseen.STALE
    (told,) = await house.store.find_events(EventFilter(action=action), before=None, at_most=9)
    assert (told.event.user_id, told.event.origin, told.event.at) == (ANN, BY_OLGA, NOW)


async def test_organization_is_closed_and_opened_again_once(house: House, oversight: Oversight) -> None:
    changes: dict[OrganizationChange, Action] = {
        "close": Action.ORGANIZATION_CLOSED,
        "reopen": Action.ORGANIZATION_REOPENED,
    }
    for change, action in changes.items():
        assert await oversight.change_organization(ACORN, change, origin=BY_OLGA) is Overseen.APPLIED
        assert await oversight.change_organization(ACORN, change, origin=BY_OLGA) is Overseen.STALE
        (told,) = await house.store.find_events(EventFilter(action=action), before=None, at_most=9)
        assert (told.event.organization_id, told.event.origin, told.event.at) == (ACORN, BY_OLGA, NOW)
