"""What begins, pauses and ends, each change in one transaction that takes its turn, and the grants settled by it.

A transaction that changes a membership, a user, an organization or a client settles the grants that stand on it, up to
a few stretches. Where there are more, what is left stands in the table `settlement`: whoever made the change goes on
until nothing is left before they answer, and if they die the sweeper does. Each stretch is computed from what then
holds, so that none of them can be wrong, whichever order they come in.
"""

from typing import Any, Final

import msgspec

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import Action, Event, Facts, Origin
from latchstring.authorization_server.life_cycle_ports import MembershipChange
from latchstring.authorization_server.refusals import MEMBERSHIP_ENDED
from latchstring.storage.app_operations import app_event
from latchstring.storage.engine import Row, Steps
from latchstring.storage.lapsing import lapse_requests
from latchstring.storage.people_operations import user_event
from latchstring.storage.recording import grant_event, record_event, record_events
from latchstring.storage.statements import (
    apps,
    consents,
    grants,
    life_cycle,
    passkeys,
    people,
    sign_in,
    sweeping,
)
from latchstring.storage.statements.life_cycle import CLIENT, ORGANIZATION, SETTLING, USER

STRETCH: Final = 250
"""Grants that one statement looks at."""
_AT_ONCE: Final = 2
"""Stretches that the changing transaction itself settles."""
_encode = msgspec.json.Encoder().encode
_decode_origin = msgspec.json.Decoder(Origin).decode


def settle(cause: str, now: int) -> Steps[bool]:
    """Settle some of the grants that have yet to be because of that change; whether none is left."""
    for _ in range(_AT_ONCE):
        row = yield life_cycle.FIND_SETTLEMENT, {"cause": cause}
        if row is None:
            return True
        subject, subject_id, position, by, origin = row[1], row[2], bytes(row[3]), row[4], _decode_origin(row[5])
        find_end, end_held, settle_others = SETTLING[subject]
        stretch = {"subject_id": subject_id, "position": position}
        last = yield find_end, {**stretch, "skipped": STRETCH - 1}
        stretch["end"] = sweeping.END_OF_GRANTS if last is None else bytes(last[0])
        # Those that end first: a code that is redeemed in between is active by the time the others are looked at.
        ended = yield end_held, {**stretch, "now": now, "by": by}
        settled = yield settle_others, {**stretch, "now": now}
        yield from record_events(
            [grant_event(Action.GRANT_ENDED, row[:4], origin, now, {"reason": row[4]}) for row in ended or ()]
            + [_settled_event(row, origin, now) for row in settled or () if row[4] is None or row[5] == now]
        )
        of_settlement = {"of_cause": cause, "of_subject": subject, "of_id": subject_id}
        if last is None:
            yield life_cycle.END_SETTLEMENT, of_settlement
        else:
            yield life_cycle.MOVE_SETTLEMENT, {**of_settlement, "new_position": stretch["end"]}
    return False


def _settled_event(row: Row, origin: Origin, now: int) -> Event:
    if row[4] is None:
        return grant_event(Action.GRANT_RESUMED, row[:4], origin, now)
    return grant_event(Action.GRANT_SUSPENDED, row[:4], origin, now, {"reason": row[4]})


def go_on_settling(cause: str, now: int) -> Steps[bool]:
    """The next stretches, in a transaction of their own; whether none is left."""
    yield life_cycle.TAKE_TURN, {}
    return (yield from settle(cause, now))


def find_actor(origin: Origin) -> str:
    """Whom a grant's row names as who ended it."""
    return origin.actor_id or ("system" if origin.actor_kind == "system" else "operator")


def _begin(cause: str, subject: str, origin: Origin, now: int, *, by: str | None = None) -> Steps[None]:
    """Settle the grants of what has just changed, or as many of them as one transaction may."""
    of_cause = {"cause": cause, "subject": subject, "subject_id": cause, "position": b""}
    yield life_cycle.BEGIN_SETTLEMENT, {**of_cause, **_begun(origin, by)}
    yield from settle(cause, now)


