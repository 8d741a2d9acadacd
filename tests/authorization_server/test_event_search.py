"""Which events somebody looks for, as they name them, and what an export says of each."""

import pytest

from latchstring.authorization_server.event_export import FIELDS, describe_event
from latchstring.authorization_server.event_search import find_filter
from latchstring.authorization_server.events import EVENT, Action, EventFilter
from latchstring.authorization_server.identifiers import parse_identifier
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP
from tests.authorization_server.conftest import House


@pytest.mark.parametrize(
    "person, user_id",
    [
        ("", None),
        ("Ann@example.com", ANN),
        (ANN, ANN),
        ("bob@example.com", "nobody"),
        ("ann@example.com\0", "nobody"),
        ("user_\0", "user_\0"),
    ],
)
async def test_person_goes_by_email_or_id(house: House, person: str, user_id: str | None) -> None:
    wanted = await find_filter(house.store, organization_id=ACORN, action=None, person=person, client_id="")
    assert wanted == EventFilter(organization_id=ACORN, client_id=None, user_id=user_id, action=None)
    found = await house.store.find_events(wanted, before=None, at_most=9)
    assert {told.event.user_id for told in found} == ({None, ANN} if user_id is None else {ANN} & {user_id})


async def test_action_and_app_are_looked_for_together(house: House) -> None:
    wanted = await find_filter(
        house.store, organization_id=None, action=Action.APP_CREATED, person="", client_id=MAILLOOP
    )
    assert wanted == EventFilter(client_id=MAILLOOP, action=Action.APP_CREATED)
    (found,) = await house.store.find_events(wanted, before=None, at_most=9)
    assert (found.event.action, found.event.client_id) == (Action.APP_CREATED, MAILLOOP)


async def test_event_is_described_by_every_field_under_the_id_that_pages_go_on_from(house: House) -> None:
    (found, *_) = await house.store.find_events(EventFilter(), before=None, at_most=1)
    described = describe_event(found)
    assert tuple(described) == FIELDS
    assert parse_identifier(EVENT, described["id"]) == found.id
