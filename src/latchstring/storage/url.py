"""Opens the database that a URL names."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

from latchstring.protocol.errors import ConfigurationError
from latchstring.storage import sqlite
from latchstring.storage.store import SqlStore

DEFAULT_DATABASE: Final = "sqlite:///latchstring.db"
_SQLITE: Final = "sqlite:///"
_POSTGRES: Final = ("postgresql://", "postgres://")

Result = TypeVar("Result")


def find_sqlite_path(database: str) -> Path | None:
    """The file that `sqlite:///PATH` names (three slashes for a relative path, four for an absolute one); None for
    PostgreSQL; `ConfigurationError` for anything else."""
    if database.startswith(_POSTGRES):
        return None
    path = Path(database.removeprefix(_SQLITE))
    if not database.startswith(_SQLITE) or not path.name:
        raise ConfigurationError("--database: give sqlite:///PATH or postgresql://USER@HOST/NAME")
    if not path.parent.is_dir():
        raise ConfigurationError(f"--database: the folder {path.parent} does not exist")
    return path


def find_schema_version(database: str) -> str | None:
    """The revision that the database's schema has, or None where there is none yet."""
    path = find_sqlite_path(database)
    if path is not None:
        return sqlite.find_schema_version(path) if path.exists() and path.stat().st_size else None
    from latchstring.storage import postgres

    try:
        return _run_apart(lambda: postgres.find_schema_version(database))
    except postgres.FAILURES as error:
        raise ConfigurationError(
            f"--database: PostgreSQL cannot be reached ({type(error).__name__}: {error})"
        ) from None


def find_durability(database: str) -> dict[str, str]:
    """What decides how much an acknowledged commit survives; nothing for SQLite, whose settings are our own."""
    if find_sqlite_path(database) is not None:
        return {}
    from latchstring.storage import postgres

    return _run_apart(lambda: postgres.find_durability(database))


def migrate(database: str) -> None:
    """Bring the schema to this version's; an absent SQLite file or an empty database becomes one of ours."""
    from latchstring.storage.migrations import migrate_postgres, migrate_sqlite

    path = find_sqlite_path(database)
    if path is not None:
        migrate_sqlite(path)
    else:
        _run_apart(lambda: migrate_postgres(database))


def open_store(database: str) -> SqlStore:
    """The store, for the running event loop; the schema must be this version's."""
    path = find_sqlite_path(database)
    if path is not None:
        return SqlStore(sqlite.SqliteEngine(path))
    from latchstring.storage.postgres import PostgresEngine

    return SqlStore(PostgresEngine(database))


def run_apart(database: str, work: Callable[[SqlStore], Awaitable[Result]]) -> Result:
    """Do the work on a store of its own, whether or not this thread has an event loop already."""

    async def run() -> Result:
        store = open_store(database)
        try:
            return await work(store)
        finally:
            await store.close()

    return _run_apart(run)


def _run_apart(work: Callable[[], Awaitable[Result]]) -> Result:
    """Run it in an event loop of its own, whether or not this thread has one already."""
    outcome: list[Result | Exception] = []

    async def run() -> Result:
        return await work()

    def body() -> None:
        try:
            outcome.append(asyncio.run(run()))
        except Exception as error:  # noqa: BLE001 -- raised again below
            outcome.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]
