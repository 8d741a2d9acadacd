"""What counts once, and the keys that sign."""

from sqlalchemy import bindparam, delete, select

from latchstring.storage.schema import signing_key, used_once
from latchstring.storage.statements.statement import define, define_insert

USE_ONCE = define_insert(
    "use_once",
    lambda insert: (
        insert(used_once)
        .values(digest=bindparam("digest"), expires_at=bindparam("until"))
        .on_conflict_do_nothing(index_elements=["digest"])
        .returning(used_once.c.digest)
    ),
)
FORGET_USED = define("forget_used", delete(used_once).where(used_once.c.expires_at < bindparam("stale_at")))
FIND_SIGNING_KEYS = define(
    "find_signing_keys", select(signing_key).order_by(signing_key.c.algorithm, signing_key.c.sequence)
)
INSERT_SIGNING_KEY = define_insert(
    "insert_signing_key",
    lambda insert: (
        insert(signing_key)
        .values({column.name: bindparam(column.name) for column in signing_key.columns})
        .on_conflict_do_nothing(index_elements=["algorithm", "sequence"])
        .returning(signing_key.c.key_id)
    ),
)
FORGET_SIGNING_KEY = define(
    "forget_signing_key", delete(signing_key).where(signing_key.c.key_id == bindparam("forgotten_id"))
)
