"""Fresh databases of every engine. To add an engine, add its line to ENGINES; the whole contract suite follows."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from latchstring.storage.schema import metadata
from latchstring.storage.store import SqlStore
from latchstring.storage.url import migrate, open_store
from tests.authorization_server.builders import ACORN, ANN, NOW, build_client, build_organization, build_user
from tests.support.postgres import Cluster

OpenStore = Callable[[], SqlStore]


def make_sqlite(request: pytest.FixtureRequest) -> str:
    """A file of its own for each test."""
    path = request.getfixturevalue("tmp_path") / "latchstring.db"
    shutil.copyfile(request.getfixturevalue("migrated_file"), path)
    return f"sqlite:///{path}"


def run_sql(url: str, work: Callable[[asyncpg.Connection], Awaitable[None]]) -> None:
    """Do the work on a connection of its own, whether or not this thread has an event loop."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await work(connection)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()


def make_postgres(request: pytest.FixtureRequest) -> str:
    """One database for the session, emptied for each test: to make one takes longer than most tests."""
    url: str = request.getfixturevalue("postgres_database")

    async def empty(connection: asyncpg.Connection) -> None:
        for table in reversed(metadata.sorted_tables):
            await connection.execute(f"DELETE FROM {table.name}")

    run_sql(url, empty)
    return url


ENGINES: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "sqlite": make_sqlite,
    "postgresql": make_postgres,
}


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema and nothing in it, to copy."""
    path = tmp_path_factory.mktemp("schema") / "latchstring.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_database(postgres: Cluster) -> str:
    """A PostgreSQL database with the schema."""
    url = postgres.create_database()
    migrate(url)

    async def hurry(connection: asyncpg.Connection) -> None:
        # What is committed is committed; that it also survives a power cut is no subject of these tests.
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")

    run_sql(url, hurry)
    return url


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.xdist_group(name) if name != "sqlite" else ()) for name in ENGINES]
)
def database(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database with the schema, once for every engine."""
    return ENGINES[request.param](request)


@pytest.fixture
async def open_another(database: str) -> AsyncIterator[OpenStore]:
    """Opens stores on the same database, each with connections of its own, as another server would."""
    opened: list[SqlStore] = []

    def open_one() -> SqlStore:
        opened.append(open_store(database))
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
def store(open_another: OpenStore) -> SqlStore:
    """An empty store."""
    return open_another()


@pytest.fixture
async def peopled(store: SqlStore) -> SqlStore:
    """The store with Ann, a member of Acorn, and Acorn's published client."""
    await people(store)
    return store


async def people(store: SqlStore) -> None:
    """Fill a store with Ann, Acorn and Mailloop."""
    await store.create_organization(build_organization())
    await store.create_user(build_user())
    await store.add_membership(user_id=ANN, organization_id=ACORN, role="member", now=NOW)
    await store.create_client(build_client())


@pytest.fixture
def sqlite_path(tmp_path: Path, migrated_file: Path) -> Path:
    """A migrated SQLite file, for what only SQLite can suffer."""
    path = tmp_path / "latchstring.db"
    shutil.copyfile(migrated_file, path)
    return path
