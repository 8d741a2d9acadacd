"""What only SQLite can suffer: a held lock, a full disk, a file that is gone, broken or not ours
(C14, I4, I6; DESIGN §6: a storage failure is a 503, and nothing is consumed)."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from latchstring.authorization_server.ports import Commit
from latchstring.protocol.errors import ConfigurationError, StoreUnavailable
from latchstring.storage import sqlite
from latchstring.storage.sqlite import SqliteEngine
from latchstring.storage.store import SqlStore
from latchstring.storage.url import find_schema_version, migrate, open_store
from tests.authorization_server.builders import NOW, build_organization
from tests.storage.conftest import people
from tests.storage.racer import attempt
from tests.storage.test_grant_store import active, find, insert, redeem, rotate

HOLDER = Path(__file__).with_name("lock_holder.py")


@pytest.fixture
async def store(sqlite_path: Path) -> AsyncIterator[SqlStore]:
    opened = open_store(f"sqlite:///{sqlite_path}")
    await people(opened)
    yield opened
    await opened.close()


def engine_of(store: SqlStore) -> SqliteEngine:
    engine = store._engine
    assert isinstance(engine, SqliteEngine)
    return engine


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds the write lock until the block ends, or its standard input is closed."""
    holder = subprocess.Popen(
        [sys.executable, str(HOLDER), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
    finally:
        holder.kill()
        holder.wait()
        for pipe in (holder.stdin, holder.stdout):
            assert pipe is not None
            pipe.close()


async def until_waiting(store: SqlStore) -> None:
    """Return once the commit lane has met the lock."""
    async with asyncio.timeout(10):
        while engine_of(store)._waiting_since is None:
            await asyncio.sleep(0.001)


# -- durability


async def test_connection_is_wal_and_fully_synchronous(store: SqlStore):
    """DESIGN §6: what was answered survives a power cut."""
    execute = engine_of(store)._connection.execute
    assert execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert execute("PRAGMA synchronous").fetchone()[0] == 2
    assert execute("PRAGMA foreign_keys").fetchone()[0] == 1


async def test_concurrent_writes_share_one_commit(store: SqlStore):
    """Group commit: a hundred at once are one transaction, each with its own outcome."""
    statements: list[str] = []
    engine_of(store)._connection.set_trace_callback(statements.append)
    grants = [await active(store) for _ in range(3)]
    await asyncio.sleep(0)  # the reads' transaction ends with their turn of the loop
    statements.clear()
    outcomes = await asyncio.gather(*(rotate(store, grant, 1) for grant in grants for _ in range(30)))
    assert outcomes.count(Commit.APPLIED) == 3
    assert sum(statement.startswith("BEGIN IMMEDIATE") for statement in statements) == 1
    assert sum(statement.startswith("COMMIT") for statement in statements) == 1


async def test_more_at_once_than_one_batch_holds_are_all_answered(store: SqlStore, monkeypatch):
    monkeypatch.setattr(sqlite, "MAX_BATCH", 7)
    grant = await active(store)
    outcomes = await asyncio.gather(*(store.commit_retry(grant.id, generation=1) for _ in range(100)))
    assert set(outcomes) == {Commit.APPLIED}
    assert (await find(store, grant)).retry_count == 100


async def test_write_whose_caller_went_away_is_done_and_fails_nobody(store: SqlStore):
    grant = await active(store)
    callers = [asyncio.create_task(store.commit_retry(grant.id, generation=1)) for _ in range(10)]
    await asyncio.sleep(0)
    for caller in callers[::2]:
        caller.cancel()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert outcomes[1::2] == [Commit.APPLIED] * 5
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    assert (await find(store, grant)).retry_count == 10


async def test_close_finishes_what_is_under_way(sqlite_path: Path):
    store = open_store(f"sqlite:///{sqlite_path}")
    await people(store)
    grant = await active(store)
    callers = [asyncio.create_task(store.commit_retry(grant.id, generation=1)) for _ in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*callers) == [Commit.APPLIED] * 20
    with contextlib.closing(sqlite3.connect(sqlite_path)) as connection:
        assert connection.execute("SELECT retry_count FROM oauth_grant").fetchone() == (20,)


async def test_work_after_the_close_is_unavailable_and_no_hang(sqlite_path: Path):
    """A request that outlives the drain hears 503."""
    store = open_store(f"sqlite:///{sqlite_path}")
    await people(store)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(store.create_organization(build_organization("orga_late")), 10)
    with pytest.raises(StoreUnavailable):
        await store.find_grant(bytes(16))


# -- a held lock


async def test_lock_of_another_process_is_waited_for_without_stopping_the_loop(store: SqlStore, sqlite_path: Path):
    grant = await active(store)
    with hold_lock(sqlite_path) as holder:
        writes = [asyncio.create_task(rotate(store, grant, 1)), asyncio.create_task(rotate(store, grant, 1))]
        await until_waiting(store)
        # One second of it: reads answer, timers run, and nothing is given up.
        started = asyncio.get_running_loop().time()
        ticks = 0
        while asyncio.get_running_loop().time() - started < 1:
            assert (await find(store, grant)).generation == 1
            await asyncio.sleep(0.005)
            ticks += 1
        assert ticks > 20
        assert not any(write.done() for write in writes)
        assert holder.stdin is not None
        holder.stdin.close()
        outcomes = await asyncio.wait_for(asyncio.gather(*writes), 10)
    assert outcomes == [Commit.APPLIED, Commit.LOST]


async def test_lock_held_too_long_is_unavailable_consumes_nothing_and_recovers(
    store: SqlStore, sqlite_path: Path, monkeypatch
):
    monkeypatch.setattr(sqlite, "LOCK_WAIT", 0.2)
    pending, live = await insert(store), await active(store)
    with hold_lock(sqlite_path):
        outcomes = await asyncio.gather(
            redeem(store, pending),
            rotate(store, live, 1),
            store.end_grant(live.id, by="x", reason="disconnected", now=NOW),
            store.revoke_access_token(live.id, bytes(12), expires_at=NOW + 60, now=NOW),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 4
        assert await find(store, pending) == pending
        assert await find(store, live) == live
        # The wait begins anew for whoever comes later.
        with pytest.raises(StoreUnavailable):
            await redeem(store, pending)
    assert await redeem(store, pending) is Commit.APPLIED
    assert await rotate(store, live, 1) is Commit.APPLIED
    assert await store.is_access_token_revoked(bytes(12)) is False


def test_lock_wait_is_shorter_than_what_clients_wait():
    assert sqlite.LOCK_WAIT <= 5
    assert sqlite.LOCK_POLL <= 0.01


# -- a full disk


def limit_pages(store: SqlStore, more: int | None) -> None:
    """Let the file grow by that many pages; None lifts the limit."""
    execute = engine_of(store)._connection.execute
    pages = execute("PRAGMA page_count").fetchone()[0]
    execute(f"PRAGMA max_page_count = {2**30 if more is None else pages + more}")


async def test_full_database_is_unavailable_consumes_nothing_and_recovers(store: SqlStore):
    """Drill 2."""
    live = await active(store)
    limit_pages(store, 0)
    refused = 0
    for number in range(2000):
        try:
            await store.create_organization(build_organization(f"orga_{number}", "x" * 500))
        except StoreUnavailable:
            refused = number
            break
    assert refused
    assert await store.find_organization(f"orga_{refused}") is None
    assert await store.find_organization(f"orga_{refused - 1}") is not None
    assert await find(store, live) == live
    limit_pages(store, None)
    await store.create_organization(build_organization(f"orga_{refused}"))
    assert await rotate(store, live, 1) is Commit.APPLIED


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte, where this user may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True)
    if mount.returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_full_disk_is_unavailable_consumes_nothing_and_recovers(small_disk: Path, migrated_file: Path):
    """Drill 2, I4: also the writes that change a row in place need room, in the write-ahead log."""
    path = small_disk / "latchstring.db"
    path.write_bytes(migrated_file.read_bytes())
    store = open_store(f"sqlite:///{path}")
    await people(store)
    pending, live = await insert(store), await active(store)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1024))
    generation = 1
    with pytest.raises(StoreUnavailable):
        for generation in range(1, 2000):
            assert await rotate(store, live, generation) is Commit.APPLIED
    assert (await find(store, live)).generation == generation
    with pytest.raises(StoreUnavailable):
        await redeem(store, pending)
    assert await find(store, pending) == pending
    with pytest.raises(StoreUnavailable):
        await store.end_grant(live.id, by="x", reason="disconnected", now=NOW)
    assert (await find(store, live)).status == "active"
    filler.unlink()
    assert await redeem(store, pending) is Commit.APPLIED
    assert await rotate(store, live, generation) is Commit.APPLIED
    await store.close()


