"""What begins, pauses and ends: the rows that say so, and the grants that follow from them.

Whether a grant is held, and by what, is one expression (`_hold`) over five rows: user, organization, client,
membership, and the membership in the client's owner. Whatever changes one of them settles the grants that stand on it
by that expression, whichever way it changed: nothing has to know what else holds a grant.
"""

from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.sql.elements import KeyedColumnElement

from latchstring.authorization_server import refusals
from latchstring.storage.schema import (
    client,
    client_approval,
    grant,
    life_cycle,
    membership,
    organization,
    session,
    settlement,
    user,
)
from latchstring.storage.statements.grants import ENDING, GRANT_FACTS
from latchstring.storage.statements.statement import (
    ACTIVE,
    BIGINT,
    ENDED,
    ONE,
    PENDING,
    SUSPENDED,
    TEXT,
    Statement,
    define,
    define_insert,
    define_many,
)

USER: Final = "user"
ORGANIZATION: Final = "organization"
CLIENT: Final = "client"
_SUBJECTS: Final[dict[str, KeyedColumnElement[Any]]] = {
    USER: grant.c.user_id,
    ORGANIZATION: grant.c.organization_id,
    CLIENT: grant.c.client_id,
}


def _word(text: str) -> ColumnElement[str]:
    return literal_column(f"'{text}'", String)


# -- turns

_TURN: Final = _word("turn")
TAKE_TURN = define_insert(
    "take_turn",
    lambda insert: (
        insert(life_cycle)
        .values(name=_TURN, turn=ONE)
        .on_conflict_do_update(index_elements=["name"], set_={"turn": life_cycle.c.turn + ONE})
        .returning(life_cycle.c.turn)
    ),
)

# -- settling grants

_member = membership.alias("member")
_owner_member = membership.alias("owner_member")
_owner = organization.alias("owner")
# What ends a grant for good, and what holds it for as long as it lasts.
_is_overdue = _member.c.ended_at + organization.c.leaver_grants_end_after <= bindparam("now", type_=BIGINT)
_is_final = or_(user.c.deleted_at.is_not(None), client.c.ended_at.is_not(None), _is_overdue)
_hold = case(
    (user.c.deleted_at.is_not(None), _word(refusals.USER_DELETED)),
    (client.c.ended_at.is_not(None), _word(refusals.APP_DELETED)),
    (_is_overdue, _word(refusals.MEMBERSHIP_ENDED)),
    (user.c.disabled_at.is_not(None), _word(refusals.USER_DISABLED)),
    (organization.c.closed_at.is_not(None), _word(refusals.ORGANIZATION_CLOSED)),
    (or_(client.c.suspended_at.is_not(None), client.c.owner_closed_at.is_not(None)), _word(refusals.APP_SUSPENDED)),
    (or_(_member.c.user_id.is_(None), _member.c.ended_at.is_not(None)), _word(refusals.MEMBERSHIP_ENDED)),
    (_member.c.suspended_at.is_not(None), _word(refusals.MEMBERSHIP_SUSPENDED)),
    (and_(not_(client.c.is_published), _owner_member.c.user_id.is_(None)), _word(refusals.APP_PRIVATE)),
)


def _find_holds(column: KeyedColumnElement[Any]) -> Any:
    """The grants of one subject in a stretch of ids, each with what holds it (NULL is nothing) and whether for good."""
    return (
        select(grant.c.id, _hold.label("hold"), _is_final.label("is_final"))
        .select_from(grant)
        .outerjoin(user, user.c.user_id == grant.c.user_id)
        .outerjoin(organization, organization.c.organization_id == grant.c.organization_id)
        .outerjoin(client, client.c.client_id == grant.c.client_id)
        .outerjoin(
            _member,
            and_(_member.c.user_id == grant.c.user_id, _member.c.organization_id == grant.c.organization_id),
        )
        .outerjoin(
            _owner_member,
            and_(
                _owner_member.c.user_id == grant.c.user_id,
                _owner_member.c.organization_id == client.c.organization_id,
                _owner_member.c.ended_at.is_(None),
                _owner_member.c.suspended_at.is_(None),
            ),
        )
        .where(
            column == bindparam("subject_id"),
            grant.c.id > bindparam("position"),
            grant.c.id <= bindparam("end"),
            grant.c.status != ENDED,
        )
        .subquery("found")
    )


