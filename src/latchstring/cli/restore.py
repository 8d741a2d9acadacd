"""`latchstring restore`."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from latchstring.authorization_server.epoch import SALT_SIZE
from latchstring.authorization_server.keyring import Keyring
from latchstring.authorization_server.records import ClientRecord
from latchstring.cli.output import (
    DATABASE,
    CommandRefused,
    Database,
    Json,
    KeyringPath,
    print_json,
    print_record,
    print_records,
)
from latchstring.storage.keyring_file import load_keyring
from latchstring.storage.restoration import Restored, begin_epoch_in_postgres, begin_epoch_in_sqlite
from latchstring.storage.sqlite_backup import DatabaseServed, copied_beside, replace_database
from latchstring.storage.store import SqlStore
from latchstring.storage.url import find_sqlite_path, migrate, run_apart
from latchstring.wiring import epoch_seconds, find_keyring_path

_SHOWN_SECRETS: Final = 20
_CARE: Final = (
    "Members, passwords, roles, apps and policies are those of the backup: make again what was changed after it.",
    "A secret that was retired after the backup is valid again: below are the oldest, retire those that were.",
    "Approvals of apps by organizations have ended: give them again where they are meant to last.",
    "Members connect their apps again; an app is told so by `invalid_grant` with `restored:`.",
)


def restore(
    file: Annotated[Path | None, typer.Argument(help="A file that `latchstring backup` made.")] = None,
    database_was_restored: Annotated[
        bool,
        typer.Option("--database-was-restored", help="The database itself was just restored, by its own means."),
    ] = False,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Go back to a backup, with every server stopped. What was used up or revoked after it stays so: all connections
    end, and members connect again."""
    if (file is None) == (not database_was_restored):
        raise CommandRefused("give the backup's file, or --database-was-restored after the database's own restore")
    path, now, salt = find_sqlite_path(database), epoch_seconds(), os.urandom(SALT_SIZE)
    keys = load_keyring(keyring_path := find_keyring_path(database, keyring), now, may_create=False)
    source = f"keyring {keyring_path}"
    if path is not None:
        # A file that was put there by other means is its own backup.
        kept, restored = _restore_file(file or path, path, keys, source, salt, now)
    elif file is None:
        _adopt(database, keys, source)
        kept, restored = None, asyncio.run(begin_epoch_in_postgres(database, salt=salt, now=now))
    else:
        raise CommandRefused("restore PostgreSQL by its own means, then run this with --database-was-restored")
    _print(restored, kept, run_apart(database, _find_clients), as_json)


def _restore_file(
    file: Path, path: Path, keys: Keyring, source: str, salt: bytes, now: int
) -> tuple[Path | None, Restored]:
    """Make the backup ready beside the database, then put it in its place."""
    if not file.is_file():
        raise CommandRefused(f"{file}: there is no such file")
    kept = path.with_name(f"{path.name}.replaced-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}")
    with copied_beside(file, path) as draft:
        _adopt(f"sqlite:///{draft}", keys, source)
        restored = begin_epoch_in_sqlite(draft, salt=salt, now=now)
        try:
            replaced = replace_database(path, draft, kept)
        except DatabaseServed:
            raise CommandRefused(f"{path} is open in another process: stop every server and command first") from None
    return kept if replaced else None, restored


def _adopt(database: str, keys: Keyring, source: str) -> None:
    """Bring the schema to this version's; refuse a keyring that the database does not go with."""
    migrate(database)
    run_apart(database, lambda store: store.marks().commit_keyring(keys, source))


async def _find_clients(store: SqlStore) -> list[ClientRecord]:
    found: list[ClientRecord] = []
    while page := await store.find_clients(after=found[-1].client_id if found else ""):
        found += page
    return found


def _list_secrets(clients: Sequence[ClientRecord]) -> list[dict[str, Any]]:
    """The clients' secrets, oldest first."""
    secrets = [
        {"client_id": client.client_id, "app": client.name, "secret": secret.hint, "created_at": secret.created_at}
        for client in clients
        for secret in client.secrets
    ]
    return sorted(secrets, key=lambda secret: int(secret["created_at"]))


def _print(restored: Restored, kept: Path | None, clients: Sequence[ClientRecord], as_json: bool) -> None:
    secrets = _list_secrets(clients)
    told = {"restored_at": restored.began_at, "ended": restored.ended, "kept": None if kept is None else str(kept)}
    if as_json:
        print_json({**told, "care": _CARE, "secrets": secrets})
        return
    print_record({**told, "ended": [f"{kind} {number}" for kind, number in restored.ended.items()]}, False)
    for what in _CARE:
        typer.echo(f"! {what}")
    print_records(secrets[:_SHOWN_SECRETS], False, "No app has a secret.")
