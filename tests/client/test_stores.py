"""The contract that every store keeps, and what SQLite adds."""

import multiprocessing
import os
import sqlite3
import stat
import threading
from typing import Any

import pytest

from latchstring.client import Connection, ConnectionKey, PendingLogin, SQLiteStore
from latchstring.protocol.errors import StoreUnavailable

KEY = ConnectionKey("https://crm.example", "orga_acorn", "user_ann")


def connection(**changes) -> Connection:
    members: dict[str, Any] = {
        "issuer": KEY.issuer,
        "organization_id": KEY.organization_id,
        "user_id": KEY.user_id,
        "client_id": "oa2client_mailloop",
        "scope": "all.full_access offline_access",
        "access_token": "ls_at_AccessAccessAccess",
        "refresh_token": "ls_rt_RefreshRefreshRefresh",
        "expires_at": 4600.25,
        "connected_at": 1000.125,
        "refreshed_at": 1000.125,
    }
    return Connection(**members | changes)


def login(state: str = "s", browser_hash: str = "b", expires_at: float = 100.0) -> PendingLogin:
    return PendingLogin(
        state=state,
        code_verifier="v",
        browser_hash=browser_hash,
        issuer=KEY.issuer,
        client_id="c",
        redirect_uri="r",
        scope="",
        expires_at=expires_at,
    )


def lease(store, *, generation=1, holder="h", now=10.0, until=20.0, refreshes=True):
    return store.commit_lease(KEY, generation=generation, holder=holder, now=now, until=until, refreshes=refreshes)


def test_connection_comes_back_as_it_was_written(any_store):
    assert any_store.find_connection(KEY) is None
    assert any_store.commit_connected(connection()) == connection()
    assert any_store.find_connection(KEY) == connection()


def test_connections_are_told_apart_by_issuer_organization_and_user(any_store):
    others = [connection(organization_id="orga_birch"), connection(user_id="user_bob")]
    for each in [*others, connection(), connection(issuer="https://other.example")]:
        any_store.commit_connected(each)
    assert any_store.find_connections(KEY.issuer) == [connection(), others[1], others[0]]


def test_connected_again_goes_past_the_older_generation_and_frees_the_lease(any_store):
    any_store.commit_connected(connection())
    assert lease(any_store)
    again = any_store.commit_connected(connection(access_token="new"))
    assert (again.generation, again.access_token, again.refreshing_since) == (2, "new", None)
    assert not any_store.commit_connection(connection(access_token="late"), generation=1, holder="h")
    assert lease(any_store, generation=2, now=11.0)


def test_lease_is_held_by_one_until_it_ends(any_store):
    any_store.commit_connected(connection())
    assert lease(any_store, holder="first").refreshing_since == 10.0
    assert lease(any_store, holder="second", now=19.9) is None
    taken = lease(any_store, holder="second", now=20.0, until=30.0)
    assert taken.refreshing_since == 10.0  # since the first, whose answer is missing


def test_lease_that_does_not_refresh_leaves_the_intent_alone(any_store):
    any_store.commit_connected(connection())
    assert lease(any_store, refreshes=False).refreshing_since is None


def test_lease_of_another_generation_or_of_nothing_is_not_given(any_store):
    assert lease(any_store) is None
    any_store.commit_connected(connection())
    assert lease(any_store, generation=2) is None


def test_commit_at_the_expected_generation_writes_and_frees_the_holder_s_lease(any_store):
    any_store.commit_connected(connection())
    lease(any_store)
    renewed = connection(generation=2, access_token="new")
    assert any_store.commit_connection(renewed, generation=1, holder="h") is True
    assert any_store.find_connection(KEY) == renewed
    assert lease(any_store, generation=2, now=11.0)


def test_commit_by_another_leaves_the_lease_with_its_holder(any_store):
    any_store.commit_connected(connection())
    lease(any_store)
    assert any_store.commit_connection(connection(access_token="x"), generation=1, holder="other") is True
    assert lease(any_store, now=11.0) is None


def test_commit_at_another_generation_writes_nothing(any_store):
    assert any_store.commit_connection(connection(), generation=1, holder="h") is False
    any_store.commit_connected(connection())
    assert any_store.commit_connection(connection(generation=3), generation=2, holder="h") is False
    assert any_store.find_connection(KEY) == connection()


def test_connection_ended_is_gone(any_store):
    any_store.commit_connected(connection())
    any_store.end_connection(KEY)
    any_store.end_connection(KEY)
    assert any_store.find_connection(KEY) is None