# -- a file that is gone, broken or not ours


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"this is no database" * 500, id="something-else"),
        pytest.param(b"SQLite format 3\0" + b"\xff" * 5000, id="broken-header"),
    ],
)
def test_file_that_is_no_database_stops_start_up(tmp_path: Path, content):
    path = tmp_path / "latchstring.db"
    path.write_bytes(content)
    url = f"sqlite:///{path}"
    for work in (find_schema_version, open_store, migrate):
        with pytest.raises(ConfigurationError, match=str(path)):
            work(url)
    assert path.read_bytes() == content


def test_file_with_broken_pages_stops_start_up(sqlite_path: Path):
    content = sqlite_path.read_bytes()
    sqlite_path.write_bytes(content[:4096] + b"\x5a" * (len(content) - 4096))
    for work in (find_schema_version, migrate):
        with pytest.raises(ConfigurationError, match=str(sqlite_path)):
            work(f"sqlite:///{sqlite_path}")


def test_directory_in_place_of_the_file_stops_start_up(tmp_path: Path):
    (tmp_path / "latchstring.db").mkdir()
    for work in (find_schema_version, open_store, migrate):
        with pytest.raises(ConfigurationError):
            work(f"sqlite:///{tmp_path / 'latchstring.db'}")


async def test_file_broken_while_it_is_served_is_unavailable(store: SqlStore, sqlite_path: Path):
    """I8: no answer, rather than one made up."""
    grant = await active(store)
    for path in sqlite_path.parent.glob("latchstring.db*"):
        with path.open("r+b") as file:
            file.write(b"\x5a" * path.stat().st_size)
    for work in (store.find_grant(grant.id), rotate(store, grant, 1), store.find_memberships("user_x")):
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(work, 20)


