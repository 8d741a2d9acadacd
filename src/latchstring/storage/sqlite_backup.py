"""Copies of a SQLite database: one made while servers write to it, and one put in its place while none does."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from latchstring.protocol.errors import ConfigurationError

_OURS: Final = "SELECT count(*) FROM sqlite_schema WHERE name IN ('alembic_version', 'oauth_grant')"
_PARTS: Final = ("", "-wal", "-shm", "-journal")


class DatabaseServed(Exception):
    """Another process has the database open."""


def write_backup(database: Path, target: Path) -> None:
    """A consistent copy of what is committed now, readable by its owner alone. The target appears whole and checked, or
    not at all, and takes no other file's place."""
    if not database.exists():
        raise ConfigurationError(f"database {database}: does not exist")
    if target.exists():
        raise ConfigurationError(f"{target}: is there already; name a file that is not")
    with copied_beside(database, target) as draft:
        _publish(draft, target)


@contextlib.contextmanager
def copied_beside(source: Path, target: Path) -> Iterator[Path]:
    """A checked copy of a database, as one file in the target's folder; gone afterwards unless it got a name."""
    with _draft_beside(target) as draft:
        # In one step, so that the copy is one moment's, and writers go on.
        with _refusing(f"database {source}"), _open(source) as origin, _open(draft) as copy:
            origin.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        verify_database(draft)
        yield draft


def verify_database(path: Path) -> None:
    """Refuse a file that is damaged, or no database of ours."""
    with _refusing(str(path)), _open(path) as connection:
        found = connection.execute("PRAGMA integrity_check(3)").fetchall()
        if found != [("ok",)]:
            raise ConfigurationError(f"{path}: is damaged ({'; '.join(row[0] for row in found)})")
        if connection.execute(_OURS).fetchone()[0] != 2:
            raise ConfigurationError(f"{path}: is a SQLite database, but not one of Latchstring")


def replace_database(database: Path, content: Path, kept: Path) -> bool:
    """Put the content in the database's place, whole or not at all; whether there was a database before. That one is
    then kept beside it. Raises `DatabaseServed` while any other process has the database open; one that opens it
    meanwhile waits, and sees the new content."""
    if not database.exists():
        with copied_beside(content, database) as draft:
            _publish(draft, database)
        return False
    try:
        verify_database(database)
    except ConfigurationError:
        # Nothing can be served from it, and it may be of use to whoever looks into what happened.
        for part in _PARTS:
            with contextlib.suppress(FileNotFoundError):
                database.with_name(database.name + part).rename(kept.with_name(kept.name + part))
        replace_database(database, content, kept)
        return True
    with _refusing(f"database {database}"), _open(database) as connection, _open(content) as origin:
        _take_alone(connection)
        with _draft_beside(kept) as draft:
            with _open(draft) as copy:
                connection.backup(copy)
            _publish(draft, kept)
        origin.backup(connection)
    return True


def _take_alone(connection: sqlite3.Connection) -> None:
    """Hold the database against everybody until the connection is closed. A file leaves WAL mode only when nobody else
    has it open, however idle."""
    connection.execute("PRAGMA busy_timeout=0")
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            raise DatabaseServed from None
        raise


@contextlib.contextmanager
def _draft_beside(target: Path) -> Iterator[Path]:
    """A new empty file, readable by its owner alone, in the target's folder; gone afterwards unless published."""
    draft = target.with_name(f".{target.name}.{os.urandom(6).hex()}")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise ConfigurationError(f"{target}: cannot be written ({error.strerror})") from None
    try:
        yield draft
    finally:
        for part in _PARTS:
            with contextlib.suppress(FileNotFoundError):
                draft.with_name(draft.name + part).unlink()


def _publish(draft: Path, target: Path) -> None:
    """Give the draft its name, durably. A link, not a rename: it takes no other file's place."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    try:
        target.hardlink_to(draft)
    except FileExistsError:
        raise ConfigurationError(f"{target}: is there already; name a file that is not") from None
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def _refusing(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise ConfigurationError(f"{what}: {error}") from None
