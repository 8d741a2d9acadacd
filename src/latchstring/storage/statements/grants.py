"""Grants, one row each; their tokens revoked singly; pushed requests."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    delete,
    exists,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from latchstring.storage.schema import (
    client,
    grant,
    membership,
    organization,
    pushed_request,
    revoked_access_token,
    user,
)
from latchstring.storage.statements.statement import (
    ACTIVE,
    BIGINT,
    ENDED,
    ONE,
    PENDING,
    TEXT,
    Statement,
    define,
    define_hot,
    define_hot_insert,
    define_insert,
    define_rebinding,
)

# What the event of a grant tells (`storage/recording.py`).
GRANT_FACTS = (grant.c.id, grant.c.client_id, grant.c.user_id, grant.c.organization_id)
FIND_GRANT = define_hot(
    "find_grant",
    "grant_id",
    {"grant_id": grant.c.id.type},
    lambda parameter: select(grant).where(grant.c.id == parameter("grant_id")),
)
_owner_member = membership.alias("owner_member")
_is_owner_member: ColumnElement[bool] = and_(
    _owner_member.c.organization_id == client.c.organization_id,
    _owner_member.c.user_id == bindparam("user_id"),
    _owner_member.c.ended_at.is_(None),
    _owner_member.c.suspended_at.is_(None),
)
_is_reachable: ColumnElement[bool] = exists().where(
    client.c.client_id == bindparam("client_id"),
    client.c.ended_at.is_(None),
    client.c.suspended_at.is_(None),
    client.c.owner_closed_at.is_(None),
    or_(client.c.is_published, exists().where(_is_owner_member)),
)
# The membership itself, and the user and organization that it stands on.
_is_member_row: ColumnElement[bool] = and_(
    membership.c.user_id == bindparam("user_id"),
    membership.c.organization_id == bindparam("organization_id"),
    membership.c.ended_at.is_(None),
    membership.c.suspended_at.is_(None),
    user.c.user_id == membership.c.user_id,
    user.c.disabled_at.is_(None),
    organization.c.organization_id == membership.c.organization_id,
    organization.c.closed_at.is_(None),
)
_is_member: ColumnElement[bool] = exists().where(_is_member_row)
_grant_values: Select[Any] = select(
    *(bindparam(column.name, type_=column.type).label(column.name) for column in grant.columns)
).where(_is_member, _is_reachable)
INSERT_CONSENT = define_insert(
    "insert_consent",
    lambda insert: (
        insert(grant)
        .from_select([column.name for column in grant.columns], _grant_values)
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(grant.c.id)
    ),
)
# Shared with other consents, waited for by what ends any of the three; SQLite has one writer and needs no lock.
LOCK_MEMBERSHIP = define(
    "lock_membership",
    select(membership.c.user_id, user.c.user_id, organization.c.organization_id, membership.c.role)
    .where(_is_member_row)
    .with_for_update(read=True),
)
# For the assertions that make or prolong a grant: two for one member take turns, so that they find each other's.
LOCK_MEMBERSHIP_ALONE = define(
    "lock_membership_alone",
    select(membership.c.user_id)
    .where(membership.c.user_id == bindparam("user_id"), membership.c.organization_id == bindparam("organization_id"))
    .with_for_update(),
)
LOCK_CLIENT = define(
    "lock_client",
    select(client.c.is_published).where(client.c.client_id == bindparam("client_id")).with_for_update(read=True),
)
LOCK_OWNER_MEMBERSHIP = define(
    "lock_owner_membership",
    select(_owner_member.c.user_id)
    .join(client, client.c.organization_id == _owner_member.c.organization_id)
    .where(client.c.client_id == bindparam("client_id"), _is_owner_member)
    .with_for_update(read=True, of=_owner_member),
)
FIND_REACHABLE = define("find_reachable", select(ONE).where(_is_reachable))
PROLONG_ASSERTED = define(
    "prolong_asserted",
    update(grant)
    .where(
        grant.c.user_id == bindparam("of_user"),
        grant.c.organization_id == bindparam("of_organization"),
        grant.c.client_id == bindparam("of_client"),
        grant.c.asserted_by == bindparam("of_issuer"),
        grant.c.scope == bindparam("of_scope"),
        grant.c.status == ACTIVE,
    )
    .values(expires_at=bindparam("new_expires_at"))
    .returning(grant.c.id),
)
INSERT_GRANT = define("insert_grant", insert(grant))
# Writes what it finds: once that is durable, on a standby too if there is a synchronous one, so is what it has found.
CONFIRM_WRITE = define(
    "confirm_write",
    update(grant)
    .where(grant.c.id == bindparam("grant_id"), grant.c.status == ACTIVE, grant.c.written_as == bindparam("mark"))
    .values(written_as=bindparam("mark"))
    .returning(grant.c.id),
)
REDEEM, REDEEM_REBOUND = define_rebinding(
    "redeem",
    {
        "grant_id": grant.c.id.type,
        "now": BIGINT,
        "new_generation": BIGINT,
        "new_expires_at": BIGINT,
        "new_absolute_expires_at": BIGINT,
        "mark": BIGINT,
    },
    lambda parameter, rebinding: (
        update(grant)
        .where(grant.c.id == parameter("grant_id"), grant.c.status == PENDING, grant.c.expires_at > parameter("now"))
        .values(
            status=ACTIVE,
            generation=parameter("new_generation"),
            activated_at=parameter("now"),
            expires_at=parameter("new_expires_at"),
            absolute_expires_at=parameter("new_absolute_expires_at"),
            written_as=parameter("mark"),
            **rebinding,
        )
        .returning(grant.c.id)
    ),
    confirm=CONFIRM_WRITE,
)
ROTATE, ROTATE_REBOUND = define_rebinding(
    "rotate",
    {"grant_id": grant.c.id.type, "at_generation": BIGINT, "now": BIGINT, "new_expires_at": BIGINT, "mark": BIGINT},
    lambda parameter, rebinding: (
        update(grant)
        .where(
            grant.c.id == parameter("grant_id"),
            grant.c.status == ACTIVE,
            grant.c.generation == parameter("at_generation"),
        )
        .values(
            generation=grant.c.generation + ONE,
            rotated_at=parameter("now"),
            expires_at=parameter("new_expires_at"),
            written_as=parameter("mark"),
            **rebinding,
        )
        .returning(grant.c.id)
    ),
    confirm=CONFIRM_WRITE,
)
# For refresh tokens that do not rotate.
RENEW, RENEW_REBOUND = define_rebinding(
    "renew",
    {"grant_id": grant.c.id.type, "at_generation": BIGINT, "new_expires_at": BIGINT},
    lambda parameter, rebinding: (
        update(grant)
        .where(
            grant.c.id == parameter("grant_id"),
            grant.c.status == ACTIVE,
            grant.c.generation == parameter("at_generation"),
        )
        .values(expires_at=parameter("new_expires_at"), **rebinding)
        .returning(grant.c.id)
    ),
)
COUNT_RETRY = define_hot(
    "count_retry",
    "grant_id",
    {"grant_id": grant.c.id.type, "at_generation": BIGINT},
    lambda parameter: (
        update(grant)
        .where(
            grant.c.id == parameter("grant_id"),
            grant.c.status == ACTIVE,
            grant.c.generation == parameter("at_generation"),
        )
        .values(retry_count=grant.c.retry_count + ONE)
        .returning(grant.c.id)
    ),
)
ISSUE_CODE = define(
    "issue_code",
    update(grant)
    .where(
        grant.c.id == bindparam("of_grant"),
        grant.c.user_id == bindparam("of_user"),
        grant.c.status == PENDING,
        grant.c.expires_at > bindparam("now"),
    )
    .values(expires_at=bindparam("new_expires_at"))
    .returning(grant.c.id, grant.c.row_secret),
)
END_GRANT = define_hot(
    "end_grant",
    "grant_id",
    {"grant_id": grant.c.id.type, "now": BIGINT, "by": TEXT, "reason": TEXT},
    lambda parameter: (
        update(grant)
        .where(grant.c.id == parameter("grant_id"), grant.c.status != ENDED)
        .values(status=ENDED, ended_at=parameter("now"), ended_by=parameter("by"), ended_reason=parameter("reason"))
        .returning(*GRANT_FACTS)
    ),
)


_NONE: ColumnElement[int] = literal_column("0")


ENDING = {
    "status": ENDED,
    "ended_at": bindparam("now"),
    "ended_by": bindparam("by"),
    "ended_reason": bindparam("reason"),
}


def define_next(name: str, which: ColumnElement[bool], change: Mapping[str, Any]) -> Statement:
    """Changes one more of those grants, which must not be one of them afterwards; its facts, or nothing when none is
    left."""
    one = select(grant.c.id).where(which).order_by(grant.c.id).limit(ONE).offset(_NONE).with_for_update()
    return define(
        name,
        update(grant).where(grant.c.id == one.scalar_subquery(), which).values(**change).returning(*GRANT_FACTS),
    )


INSERT_REVOKED_TOKEN = define_hot_insert(
    "insert_revoked_token", revoked_access_token, key="token_id", is_ignored_twice=True
)


def _later(column: ColumnElement[int], until: ColumnElement[int]) -> ColumnElement[int]:
    return case((column < until, until), else_=column)


MARK_REVOKED_TOKEN = define_hot(
    "mark_revoked_token",
    "grant_id",
    {"grant_id": grant.c.id.type, "until": BIGINT},
    lambda parameter: (
        update(grant)
        .where(grant.c.id == parameter("grant_id"))
        .values(access_revoked_until=_later(grant.c.access_revoked_until, parameter("until")))
        .returning(*GRANT_FACTS)
    ),
)
MARK_REVOKED_CLIENT_TOKEN = define(
    "mark_revoked_client_token",
    update(client)
    .where(client.c.client_id == bindparam("of_client"))
    .values(access_revoked_until=_later(client.c.access_revoked_until, bindparam("until", type_=BIGINT))),
)
FIND_REVOKED_TOKEN = define(
    "find_revoked_token",
    select(revoked_access_token.c.token_id).where(revoked_access_token.c.token_id == bindparam("token_id")),
)
_any_user = bindparam("user_id", type_=grant.c.user_id.type)
_any_organization = bindparam("organization_id", type_=grant.c.organization_id.type)
FIND_GRANTS = define(
    "find_grants",
    select(grant)
    .where(
        or_(_any_user.is_(None), grant.c.user_id == _any_user),
        or_(_any_organization.is_(None), grant.c.organization_id == _any_organization),
    )
    .order_by(grant.c.id.desc())
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
INSERT_PUSHED_REQUEST = define("insert_pushed_request", insert(pushed_request))
FIND_PUSHED_REQUEST = define(
    "find_pushed_request", select(pushed_request).where(pushed_request.c.id == bindparam("request_id"))
)
LOCK_PUSHED_REQUEST = define(
    "lock_pushed_request",
    select(pushed_request.c.id).where(pushed_request.c.id == bindparam("request_id")).with_for_update(),
)
USE_PUSHED_REQUEST = define(
    "use_pushed_request",
    delete(pushed_request).where(pushed_request.c.id == bindparam("request_id")).returning(pushed_request.c.id),
)
END_STALE_PUSHED_REQUESTS = define(
    "end_stale_pushed_requests", delete(pushed_request).where(pushed_request.c.expires_at < bindparam("stale_at"))
)