def _begun(origin: Origin, by: str | None = None) -> dict[str, Any]:
    return {"by": by or find_actor(origin), "origin": _encode(origin).decode()}


# -- memberships


def add_membership(user_id: str, organization_id: str, role: str, now: int, origin: Origin) -> Steps[Commit]:
    """Begin or resume a membership and resume the grants that its end had suspended, unless their time is over."""
    yield life_cycle.TAKE_TURN, {}
    user = yield people.FIND_USER, {"user_id": user_id}
    organization = yield people.FIND_ORGANIZATION, {"organization_id": organization_id}
    if user is None or organization is None:
        return Commit.LOST
    # Before the membership counts again: what its end should have ended by now has ended.
    of_membership = {"of_user": user_id, "of_organization": organization_id}
    of_member = {"user_id": user_id, "organization_id": organization_id}
    before = yield people.FIND_MEMBERSHIP, of_member
    left = yield life_cycle.END_LEFT_GRANTS_OF_MEMBERSHIP, {**of_membership, "now": now}
    yield from _record_left(left, origin, now)
    yield people.UPSERT_MEMBERSHIP, {**of_member, "role": role, "now": now}
    if before is not None and before[3] != role:
        yield life_cycle.NOTE_ROLE, {**of_membership, "new_role": role}
    was = None if before is None or before[5] is not None else before[3]
    if was != role:
        action = Action.MEMBERSHIP_ADDED if was is None else Action.MEMBERSHIP_CHANGED
        earlier = None if was is None else {"role": was}
        event = _membership_event(action, user_id, organization_id, origin, now, before=earlier, after={"role": role})
        yield from record_event(event)
    yield from _begin(user_id, USER, origin, now)
    return Commit.APPLIED


def _record_left(rows: Row | None, origin: Origin, now: int) -> Steps[None]:
    reason = {"reason": MEMBERSHIP_ENDED}
    yield from record_events([grant_event(Action.GRANT_ENDED, row, origin, now, reason) for row in rows or ()])


def end_left_grants(stretch: dict[str, bytes], now: int) -> Steps[None]:
    """In a stretch of the sweeper's walk: the end of what members had who have left, where their time is over."""
    rows = yield life_cycle.END_LEFT_GRANTS, {**stretch, "now": now}
    yield from _record_left(rows, Origin("system"), now)


def end_membership(
    user_id: str, organization_id: str, now: int, origin: Origin, keeps_an_admin: bool
) -> Steps[MembershipChange]:
    """End a membership; codes that stand on it are worthless from then on, other grants suspended or, if that is the
    organization's rule, ended."""
    of_membership = {"of_user": user_id, "of_organization": organization_id}
    yield life_cycle.TAKE_TURN, {}
    if keeps_an_admin and (yield life_cycle.FIND_OTHER_ADMIN, of_membership) is None:
        return MembershipChange.LAST_ADMIN
    row = yield people.END_MEMBERSHIP, {**of_membership, "now": now}
    if row is None:
        return MembershipChange.NO_MEMBER
    was = {"role": row[0]}
    yield from record_event(
        _membership_event(Action.MEMBERSHIP_ENDED, user_id, organization_id, origin, now, before=was)
    )
    yield consents.FORGET_CONSENTS_OF_MEMBERSHIP, of_membership
    yield from lapse_requests(now, origin, user_id=user_id, organization_id=organization_id)
    yield from _begin(user_id, USER, origin, now, by=origin.actor_id or user_id)
    return MembershipChange.APPLIED


def suspend_membership(
    user_id: str, organization_id: str, now: int, origin: Origin, keeps_an_admin: bool
) -> Steps[MembershipChange]:
    """Suspend a membership that lasts, and its grants with it."""
    of_membership = {"of_user": user_id, "of_organization": organization_id}
    yield life_cycle.TAKE_TURN, {}
    if keeps_an_admin and (yield life_cycle.FIND_OTHER_ADMIN, of_membership) is None:
        return MembershipChange.LAST_ADMIN
    if (yield life_cycle.SUSPEND_MEMBERSHIP, {**of_membership, "now": now}) is None:
        return MembershipChange.NO_MEMBER
    yield from record_event(_membership_event(Action.MEMBERSHIP_SUSPENDED, user_id, organization_id, origin, now))
    yield from _begin(user_id, USER, origin, now)
    return MembershipChange.APPLIED


