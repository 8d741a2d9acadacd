"""What a webhook's message says: ids, never a name or a secret (Standard Webhooks, "Payload structure")."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.events import Action, Event, EventRecord, Origin
from latchstring.authorization_server.webhook_records import Attempt, render_payload

EVENT = Event(
    action=Action.GRANT_ENDED,
    at=1_800_000_000,
    origin=Origin("user", "user_1", "203.0.113.9", "req_1"),
    subject_kind="grant",
    subject_id="grant_1",
    organization_id="orga_1",
    client_id="oa2client_1",
    user_id="user_2",
    after={"reason": "disconnected", "scope": "a b", "name": "Ann"},
)


def render(event: Event = EVENT, *, is_for_client: bool = True) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(
        render_payload(EventRecord(id=b"\0" * 16, event=event), is_for_client=is_for_client)
    )
    return decoded


def test_message_to_an_app_has_the_ids_and_why() -> None:
    assert render() == {
        "type": "grant.ended",
        "timestamp": "2027-01-15T08:00:00Z",
        "data": {
            "organization_id": "orga_1",
            "client_id": "oa2client_1",
            "user_id": "user_2",
            "grant_id": "grant_1",
            "reason": "disconnected",
            "scope": "a b",
        },
    }


def test_message_to_an_organization_says_who_did_it_to_what_as_well() -> None:
    data = render(is_for_client=False)["data"]
    assert data["actor"] == {"kind": "user", "id": "user_1"}
    assert data["subject"] == {"kind": "grant", "id": "grant_1"}


def test_message_of_another_subject_names_no_grant_and_nothing_that_is_not_there() -> None:
    event = msgspec.structs.replace(EVENT, subject_kind="app", subject_id="oa2client_1", user_id=None, after=None)
    assert render(event)["data"] == {"organization_id": "orga_1", "client_id": "oa2client_1"}


@pytest.mark.parametrize(
    "status, is_delivered", [(None, False), (199, False), (200, True), (204, True), (299, True), (300, False)]
)
def test_delivered_is_any_2xx(status: int | None, is_delivered: bool) -> None:
    assert Attempt(status=status).is_delivered is is_delivered