async def test_file_without_the_schema_is_unavailable(tmp_path: Path):
    store = open_store(f"sqlite:///{tmp_path / 'empty.db'}")
    for work in (store.find_grant(bytes(16)), store.create_organization(build_organization())):
        with pytest.raises(StoreUnavailable):
            await work
    await store.close()


@pytest.fixture
def read_only(sqlite_path: Path) -> Iterator[Path]:
    """The file on a disk that is mounted for reading alone, where this user may do so (root ignores modes)."""
    place = sqlite_path.parent / "read-only"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True)
    if mount.returncode:
        pytest.skip("mounting a read-only disk needs root")
    copy = place / "latchstring.db"
    copy.write_bytes(sqlite_path.read_bytes())
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    yield copy
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_read_only_file_stops_start_up_or_is_unavailable(read_only: Path):
    url = f"sqlite:///{read_only}"
    with contextlib.suppress(ConfigurationError):
        store = open_store(url)
        with pytest.raises(StoreUnavailable):
            await store.create_organization(build_organization())
        await store.close()
    with pytest.raises(ConfigurationError):
        migrate(f"sqlite:///{read_only.with_name('new.db')}")


async def test_missing_folder_stops_start_up(tmp_path: Path):
    for work in (find_schema_version, open_store, migrate):
        with pytest.raises(ConfigurationError, match="does not exist"):
            work(f"sqlite:///{tmp_path / 'nowhere' / 'latchstring.db'}")


# -- defects stay where they are


async def test_work_that_raises_is_told_to_its_caller_alone(store: SqlStore):
    """Whatever one operation does, the lane goes on."""
    grant, engine = await active(store), engine_of(store)

    def broken() -> Any:
        yield from ()
        raise RuntimeError("a defect")

    outcomes = await asyncio.wait_for(
        asyncio.gather(
            attempt(store, "rotate", grant.id), engine.commit(broken), engine.commit(broken), return_exceptions=True
        ),
        10,
    )
    assert outcomes[0] is Commit.APPLIED
    assert [type(outcome) for outcome in outcomes[1:]] == [RuntimeError, RuntimeError]
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(engine.commit(broken), 10)
    assert await rotate(store, grant, 2) is Commit.APPLIED