def _define_settling(subject: str, column: KeyedColumnElement[Any]) -> tuple[Statement, Statement, Statement]:
    next_end = (
        select(grant.c.id)
        .where(column == bindparam("subject_id"), grant.c.id > bindparam("position"), grant.c.status != ENDED)
        .order_by(grant.c.id)
        .limit(ONE)
        .offset(bindparam("skipped"))
    )
    found = _find_holds(column)
    end_held = (
        update(grant)
        .where(
            grant.c.id == found.c.id,
            grant.c.status != ENDED,
            found.c.hold.is_not(None),
            or_(grant.c.status == PENDING, found.c.is_final),
        )
        .values(status=ENDED, ended_at=bindparam("now"), ended_by=bindparam("by"), ended_reason=found.c.hold)
        .returning(*GRANT_FACTS, grant.c.ended_reason)
    )
    is_active_or_suspended = or_(grant.c.status == ACTIVE, grant.c.status == SUSPENDED)
    settle = (
        update(grant)
        .where(
            grant.c.id == found.c.id,
            is_active_or_suspended,
            or_(
                grant.c.suspended_reason.is_distinct_from(found.c.hold),
                and_(grant.c.status == SUSPENDED, found.c.hold.is_(None)),
            ),
        )
        .values(
            status=case((found.c.hold.is_(None), ACTIVE), else_=SUSPENDED),
            suspended_reason=found.c.hold,
            suspended_at=case(
                (found.c.hold.is_(None), null()),
                else_=func.coalesce(grant.c.suspended_at, bindparam("now", type_=BIGINT)),
            ),
        )
        .returning(*GRANT_FACTS, grant.c.suspended_reason, grant.c.suspended_at)
    )
    return (
        define(f"find_end_of_stretch_of_{subject}", next_end),
        define_many(f"end_held_grants_of_{subject}", end_held),
        define_many(f"settle_grants_of_{subject}", settle),
    )


SETTLING: Final = {subject: _define_settling(subject, column) for subject, column in _SUBJECTS.items()}
"""By subject: finds the last id of the next stretch; ends its grants that are held for good, and codes that are held at
all; suspends or resumes the others."""

BEGIN_SETTLEMENT = define_insert(
    "begin_settlement",
    lambda insert: (
        insert(settlement)
        .values(
            cause=bindparam("cause"),
            subject=bindparam("subject"),
            subject_id=bindparam("subject_id"),
            position=bindparam("position"),
            by=bindparam("by"),
            origin=bindparam("origin"),
        )
        .on_conflict_do_update(
            index_elements=["cause", "subject", "subject_id"],
            set_={"position": bindparam("position", type_=settlement.c.position.type)},
        )
    ),
)
BEGIN_SETTLEMENT_OF_CLIENTS = define_insert(
    "begin_settlement_of_clients",
    lambda insert: (
        insert(settlement)
        .from_select(
            ["cause", "subject", "subject_id", "position", "by", "origin"],
            select(
                client.c.organization_id,
                _word(CLIENT).label("subject"),
                client.c.client_id,
                bindparam("position", type_=settlement.c.position.type).label("position"),
                bindparam("by", type_=TEXT).label("by"),
                bindparam("origin", type_=TEXT).label("origin"),
            ).where(client.c.organization_id == bindparam("organization_id")),
        )
        .on_conflict_do_update(
            index_elements=["cause", "subject", "subject_id"],
            set_={"position": bindparam("position", type_=settlement.c.position.type)},
        )
    ),
)
FIND_SETTLEMENT = define(
    "find_settlement",
    select(settlement)
    .where(settlement.c.cause == bindparam("cause"))
    .order_by(settlement.c.subject, settlement.c.subject_id)
    .limit(ONE)
    .offset(literal_column("0")),
)
FIND_ANY_SETTLEMENT = define(
    "find_any_settlement",
    select(settlement.c.cause).order_by(settlement.c.cause).limit(ONE).offset(literal_column("0")),
)
_of_settlement = and_(
    settlement.c.cause == bindparam("of_cause"),
    settlement.c.subject == bindparam("of_subject"),
    settlement.c.subject_id == bindparam("of_id"),
)
MOVE_SETTLEMENT = define(
    "move_settlement", update(settlement).where(_of_settlement).values(position=bindparam("new_position"))
)
END_SETTLEMENT = define("end_settlement", delete(settlement).where(_of_settlement))

# -- memberships

