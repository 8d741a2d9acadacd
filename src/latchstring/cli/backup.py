"""`latchstring backup`."""

from pathlib import Path
from typing import Annotated

import typer

from latchstring.cli.output import DATABASE, CommandRefused, Database, Json, KeyringPath, print_record
from latchstring.storage.sqlite_backup import write_backup
from latchstring.storage.url import find_sqlite_path
from latchstring.wiring import find_keyring_path


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; there must be none of that name yet.")],
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Copy a SQLite database while it is served: one moment of it, checked, readable by its owner alone. The keyring is
    not in it; keep a copy of that elsewhere."""
    path = find_sqlite_path(database)
    if path is None:
        raise CommandRefused(
            "PostgreSQL has its own backups: pg_dump --format=custom, or a base backup with the write-ahead log kept; "
            "after either was restored, run `latchstring restore --database-was-restored`"
        )
    write_backup(path, file)
    told = {
        "file": str(file),
        "bytes": file.stat().st_size,
        "keyring_included": False,
        "keyring": str(find_keyring_path(database, keyring)),
    }
    print_record(told, as_json)
    if not as_json:
        typer.echo(
            "The keyring is not in the backup. Copy it to another place than this file: both together make tokens."
        )
