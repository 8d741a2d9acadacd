from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest
import redis
from cryptography.fernet import Fernet

from latchstring.client import ConnectionStore, Exchange, MemoryStore, OAuthClient, SQLiteStore
from latchstring.client.stores.encrypted import EncryptedStore
from latchstring.client.stores.postgres import PostgresStore
from latchstring.client.stores.redis import RedisStore
from latchstring.client.testing import Clock, FakeProvider
from tests.support.postgres import Cluster

CLIENT_ID = FakeProvider.client_id
CLIENT_SECRET = FakeProvider.client_secret
REDIRECT_URI = "http://127.0.0.1:8402/callback"
BROWSER = "the session id of Ann's browser"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(clock: Clock) -> FakeProvider:
    return FakeProvider(clock=clock)


@pytest.fixture(scope="session")
def store_database(postgres: Cluster) -> str:
    return postgres.create_database()


def _make_sqlite(request: pytest.FixtureRequest) -> SQLiteStore:
    return SQLiteStore(request.getfixturevalue("tmp_path") / "connections.db")


def _make_postgres(request: pytest.FixtureRequest) -> PostgresStore:
    url = request.getfixturevalue("store_database")
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("DROP TABLE IF EXISTS latchstring_connection, latchstring_login")
    return PostgresStore(url)


def _make_redis(request: pytest.FixtureRequest) -> RedisStore:
    url = request.getfixturevalue("redis_url")
    with redis.Redis.from_url(url) as server:
        server.flushdb()
    return RedisStore(url)


def _make_encrypted(request: pytest.FixtureRequest) -> EncryptedStore:
    return EncryptedStore(_make_sqlite(request), [Fernet.generate_key()])


STORES: dict[str, Callable[[pytest.FixtureRequest], ConnectionStore]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": _make_sqlite,
    "postgres": _make_postgres,
    "redis": _make_redis,
    "encrypted": _make_encrypted,
}
# One server for all of a group's tests: they empty it, so they take turns.
_GROUPS = {"postgres": "postgresql", "redis": "redis"}


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.xdist_group(_GROUPS[name]) if name in _GROUPS else ()) for name in STORES
    ]
)
def any_store(request: pytest.FixtureRequest) -> Iterator[ConnectionStore]:
    """An empty store of every kind: each keeps the same contract."""
    made = STORES[request.param](request)
    yield made
    if isinstance(made, SQLiteStore | PostgresStore | RedisStore):
        made.close()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest) -> Iterator[ConnectionStore]:
    """An empty store that costs little, for what is the same on all of them."""
    made = STORES[request.param](request)
    yield made
    if isinstance(made, SQLiteStore):
        made.close()


class Mailloop:
    """An app with a client, and the person in front of it."""

    def __init__(self, provider: FakeProvider, store: ConnectionStore, clock: Clock, **options) -> None:
        self.provider, self.store, self.clock = provider, store, clock
        self.exchanges: list[Exchange] = []
        self.http = httpx.Client(transport=provider.transport())
        settings: dict[str, Any] = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uri": REDIRECT_URI,
            "scope": "all.full_access offline_access",
            "on_exchange": self.exchanges.append,
            "http": self.http,
        }
        self.client = OAuthClient(provider.issuer, store=store, clock=clock, **(settings | options))

    def connect(self, **choice):
        url = self.client.begin(browser_session=BROWSER)
        return self.client.complete(self.provider.authorize(url, **choice), browser_session=BROWSER)

    def api(self, key) -> httpx.Client:
        return httpx.Client(
            transport=self.provider.transport(), base_url=self.provider.issuer, auth=self.client.auth(key)
        )


@pytest.fixture
def mailloop(provider: FakeProvider, store: ConnectionStore, clock: Clock) -> Mailloop:
    return Mailloop(provider, store, clock)