_of_membership = and_(
    membership.c.user_id == bindparam("of_user"), membership.c.organization_id == bindparam("of_organization")
)
SUSPEND_MEMBERSHIP = define(
    "suspend_membership",
    update(membership)
    .where(_of_membership, membership.c.ended_at.is_(None), membership.c.suspended_at.is_(None))
    .values(suspended_at=bindparam("now"))
    .returning(membership.c.user_id),
)
RESUME_MEMBERSHIP = define(
    "resume_membership",
    update(membership)
    .where(_of_membership, membership.c.ended_at.is_(None), membership.c.suspended_at.is_not(None))
    .values(suspended_at=null())
    .returning(membership.c.user_id),
)
CHANGE_ROLE = define(
    "change_role",
    update(membership)
    .where(_of_membership, membership.c.ended_at.is_(None))
    .values(role=bindparam("new_role"))
    .returning(membership.c.user_id),
)
NOTE_ROLE = define(
    "note_role",
    update(grant)
    .where(
        grant.c.user_id == bindparam("of_user"),
        grant.c.organization_id == bindparam("of_organization"),
        grant.c.status != ENDED,
    )
    .values(member_role=bindparam("new_role")),
)
FIND_OTHER_ADMIN = define(
    "find_other_admin",
    select(membership.c.user_id)
    .join(user, user.c.user_id == membership.c.user_id)
    .where(
        membership.c.organization_id == bindparam("of_organization"),
        membership.c.user_id != bindparam("of_user"),
        membership.c.role == _word("admin"),
        membership.c.ended_at.is_(None),
        membership.c.suspended_at.is_(None),
        user.c.disabled_at.is_(None),
    )
    .limit(ONE)
    .offset(literal_column("0")),
)
END_MEMBERSHIPS_OF_USER = define(
    "end_memberships_of_user",
    update(membership)
    .where(membership.c.user_id == bindparam("of_user"), membership.c.ended_at.is_(None))
    .values(ended_at=bindparam("now")),
)

# -- grants of members who have left

_has_left = exists().where(
    membership.c.user_id == grant.c.user_id,
    membership.c.organization_id == grant.c.organization_id,
    organization.c.organization_id == membership.c.organization_id,
    membership.c.ended_at + organization.c.leaver_grants_end_after <= bindparam("now", type_=BIGINT),
)
_ending_of_leaver = {
    "status": ENDED,
    "ended_at": bindparam("now"),
    "ended_by": grant.c.organization_id,
    "ended_reason": _word(refusals.MEMBERSHIP_ENDED),
}
END_LEFT_GRANTS = define_many(
    "end_left_grants",
    update(grant)
    .where(grant.c.id > bindparam("position"), grant.c.id <= bindparam("end"), grant.c.status == SUSPENDED, _has_left)
    .values(**_ending_of_leaver)
    .returning(*GRANT_FACTS),
)
END_LEFT_GRANTS_OF_MEMBERSHIP = define_many(
    "end_left_grants_of_membership",
    update(grant)
    .where(
        grant.c.user_id == bindparam("of_user"),
        grant.c.organization_id == bindparam("of_organization"),
        grant.c.status == SUSPENDED,
        _has_left,
    )
    .values(**_ending_of_leaver)
    .returning(*GRANT_FACTS),
)
SET_LEAVER_POLICY = define(
    "set_leaver_policy",
    update(organization)
    .where(organization.c.organization_id == bindparam("of_organization"))
    .values(leaver_grants_end_after=bindparam("end_after"))
    .returning(organization.c.organization_id),
)
TAKE_OVER_GRANT = define(
    "take_over_grant",
    update(grant)
    .where(
        grant.c.id == bindparam("of_grant"),
        grant.c.organization_id == bindparam("of_organization"),
        grant.c.user_id == bindparam("from_user"),
        grant.c.status == SUSPENDED,
        or_(
            grant.c.suspended_reason == _word(refusals.MEMBERSHIP_ENDED),
            grant.c.suspended_reason.is_(None),
        ),
        or_(grant.c.expires_at.is_(None), grant.c.expires_at > bindparam("now", type_=BIGINT)),
    )
    .values(
        user_id=bindparam("new_user"),
        scope=bindparam("new_scope"),
        taken_over_from=grant.c.user_id,
        taken_over_at=bindparam("now"),
        authenticated_at=null(),  # it was the leaver who signed in
        acr=null(),
    )
    .returning(*GRANT_FACTS),
)

