"""Writes of more than one statement about passkeys."""

from typing import Any

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import Action, Origin
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.passkey_ports import PasskeyUse, is_copy_suspected
from latchstring.storage.engine import Steps
from latchstring.storage.operations import use_once
from latchstring.storage.people_operations import user_event
from latchstring.storage.recording import queue_mail, record_event
from latchstring.storage.statements import passkeys


def save_passkey(
    row: dict[str, Any], challenge_digest: bytes, until: int, at_most: int, origin: Origin, mail: MailRecord
) -> Steps[Commit]:
    """Keep a new passkey, unless its user may not have it; its challenge is used up last."""
    user_id: str = row["user_id"]
    now: int = row["created_at"]
    if (yield passkeys.LOCK_USER_OF_PASSKEYS, {"of_user": user_id}) is None:
        return Commit.LOST
    count = yield passkeys.COUNT_PASSKEYS, {"of_user": user_id}
    if count is None or count[0] >= at_most:
        return Commit.LOST
    if (yield passkeys.FIND_PASSKEY, {"of_credential": row["credential_hash"]}) is not None:
        return Commit.LOST
    if (yield from use_once(challenge_digest, until, now)) is Commit.LOST:
        return Commit.LOST
    if (yield passkeys.INSERT_PASSKEY, row) is None:
        return Commit.LOST  # somebody else's request was faster with the very same one
    yield from record_event(user_event(Action.PASSKEY_ADDED, user_id, origin, now, {"passkey": row["name"]}))
    yield from queue_mail(mail)
    return Commit.APPLIED


def use_passkey(
    credential_hash: bytes, sign_count: int, challenge_digest: bytes, until: int, now: int, origin: Origin
) -> Steps[PasskeyUse]:
    """Count a use: one for each challenge, and each beyond the last."""
    row = yield passkeys.LOCK_PASSKEY, {"of_credential": credential_hash}
    if row is None:
        return PasskeyUse.LOST
    user_id, known_count, name = row
    if (yield from use_once(challenge_digest, until, now)) is Commit.LOST:
        return PasskeyUse.LOST
    if is_copy_suspected(known_count, sign_count):
        yield from record_event(user_event(Action.PASSKEY_SUSPECTED, user_id, origin, now, {"passkey": name}))
        return PasskeyUse.SUSPECTED
    yield passkeys.USE_PASSKEY, {"of_credential": credential_hash, "new_count": sign_count, "now": now}
    return PasskeyUse.COUNTED


def end_passkey(user_id: str, credential_hash: bytes, now: int, origin: Origin, mail: MailRecord) -> Steps[Commit]:
    """Remove one passkey."""
    row = yield passkeys.END_PASSKEY, {"of_user": user_id, "of_credential": credential_hash}
    if row is None:
        return Commit.LOST
    yield from record_event(user_event(Action.PASSKEY_REMOVED, user_id, origin, now, {"passkey": row[0]}))
    yield from queue_mail(mail)
    return Commit.APPLIED


def end_passkeys(user_id: str, now: int, origin: Origin) -> Steps[int]:
    """Remove every passkey of a user's."""
    rows = (yield passkeys.END_PASSKEYS, {"of_user": user_id}) or ()
    for row in rows:
        yield from record_event(user_event(Action.PASSKEY_REMOVED, user_id, origin, now, {"passkey": row[0]}))
    return len(rows)
