"""What an organization's word on apps does to consents, and how its admins change it: one transaction each, and the
event that tells."""

from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec

from latchstring.authorization_server.events import Action, Event, Facts, Origin
from latchstring.authorization_server.organization_policy import (
    AppRule,
    Mode,
    OrganizationPolicy,
    Rulebook,
    Standing,
    Verdict,
    is_within,
)
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import Role
from latchstring.authorization_server.refusals import BLOCKED_BY_ADMIN
from latchstring.storage.app_operations import end_approval
from latchstring.storage.engine import Row, Steps
from latchstring.storage.recording import change_each_grant, record_event
from latchstring.storage.statements import policy
from latchstring.storage.statements.policy import EVERYONE

_RULE_WIDTH: Final = 8


def judge(
    organization_id: str, client_id: str, user_id: str, granted: Sequence[str], rulebook: Rulebook
) -> Steps[Verdict]:
    """The verdict on what is about to be granted. The organization's row is shared until the end of the transaction:
    a change of its policy or rules comes wholly before or wholly after."""
    yield policy.LOCK_ORGANIZATION, {"organization_id": organization_id}
    of_member = {"organization_id": organization_id, "client_id": client_id, "user_id": user_id, "everyone": EVERYONE}
    row = yield policy.FIND_STANDING, of_member
    return Verdict.BLOCKED if row is None else is_within(granted, read_standing(row), rulebook)


def lock_for(organization_id: str, origin: Origin) -> Steps[Commit]:
    """Hold the organization for somebody who may decide for it: one of its admins, or whoever runs the deployment."""
    if origin.actor_kind not in {"operator", "cli"}:
        of_admin = {"organization_id": organization_id, "user_id": origin.actor_id or ""}
        if (yield policy.LOCK_ADMIN, of_admin) is None:
            return Commit.LOST
    locked = yield policy.LOCK_ORGANIZATION_ALONE, {"organization_id": organization_id}
    return Commit.LOST if locked is None else Commit.APPLIED


def save_policy(organization_id: str, changed: OrganizationPolicy, now: int, origin: Origin) -> Steps[Commit]:
    """Put the organization's policy in place of the one before."""
    if (yield from lock_for(organization_id, origin)) is Commit.LOST:
        return Commit.LOST
    before = yield policy.FIND_POLICY, {"organization_id": organization_id}
    modes = _tell_policy(changed)
    changing = {"changed_by": origin.decider, "changed_at": now}
    yield policy.SAVE_POLICY, {"organization_id": organization_id, **modes, **changing}
    yield from record_event(
        Event(
            action=Action.POLICY_CHANGED,
            at=now,
            origin=origin,
            subject_kind="policy",
            subject_id=organization_id,
            organization_id=organization_id,
            before=None if before is None else _tell_policy(read_policy(before[1:4])),
            after=modes,
        )
    )
    return Commit.APPLIED


def save_rule(rule: AppRule, adds: bool, origin: Origin) -> Steps[Commit]:
    """Put a rule in place of the one before. A block ends the app's grants there, for whom it is, and what they agreed
    to is forgotten."""
    if (yield from lock_for(rule.organization_id, origin)) is Commit.LOST:
        return Commit.LOST
    yield from put_rule((yield from add_to_rule(rule)) if adds else rule, origin)
    return Commit.APPLIED


def add_to_rule(rule: AppRule) -> Steps[AppRule]:
    """The approval together with the one before; a block before it counts no more."""
    of_rule = {"organization_id": rule.organization_id, "client_id": rule.client_id}
    row = yield policy.FIND_RULE, {**of_rule, "user_id": rule.user_id or EVERYONE}
    before = None if row is None else read_rule(row)
    if before is None or before.is_blocked:
        return rule
    scope = tuple(dict.fromkeys((*before.scope, *rule.scope)))
    left_out = tuple(item for item in dict.fromkeys((*before.left_out, *rule.left_out)) if item not in scope)
    return msgspec.structs.replace(rule, scope=scope, left_out=left_out)


