"""What the sweeper does, and what `doctor` counts."""

from typing import Final

from sqlalchemy import (
    String,
    Table,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    extract,
    func,
    literal_column,
    not_,
    or_,
    select,
    update,
)

from latchstring.storage.schema import (
    access_request,
    audit_event,
    client,
    device_authorization,
    grant,
    grant_use,
    mail,
    organization,
    organization_app_rule,
    password_reset,
    pushed_request,
    registration_token,
    revoked_access_token,
    session,
    settlement,
    sweep,
    used_once,
    user,
    user_code_guess,
    webhook_delivery,
)
from latchstring.storage.statements.statement import (
    ACTIVE,
    BIGINT,
    ENDED,
    PENDING,
    SUSPENDED,
    Statement,
    define,
    define_insert,
)

_SWEEPER = literal_column("'sweeper'", String)
CLAIM_SWEEP = define_insert(
    "claim_sweep",
    lambda insert: (
        insert(sweep)
        .values(
            name=_SWEEPER,
            holder=bindparam("holder"),
            held_until=bindparam("until"),
            position=bindparam("start"),
            round_began_at=bindparam("now"),
            next_round_at=bindparam("now"),
        )
        .on_conflict_do_update(
            index_elements=["name"],
            set_={
                "holder": bindparam("holder", type_=sweep.c.holder.type),
                "held_until": bindparam("until", type_=BIGINT),
            },
            where=or_(
                sweep.c.held_until <= bindparam("now", type_=BIGINT),
                sweep.c.holder == bindparam("holder", type_=sweep.c.holder.type),
            ),
        )
        .returning(sweep.c.position, sweep.c.next_round_at, sweep.c.round_began_at)
    ),
)
MOVE_SWEEP = define(
    "move_sweep",
    update(sweep)
    .where(sweep.c.name == _SWEEPER)
    .values(
        position=bindparam("new_position"),
        round_began_at=bindparam("began_at"),
        round_ended_at=func.coalesce(bindparam("ended_at", type_=BIGINT), sweep.c.round_ended_at),
        next_round_at=bindparam("next_at"),
    ),
)
FIND_SWEEP = define("find_sweep", select(sweep).where(sweep.c.name == _SWEEPER))
FIND_NEXT_GRANTS_END = define(
    "find_next_grants_end",
    select(grant.c.id)
    .where(grant.c.id > bindparam("position"))
    .order_by(grant.c.id)
    .limit(literal_column("1"))
    .offset(bindparam("skipped")),
)
# A pending grant is worth nothing once its code has expired. One that has ended, or whose refresh token has expired, is
# kept for a while, so that a token used again is told why it is refused.
END_OF_GRANTS = b"\xff" * 16
_kept_since, _pending_since = (bindparam(name, type_=BIGINT) for name in ("kept_since", "pending_since"))
_may_be_swept = or_(
    and_(grant.c.status == ENDED, grant.c.ended_at < _kept_since),
    and_(grant.c.status == PENDING, grant.c.expires_at < _pending_since),
    and_(or_(grant.c.status == ACTIVE, grant.c.status == SUSPENDED), grant.c.expires_at < _kept_since),
)
SWEEP_GRANTS = define(
    "sweep_grants",
    delete(grant).where(grant.c.id > bindparam("position"), grant.c.id <= bindparam("end"), _may_be_swept),
)
# Of a stretch whose grants have just been swept.
SWEEP_GRANT_USES = define(
    "sweep_grant_uses",
    delete(grant_use).where(
        grant_use.c.grant_id > bindparam("position"),
        grant_use.c.grant_id <= bindparam("end"),
        not_(exists().where(grant.c.id == grant_use.c.grant_id)),
    ),
)

# Behind the grants the walk goes on through the clients: its position is that end, and the last one's id.
_next_clients = (
    select(client.c.client_id)
    .where(client.c.client_id > bindparam("after"))
    .order_by(client.c.client_id)
    .limit(bindparam("at_most"))
    .offset(literal_column("0"))
    .subquery()
)
FIND_NEXT_CLIENTS_END = define("find_next_clients_end", select(func.max(_next_clients.c.client_id)))
# A client that registered itself is kept for its grants' sake. Where there is none, its row goes; not before the id has
# lapsed, which would otherwise stand for what was registered first.
_is_unconnected = and_(
    client.c.public_id.is_not(None),
    client.c.expires_at.is_(None),
    client.c.created_at < bindparam("registered_since", type_=BIGINT),
    ~select(grant.c.id).where(grant.c.client_id == client.c.client_id).exists(),
    # Admins who are asked for it are shown what they decide about.
    ~select(access_request.c.client_id).where(access_request.c.client_id == client.c.client_id).exists(),
    # An organization that blocks it is shown what it blocks.
    ~select(organization_app_rule.c.client_id).where(organization_app_rule.c.client_id == client.c.client_id).exists(),
)
# Locked by one statement and looked at again by the next, which sees the grant of a consent that was waited for.
LOCK_UNCONNECTED_CLIENT = define(
    "lock_unconnected_client",
    select(client.c.client_id)
    .where(client.c.client_id > bindparam("after"), client.c.client_id <= bindparam("end"), _is_unconnected)
    .order_by(client.c.client_id)
    .limit(literal_column("1"))
    .offset(literal_column("0"))
    .with_for_update(),
)
SWEEP_UNCONNECTED_CLIENT = define(
    "sweep_unconnected_client",
    delete(client).where(client.c.client_id == bindparam("id"), _is_unconnected).returning(client.c.client_id),
)


def _define_sweep(name: str, table: Table) -> Statement:
    """Deletes some of the rows that mattered until a moment that has passed."""
    (key,) = table.primary_key.columns
    stale = (
        select(key)
        .where(table.c.expires_at < bindparam("stale_at"))
        .order_by(table.c.expires_at)
        .limit(bindparam("at_most"))
        .offset(literal_column("0"))
    )
    return define(name, delete(table).where(key.in_(stale)).returning(key))


SWEEPS: Final = tuple(
    _define_sweep(f"sweep_{table.name}", table)
    for table in (
        revoked_access_token,
        used_once,
        pushed_request,
        device_authorization,
        user_code_guess,
        session,
        password_reset,
        client,
        registration_token,
        access_request,
    )
)
_is_dead = or_(grant.c.status == ENDED, grant.c.expires_at < bindparam("now", type_=BIGINT))
_overdue, _kept, _live = (literal_column(f"'{kind}'", String) for kind in ("overdue", "kept", "live"))
_kind = case((_may_be_swept, _overdue), (_is_dead, _kept), else_=_live).label("kind")
COUNT_GRANTS = define("count_grants", select(_kind, func.count(), func.min(grant.c.created_at)).group_by(_kind))
DATABASE_CLOCK = define("database_clock", select(cast(extract("epoch", func.current_timestamp()), BIGINT)))
COUNTS: Final = {
    table.name: define(f"count_{table.name}", select(func.count()).select_from(table))
    for table in (
        grant_use,
        settlement,
        client,
        organization,
        user,
        session,
        pushed_request,
        device_authorization,
        user_code_guess,
        revoked_access_token,
        used_once,
        registration_token,
        access_request,
        audit_event,
        mail,
        webhook_delivery,
    )
}