def resume_membership(user_id: str, organization_id: str, now: int, origin: Origin) -> Steps[MembershipChange]:
    """Resume a suspended membership and the grants that only its suspension held."""
    yield life_cycle.TAKE_TURN, {}
    of_membership = {"of_user": user_id, "of_organization": organization_id}
    if (yield life_cycle.RESUME_MEMBERSHIP, of_membership) is None:
        return MembershipChange.NO_MEMBER
    yield from record_event(_membership_event(Action.MEMBERSHIP_RESUMED, user_id, organization_id, origin, now))
    yield from _begin(user_id, USER, origin, now)
    return MembershipChange.APPLIED


def change_role(
    user_id: str, organization_id: str, role: str, now: int, origin: Origin, keeps_an_admin: bool
) -> Steps[MembershipChange]:
    """Give a member another role, and note it on their grants: what the role does not allow is out of their scope."""
    of_membership = {"of_user": user_id, "of_organization": organization_id}
    yield life_cycle.TAKE_TURN, {}
    if keeps_an_admin and role != "admin" and (yield life_cycle.FIND_OTHER_ADMIN, of_membership) is None:
        return MembershipChange.LAST_ADMIN
    before = yield people.FIND_MEMBERSHIP, {"user_id": user_id, "organization_id": organization_id}
    if (yield life_cycle.CHANGE_ROLE, {**of_membership, "new_role": role}) is None or before is None:
        return MembershipChange.NO_MEMBER
    yield life_cycle.NOTE_ROLE, {**of_membership, "new_role": role}
    if before[3] != role:
        was, becomes = {"role": before[3]}, {"role": role}
        yield from record_event(
            _membership_event(
                Action.MEMBERSHIP_CHANGED, user_id, organization_id, origin, now, before=was, after=becomes
            )
        )
    return MembershipChange.APPLIED


def take_over_grant(
    grant_id: bytes, organization_id: str, from_user: str, new_user: str, scope: str, now: int, origin: Origin
) -> Steps[Commit]:
    """Let a grant of one who has left stand for another member, who is one at that moment."""
    yield life_cycle.TAKE_TURN, {}
    membership = {"user_id": new_user, "organization_id": organization_id}
    if (yield grants.LOCK_MEMBERSHIP, membership) is None:
        return Commit.LOST
    of_grant = {"of_grant": grant_id, "of_organization": organization_id, "from_user": from_user}
    taking = {"new_user": new_user, "new_scope": scope, "now": now}
    row = yield life_cycle.TAKE_OVER_GRANT, {**of_grant, **taking}
    if row is None:
        return Commit.LOST
    told = {"user_id": new_user, "taken_over_from": from_user, "scope": scope}
    yield from record_event(grant_event(Action.GRANT_TAKEN_OVER, row, origin, now, told))
    yield from _begin(new_user, USER, origin, now)
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


# -- organizations


def _settle_clients(organization_id: str, closed_at: int | None, now: int, origin: Origin) -> Steps[None]:
    yield life_cycle.MARK_OWNER, {"of_organization": organization_id, "closed_at": closed_at}
    of_clients = {"organization_id": organization_id, "position": b"", **_begun(origin)}
    yield life_cycle.BEGIN_SETTLEMENT_OF_CLIENTS, of_clients
    yield from _begin(organization_id, ORGANIZATION, origin, now)


