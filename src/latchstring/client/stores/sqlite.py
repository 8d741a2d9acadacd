"""Connections in one SQLite file: safe across threads and processes of one machine, for its owner's eyes."""

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from latchstring.client.stores.sql import Statements, StatementStore
from latchstring.protocol.errors import StoreUnavailable

_VERSION: Final = 1
_SCHEMA: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS connection (
    issuer TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    refreshing_since REAL,
    lease_holder TEXT,
    lease_until REAL NOT NULL DEFAULT 0,
    record BLOB NOT NULL,
    PRIMARY KEY (issuer, organization_id, user_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS login (
    state_hash BLOB PRIMARY KEY,
    browser_hash TEXT NOT NULL,
    expires_at REAL NOT NULL,
    record BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS login_expires_at ON login (expires_at);
PRAGMA user_version = 1;
COMMIT;
"""
_KEY: Final = "issuer = :issuer AND organization_id = :organization_id AND user_id = :user_id"
_COLUMNS: Final = "record, generation, refreshing_since"
_FIND: Final = f"SELECT {_COLUMNS} FROM connection WHERE {_KEY}"  # noqa: S608
_FIND_ALL: Final = f"SELECT {_COLUMNS} FROM connection WHERE issuer = :issuer ORDER BY organization_id, user_id"  # noqa: S608
_CONNECTED: Final = f"""
    INSERT INTO connection (issuer, organization_id, user_id, generation, record)
    VALUES (:issuer, :organization_id, :user_id, :generation, :record)
    ON CONFLICT DO UPDATE SET generation = connection.generation + 1, record = excluded.record,
        refreshing_since = NULL, lease_holder = NULL, lease_until = 0
    RETURNING {_COLUMNS}"""  # noqa: S608
_LEASE: Final = f"""
    UPDATE connection SET lease_holder = :holder, lease_until = :until,
        refreshing_since = coalesce(refreshing_since, CASE WHEN :refreshes THEN :now END)
    WHERE {_KEY} AND generation = :expected AND lease_until <= :now
    RETURNING {_COLUMNS}"""  # noqa: S608
_COMMIT: Final = f"""
    UPDATE connection SET generation = :generation, refreshing_since = :refreshing_since, record = :record,
        lease_until = CASE WHEN lease_holder = :holder THEN 0 ELSE lease_until END,
        lease_holder = CASE WHEN lease_holder = :holder THEN NULL ELSE lease_holder END
    WHERE {_KEY} AND generation = :expected
    RETURNING 1"""  # noqa: S608
_FORGET: Final = f"DELETE FROM connection WHERE {_KEY}"  # noqa: S608
_SWEEP: Final = "DELETE FROM login WHERE expires_at <= :now"
_LOGIN: Final = "INSERT INTO login VALUES (:state_hash, :browser_hash, :expires_at, :record)"
_END_LOGIN: Final = """
    DELETE FROM login WHERE state_hash = :state_hash AND browser_hash = :browser_hash RETURNING record"""

# What a fork brought along must be neither used nor closed in the child (sqlite.org/howtocorrupt).
_left_alone: Final[list[sqlite3.Connection]] = []

_STATEMENTS: Final = Statements(
    find=_FIND,
    find_all=_FIND_ALL,
    connected=_CONNECTED,
    lease=_LEASE,
    commit=_COMMIT,
    forget=_FORGET,
    sweep=_SWEEP,
    login=_LOGIN,
    end_login=_END_LOGIN,
)


class SQLiteStore(StatementStore):
    """A `ConnectionStore` in a file of mode 0600. Every commit is on the disk before it is answered.

    Every write is one conditional statement. `time_limit` in seconds: how long to wait for another process's
    write.
    """

    _statements = _STATEMENTS

    def __init__(self, path: str | Path, *, time_limit: float = 10.0) -> None:
        self._path = Path(path)
        self._time_limit = time_limit
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        if hasattr(os, "register_at_fork"):
            renew = weakref.WeakMethod(self._renew_after_fork)
            os.register_at_fork(after_in_child=lambda: (method := renew()) and method())

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock, _unavailable():
            if self._database is not None:
                self._database.close()
                self._database = None

    def _run(self, statement: str, terms: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._lock, _unavailable():
            return self._open().execute(statement, terms).fetchall()

    def _open(self) -> sqlite3.Connection:
        if self._database is not None:
            return self._database
        self._make_private()
        database = sqlite3.connect(self._path, timeout=self._time_limit, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(database)
        except BaseException:
            database.close()
            raise
        self._database = database
        return database

    def _make_private(self) -> None:
        """Make the file before SQLite does, so that no other user can ever read it, its -wal or its -shm.

        An existing file is not opened here: closing it would drop SQLite's locks on it in this process.
        """
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            if self._path.stat().st_mode & 0o077:
                self._path.chmod(0o600)

    def _prepare(self, database: sqlite3.Connection) -> None:
        deadline = time.monotonic() + self._time_limit
        while True:
            try:
                database.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError:  # two first openers: SQLite does not wait here by itself
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA secure_delete = ON")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            database.executescript(_SCHEMA)
        elif version != _VERSION:
            raise StoreUnavailable(f"{self._path} is of version {version}; this is latchstring for {_VERSION}")

    def _renew_after_fork(self) -> None:
        self._lock = threading.Lock()
        if self._database is not None:
            _left_alone.append(self._database)
            self._database = None

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self._path)!r})"


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, msgspec.DecodeError) as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
