"""`latchstring backup` and `latchstring restore`: files, refusals, and what they tell."""

import json
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from latchstring.storage.migrations import migrate_sqlite
from latchstring.storage.sqlite_backup import verify_database, write_backup
from latchstring.storage.store import SqlStore
from latchstring.storage.url import run_apart
from latchstring.wiring import epoch_seconds
from tests.cli.test_doctor import fill, run
from tests.storage.test_grant_store import fresh_grant
from tests.support.postgres import Cluster
from tests.support.process import QuickOperator


@pytest.fixture
def operator(tmp_path: Path) -> QuickOperator:
    """Commands on a SQLite database with Ann, Acorn, an app and a connection."""
    made = QuickOperator(tmp_path)
    made.ask("migrate")
    fill(made.database, ended_days_ago=1)
    return made


def find_statuses(database: str) -> list[str]:
    async def work(store: SqlStore) -> list[str]:
        return sorted(grant.status for grant in await store.find_grants(user_id=None, organization_id=None))

    return run_apart(database, work)


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as a server holds it, idle."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("SELECT count(*) FROM oauth_grant").fetchone()
        yield connection


def test_backup_is_one_checked_file_of_the_owner_alone_without_the_keyring(operator: QuickOperator) -> None:
    with opened(operator.directory / "latchstring.db"):
        told = operator.ask("backup", "copy.db")
    copy = operator.directory / "copy.db"
    assert told == {
        "file": "copy.db",
        "bytes": copy.stat().st_size,
        "keyring_included": False,
        "keyring": str(operator.keyring_path),
    }
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(path.name for path in operator.directory.iterdir() if "copy" in path.name) == ["copy.db"]
    verify_database(copy)
    assert find_statuses(f"sqlite:///{copy}") == ["ended", "pending"]
    assert "The keyring is not in the backup." in operator.show("backup", "another.db")


def test_backup_under_writes_is_of_one_moment_and_holds_nobody_up(operator: QuickOperator) -> None:
    """Each transaction makes two organizations: no copy may have one of them alone."""
    path, written, is_over = operator.directory / "latchstring.db", 0, threading.Event()

    def write() -> None:
        nonlocal written
        with opened(path) as connection:
            while not is_over.is_set():
                connection.execute("BEGIN IMMEDIATE")
                for half in ("left", "right"):
                    row = (f"orga_{half}_{written}", "x" * 500, 1)
                    sql = "INSERT INTO organization (organization_id, name, created_at) VALUES (?, ?, ?)"
                    connection.execute(sql, row)
                connection.execute("COMMIT")
                written += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        counts = []
        for number in range(5):
            before = written
            copy = operator.directory / f"copy-{number}.db"
            write_backup(path, copy)
            with closing(sqlite3.connect(copy)) as connection:
                sql = "SELECT count(*) FROM organization WHERE organization_id LIKE ?"
                left, right = (connection.execute(sql, (f"orga_{half}_%",)).fetchone()[0] for half in ("left", "right"))
            assert left == right >= before
            counts.append(left)
    finally:
        is_over.set()
        writer.join()
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def test_backup_takes_no_other_file_s_place(operator: QuickOperator) -> None:
    (operator.directory / "copy.db").write_text("precious")
    why = operator.refuse("backup", "copy.db", "--database", operator.database)
    assert why == "copy.db: is there already; name a file that is not"
    assert (operator.directory / "copy.db").read_text() == "precious"


def test_backup_of_nothing_or_to_nowhere_is_refused_and_leaves_nothing(operator: QuickOperator) -> None:
    assert "does not exist" in operator.refuse("backup", "copy.db", "--database", "sqlite:///other.db")
    assert "cannot be written" in operator.refuse("backup", "nowhere/copy.db", "--database", operator.database)
    assert not (operator.directory / "other.db").exists()


def test_backup_of_a_damaged_database_is_refused_and_leaves_no_file(operator: QuickOperator) -> None:
    path = operator.directory / "latchstring.db"
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\x5a" * (len(content) - 4096))
    assert "latchstring.db" in operator.refuse("backup", "copy.db", "--database", operator.database)
    assert [entry.name for entry in operator.directory.iterdir() if "copy" in entry.name] == []


