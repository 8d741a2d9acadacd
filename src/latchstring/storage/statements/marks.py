"""What the database says of the deployment itself: which keyring it goes with, and in which epoch it is."""

from typing import Final

from sqlalchemy import BigInteger, LargeBinary, bindparam, func, literal_column, null, select, update

from latchstring.storage.schema import access_request, epoch, keyring_key, metadata
from latchstring.storage.statements.statement import ONE, define, define_insert

_BYTES: Final = LargeBinary()

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
# A value that is sealed by the keyring (`sealing.py`, `TokenCodec.seal_private_key`) begins with its key's number, and
# stands in a column whose name says so, or in this one.
_TWO: Final = literal_column("2", BigInteger)
COUNT_SEALED: Final = {
    f"{table.name}.{column.name}": define(
        f"count_{table.name}_{column.name}",
        select(func.count()).where(func.substr(column, ONE, _TWO) == bindparam("number", type_=_BYTES)),
    )
    for table in metadata.sorted_tables
    for column in table.columns
    if "sealed" in column.name or column is access_request.c.parked
}
FIND_EPOCH = define(
    "find_epoch",
    select(epoch.c.salt, epoch.c.began_at)
    .order_by(epoch.c.sequence.desc())
    .limit(literal_column("1"))
    .offset(literal_column("0")),
)
