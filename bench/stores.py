"""The databases of our own subjects as the benchmark sees them: filled in bulk, counted and measured from outside."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import asyncpg
import msgspec
from sqlalchemy import Table, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex

from latchstring.authorization_server.records import GrantRecord
from latchstring.protocol.confirmation import render_confirmation
from latchstring.storage import schema
from latchstring.storage.sqlite import connect
from tests.support.postgres import Cluster, find_binaries

# A transaction's worth of rows.
BATCH: Final = 50_000
_COLUMNS: Final = tuple(column.name for column in schema.grant.columns)
_LET_SWEEP: Final = f"UPDATE {schema.sweep.name} SET next_round_at = 0, held_until = 0"
_COUNTED: Final = tuple(table for table in schema.metadata.sorted_tables if table is not schema.grant_use)
_INDEXES: Final = sorted(schema.grant.indexes, key=lambda index: str(index.name))
_SQLITE: Final = sqlite.dialect(paramstyle="named")
_POSTGRES: Final = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]  # as SQLAlchemy ships it
_INSERT_GRANT: Final = str(insert(schema.grant).compile(dialect=_SQLITE))


class GrantStore(Protocol):
    """A database of ours."""

    @property
    def url(self) -> str:
        """What `--database` takes."""

    @property
    def keyring(self) -> Path:
        """What `--keyring` takes."""

    @property
    def processes(self) -> Sequence[int]:
        """The database's own, where it has any."""

    def insert(self, grants: Iterable[GrantRecord]) -> None:
        """Insert them in large transactions, past the server."""

    def fill(self, grants: Iterable[GrantRecord]) -> None:
        """The same for very many in an empty table: the indexes are made afterwards."""

    def count_rows(self) -> int:
        """Rows of every kind, but for the note of when a grant was last used: each has one at most, written later."""

    def count_grants(self) -> int:
        """Grants, whatever their state."""

    def let_sweep(self) -> None:
        """Let the next round of the sweeper begin now, whoever does it."""

    def find_size(self) -> int:
        """Bytes that grants take on disk, with their indexes."""

    def stop(self) -> None:
        """End what was started for it."""


class SqliteStore:
    """A file in the folder."""

    processes: Sequence[int] = ()

    def __init__(self, directory: Path) -> None:
        self.path = directory / "latchstring.db"
        self.url = f"sqlite:///{self.path}"
        self.keyring = directory / "latchstring.db.keyring"

    def insert(self, grants: Iterable[GrantRecord]) -> None:
        """Many rows a transaction."""
        connection = connect(self.path)
        try:
            _insert(connection, grants)
        finally:
            connection.close()

    def fill(self, grants: Iterable[GrantRecord]) -> None:
        """Without waiting for the disk: a power cut would only mean to fill again."""
        connection = connect(self.path)
        try:
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA cache_size=-1000000")  # KiB
            for index in _INDEXES:
                connection.execute(f"DROP INDEX {index.name}")
            _insert(connection, grants)
            for index in _INDEXES:
                connection.execute(str(CreateIndex(index).compile(dialect=_SQLITE)))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()

    def count_rows(self) -> int:
        """All tables, counted one by one."""
        return sum(self._ask(_render_count(table)) for table in _COUNTED)

    def count_grants(self) -> int:
        """Counted one by one."""
        return self._ask(_render_count(schema.grant))

    def let_sweep(self) -> None:
        """Past the server."""
        connection = connect(self.path)
        try:
            connection.execute(_LET_SWEEP)
        finally:
            connection.close()

    def find_size(self) -> int:
        """The file's pages that are in use."""
        free = self._ask("PRAGMA freelist_count")
        return (self._ask("PRAGMA page_count") - free) * self._ask("PRAGMA page_size")

    def _ask(self, sql: str) -> int:
        connection = sqlite3.connect(self.path)
        try:
            number: int = connection.execute(sql).fetchone()[0]
            return number
        finally:
            connection.close()

    def stop(self) -> None:
        """Nothing was started."""


class EmptyCluster:
    """A PostgreSQL of one server's own, so that its processor time is that server's alone; fsync on."""

    def __init__(self, directory: Path, options: str = "") -> None:
        binaries = find_binaries()
        assert binaries is not None, "asked for first"
        folder = directory / "cluster"
        folder.mkdir()
        self._cluster = Cluster(binaries, folder)
        self._cluster.start(options)
        self.url = self._cluster.create_database()
        self.processes: Sequence[int] = (int((folder / "data" / "postmaster.pid").read_text().split()[0]),)

    def stop(self) -> None:
        """At once: nothing of it is kept."""
        self._cluster.stop("immediate")


