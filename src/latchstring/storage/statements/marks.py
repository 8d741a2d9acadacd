"""What the database says of the deployment itself: which keyring it goes with, and in which epoch it is."""

from sqlalchemy import bindparam, literal_column, null, select, update

from latchstring.storage.schema import epoch, keyring_key
from latchstring.storage.statements.statement import define, define_insert

FIND_KEYRING_KEYS = define("find_keyring_keys", select(keyring_key).order_by(keyring_key.c.key_id))
INSERT_KEYRING_KEY = define_insert(
    "insert_keyring_key",
    lambda insert: (
        insert(keyring_key)
        .values(key_id=bindparam("key_id"), fingerprint=bindparam("fingerprint"), retired_at=null())
        .on_conflict_do_nothing(index_elements=["key_id"])
        .returning(keyring_key.c.key_id)
    ),
)
RETIRE_KEYRING_KEY = define(
    "retire_keyring_key",
    update(keyring_key)
    .where(keyring_key.c.key_id == bindparam("retired_id"), keyring_key.c.retired_at.is_(None))
    .values(retired_at=bindparam("now"))
    .returning(keyring_key.c.key_id),
)
FIND_EPOCH = define(
    "find_epoch",
    select(epoch.c.salt, epoch.c.began_at)
    .order_by(epoch.c.sequence.desc())
    .limit(literal_column("1"))
    .offset(literal_column("0")),
)
