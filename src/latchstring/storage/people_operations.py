"""New users and organizations, each in one transaction, with the event that tells."""

from typing import Any

from latchstring.authorization_server.events import Action, Event, Facts, Origin
from latchstring.authorization_server.ports import Commit
from latchstring.storage.engine import Steps
from latchstring.storage.recording import record_event
from latchstring.storage.statements import people


def create_user(user_row: dict[str, Any], origin: Origin) -> Steps[Commit]:
    """Insert a user, unless the email is taken."""
    if (yield people.INSERT_USER, user_row) is None:
        return Commit.LOST
    yield from record_event(user_event(Action.USER_CREATED, user_row["user_id"], origin, user_row["created_at"]))
    return Commit.APPLIED


def set_operator(user_id: str, is_operator: bool, now: int, origin: Origin) -> Steps[Commit]:
    """Make a user an operator, or no longer one."""
    row = yield people.SET_OPERATOR, {"of_user": user_id, "becomes": is_operator}
    if row is None:
        return Commit.LOST
    action = Action.OPERATOR_ADDED if is_operator else Action.OPERATOR_REMOVED
    yield from record_event(user_event(action, user_id, origin, now))
    return Commit.APPLIED


def create_organization(organization_row: dict[str, Any], origin: Origin) -> Steps[None]:
    """Insert an organization with a new id."""
    yield people.INSERT_ORGANIZATION, organization_row
    organization_id: str = organization_row["organization_id"]
    yield from record_event(
        Event(
            action=Action.ORGANIZATION_CREATED,
            at=organization_row["created_at"],
            origin=origin,
            subject_kind="organization",
            subject_id=organization_id,
            organization_id=organization_id,
            after={"name": organization_row["name"]},
        )
    )


def user_event(action: Action, user_id: str, origin: Origin, now: int, after: Facts | None = None) -> Event:
    return Event(
        action=action, at=now, origin=origin, subject_kind="user", subject_id=user_id, user_id=user_id, after=after
    )
