"""What happens to people in one transaction: users, memberships and what hangs on them, and the event that tells."""

from typing import Any

from latchstring.authorization_server.events import Action, Event, Facts, Origin
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.refusals import MEMBERSHIP_ENDED
from latchstring.storage.engine import Steps
from latchstring.storage.recording import change_each_grant, record_event
from latchstring.storage.statements import consents, people


def create_user(user_row: dict[str, Any], origin: Origin) -> Steps[Commit]:
    """Insert a user, unless the email is taken."""
    if (yield people.INSERT_USER, user_row) is None:
        return Commit.LOST
    yield from record_event(_user_event(Action.USER_CREATED, user_row["user_id"], origin, user_row["created_at"]))
    return Commit.APPLIED


def set_operator(user_id: str, is_operator: bool, now: int, origin: Origin) -> Steps[Commit]:
    """Make a user an operator, or no longer one."""
    row = yield people.SET_OPERATOR, {"of_user": user_id, "becomes": is_operator}
    if row is None:
        return Commit.LOST
    action = Action.OPERATOR_ADDED if is_operator else Action.OPERATOR_REMOVED
    yield from record_event(_user_event(action, user_id, origin, now))
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


def _user_event(action: Action, user_id: str, origin: Origin, now: int) -> Event:
    return Event(action=action, at=now, origin=origin, subject_kind="user", subject_id=user_id, user_id=user_id)


def add_membership(user_id: str, organization_id: str, role: str, now: int, origin: Origin) -> Steps[Commit]:
    """Begin or resume a membership and resume the grants that its end had suspended."""
    user = yield people.FIND_USER, {"user_id": user_id}
    organization = yield people.FIND_ORGANIZATION, {"organization_id": organization_id}
    if user is None or organization is None:
        return Commit.LOST
    of_membership = {"user_id": user_id, "organization_id": organization_id}
    before = yield people.FIND_MEMBERSHIP, of_membership
    yield people.UPSERT_MEMBERSHIP, {**of_membership, "role": role, "now": now}
    was = None if before is None or before[5] is not None else before[3]
    if was != role:
        action = Action.MEMBERSHIP_ADDED if was is None else Action.MEMBERSHIP_CHANGED
        earlier = None if was is None else {"role": was}
        yield from record_event(
            _membership_event(action, user_id, organization_id, origin, now, before=earlier, after={"role": role})
        )
    resuming = {"of_user": user_id, "of_organization": organization_id}
    yield from change_each_grant(people.RESUME_NEXT_GRANT, resuming, Action.GRANT_RESUMED, origin, now)
    return Commit.APPLIED


def end_membership(user_id: str, organization_id: str, now: int, origin: Origin) -> Steps[Commit]:
    """End a membership; its active grants are suspended and its unredeemed codes worthless from then on."""
    of_membership = {"of_user": user_id, "of_organization": organization_id}
    row = yield people.END_MEMBERSHIP, {**of_membership, "now": now}
    if row is None:
        return Commit.LOST
    was = {"role": row[0]}
    yield from record_event(
        _membership_event(Action.MEMBERSHIP_ENDED, user_id, organization_id, origin, now, before=was)
    )
    # Pending ones first: a code redeemed in between is active by the time the second statement looks.
    ending = {**of_membership, "now": now, "by": user_id, "reason": MEMBERSHIP_ENDED}
    told = {"reason": MEMBERSHIP_ENDED}
    yield from change_each_grant(people.END_NEXT_PENDING_GRANT, ending, Action.GRANT_ENDED, origin, now, told)
    yield from change_each_grant(people.SUSPEND_NEXT_GRANT, of_membership, Action.GRANT_SUSPENDED, origin, now, told)
    yield consents.FORGET_CONSENTS_OF_MEMBERSHIP, of_membership
    return Commit.APPLIED


def _membership_event(
    action: Action,
    user_id: str,
    organization_id: str,
    origin: Origin,
    now: int,
    *,
    before: Facts | None = None,
    after: Facts | None = None,
) -> Event:
    return Event(
        action=action,
        at=now,
        origin=origin,
        subject_kind="membership",
        subject_id=user_id,
        organization_id=organization_id,
        user_id=user_id,
        before=before,
        after=after,
    )
