"""Mail that waits to be sent."""

from sqlalchemy import bindparam, case, delete, func, insert, literal_column, null, select, update

from latchstring.storage.schema import mail
from latchstring.storage.statements.statement import BIGINT, ONE, define

INSERT_MAIL = define("insert_mail", insert(mail))
_is_due = mail.c.due_at <= bindparam("now", type_=BIGINT)
_first_due = (
    select(mail.c.id)
    .where(_is_due)
    .order_by(mail.c.due_at, mail.c.id)
    .limit(ONE)
    .offset(literal_column("0"))
    .with_for_update(skip_locked=True)
)
FIND_DUE_MAIL = define("find_due_mail", select(mail.c.id).where(_is_due).limit(ONE).offset(literal_column("0")))
# Whoever raises `attempts` has the mail until `due_at`; what it does then counts only if nobody has raised it since.
CLAIM_MAIL = define(
    "claim_mail",
    update(mail)
    .where(mail.c.id == _first_due.scalar_subquery(), _is_due)
    .values(due_at=bindparam("until"), attempts=mail.c.attempts + ONE)
    .returning(mail.c.id, mail.c.template, mail.c.sealed, mail.c.created_at, mail.c.attempts),
)
_is_attempt = (mail.c.id == bindparam("of_mail")) & (mail.c.attempts == bindparam("of_attempt"))
END_MAIL = define("end_mail", delete(mail).where(_is_attempt).returning(mail.c.id))
DELAY_MAIL = define(
    "delay_mail",
    update(mail)
    .where(_is_attempt)
    .values(
        due_at=bindparam("new_due_at", type_=BIGINT),
        last_error=bindparam("error"),
        failed_at=case((bindparam("new_due_at", type_=BIGINT).is_(None), bindparam("now", type_=BIGINT)), else_=null()),
    )
    .returning(mail.c.id),
)
COUNT_MAIL = define(
    "count_mail", select(func.count(mail.c.due_at), func.count(mail.c.failed_at), func.min(mail.c.due_at))
)
FIND_FAILED_MAIL = define(
    "find_failed_mail",
    select(mail.c.id, mail.c.template, mail.c.created_at, mail.c.attempts, mail.c.last_error, mail.c.failed_at)
    .where(mail.c.failed_at.is_not(None))
    .order_by(mail.c.id.desc())
    .limit(literal_column("1000"))
    .offset(literal_column("0")),
)
_old = (
    select(mail.c.id)
    .where(mail.c.failed_at < bindparam("kept_since"))
    .limit(bindparam("at_most"))
    .offset(literal_column("0"))
)
SWEEP_FAILED_MAIL = define("sweep_failed_mail", delete(mail).where(mail.c.id.in_(_old)).returning(mail.c.id))
