"""Migrations: they make what the schema says, lose no row, and may be killed at any statement (drill 10)."""

import asyncio
import multiprocessing
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    create_engine,
    event,
    insert,
    select,
    text,
)
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import create_async_engine

from latchstring.protocol.errors import ConfigurationError
from latchstring.storage.head import HEAD
from latchstring.storage.keyring_file import load_keyring
from latchstring.storage.migrations import migrate_postgres, migrate_sqlite
from latchstring.storage.schema import metadata
from latchstring.storage.url import find_schema_version, find_sqlite_path, migrate
from latchstring.wiring import prepare
from tests.storage.migration_victim import count_statements, migrate_and_die
from tests.support.postgres import Cluster

FIRST = "0001"
Result = TypeVar("Result")
PEOPLE = ("user_account", "organization", "membership", "client", "resource_server", "oauth_grant")
_FORK = multiprocessing.get_context("forkserver")
_FORK.set_forkserver_preload(["tests.storage.migration_victim", "latchstring.storage.migrations"])


def run(database: str, work: Callable[[Connection], Result]) -> Result:
    """Do the work in one transaction on the database."""
    path = find_sqlite_path(database)
    if path is not None:
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            return work(connection)

    async def go() -> Result:
        engine = create_async_engine(database.replace("postgresql", "postgresql+asyncpg", 1))
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, go()).result()


def make_value(column: Any) -> Any:
    if isinstance(column.type, Boolean):
        return True
    if isinstance(column.type, Integer | BigInteger):
        return 7
    return b"x" * 16 if isinstance(column.type, LargeBinary) else "x"


def fill(connection: Connection) -> None:
    """One row in each table that a server of the first revision had."""
    reflected = MetaData()
    reflected.reflect(connection, only=PEOPLE)
    for name in PEOPLE:
        table = reflected.tables[name]
        row = {column.name: make_value(column) for column in table.columns if not column.nullable}
        connection.execute(insert(table).values(row))


def read(connection: Connection) -> dict[str, dict[str, Any]]:
    """The rows that `fill` has made, by table."""
    reflected = MetaData()
    reflected.reflect(connection, only=PEOPLE)
    return {name: dict(connection.execute(select(reflected.tables[name])).mappings().one()) for name in PEOPLE}


def verify_migrated(database: str, before: dict[str, dict[str, Any]]) -> None:
    """The newest schema, every row there, every old column as it was."""
    assert find_schema_version(database) == HEAD

    def compare(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert run(database, compare) == []
    after = run(database, read)
    for name, row in before.items():
        assert {column: after[name][column] for column in row} == row


class Original:
    """A database of the first revision with rows, and copies of it."""

    def __init__(self, directory: Path, cluster: Cluster | None) -> None:
        self._directory = directory
        self._cluster = cluster
        self._copies = 0
        if cluster is None:
            self.database = f"sqlite:///{directory / 'original.db'}"
            migrate_sqlite(directory / "original.db", FIRST)
        else:
            self.database = cluster.create_database()
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, migrate_postgres(self.database, FIRST)).result()
        run(self.database, fill)
        self.rows = run(self.database, read)

    def copy(self) -> str:
        """Another database like it."""
        self._copies += 1
        if self._cluster is None:
            path = self._directory / f"copy-{self._copies}.db"
            shutil.copyfile(self._directory / "original.db", path)
            return f"sqlite:///{path}"
        return self._cluster.create_database(template=self.database.rpartition("/")[2])


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgresql"))])
def original(request: pytest.FixtureRequest, tmp_path: Path) -> Original:
    """The same on each engine."""
    return Original(tmp_path, None if request.param == "sqlite" else request.getfixturevalue("postgres"))


def choose_moments(statements: list[str]) -> list[int]:
    """Before which statements to kill: the first and the last, those on both sides of the step from one revision to the
    next, some between, and after the last one, before the commit."""
    steps = {
        number for number, sql in enumerate(statements, 1) if "alembic_version" in sql and not sql.startswith("SELECT")
    }
    last = len(statements)
    within = {1 + last * part // 7 for part in range(7)}
    around = {number + offset for number in steps for offset in (0, 1)}
    return sorted(moment for moment in within | around | {last, last + 1} if moment <= last + 1)


def test_migration_killed_at_any_statement_has_changed_nothing_and_is_run_again(original: Original) -> None:
    """Drill 10."""
    counted: list[str] = []
    note = count_statements(counted)
    whole = original.copy()
    try:
        migrate(whole)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    verify_migrated(whole, original.rows)
    moments = choose_moments(counted)
    assert len(moments) >= 8
    for moment in moments:
        database = original.copy()
        victim = _FORK.Process(target=migrate_and_die, args=(database, moment))
        victim.start()
        victim.join(60)
        assert victim.exitcode == -signal.SIGKILL, moment
        assert find_schema_version(database) == FIRST, moment
        assert run(database, read) == original.rows, moment
        migrate(database)
        verify_migrated(database, original.rows)


def reflect(connection: Connection) -> MetaData:
    reflected = MetaData()
    reflected.reflect(connection)
    return reflected


def test_newest_revision_only_adds_so_that_the_version_before_serves_beside_it(original: Original) -> None:
    """Drill 10: no table or column goes or changes, and what a server of before does not write has a default."""
    path = find_sqlite_path(original.database)
    before = f"{int(HEAD) - 1:04}"
    if path is not None:
        migrate_sqlite(path, before)
    else:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, migrate_postgres(original.database, before)).result()
    old = run(original.database, reflect)
    migrate(original.database)
    new = run(original.database, reflect)
    assert old.tables.keys() <= new.tables.keys()
    for name, table in old.tables.items():
        columns = new.tables[name].columns
        for column in table.columns:
            kept = columns[column.name]
            assert str(kept.type) == str(column.type), column
            assert kept.nullable or not column.nullable, f"{column}: a server of before may leave it out"
        for column in columns:
            if column.name not in table.columns:
                assert column.nullable or column.server_default is not None, f"{column}: a server of before lacks it"
        unique = {frozenset(index.columns.keys()) for index in new.tables[name].indexes if index.unique}
        assert unique <= {frozenset(index.columns.keys()) for index in table.indexes if index.unique}, name


# -- a schema that is ahead


def set_version(database: str, version: str) -> None:
    run(database, lambda connection: connection.execute(text(f"UPDATE alembic_version SET version_num = '{version}'")))


def test_schema_of_the_next_version_is_served_and_left_as_it_is(original: Original, tmp_path: Path) -> None:
    """Drill 10: a worker that died beside a newer server starts again, and an upgrade can be taken back."""
    migrate(original.database)
    following = f"{int(HEAD) + 1:04}"
    set_version(original.database, following)
    load_keyring(tmp_path / "keyring", 0, may_create=True)
    prepare(original.database, tmp_path / "keyring")
    assert find_schema_version(original.database) == following
    for version in (f"{int(HEAD) + 2:04}", "9999"):
        set_version(original.database, version)
        with pytest.raises(ConfigurationError, match="newer version"):
            prepare(original.database, tmp_path / "keyring")
        assert find_schema_version(original.database) == version
