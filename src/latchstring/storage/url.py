"""Opens the database that a URL names."""

from pathlib import Path
from typing import Final

from latchstring.protocol.errors import ConfigurationError
from latchstring.storage.engine import Engine
from latchstring.storage.sqlite import SqliteEngine, find_schema_version
from latchstring.storage.store import SqlStore

DEFAULT_DATABASE: Final = "sqlite:///latchstring.db"
_SQLITE: Final = "sqlite:///"


def find_sqlite_path(database: str) -> Path:
    """The file that `sqlite:///PATH` names (three slashes for a relative path, four for an absolute one)."""
    if database.startswith("postgresql://"):
        raise ConfigurationError("--database: PostgreSQL is not supported by this version; use sqlite:///PATH")
    if not database.startswith(_SQLITE) or not database.removeprefix(_SQLITE):
        raise ConfigurationError("--database: give sqlite:///PATH (three slashes, then the file's path)")
    return Path(database.removeprefix(_SQLITE))


def migrate(database: str) -> None:
    """Bring the schema to this version's; an empty or absent SQLite file becomes a database."""
    from latchstring.storage.migrations import HEAD, migrate_sqlite

    path = find_sqlite_path(database)
    if not path.parent.is_dir():
        raise ConfigurationError(f"--database: the folder {path.parent} does not exist")
    if find_schema_version(path) != HEAD:
        migrate_sqlite(path)


def open_store(database: str) -> SqlStore:
    """The store, for the running event loop; the schema must be this version's."""
    engine: Engine = SqliteEngine(find_sqlite_path(database))
    return SqlStore(engine)