@pytest.mark.xdist_group("postgresql")
def test_backup_and_restore_of_postgresql_say_what_to_do(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    database = postgres.create_database()
    run("migrate", "--database", database)
    fill(database, ended_days_ago=1)
    assert "pg_dump" in str(run("backup", "copy", "--database", database).exception)
    Path("dump").touch()
    assert "--database-was-restored" in str(run("restore", "dump", "--database", database).exception)
    told = json.loads(run("restore", "--database-was-restored", "--database", database).stdout)
    assert (told["ended"]["oauth_grant"], told["kept"]) == (1, None)
    assert find_statuses(database) == ["ended", "ended"]


def test_restore_puts_the_backup_in_place_ends_its_grants_and_keeps_what_was_there(operator: QuickOperator) -> None:
    operator.ask("backup", "copy.db")
    later = add_grant(operator.database)
    told = operator.ask("restore", "copy.db")
    assert told["ended"]["oauth_grant"] == 1
    assert abs(told["restored_at"] - epoch_seconds()) < 60
    assert find_statuses(operator.database) == ["ended", "ended"]
    kept = Path(told["kept"])
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert find_statuses(f"sqlite:///{kept}") == ["ended", "pending", "pending"]
    assert later not in (operator.directory / "latchstring.db").read_bytes()
    assert [secret["client_id"] for secret in told["secrets"]] == ["oa2client_mailloop"] * len(told["secrets"])
    # The backup itself is as it was, for another time.
    assert find_statuses(f"sqlite:///{operator.directory / 'copy.db'}") == ["ended", "pending"]


def add_grant(database: str) -> bytes:
    """Another connection; its id."""

    async def work(store: SqlStore) -> bytes:
        now = epoch_seconds()
        grant = fresh_grant(created_at=now, expires_at=now + 60)
        await store.commit_consent(grant)
        return grant.id

    return run_apart(database, work)


def test_restore_while_somebody_has_the_database_open_is_refused_and_changes_nothing(operator: QuickOperator) -> None:
    operator.ask("backup", "copy.db")
    add_grant(operator.database)
    before = sorted(entry.name for entry in operator.directory.iterdir())
    with opened(operator.directory / "latchstring.db") as server:
        why = operator.refuse("restore", "copy.db", "--database", operator.database)
        assert "stop every server" in why
        assert server.execute("SELECT count(*) FROM oauth_grant WHERE status = 'pending'").fetchone() == (2,)
        assert sorted(entry.name for entry in operator.directory.iterdir() if "-" not in entry.name) == before


def test_restore_where_there_is_no_database_makes_it(operator: QuickOperator) -> None:
    operator.ask("backup", "copy.db")
    for entry in operator.directory.glob("latchstring.db*"):
        if not entry.name.endswith(".keyring"):
            entry.unlink()
    told = operator.ask("restore", "copy.db")
    assert told["kept"] is None
    assert find_statuses(operator.database) == ["ended", "ended"]
    assert stat.S_IMODE((operator.directory / "latchstring.db").stat().st_mode) == 0o600


def test_restore_in_place_of_a_damaged_database_moves_that_aside(operator: QuickOperator) -> None:
    operator.ask("backup", "copy.db")
    path = operator.directory / "latchstring.db"
    path.write_bytes(b"\x5a" * 100_000)
    told = operator.ask("restore", "copy.db")
    assert find_statuses(operator.database) == ["ended", "ended"]
    assert Path(told["kept"]).read_bytes() == b"\x5a" * 100_000


def test_restore_of_a_file_that_was_put_there_by_other_means_begins_an_epoch(operator: QuickOperator) -> None:
    told = operator.ask("restore", "--database-was-restored")
    assert told["ended"]["oauth_grant"] == 1
    assert find_statuses(operator.database) == ["ended", "ended"]
    assert run_apart(operator.database, lambda store: store.marks().find_epoch()).began_at == told["restored_at"]


@pytest.mark.parametrize("content", [b"", b"this is no database" * 500], ids=["empty", "something else"])
def test_restore_of_what_is_no_backup_is_refused_and_changes_nothing(operator: QuickOperator, content: bytes) -> None:
    (operator.directory / "copy.db").write_bytes(content)
    before = (operator.directory / "latchstring.db").read_bytes()
    operator.refuse("restore", "copy.db", "--database", operator.database)
    operator.refuse("restore", "nothing.db", "--database", operator.database)
    operator.refuse("restore", "--database", operator.database)
    assert (operator.directory / "latchstring.db").read_bytes() == before


def test_restore_with_another_keyring_than_the_backup_s_is_refused_and_changes_nothing(
    operator: QuickOperator, tmp_path: Path
) -> None:
    other = QuickOperator(tmp_path / "other")
    other.directory.mkdir()
    other.ask("migrate")
    other.ask("backup", str(operator.directory / "theirs.db"))
    why = operator.refuse("restore", "theirs.db", "--database", operator.database)
    assert "is not this database's" in why
    assert str(operator.keyring_path) in why
    assert find_statuses(operator.database) == ["ended", "pending"]


def test_restore_of_a_backup_of_the_version_before_migrates_it(operator: QuickOperator) -> None:
    old = operator.directory / "old.db"
    migrate_sqlite(old, "0002")
    with closing(sqlite3.connect(old)) as connection, closing(sqlite3.connect(operator.database_path or "")) as now:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(oauth_grant)")]
        row = now.execute(f"SELECT {', '.join(columns)} FROM oauth_grant WHERE status = 'pending'").fetchone()
        connection.execute(f"INSERT INTO oauth_grant VALUES ({', '.join('?' * len(row))})", row)
        connection.commit()
    assert operator.ask("restore", "old.db")["ended"]["oauth_grant"] == 1
    assert find_statuses(operator.database) == ["ended"]
