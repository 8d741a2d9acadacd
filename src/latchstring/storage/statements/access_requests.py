"""Members' requests that an app be approved, one row for each member, organization and app."""

from typing import Any

from sqlalchemy import ColumnElement, String, and_, bindparam, case, func, literal_column, null, or_, select, update

from latchstring.storage.schema import access_request, membership, organization, user
from latchstring.storage.statements.statement import BIGINT, TEXT, Insert, define, define_insert

WAITING, APPROVED, CONNECTED, LAPSED = (
    literal_column(f"'{state}'", String) for state in ("waiting", "approved", "connected", "lapsed")
)
ACCESS_REQUEST_FACTS = (
    access_request.c.id,
    access_request.c.client_id,
    access_request.c.user_id,
    access_request.c.organization_id,
)
_now = bindparam("now", type_=BIGINT)
_is_open: ColumnElement[bool] = access_request.c.open_until > _now
_waits: ColumnElement[bool] = and_(access_request.c.state == WAITING, _is_open)


def _upsert(insert: Insert) -> Any:
    statement = insert(access_request).values(
        {column.name: bindparam(column.name) for column in access_request.columns}
    )
    given = statement.excluded
    renewed = {
        column.name: given[column.name]
        for column in access_request.columns
        if column.name not in {"id", "organization_id", "client_id", "user_id", "created_at"}
    }
    still_waits = and_(access_request.c.state == WAITING, access_request.c.open_until > given.created_at)
    for name in ("id", "created_at"):
        renewed[name] = case((still_waits, access_request.c[name]), else_=given[name])
    return statement.on_conflict_do_update(
        index_elements=["organization_id", "client_id", "user_id"], set_=renewed
    ).returning(access_request.c.id)


# A request that waits already is renewed and keeps its id.
UPSERT_ACCESS_REQUEST = define_insert("upsert_access_request", _upsert)
COUNT_WAITING = define(
    "count_waiting",
    select(func.count()).where(
        access_request.c.user_id == bindparam("user_id"), access_request.c.client_id != bindparam("client_id"), _waits
    ),
)
FIND_ACCESS_REQUEST = define(
    "find_access_request", select(access_request).where(access_request.c.id == bindparam("request_id"))
)
_listed = select(*access_request.columns, user.c.name.label("user_name"), user.c.email.label("user_email")).join(
    user, user.c.user_id == access_request.c.user_id
)
FIND_WAITING = define(
    "find_waiting",
    _listed.where(
        access_request.c.organization_id == bindparam("organization_id"),
        _waits,
        access_request.c.id > bindparam("after"),
    )
    .order_by(access_request.c.id)
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
FIND_DECIDED = define(
    "find_decided",
    _listed.where(
        access_request.c.organization_id == bindparam("organization_id"), access_request.c.decided_at.is_not(None)
    )
    .order_by(access_request.c.decided_at.desc(), access_request.c.id)
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
_deciding = {
    "state": bindparam("new_state"),
    "granted": bindparam("granted"),
    "decided_by": bindparam("by"),
    "decided_at": bindparam("now", type_=BIGINT),
    "word": bindparam("word"),
    "open_until": bindparam("new_open_until"),
    "expires_at": bindparam("new_expires_at"),
}
# Of two admins at once exactly one decides.
DECIDE_ACCESS_REQUEST = define(
    "decide_access_request",
    update(access_request)
    .where(
        access_request.c.id == bindparam("request_id"),
        access_request.c.organization_id == bindparam("of_organization"),
        _waits,
    )
    .values(**_deciding)
    .returning(*access_request.columns),
)
# Others who wait for the same app, one after the other.
FIND_NEXT_WAITING = define(
    "find_next_waiting",
    select(access_request)
    .where(
        access_request.c.organization_id == bindparam("of_organization"),
        access_request.c.client_id == bindparam("of_client"),
        access_request.c.id > bindparam("after"),
        _waits,
    )
    .order_by(access_request.c.id)
    .limit(literal_column("1"))
    .offset(literal_column("0")),
)
END_PARKING = define(
    "end_parking",
    update(access_request)
    .where(
        access_request.c.id == bindparam("request_id"),
        access_request.c.user_id == bindparam("of_user"),
        access_request.c.parked.is_not(None),
        _is_open,
    )
    .values(parked=null())
    .returning(access_request.c.id),
)
# The parked authorization goes on once: held by the consent that does, and used up by it.
LOCK_PARKED = define(
    "lock_parked",
    select(access_request.c.id)
    .where(
        access_request.c.id == bindparam("request_id"),
        access_request.c.user_id == bindparam("of_user"),
        access_request.c.state == APPROVED,
        access_request.c.parked.is_not(None),
    )
    .with_for_update(),
)
USE_PARKED = define(
    "use_parked",
    update(access_request)
    .where(access_request.c.id == bindparam("request_id"))
    .values(state=CONNECTED, parked=null())
    .returning(access_request.c.id),
)
_any_user, _any_organization, _any_client = (
    bindparam(name, type_=TEXT) for name in ("of_user", "of_organization", "of_client")
)
LAPSE_NEXT_REQUEST = define(
    "lapse_next_request",
    update(access_request)
    .where(
        access_request.c.id
        == select(access_request.c.id)
        .where(
            or_(_any_user.is_(None), access_request.c.user_id == _any_user),
            or_(_any_organization.is_(None), access_request.c.organization_id == _any_organization),
            or_(_any_client.is_(None), access_request.c.client_id == _any_client),
            or_(access_request.c.state == WAITING, access_request.c.state == APPROVED),
        )
        .order_by(access_request.c.id)
        .limit(literal_column("1"))
        .offset(literal_column("0"))
        .with_for_update()
        .scalar_subquery()
    )
    .values(state=LAPSED, parked=null())
    .returning(*ACCESS_REQUEST_FACTS),
)
_ADMIN = literal_column("'admin'", TEXT)
_waiting_there = (
    select(func.count())
    .select_from(access_request)
    .where(access_request.c.organization_id == membership.c.organization_id, _waits)
    .scalar_subquery()
)
FIND_ADMIN_ADDRESSES = define(
    "find_admin_addresses",
    select(user.c.email)
    .join(membership, membership.c.user_id == user.c.user_id)
    .where(
        membership.c.organization_id == bindparam("organization_id"),
        membership.c.role == _ADMIN,
        membership.c.ended_at.is_(None),
    )
    .order_by(membership.c.created_at, user.c.user_id)
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
FIND_ADMINISTERED = define(
    "find_administered",
    select(organization.c.organization_id, organization.c.name, _waiting_there)
    .join(membership, membership.c.organization_id == organization.c.organization_id)
    .where(
        membership.c.user_id == bindparam("user_id"),
        membership.c.role == _ADMIN,
        membership.c.ended_at.is_(None),
    )
    .order_by(func.lower(organization.c.name), organization.c.organization_id),
)
