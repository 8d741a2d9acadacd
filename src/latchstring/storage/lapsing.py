"""Steps for inside of what makes members' requests pointless."""

from latchstring.authorization_server.events import Action, Event, Origin
from latchstring.authorization_server.identifiers import ACCESS_REQUEST, render_identifier
from latchstring.storage.engine import Steps
from latchstring.storage.recording import record_event
from latchstring.storage.statements import access_requests


def lapse_requests(
    now: int,
    origin: Origin,
    *,
    user_id: str | None = None,
    organization_id: str | None = None,
    client_id: str | None = None,
) -> Steps[int]:
    """A member who leaves, an app that goes, an organization that closes, whichever are given. Requests that wait or
    were approved lapse; how many there were."""
    which = {"of_user": user_id, "of_organization": organization_id, "of_client": client_id}
    assert any(which.values())
    count = 0
    while (row := (yield access_requests.LAPSE_NEXT_REQUEST, which)) is not None:
        event = Event(
            action=Action.REQUEST_LAPSED,
            at=now,
            origin=origin,
            subject_kind="request",
            subject_id=render_identifier(ACCESS_REQUEST, bytes(row[0])),
            client_id=row[1],
            user_id=row[2],
            organization_id=row[3],
        )
        yield from record_event(event)
        count += 1
    return count