class PostgresStore(EmptyCluster):
    """A database of ours in a cluster of its own."""

    def __init__(self, directory: Path, options: str = "") -> None:
        super().__init__(directory, options)
        self.keyring = directory / "latchstring.keyring"

    def insert(self, grants: Iterable[GrantRecord]) -> None:
        """COPY."""
        asyncio.run(self._copy(grants, [], [f"ANALYZE {schema.grant.name}"]))

    def fill(self, grants: Iterable[GrantRecord]) -> None:
        """COPY, and then what autovacuum would do later."""
        drops = [f"DROP INDEX {index.name}" for index in _INDEXES]
        creates = [str(CreateIndex(index).compile(dialect=_POSTGRES)) for index in _INDEXES]
        asyncio.run(self._copy(grants, drops, [*creates, f"VACUUM (ANALYZE) {schema.grant.name}", "CHECKPOINT"]))

    async def _copy(self, grants: Iterable[GrantRecord], before: Sequence[str], after: Sequence[str]) -> None:
        connection = await asyncpg.connect(self.url)
        rows = (tuple(row.values()) for row in map(render_row, grants))
        try:
            for statement in before:
                await connection.execute(statement)
            for batch in _split(rows):
                await connection.copy_records_to_table(schema.grant.name, records=batch, columns=_COLUMNS)
            for statement in after:
                await connection.execute(statement)
        finally:
            await connection.close()

    def count_rows(self) -> int:
        """All tables, counted one by one."""
        return sum(self._ask(_render_count(table)) for table in _COUNTED)

    def count_grants(self) -> int:
        """Counted one by one."""
        return self._ask(_render_count(schema.grant))

    def let_sweep(self) -> None:
        """Past the server."""
        self._ask(f"{_LET_SWEEP} RETURNING 1")

    def find_size(self) -> int:
        """The table with its indexes."""
        return self._ask(f"SELECT pg_total_relation_size('{schema.grant.name}')")

    def _ask(self, sql: str) -> int:
        async def ask() -> int:
            connection = await asyncpg.connect(self.url)
            try:
                number: int = await connection.fetchval(sql)
                return number
            finally:
                await connection.close()

        return asyncio.run(ask())


def _insert(connection: sqlite3.Connection, grants: Iterable[GrantRecord]) -> None:
    for batch in _split(map(render_row, grants)):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_INSERT_GRANT, batch)
        connection.execute("COMMIT")


def render_row(grant: GrantRecord) -> dict[str, Any]:
    """A grant by columns, in the table's order, as the store writes it."""
    row = msgspec.structs.asdict(grant)
    row["scope"] = " ".join(grant.scope)
    row["resource"] = " ".join(grant.resource)
    row["confirmation"] = render_confirmation(grant.confirmation)
    row["written_as"] = None
    return {name: row[name] for name in _COLUMNS}


def find_missing_postgres() -> str | None:
    """What a subject on PostgreSQL lacks on this machine."""
    return "no PostgreSQL on this machine: install postgresql" if find_binaries() is None else None


def find_postgres_version() -> str:
    """Such as 15.18."""
    binaries = find_binaries()
    assert binaries is not None, "asked for first"
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[2]


def _render_count(table: Table) -> str:
    return f"SELECT count(*) FROM {table.name}"


def _split(rows: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def open_to_cluster(directory: Path) -> None:
    """Let a cluster that runs as another user reach its own folder inside."""
    directory.chmod(directory.stat().st_mode | (0o011 if os.geteuid() == 0 else 0))


@contextlib.contextmanager
def open_temporary_store(
    engine: str, directory: Path | None = None, options: str = ""
) -> Iterator[tuple[Path, GrantStore]]:
    """A folder with an empty database in it, gone afterwards; `options` are for PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="latchstring-bench-", dir=directory) as name:
        folder = Path(name)
        open_to_cluster(folder)
        store = PostgresStore(folder, options) if engine == "postgres" else SqliteStore(folder)
        try:
            yield folder, store
        finally:
            store.stop()
