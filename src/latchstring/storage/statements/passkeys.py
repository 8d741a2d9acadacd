"""Passkeys, by the hash of their credential's id."""

from sqlalchemy import bindparam, delete, func, select, update

from latchstring.storage.schema import passkey, user
from latchstring.storage.statements.statement import define, define_insert, define_many

FIND_PASSKEYS = define(
    "find_passkeys",
    select(passkey)
    .where(passkey.c.user_id == bindparam("of_user"))
    .order_by(passkey.c.created_at, passkey.c.credential_hash),
)
FIND_PASSKEY = define("find_passkey", select(passkey).where(passkey.c.credential_hash == bindparam("of_credential")))
# Whoever adds one waits for whoever else does, and for the end of the account.
LOCK_USER_OF_PASSKEYS = define(
    "lock_user_of_passkeys",
    select(user.c.user_id)
    .where(user.c.user_id == bindparam("of_user"), user.c.disabled_at.is_(None), user.c.deleted_at.is_(None))
    .with_for_update(),
)
COUNT_PASSKEYS = define(
    "count_passkeys", select(func.count()).select_from(passkey).where(passkey.c.user_id == bindparam("of_user"))
)
INSERT_PASSKEY = define_insert(
    "insert_passkey",
    lambda insert: (
        insert(passkey)
        .values(
            {column.name: bindparam(column.name) for column in passkey.columns if column is not passkey.c.last_used_at}
        )
        .on_conflict_do_nothing(index_elements=["credential_hash"])
        .returning(passkey.c.credential_hash)
    ),
)
LOCK_PASSKEY = define(
    "lock_passkey",
    select(passkey.c.user_id, passkey.c.sign_count, passkey.c.name)
    .where(passkey.c.credential_hash == bindparam("of_credential"))
    .with_for_update(),
)
USE_PASSKEY = define(
    "use_passkey",
    update(passkey)
    .where(passkey.c.credential_hash == bindparam("of_credential"))
    .values(sign_count=bindparam("new_count"), last_used_at=bindparam("now"))
    .returning(passkey.c.credential_hash),
)
RENAME_PASSKEY = define(
    "rename_passkey",
    update(passkey)
    .where(passkey.c.user_id == bindparam("of_user"), passkey.c.credential_hash == bindparam("of_credential"))
    .values(name=bindparam("new_name"))
    .returning(passkey.c.credential_hash),
)
END_PASSKEY = define(
    "end_passkey",
    delete(passkey)
    .where(passkey.c.user_id == bindparam("of_user"), passkey.c.credential_hash == bindparam("of_credential"))
    .returning(passkey.c.name),
)
END_PASSKEYS = define_many(
    "end_passkeys", delete(passkey).where(passkey.c.user_id == bindparam("of_user")).returning(passkey.c.name)
)
