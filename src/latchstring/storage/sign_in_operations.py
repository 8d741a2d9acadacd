"""Writes of more than one statement about how people prove themselves."""

from collections.abc import Sequence

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import Action, Origin
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.sign_in_ports import SecondFactorRecord
from latchstring.storage.engine import Steps
from latchstring.storage.passkey_operations import end_passkeys
from latchstring.storage.people_operations import user_event
from latchstring.storage.recording import queue_mail, record_event
from latchstring.storage.statements import sign_in


def set_password(
    user_id: str, password_hash: str, kept: bytes | None, now: int, origin: Origin, mail: MailRecord
) -> Steps[Commit]:
    """Another password: what was signed in by the one before, or could be, is not any longer."""
    if (yield sign_in.SET_PASSWORD, {"of_user": user_id, "new_hash": password_hash}) is None:
        return Commit.LOST
    yield sign_in.END_RESETS, {"of_user": user_id}
    yield from _end_other_sessions(user_id, kept)
    yield from record_event(user_event(Action.USER_PASSWORD_CHANGED, user_id, origin, now))
    yield from queue_mail(mail)
    return Commit.APPLIED


def end_sessions(user_id: str, kept: bytes | None, now: int, origin: Origin) -> Steps[int]:
    """Sign out every browser but one."""
    count = yield from _end_other_sessions(user_id, kept)
    if count:
        yield from record_event(user_event(Action.USER_SIGNED_OUT, user_id, origin, now, {"browsers": count}))
    return count


def _end_other_sessions(user_id: str, kept: bytes | None) -> Steps[int]:
    count = 0
    while (yield sign_in.END_OTHER_SESSION, {"of_user": user_id, "kept": kept or b""}) is not None:
        count += 1
    return count


def save_second_factor(
    factor: SecondFactorRecord, hashes: Sequence[bytes], used_step: int, now: int, origin: Origin
) -> Steps[Commit]:
    """Keep a second factor unless there is one."""
    row = yield (
        sign_in.INSERT_SECOND_FACTOR,
        {
            "user_id": factor.user_id,
            "sealed_secret": factor.sealed_secret,
            "last_step": used_step,
            "attempts": 0,
            "attempts_since": 0,
            "created_at": factor.created_at,
        },
    )
    if row is None:
        return Commit.LOST
    yield from _replace_codes(factor.user_id, hashes)
    yield from record_event(user_event(Action.USER_SECOND_FACTOR_ADDED, factor.user_id, origin, now))
    return Commit.APPLIED


def replace_recovery_codes(user_id: str, hashes: Sequence[bytes], now: int, origin: Origin) -> Steps[Commit]:
    """Other recovery codes in place of all there are."""
    if (yield sign_in.LOCK_SECOND_FACTOR, {"of_user": user_id}) is None:
        return Commit.LOST
    yield from _replace_codes(user_id, hashes)
    yield from record_event(user_event(Action.USER_RECOVERY_CODES_REPLACED, user_id, origin, now))
    return Commit.APPLIED


def _replace_codes(user_id: str, hashes: Sequence[bytes]) -> Steps[None]:
    yield sign_in.END_RECOVERY_CODES, {"of_user": user_id}
    for code_hash in hashes:
        yield sign_in.INSERT_RECOVERY_CODE, {"user_id": user_id, "code_hash": code_hash}


def end_second_factor(user_id: str, now: int, origin: Origin) -> Steps[Commit]:
    """Remove a second factor and its recovery codes."""
    if (yield sign_in.END_SECOND_FACTOR, {"of_user": user_id}) is None:
        return Commit.LOST
    yield sign_in.END_RECOVERY_CODES, {"of_user": user_id}
    yield from record_event(user_event(Action.USER_SECOND_FACTOR_REMOVED, user_id, origin, now))
    return Commit.APPLIED


def use_recovery_code(user_id: str, code_hash: bytes, now: int, origin: Origin) -> Steps[Commit]:
    """Use up a recovery code."""
    if (yield sign_in.USE_RECOVERY_CODE, {"of_user": user_id, "of_code": code_hash}) is None:
        return Commit.LOST
    yield sign_in.FORGIVE_ATTEMPTS, {"of_user": user_id}
    yield from record_event(user_event(Action.USER_RECOVERY_CODE_USED, user_id, origin, now))
    return Commit.APPLIED


def create_password_reset(token_hash: bytes, user_id: str, expires_at: int, now: int, mail: MailRecord) -> Steps[None]:
    """Keep a way back in and send it on its way."""
    yield sign_in.END_STALE_RESETS, {"now": now}
    yield sign_in.INSERT_RESET, {"token_hash": token_hash, "user_id": user_id, "expires_at": expires_at}
    yield from queue_mail(mail)


def use_password_reset(
    token_hash: bytes, password_hash: str, ends_passkeys: bool, now: int, origin: Origin, mail: MailRecord
) -> Steps[Commit]:
    """Another password by a way back in, used up."""
    row = yield sign_in.USE_RESET, {"of_token": token_hash, "now": now}
    if row is None:
        return Commit.LOST
    user_id: str = row[0]
    by_whom = Origin("user", user_id, origin.address, origin.request_id)
    if ends_passkeys:
        yield from end_passkeys(user_id, now, by_whom)
    return (yield from set_password(user_id, password_hash, None, now, by_whom, mail))