def close_organization(organization_id: str, now: int, origin: Origin) -> Steps[Commit]:
    """Close an organization: nothing reaches it, and its own apps reach nothing anywhere."""
    yield life_cycle.TAKE_TURN, {}
    if (yield life_cycle.CLOSE_ORGANIZATION, {"of_organization": organization_id, "now": now}) is None:
        return Commit.LOST
    yield from record_event(_organization_event(Action.ORGANIZATION_CLOSED, organization_id, origin, now))
    yield from lapse_requests(now, origin, organization_id=organization_id)
    yield from _settle_clients(organization_id, now, now, origin)
    return Commit.APPLIED


def reopen_organization(organization_id: str, now: int, origin: Origin) -> Steps[Commit]:
    """Open it again, for what nothing else holds."""
    yield life_cycle.TAKE_TURN, {}
    if (yield life_cycle.REOPEN_ORGANIZATION, {"of_organization": organization_id}) is None:
        return Commit.LOST
    yield from record_event(_organization_event(Action.ORGANIZATION_REOPENED, organization_id, origin, now))
    yield from _settle_clients(organization_id, None, now, origin)
    return Commit.APPLIED


def set_leaver_policy(organization_id: str, end_after: int | None, now: int, origin: Origin) -> Steps[Commit]:
    """How long grants of members who have left are kept, for those who have left already too."""
    yield life_cycle.TAKE_TURN, {}
    policy = {"of_organization": organization_id, "end_after": end_after}
    if (yield life_cycle.SET_LEAVER_POLICY, policy) is None:
        return Commit.LOST
    told = {"leaver_grants_end_after": end_after}
    yield from record_event(_organization_event(Action.ORGANIZATION_CHANGED, organization_id, origin, now, told))
    yield from _begin(organization_id, ORGANIZATION, origin, now)
    return Commit.APPLIED


def _organization_event(
    action: Action, organization_id: str, origin: Origin, now: int, after: Facts | None = None
) -> Event:
    return Event(
        action=action,
        at=now,
        origin=origin,
        subject_kind="organization",
        subject_id=organization_id,
        organization_id=organization_id,
        after=after,
    )


# -- users


def disable_user(user_id: str, now: int, origin: Origin) -> Steps[Commit]:
    """Disable a user: signed in nowhere, and every grant suspended."""
    yield life_cycle.TAKE_TURN, {}
    if (yield life_cycle.DISABLE_USER, {"of_user": user_id, "now": now}) is None:
        return Commit.LOST
    yield life_cycle.END_SESSIONS_OF_USER, {"of_user": user_id}
    yield from record_event(user_event(Action.USER_DISABLED, user_id, origin, now))
    yield from _begin(user_id, USER, origin, now)
    return Commit.APPLIED


def enable_user(user_id: str, now: int, origin: Origin) -> Steps[Commit]:
    """Enable a user again, and the grants that only that held."""
    yield life_cycle.TAKE_TURN, {}
    if (yield life_cycle.ENABLE_USER, {"of_user": user_id}) is None:
        return Commit.LOST
    yield from record_event(user_event(Action.USER_ENABLED, user_id, origin, now))
    yield from _begin(user_id, USER, origin, now)
    return Commit.APPLIED


def delete_user(user_id: str, now: int, origin: Origin) -> Steps[Commit]:
    """Delete a user for good: grants and memberships end, and nothing is left of them but the id."""
    yield life_cycle.TAKE_TURN, {}
    # Memberships first, in the order in which a consent locks them.
    yield life_cycle.END_MEMBERSHIPS_OF_USER, {"of_user": user_id, "now": now}
    if (yield life_cycle.DELETE_USER, {"of_user": user_id, "now": now}) is None:
        return Commit.LOST
    yield life_cycle.END_SESSIONS_OF_USER, {"of_user": user_id}
    yield sign_in.END_SECOND_FACTOR, {"of_user": user_id}
    yield sign_in.END_RECOVERY_CODES, {"of_user": user_id}
    yield sign_in.END_RESETS, {"of_user": user_id}
    yield passkeys.END_PASSKEYS, {"of_user": user_id}
    yield consents.FORGET_CONSENTS_OF_USER, {"of_user": user_id}
    yield from lapse_requests(now, origin, user_id=user_id)
    yield from record_event(user_event(Action.USER_DELETED, user_id, origin, now))
    yield from _begin(user_id, USER, origin, now)
    return Commit.APPLIED


