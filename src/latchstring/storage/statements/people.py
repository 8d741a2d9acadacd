"""Users, organizations, memberships, browser sessions."""

from sqlalchemy import String, bindparam, delete, func, insert, literal_column, null, select, update

from latchstring.storage.schema import membership, organization, session, user
from latchstring.storage.statements.statement import define, define_insert

INSERT_USER = define_insert(
    "insert_user",
    lambda insert: (
        insert(user)
        .values({column.name: bindparam(column.name) for column in user.columns})
        .on_conflict_do_nothing(index_elements=["email_key"])
        .returning(user.c.user_id)
    ),
)
FIND_USER = define("find_user", select(user).where(user.c.user_id == bindparam("user_id")))
FIND_OPERATORS = define("find_operators", select(user).where(user.c.is_operator).order_by(user.c.email_key))
SET_OPERATOR = define(
    "set_operator",
    update(user)
    .where(user.c.user_id == bindparam("of_user"), user.c.is_operator != bindparam("becomes"))
    .values(is_operator=bindparam("becomes"))
    .returning(user.c.user_id),
)
FIND_USER_BY_EMAIL = define("find_user_by_email", select(user).where(user.c.email_key == bindparam("email_key")))
INSERT_ORGANIZATION = define("insert_organization", insert(organization))
FIND_ORGANIZATION = define(
    "find_organization", select(organization).where(organization.c.organization_id == bindparam("organization_id"))
)
UPSERT_MEMBERSHIP = define_insert(
    "upsert_membership",
    lambda insert: (
        insert(membership)
        .values(
            user_id=bindparam("user_id"),
            organization_id=bindparam("organization_id"),
            role=bindparam("role"),
            created_at=bindparam("now"),
            ended_at=null(),
        )
        .on_conflict_do_update(
            index_elements=["user_id", "organization_id"],
            set_={
                "role": bindparam("role", type_=membership.c.role.type),
                "ended_at": null(),
                "suspended_at": null(),
            },
        )
        .returning(membership.c.user_id)
    ),
)
END_MEMBERSHIP = define(
    "end_membership",
    update(membership)
    .where(
        membership.c.user_id == bindparam("of_user"),
        membership.c.organization_id == bindparam("of_organization"),
        membership.c.ended_at.is_(None),
    )
    .values(ended_at=bindparam("now"))
    .returning(membership.c.role),
)
_memberships = select(
    membership.c.user_id,
    membership.c.organization_id,
    organization.c.name,
    membership.c.role,
    membership.c.created_at,
    membership.c.ended_at,
    membership.c.suspended_at,
).join(organization, organization.c.organization_id == membership.c.organization_id)
FIND_MEMBERSHIPS = define(
    "find_memberships",
    _memberships.where(
        membership.c.user_id == bindparam("user_id"),
        membership.c.ended_at.is_(None),
        membership.c.suspended_at.is_(None),
        organization.c.closed_at.is_(None),
    ).order_by(func.lower(organization.c.name), organization.c.organization_id),
)
# By name, a page at a time: the key is what it is sorted by.
_member_key = func.lower(user.c.name) + literal_column("'|'", String) + user.c.user_id
FIND_MEMBERS = define(
    "find_members",
    select(
        membership.c.user_id,
        user.c.name,
        user.c.email,
        membership.c.role,
        membership.c.created_at,
        membership.c.suspended_at,
        user.c.disabled_at,
        _member_key.label("key"),
    )
    .join(user, user.c.user_id == membership.c.user_id)
    .where(
        membership.c.organization_id == bindparam("organization_id"),
        membership.c.ended_at.is_(None),
        _member_key > bindparam("after"),
    )
    .order_by(_member_key)
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
FIND_MEMBERSHIP = define(
    "find_membership",
    _memberships.where(
        membership.c.user_id == bindparam("user_id"),
        membership.c.organization_id == bindparam("organization_id"),
    ),
)
INSERT_SESSION = define("insert_session", insert(session))
FIND_SESSION = define(
    "find_session",
    select(session).where(session.c.session_hash == bindparam("session_hash"), session.c.expires_at > bindparam("now")),
)
END_SESSION = define("end_session", delete(session).where(session.c.session_hash == bindparam("session_hash")))
END_EXPIRED_SESSIONS = define(
    "end_expired_sessions",
    delete(session).where(session.c.user_id == bindparam("user_id"), session.c.expires_at <= bindparam("now")),
)
