"""`latchstring migrate`."""

from latchstring.cli.output import DATABASE, Database, Json, KeyringPath, print_record
from latchstring.storage.url import find_schema_version
from latchstring.wiring import prepare


def migrate(database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False) -> None:
    """Bring the database's schema to this version's. `serve` does so by itself; before an upgrade of several servers,
    do it once: the version before serves on beside it. Killed half-way it has changed nothing."""
    before = find_schema_version(database)
    prepare(database, keyring)
    print_record({"before": before, "now": find_schema_version(database)}, as_json)
