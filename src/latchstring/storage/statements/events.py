"""The audit log: events are inserted and read; only the sweeper deletes, and nothing changes one."""

from sqlalchemy import ColumnElement, and_, bindparam, insert, literal_column, or_, select

from latchstring.authorization_server.revocation_feed import ENDING
from latchstring.storage.schema import audit_event
from latchstring.storage.statements.statement import define

INSERT_EVENT = define("insert_event", insert(audit_event))


def _is_or_any(name: str) -> ColumnElement[bool]:
    column = audit_event.c[name]
    wanted = bindparam(f"of_{name}", type_=column.type)
    return or_(wanted.is_(None), column == wanted)


FIND_EVENTS = define(
    "find_events",
    select(audit_event)
    .where(
        audit_event.c.id < bindparam("before_id"),
        and_(*(_is_or_any(name) for name in ("organization_id", "client_id", "user_id", "action"))),
    )
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
