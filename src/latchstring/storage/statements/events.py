"""The audit log: events are inserted and read; only the sweeper deletes, and nothing changes one."""

from sqlalchemy import ColumnElement, and_, bindparam, delete, insert, literal_column, or_, select

from latchstring.authorization_server.revocation_feed import ENDING
from latchstring.storage.schema import audit_event
from latchstring.storage.statements.statement import define, define_hot_insert
from latchstring.storage.statements.webhooks import may_be_told

INSERT_EVENT = define_hot_insert("insert_event", audit_event, key="id", find_more=lambda value: (may_be_told(value),))
# The same without an answer, for many at once, or for none but one endpoint.
INSERT_EVENTS = define("insert_events", insert(audit_event))


def _is_or_any(name: str) -> ColumnElement[bool]:
    column = audit_event.c[name]
    wanted = bindparam(f"of_{name}", type_=column.type)
    return or_(wanted.is_(None), column == wanted)


_is_wanted = and_(*(_is_or_any(name) for name in ("organization_id", "client_id", "user_id", "action")))
FIND_EVENTS = define(
    "find_events",
    select(audit_event)
    .where(audit_event.c.id < bindparam("before_id"), _is_wanted)
    .order_by(audit_event.c.id.desc())
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
FIND_ENDING_EVENTS = define(
    "find_ending_events",
    select(audit_event)
    .where(
        audit_event.c.id > bindparam("after_id"),
        or_(*(audit_event.c.action == literal_column(f"'{action.value}'") for action in sorted(ENDING))),
    )
    .order_by(audit_event.c.id)
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
# For exports, which go on where the last one ended.
FIND_EVENTS_AFTER = define(
    "find_events_after",
    select(audit_event)
    .where(audit_event.c.id > bindparam("after_id"), _is_wanted)
    .order_by(audit_event.c.id)
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
_oldest = (
    select(audit_event.c.id)
    .where(audit_event.c.id < bindparam("first_id"))
    .order_by(audit_event.c.id)
    .limit(bindparam("at_most"))
    .offset(literal_column("0"))
)
SWEEP_EVENTS = define(
    "sweep_audit_event", delete(audit_event).where(audit_event.c.id.in_(_oldest)).returning(audit_event.c.id)
)