# -- clients


def suspend_client(client_id: str, reason: str, now: int, origin: Origin) -> Steps[Commit]:
    """Suspend an app: it gets nothing, and its grants are suspended."""
    yield life_cycle.TAKE_TURN, {}
    suspension = {"of_client": client_id, "by": find_actor(origin), "reason": reason, "now": now}
    row = yield life_cycle.SUSPEND_CLIENT, suspension
    if row is None:
        return Commit.LOST
    told = {"reason": reason}
    yield from record_event(app_event(Action.APP_SUSPENDED, client_id, row[0], origin, now, after=told))
    yield from _begin(client_id, CLIENT, origin, now)
    return Commit.APPLIED


def reinstate_client(client_id: str, now: int, origin: Origin) -> Steps[Commit]:
    """End the suspension; the grants that only that held resume."""
    yield life_cycle.TAKE_TURN, {}
    row = yield life_cycle.REINSTATE_CLIENT, {"of_client": client_id}
    if row is None:
        return Commit.LOST
    yield from record_event(app_event(Action.APP_REINSTATED, client_id, row[0], origin, now))
    yield from _begin(client_id, CLIENT, origin, now)
    return Commit.APPLIED


def delete_client(client_id: str, now: int, kept_until: int, origin: Origin) -> Steps[Commit]:
    """Delete an app for good: its grants, approvals and secrets end. Its row is kept for those who read of the end."""
    yield life_cycle.TAKE_TURN, {}
    row = yield life_cycle.DELETE_CLIENT, {"of_client": client_id, "now": now, "kept_until": kept_until}
    if row is None:
        return Commit.LOST
    yield life_cycle.END_APPROVALS_OF_CLIENT, {"of_client": client_id, "by": find_actor(origin), "now": now}
    yield apps.FORGET_SECRET_USES, {"of_client": client_id}
    yield consents.FORGET_CONSENTS_OF_CLIENT, {"of_client": client_id}
    yield from record_event(app_event(Action.APP_DELETED, client_id, row[0], origin, now))
    yield from lapse_requests(now, origin, client_id=client_id)
    yield from _begin(client_id, CLIENT, origin, now)
    return Commit.APPLIED


def publish_client(client_id: str, is_published: bool, now: int, origin: Origin) -> Steps[Commit]:
    """Publish an app or withdraw that: then only the grants of its owner's members work on."""
    yield life_cycle.TAKE_TURN, {}
    row = yield life_cycle.PUBLISH_CLIENT, {"of_client": client_id, "is_published": is_published}
    if row is None:
        return Commit.LOST
    action = Action.APP_PUBLISHED if is_published else Action.APP_WITHDRAWN
    yield from record_event(app_event(action, client_id, row[0], origin, now))
    yield from _begin(client_id, CLIENT, origin, now)
    return Commit.APPLIED


def end_app_grants(organization_id: str, client_id: str, reason: str, now: int, origin: Origin) -> Steps[bool]:
    """End a stretch of an app's live grants in one organization, and forget its consents there; whether there may be
    more."""
    yield consents.FORGET_CONSENTS_OF_APP, {"of_client": client_id, "of_organization": organization_id}
    of_app = {"of_organization": organization_id, "of_client": client_id, "position": b""}
    last = yield life_cycle.FIND_END_OF_APP_STRETCH, {**of_app, "skipped": STRETCH - 1}
    end = sweeping.END_OF_GRANTS if last is None else bytes(last[0])
    ending = {"end": end, "by": find_actor(origin), "reason": reason, "now": now}
    rows = yield life_cycle.END_APP_STRETCH, {**of_app, **ending}
    told = {"reason": reason}
    yield from record_events([grant_event(Action.GRANT_ENDED, row, origin, now, told) for row in rows or ()])
    return last is not None