def put_rule(rule: AppRule, origin: Origin) -> Steps[None]:
    """The same within a transaction that holds the organization."""
    now = rule.decided_at
    yield policy.SAVE_RULE, write_rule(rule)
    action = Action.POLICY_APP_BLOCKED if rule.is_blocked else Action.POLICY_APP_APPROVED
    yield from record_event(_rule_event(action, rule, origin, now, after=_tell_rule(rule)))
    if not rule.is_blocked:
        return
    of_app = {"of_client": rule.client_id, "of_organization": rule.organization_id}
    for_whom = {"of_user": rule.user_id or EVERYONE, "everyone": EVERYONE}
    ending = {**of_app, **for_whom, "now": now, "by": rule.decided_by, "reason": BLOCKED_BY_ADMIN}
    told = {"reason": BLOCKED_BY_ADMIN}
    yield from change_each_grant(policy.END_NEXT_GRANT_OF_APP, ending, Action.GRANT_ENDED, origin, now, told)
    yield policy.FORGET_CONSENTS_OF_APP, {**of_app, **for_whom}
    if rule.user_id is None:
        yield from end_approval(rule.client_id, rule.organization_id, rule.decided_by, now, origin)


def end_rule(organization_id: str, client_id: str, user_id: str | None, now: int, origin: Origin) -> Steps[Commit]:
    """Delete a rule: the organization's policy decides again."""
    if (yield from lock_for(organization_id, origin)) is Commit.LOST:
        return Commit.LOST
    of_rule = {"organization_id": organization_id, "client_id": client_id, "user_id": user_id or EVERYONE}
    row = yield policy.END_RULE, of_rule
    if row is None:
        return Commit.LOST
    rule = read_rule(row)
    yield from record_event(_rule_event(Action.POLICY_APP_FORGOTTEN, rule, origin, now, before=_tell_rule(rule)))
    return Commit.APPLIED


def _rule_event(
    action: Action, rule: AppRule, origin: Origin, now: int, *, before: Facts | None = None, after: Facts | None = None
) -> Event:
    return Event(
        action=action,
        at=now,
        origin=origin,
        subject_kind="app",
        subject_id=rule.client_id,
        organization_id=rule.organization_id,
        client_id=rule.client_id,
        user_id=rule.user_id,
        before=before,
        after=after,
    )


def _tell_policy(told: OrganizationPolicy) -> dict[str, Any]:
    return {"low": told.low, "medium": told.medium, "high": told.high}


def _tell_rule(rule: AppRule) -> Facts:
    told: dict[str, Any] = msgspec.to_builtins(rule)
    return {name: told[name] for name in ("user_id", "is_blocked", "scope", "left_out")}


def read_standing(row: Row) -> Standing:
    """The row of `FIND_STANDING`."""
    rules = (row[6 : 6 + _RULE_WIDTH], row[6 + _RULE_WIDTH : 6 + 2 * _RULE_WIDTH])
    return Standing(
        organization_id=row[0],
        role=cast("Role", row[1]),
        policy=None if row[2] is None else read_policy(row[2:5]),
        rules=tuple(read_rule(rule) for rule in rules if rule[0] is not None),
        is_listed=bool(row[5]),
    )


def read_policy(modes: Sequence[Any]) -> OrganizationPolicy:
    """The modes of low, medium and high risk."""
    low, medium, high = (cast("Mode", mode) for mode in modes)
    return OrganizationPolicy(low=low, medium=medium, high=high)


def read_rule(row: Sequence[Any]) -> AppRule:
    """The columns of a rule."""
    return AppRule(
        organization_id=row[0],
        client_id=row[1],
        user_id=row[2] or None,
        is_blocked=bool(row[3]),
        scope=tuple(row[4].split()),
        left_out=tuple(row[5].split()),
        decided_by=row[6],
        decided_at=row[7],
    )


def write_rule(rule: AppRule) -> dict[str, Any]:
    """A rule's columns."""
    return {
        "organization_id": rule.organization_id,
        "client_id": rule.client_id,
        "user_id": rule.user_id or EVERYONE,
        "is_blocked": rule.is_blocked,
        "scope": " ".join(rule.scope),
        "left_out": " ".join(rule.left_out),
        "decided_by": rule.decided_by,
        "decided_at": rule.decided_at,
    }
