"""What the stores on servers and the encrypted one add to the contract."""

import os
import sqlite3

import psycopg
import pytest
import redis
from cryptography.fernet import Fernet

from latchstring.client import MemoryStore, Misconfigured, SQLiteStore
from latchstring.client.stores.encrypted import EncryptedStore
from latchstring.client.stores.postgres import PostgresStore
from latchstring.client.stores.redis import RedisStore
from latchstring.protocol.errors import StoreUnavailable
from tests.client.test_stores import KEY, connection, login

ACCESS, REFRESH = connection().access_token, connection().refresh_token


# -- encrypted


def test_encrypted_store_lets_no_credential_reach_the_file(tmp_path):
    path = tmp_path / "connections.db"
    inner = SQLiteStore(path)
    store = EncryptedStore(inner, [Fernet.generate_key()])
    store.commit_connected(connection())
    store.commit_login(login(), now=0.0)
    inner.close()
    raw = b"".join(file.read_bytes() for file in tmp_path.iterdir()).decode("latin-1")
    assert REFRESH is not None
    for secret in (ACCESS, REFRESH, '"code_verifier":"v"'):
        assert secret not in raw
    assert KEY.organization_id in raw


def test_encrypted_store_changes_keys_without_losing_a_connection():
    inner, old, new = MemoryStore(), Fernet.generate_key(), Fernet.generate_key()
    EncryptedStore(inner, [old]).commit_connected(connection())
    both = EncryptedStore(inner, [new, old])
    found = both.find_connection(KEY)
    assert found == connection()
    assert both.commit_connection(found.replace(generation=2), generation=1, holder="h")
    assert EncryptedStore(inner, [new]).find_connection(KEY) == connection(generation=2)


def test_encrypted_store_without_the_key_is_misconfigured_and_loses_nothing():
    inner, key = MemoryStore(), Fernet.generate_key()
    EncryptedStore(inner, [key]).commit_connected(connection())
    with pytest.raises(Misconfigured, match="store_key_unknown") as refused:
        EncryptedStore(inner, [Fernet.generate_key()]).find_connection(KEY)
    assert ACCESS not in str(refused.value)
    assert EncryptedStore(inner, [key]).find_connection(KEY) == connection()


def test_encrypted_store_refuses_a_credential_moved_to_another_connection():
    inner, key = MemoryStore(), Fernet.generate_key()
    store = EncryptedStore(inner, [key])
    store.commit_connected(connection())
    stolen = inner.find_connection(KEY)
    assert stolen is not None
    inner.commit_connected(stolen.replace(organization_id="orga_mine"))
    with pytest.raises(Misconfigured, match="store_tampered"):
        store.find_connections(KEY.issuer)


@pytest.mark.parametrize("keys", [[], ["short"], [b"not base64 at all, and far too long for a key of any kind"]])
def test_encrypted_store_refuses_what_is_no_key(keys):
    with pytest.raises(Misconfigured, match="argument_refused"):
        EncryptedStore(MemoryStore(), keys)


# -- servers


@pytest.mark.parametrize("make", [PostgresStore, RedisStore])
def test_store_whose_server_is_away_is_unavailable_and_tells_no_password(make):
    scheme = "redis" if make is RedisStore else "postgresql"
    store = make(f"{scheme}://user:sesame@127.0.0.1:9/0", time_limit=0.5)
    assert "sesame" not in repr(store)
    with pytest.raises(StoreUnavailable) as refused:
        store.find_connection(KEY)
    assert "sesame" not in str(refused.value)
    store.close()


@pytest.mark.xdist_group("postgresql")
def test_postgres_store_opened_first_by_two_at_once_is_made_once(store_database):
    with psycopg.connect(store_database, autocommit=True) as database:
        database.execute("DROP TABLE IF EXISTS latchstring_connection, latchstring_login")
    first, second = PostgresStore(store_database), PostgresStore(store_database)
    first.commit_connected(connection())
    assert second.find_connection(KEY) == connection()
    first.close()
    second.close()


@pytest.mark.xdist_group("redis")
def test_redis_store_forgets_logins_by_itself(redis_url):
    store = RedisStore(redis_url, prefix=f"test-{os.urandom(4).hex()}")
    store.commit_login(login("late", expires_at=100.05), now=100.0)
    with redis.Redis.from_url(redis_url) as server:
        ttl = server.pttl(store._login_name("late"))
    assert 0 < ttl <= 50
    store.close()


@pytest.mark.xdist_group("redis")
def test_redis_keys_of_one_issuer_share_a_slot(redis_url):
    store = RedisStore(redis_url)
    assert store._name(KEY).partition("}")[0] == store._issuer_name(KEY.issuer).partition("}")[0]


def test_sqlite_is_still_one_file(tmp_path):
    """The written form is shared by the stores; an older file is read as before."""
    path = tmp_path / "connections.db"
    SQLiteStore(path).commit_connected(connection())
    with sqlite3.connect(path) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
    assert version == 1