def test_login_is_handed_out_once_and_to_its_browser_only(any_store):
    any_store.commit_login(login(), now=0.0)
    assert any_store.end_login("s", browser_hash="other") is None
    assert any_store.end_login("t", browser_hash="b") is None
    assert any_store.end_login("s", browser_hash="b") == login()
    assert any_store.end_login("s", browser_hash="b") is None


def test_logins_that_expired_are_swept(any_store):
    any_store.commit_login(login("old", expires_at=100.0), now=0.0)
    any_store.commit_login(login("new", expires_at=200.0), now=100.0)
    assert any_store.end_login("old", browser_hash="b") is None
    assert any_store.end_login("new", browser_hash="b") is not None


def test_login_asked_for_by_many_threads_is_handed_out_once(any_store):
    any_store.commit_login(login(), now=0.0)
    found = []
    barrier = threading.Barrier(16)

    def take():
        barrier.wait()
        found.append(any_store.end_login("s", browser_hash="b"))

    threads = [threading.Thread(target=take) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each is not None for each in found) == 1


def test_lease_asked_for_by_many_threads_is_given_to_one(any_store):
    any_store.commit_connected(connection())
    given, barrier = [], threading.Barrier(16)

    def take(number):
        barrier.wait()
        given.append(lease(any_store, holder=str(number)))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each is not None for each in given) == 1


def test_times_come_back_to_the_last_bit(any_store):
    since = 1_750_000_000.123_456_7
    any_store.commit_connected(connection())
    assert lease(any_store, now=since, until=since + 36).refreshing_since == since
    assert any_store.find_connection(KEY).refreshing_since == since


def test_sqlite_file_and_its_companions_are_for_their_owner_only(tmp_path):
    path = tmp_path / "connections.db"
    previous = os.umask(0)
    try:
        store = SQLiteStore(path)
        store.commit_connected(connection())
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    finally:
        os.umask(previous)
    assert modes == dict.fromkeys(("connections.db", "connections.db-wal", "connections.db-shm"), 0o600)


def test_sqlite_file_readable_by_others_is_closed_to_them(tmp_path):
    path = tmp_path / "connections.db"
    path.touch(mode=0o644)
    SQLiteStore(path).find_connection(KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_sqlite_file_keeps_what_was_committed(tmp_path):
    path = tmp_path / "connections.db"
    first = SQLiteStore(path)
    first.commit_connected(connection())
    first.close()
    assert SQLiteStore(path).find_connection(KEY) == connection()
    assert first.find_connection(KEY) == connection()  # opens again by itself


@pytest.mark.parametrize("content", [b"not a database" * 100, None])
def test_sqlite_file_that_cannot_be_used_is_unavailable(tmp_path, content):
    path = tmp_path / "connections.db"
    if content is None:
        path = tmp_path / "no such folder" / "connections.db"
    else:
        path.write_bytes(content)
    with pytest.raises(StoreUnavailable):
        SQLiteStore(path).find_connection(KEY)


def test_sqlite_file_of_a_later_version_is_left_alone(tmp_path):
    path = tmp_path / "connections.db"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreUnavailable, match="version 99"):
        SQLiteStore(path).find_connection(KEY)


def test_sqlite_file_locked_by_another_is_unavailable_in_time(tmp_path):
    store = SQLiteStore(tmp_path / "connections.db", time_limit=0.1)
    store.commit_connected(connection())
    other = sqlite3.connect(tmp_path / "connections.db")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.commit_connected(connection())
    other.rollback()
    other.close()


def _open_first(path, barrier, results):
    barrier.wait()
    try:
        SQLiteStore(path).commit_login(login(state=str(os.getpid())), now=0.0)
        results.put("")
    except StoreUnavailable as error:
        results.put(str(error))


def test_sqlite_file_opened_first_by_many_processes_is_made_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=_open_first, args=(tmp_path / "connections.db", barrier, results)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    assert [results.get(timeout=30) for _ in processes] == ["", "", ""]
    for process in processes:
        process.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_sqlite_store_survives_a_fork(tmp_path):
    store = SQLiteStore(tmp_path / "connections.db")
    store.commit_connected(connection())
    child = os.fork()
    if child == 0:
        try:
            assert store.commit_connection(connection(generation=2), generation=1, holder="child")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    found = store.find_connection(KEY)
    assert found is not None
    assert found.generation == 2
