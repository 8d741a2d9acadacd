"""The audit log: events are inserted and read; only the sweeper deletes, and nothing changes one."""

from typing import Final

from sqlalchemy import ColumnElement, bindparam, delete, insert, literal_column, or_, select

from latchstring.authorization_server.revocation_feed import ENDING
from latchstring.storage.schema import audit_event
from latchstring.storage.statements.statement import Statement, define, define_hot_insert
from latchstring.storage.statements.webhooks import may_be_told

INSERT_EVENT = define_hot_insert("insert_event", audit_event, key="id", find_more=lambda value: (may_be_told(value),))
# The same without an answer, for many at once, or for none but one endpoint.
INSERT_EVENTS = define("insert_events", insert(audit_event))


LEADING: Final = ("user_id", "organization_id", "client_id")
"""Which part of a filter its index is taken for, the narrowest first: a person does less than happens in an
organization, and an app may be everybody's."""


def _is_or_any(name: str) -> ColumnElement[bool]:
    column = audit_event.c[name]
    wanted = bindparam(f"of_{name}", type_=column.type)
    return or_(wanted.is_(None), column == wanted)


def _define_finding(name: str, *, goes_back: bool) -> dict[str | None, Statement]:
    """Finds events before or after one, by the part of the filter that leads, None where it names none of these."""
    key = audit_event.c.id
    found = {}
    for leading in (*LEADING, None):
        wanted = [_is_or_any(part) for part in (*LEADING, "action") if part != leading]
        if leading is not None:
            wanted.append(audit_event.c[leading] == bindparam(f"of_{leading}"))
        found[leading] = define(
            f"{name}_by_{leading or 'time'}",
            select(audit_event)
            .where(key < bindparam("before_id") if goes_back else key > bindparam("after_id"), *wanted)
            .order_by(key.desc() if goes_back else key)
            .limit(bindparam("at_most"))
            .offset(literal_column("0")),
        )
    return found


FIND_EVENTS: Final = _define_finding("find_events", goes_back=True)
# For exports, which go on where the last one ended.
FIND_EVENTS_AFTER: Final = _define_finding("find_events_after", goes_back=False)
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
