"""Grants as people see them: a member's own, an organization's by key, and when they were last used."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func, literal_column, or_, select

from latchstring.storage.schema import client, grant, grant_use, organization, user
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
)

_NONE: Final[ColumnElement[int]] = literal_column("0")
_publisher = organization.alias("publisher")
# A refresh is noted on the row itself; what comes between, beside it.
_touched = func.coalesce(grant.c.rotated_at, grant.c.activated_at)
_last_used = case((grant_use.c.last_used_at > _touched, grant_use.c.last_used_at), else_=_touched)
_connection: Select[Any] = (
    select(
        *grant.columns,
        client.c.public_id.label("client_public_id"),
        client.c.name.label("client_name"),
        _publisher.c.name.label("publisher_name"),
        organization.c.name.label("organization_name"),
        user.c.name.label("user_name"),
        user.c.email.label("user_email"),
        _last_used.label("last_used_at"),
        grant_use.c.used_from,
    )
    .select_from(grant)
    .outerjoin(client, client.c.client_id == grant.c.client_id)
    .outerjoin(_publisher, _publisher.c.organization_id == client.c.organization_id)
    .outerjoin(organization, organization.c.organization_id == grant.c.organization_id)
    .outerjoin(user, user.c.user_id == grant.c.user_id)
    .outerjoin(grant_use, grant_use.c.grant_id == grant.c.id)
)
_now = bindparam("now", type_=BIGINT)
_is_live = and_(
    or_(grant.c.status == ACTIVE, grant.c.status == SUSPENDED),
    or_(grant.c.expires_at.is_(None), grant.c.expires_at > _now),
)
# An expired one has ended too, though nothing says so on its row.
_has_ended = or_(grant.c.status == ENDED, and_(grant.c.status != PENDING, grant.c.expires_at <= _now))
FIND_CONNECTIONS = define(
    "find_connections",
    _connection.where(grant.c.user_id == bindparam("user_id"), _is_live).order_by(grant.c.id.desc()),
)

# -- an organization's, a page at a time: the newest first, from a key on, no further back than a stretch of keys

_in_organization = grant.c.organization_id == bindparam("organization_id")
_of_app = and_(_in_organization, grant.c.client_id == bindparam("client_id"))
_of_person = and_(_in_organization, grant.c.user_id == bindparam("user_id"))
_of_both = and_(_of_person, grant.c.client_id == bindparam("client_id"))
_since = bindparam("unused_since", type_=BIGINT)
_is_unused = or_(_since.is_(None), and_(_touched < _since, or_(_last_used < _since, _last_used.is_(None))))


def _define_listing(name: str, which: ColumnElement[bool]) -> tuple[Statement, dict[bool, Statement]]:
    """Finds the key that a page of those grants does not look beyond; finds the page, of live or of ended ones."""
    before = grant.c.id < bindparam("before")
    floor = select(grant.c.id).where(which, before).order_by(grant.c.id.desc()).limit(ONE).offset(bindparam("skipped"))
    pages = {}
    for has_ended, kind in ((False, _is_live), (True, _has_ended)):
        page = (
            _connection.where(which, before, grant.c.id >= bindparam("floor"), kind, _is_unused)
            .order_by(grant.c.id.desc())
            .limit(bindparam("at_most"))
            .offset(_NONE)
        )
        pages[has_ended] = define(f"find_{'ended' if has_ended else 'live'}_connections_of_{name}", page)
    return define(f"find_floor_of_{name}", floor), pages


LISTINGS: Final = {
    (False, False): _define_listing("organization", _in_organization),
    (True, False): _define_listing("app_in_organization", _of_app),
    (False, True): _define_listing("person_in_organization", _of_person),
    (True, True): _define_listing("person_and_app_in_organization", _of_both),
}
"""By whether an app and whether a person is asked for."""

# Each app once, by jumps from one to the next: as many look-ups as there are apps.
_first = select(func.min(grant.c.client_id).label("client_id")).where(_in_organization).cte("connected", recursive=True)
_following = select(
    select(func.min(grant.c.client_id))
    .where(_in_organization, grant.c.client_id > _first.c.client_id)
    .scalar_subquery()
    .label("client_id")
).where(_first.c.client_id.is_not(None))
_connected = _first.union_all(_following)
FIND_CONNECTED_APPS = define(
    "find_connected_apps",
    select(client.c.client_id, client.c.name)
    .join(_connected, _connected.c.client_id == client.c.client_id)
    .order_by(func.lower(client.c.name), client.c.client_id),
)
COUNT_CONNECTIONS_OF_APP = define(
    "count_connections_of_app",
    select(organization.c.organization_id, organization.c.name, func.count(), func.max(_touched))
    .select_from(grant)
    .join(organization, organization.c.organization_id == grant.c.organization_id)
    .where(grant.c.client_id == bindparam("client_id"), _is_live)
    .group_by(organization.c.organization_id, organization.c.name)
    .order_by(func.count().desc(), organization.c.organization_id)
    .limit(bindparam("at_most"))
    .offset(_NONE),
)
NOTE_GRANT_USE = define_insert(
    "note_grant_use",
    lambda insert: (
        insert(grant_use)
        .values(grant_id=bindparam("grant_id"), last_used_at=bindparam("used_at"), used_from=bindparam("used_from"))
        .on_conflict_do_update(
            index_elements=["grant_id"],
            set_={
                "last_used_at": bindparam("used_at", type_=BIGINT),
                "used_from": func.coalesce(bindparam("used_from", type_=TEXT), grant_use.c.used_from),
            },
        )
    ),
)
