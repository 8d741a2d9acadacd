"""Passwords that change, second factors, ways back in."""

from sqlalchemy import ColumnElement, bindparam, case, delete, func, insert, literal_column, select, update

from latchstring.storage.schema import password_reset, recovery_code, second_factor, session, user
from latchstring.storage.statements.statement import BIGINT, ONE, define, define_insert

_ZERO: ColumnElement[int] = literal_column("0")
SET_PASSWORD = define(
    "set_password",
    update(user)
    .where(user.c.user_id == bindparam("of_user"))
    .values(password_hash=bindparam("new_hash"))
    .returning(user.c.user_id),
)
END_OTHER_SESSION = define(
    "end_other_session",
    delete(session)
    .where(
        session.c.session_hash
        == select(session.c.session_hash)
        .where(session.c.user_id == bindparam("of_user"), session.c.session_hash != bindparam("kept"))
        .limit(ONE)
        .offset(_ZERO)
        .scalar_subquery()
    )
    .returning(session.c.session_hash),
)
COUNT_SESSIONS = define(
    "count_sessions",
    select(func.count()).where(session.c.user_id == bindparam("of_user"), session.c.expires_at > bindparam("now")),
)
FIND_SECOND_FACTOR = define(
    "find_second_factor",
    select(
        second_factor.c.user_id,
        second_factor.c.sealed_secret,
        second_factor.c.created_at,
        select(func.count()).where(recovery_code.c.user_id == second_factor.c.user_id).scalar_subquery(),
    ).where(second_factor.c.user_id == bindparam("of_user")),
)
INSERT_SECOND_FACTOR = define_insert(
    "insert_second_factor",
    lambda insert: (
        insert(second_factor)
        .values({column.name: bindparam(column.name) for column in second_factor.columns})
        .on_conflict_do_nothing(index_elements=["user_id"])
        .returning(second_factor.c.user_id)
    ),
)
LOCK_SECOND_FACTOR = define(
    "lock_second_factor",
    select(second_factor.c.user_id).where(second_factor.c.user_id == bindparam("of_user")).with_for_update(),
)
END_SECOND_FACTOR = define(
    "end_second_factor",
    delete(second_factor).where(second_factor.c.user_id == bindparam("of_user")).returning(second_factor.c.user_id),
)
_is_old = second_factor.c.attempts_since <= bindparam("window_began", type_=BIGINT)
COUNT_ATTEMPT = define(
    "count_second_factor_attempt",
    update(second_factor)
    .where(second_factor.c.user_id == bindparam("of_user"))
    .values(
        attempts=case((_is_old, ONE), else_=second_factor.c.attempts + ONE),
        attempts_since=case((_is_old, bindparam("now", type_=BIGINT)), else_=second_factor.c.attempts_since),
    )
    .returning(second_factor.c.attempts),
)
USE_STEP = define(
    "use_second_factor_step",
    update(second_factor)
    .where(second_factor.c.user_id == bindparam("of_user"), second_factor.c.last_step < bindparam("step"))
    .values(last_step=bindparam("step"), attempts=_ZERO)
    .returning(second_factor.c.user_id),
)
FORGIVE_ATTEMPTS = define(
    "forgive_second_factor_attempts",
    update(second_factor).where(second_factor.c.user_id == bindparam("of_user")).values(attempts=_ZERO),
)
INSERT_RECOVERY_CODE = define("insert_recovery_code", insert(recovery_code))
END_RECOVERY_CODES = define(
    "end_recovery_codes", delete(recovery_code).where(recovery_code.c.user_id == bindparam("of_user"))
)
USE_RECOVERY_CODE = define(
    "use_recovery_code",
    delete(recovery_code)
    .where(recovery_code.c.user_id == bindparam("of_user"), recovery_code.c.code_hash == bindparam("of_code"))
    .returning(recovery_code.c.user_id),
)
INSERT_RESET = define("insert_password_reset", insert(password_reset))
END_STALE_RESETS = define(
    "end_stale_password_resets", delete(password_reset).where(password_reset.c.expires_at <= bindparam("now"))
)
FIND_RESET = define(
    "find_password_reset",
    select(password_reset.c.user_id).where(
        password_reset.c.token_hash == bindparam("of_token"), password_reset.c.expires_at > bindparam("now")
    ),
)
USE_RESET = define(
    "use_password_reset",
    delete(password_reset)
    .where(password_reset.c.token_hash == bindparam("of_token"), password_reset.c.expires_at > bindparam("now"))
    .returning(password_reset.c.user_id),
)
END_RESETS = define(
    "end_password_resets", delete(password_reset).where(password_reset.c.user_id == bindparam("of_user"))
)