# -- organizations

CLOSE_ORGANIZATION = define(
    "close_organization",
    update(organization)
    .where(organization.c.organization_id == bindparam("of_organization"), organization.c.closed_at.is_(None))
    .values(closed_at=bindparam("now"))
    .returning(organization.c.organization_id),
)
REOPEN_ORGANIZATION = define(
    "reopen_organization",
    update(organization)
    .where(organization.c.organization_id == bindparam("of_organization"), organization.c.closed_at.is_not(None))
    .values(closed_at=null())
    .returning(organization.c.organization_id),
)
MARK_OWNER = define(
    "mark_owner",
    update(client)
    .where(client.c.organization_id == bindparam("of_organization"))
    .values(owner_closed_at=bindparam("closed_at", type_=BIGINT)),
)

# -- users

DISABLE_USER = define(
    "disable_user",
    update(user)
    .where(user.c.user_id == bindparam("of_user"), user.c.disabled_at.is_(None))
    .values(disabled_at=bindparam("now"))
    .returning(user.c.user_id),
)
ENABLE_USER = define(
    "enable_user",
    update(user)
    .where(user.c.user_id == bindparam("of_user"), user.c.disabled_at.is_not(None), user.c.deleted_at.is_(None))
    .values(disabled_at=null())
    .returning(user.c.user_id),
)
# What is left is the id, which is never given to anybody else.
DELETE_USER = define(
    "delete_user",
    update(user)
    .where(user.c.user_id == bindparam("of_user"), user.c.deleted_at.is_(None))
    .values(
        deleted_at=bindparam("now"),
        disabled_at=func.coalesce(user.c.disabled_at, bindparam("now", type_=BIGINT)),
        email=user.c.user_id,
        email_key=user.c.user_id,
        name=literal_column("''", String),
        password_hash=literal_column("''", String),
    )
    .returning(user.c.user_id),
)
END_SESSIONS_OF_USER = define("end_sessions_of_user", delete(session).where(session.c.user_id == bindparam("of_user")))
# -- clients

SUSPEND_CLIENT = define(
    "suspend_client",
    update(client)
    .where(client.c.client_id == bindparam("of_client"), client.c.suspended_at.is_(None), client.c.ended_at.is_(None))
    .values(suspended_at=bindparam("now"), suspended_by=bindparam("by"), suspended_reason=bindparam("reason"))
    .returning(client.c.organization_id),
)
REINSTATE_CLIENT = define(
    "reinstate_client",
    update(client)
    .where(client.c.client_id == bindparam("of_client"), client.c.suspended_at.is_not(None))
    .values(suspended_at=null(), suspended_by=null(), suspended_reason=null())
    .returning(client.c.organization_id),
)
# The row stays while anyone may still read of what has ended with it.
DELETE_CLIENT = define(
    "delete_client",
    update(client)
    .where(client.c.client_id == bindparam("of_client"), client.c.ended_at.is_(None))
    .values(ended_at=bindparam("now"), expires_at=bindparam("kept_until"))
    .returning(client.c.organization_id),
)
PUBLISH_CLIENT = define(
    "publish_client",
    update(client)
    .where(client.c.client_id == bindparam("of_client"), client.c.is_published != bindparam("is_published"))
    .values(is_published=bindparam("is_published"))
    .returning(client.c.organization_id),
)
END_APPROVALS_OF_CLIENT = define(
    "end_approvals_of_client",
    update(client_approval)
    .where(client_approval.c.client_id == bindparam("of_client"), client_approval.c.ended_at.is_(None))
    .values(ended_by=bindparam("by", type_=TEXT), ended_at=bindparam("now", type_=BIGINT)),
)

# -- one app of one organization, a stretch of its grants in a statement

_of_app = and_(
    grant.c.organization_id == bindparam("of_organization"),
    grant.c.client_id == bindparam("of_client"),
    grant.c.id > bindparam("position"),
    grant.c.status != ENDED,
)
FIND_END_OF_APP_STRETCH = define(
    "find_end_of_app_stretch",
    select(grant.c.id).where(_of_app).order_by(grant.c.id).limit(ONE).offset(bindparam("skipped")),
)
END_APP_STRETCH = define_many(
    "end_app_stretch",
    update(grant).where(_of_app, grant.c.id <= bindparam("end")).values(**ENDING).returning(*GRANT_FACTS),
)
