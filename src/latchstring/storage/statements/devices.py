"""Devices that wait for a person (RFC 8628), and the guesses at their codes."""

from sqlalchemy import (
    BigInteger,
    and_,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)

from latchstring.storage.schema import device_authorization, session, user_code_guess
from latchstring.storage.statements.statement import BIGINT, ONE, define, define_insert

INSERT_DEVICE = define_insert(
    "insert_device",
    lambda insert: (
        insert(device_authorization)
        .values({column.name: bindparam(column.name) for column in device_authorization.columns})
        .on_conflict_do_nothing(index_elements=["user_code"])
        .returning(device_authorization.c.id)
    ),
)
FIND_DEVICE = define(
    "find_device", select(device_authorization).where(device_authorization.c.id == bindparam("device_id"))
)
NOTE_POLL = define(
    "note_poll",
    update(device_authorization)
    .where(
        device_authorization.c.id == bindparam("device_id"),
        func.coalesce(device_authorization.c.polled_at, literal_column("0", BigInteger)) == bindparam("seen_polled_at"),
        device_authorization.c.interval == bindparam("seen_interval"),
    )
    .values(polled_at=bindparam("now"), interval=bindparam("new_interval"))
    .returning(device_authorization.c.id),
)
_is_waiting = and_(
    device_authorization.c.is_denied == false(), device_authorization.c.expires_at > bindparam("now", type_=BIGINT)
)
# A sign-out ends the session, and with it the claim.
_has_living_claim = exists().where(
    session.c.session_hash == device_authorization.c.session_hash,
    session.c.expires_at > bindparam("now", type_=BIGINT),
)
CLAIM_DEVICE = define(
    "claim_device",
    update(device_authorization)
    .where(
        device_authorization.c.user_code == bindparam("code"),
        _is_waiting,
        or_(device_authorization.c.session_hash == bindparam("session"), ~_has_living_claim),
    )
    .values(session_hash=bindparam("session"))
    .returning(*device_authorization.columns),
)
_is_claimed = and_(
    device_authorization.c.id == bindparam("device_id"),
    device_authorization.c.session_hash == bindparam("session"),
    _is_waiting,
)
LOCK_DEVICE = define("lock_device", select(device_authorization.c.id).where(_is_claimed).with_for_update())
DENY_DEVICE = define(
    "deny_device",
    update(device_authorization).where(_is_claimed).values(is_denied=true()).returning(device_authorization.c.id),
)
END_DEVICE = define(
    "end_device", delete(device_authorization).where(device_authorization.c.id == bindparam("device_id"))
)
END_STALE_DEVICES = define(
    "end_stale_devices", delete(device_authorization).where(device_authorization.c.expires_at < bindparam("stale_at"))
)
_is_past = user_code_guess.c.expires_at <= bindparam("now", type_=BIGINT)
COUNT_GUESS = define_insert(
    "count_guess",
    lambda insert: (
        insert(user_code_guess)
        .values(user_id=bindparam("user_id"), wrong_count=ONE, expires_at=bindparam("until"))
        .on_conflict_do_update(
            index_elements=["user_id"],
            set_={
                "wrong_count": case((_is_past, ONE), else_=user_code_guess.c.wrong_count + ONE),
                "expires_at": case((_is_past, bindparam("until", type_=BIGINT)), else_=user_code_guess.c.expires_at),
            },
        )
        .returning(user_code_guess.c.wrong_count)
    ),
)
FORGIVE_GUESS = define(
    "forgive_guess",
    update(user_code_guess)
    .where(user_code_guess.c.user_id == bindparam("of_user"))
    .values(wrong_count=user_code_guess.c.wrong_count - ONE),
)
FORGET_GUESSES = define(
    "forget_guesses", delete(user_code_guess).where(user_code_guess.c.expires_at < bindparam("stale_at"))
)
