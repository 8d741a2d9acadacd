import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from latchstring.client import ConnectionStore, Exchange, MemoryStore, OAuthClient, SQLiteStore
from tests.client.fake_provider import CLIENT_ID, CLIENT_SECRET, FakeProvider

REDIRECT_URI = "http://127.0.0.1:8402/callback"
BROWSER = "the session id of Ann's browser"


class Clock:
    """Time that moves a microsecond a look, and further when told."""

    def __init__(self) -> None:
        self.now = 1_750_000_000.0
        self._ticks = itertools.count()

    def __call__(self) -> float:
        return self.now + next(self._ticks) / 1_000_000

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(clock: Clock) -> FakeProvider:
    return FakeProvider(clock=clock)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ConnectionStore]:
    if request.param == "memory":
        yield MemoryStore()
    else:
        sqlite = SQLiteStore(tmp_path / "connections.db")
        yield sqlite
        sqlite.close()


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
        }
        self.client = OAuthClient(provider.issuer, store=store, http=self.http, clock=clock, **(settings | options))

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
