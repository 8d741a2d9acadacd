"""Several hosts in one URL: the one that takes writes is the primary, and nobody else is asked (drill 4, I2, I6)."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from latchstring.authorization_server.ports import Commit
from latchstring.protocol.errors import ConfigurationError, StoreUnavailable
from latchstring.storage import postgres
from latchstring.storage.hosts import split_hosts
from latchstring.storage.url import find_schema_version, migrate, open_store
from tests.storage.conftest import people
from tests.storage.test_grant_store import active, find, rotate
from tests.support.ports import find_free_port
from tests.support.postgres import Cluster, find_binaries, run_cluster

pytestmark = pytest.mark.xdist_group("standby")


def test_split_hosts_gives_each_host_its_url() -> None:
    assert split_hosts("postgresql://u:p%40@a:1,b,[::1]:3/n?sslmode=require") == [
        "postgresql://u:p%40@a:1/n?sslmode=require",
        "postgresql://u:p%40@b/n?sslmode=require",
        "postgresql://u:p%40@[::1]:3/n?sslmode=require",
    ]
    for single in ("postgresql://u@a/n", "postgresql:///n?host=/run/postgresql", "postgresql://a"):
        assert split_hosts(single) == [single]


@pytest.fixture(scope="module")
def pair(postgres: Cluster) -> Iterator[tuple[Cluster, Cluster]]:
    """A primary and its standby."""
    binaries = find_binaries()
    assert binaries is not None
    with run_cluster(binaries) as primary, run_cluster(binaries, primary) as standby:
        yield primary, standby


def name_hosts(url: str, primary: Cluster, *ports: int) -> str:
    """The primary's URL with these hosts in its place."""
    return url.replace(f"{primary.host}:{primary.port}", ",".join(f"127.0.0.1:{port}" for port in ports))


async def test_url_of_several_hosts_is_served_from_the_one_that_takes_writes(pair: tuple[Cluster, Cluster]) -> None:
    primary, standby = pair
    url = primary.create_database()
    many = name_hosts(url, primary, find_free_port(), standby.port, primary.port)
    migrate(many)
    assert find_schema_version(many) == find_schema_version(url)
    store, direct = open_store(many), open_store(url)
    await people(store)
    grant = await active(store)
    assert await rotate(store, grant, 1) is Commit.APPLIED
    assert await find(store, grant) == await find(direct, grant)
    # It stands first from then on, and every connection goes there.
    assert store._engine._hosts[0] == url  # type: ignore[attr-defined]
    await asyncio.gather(*(store.find_grant(grant.id) for _ in range(50)))
    asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'latchstring'"
    assert int(primary.ask(asked)) >= 2
    assert standby.ask(asked) == "0"
    await store.close()
    await direct.close()


async def test_many_that_connect_at_once_all_find_the_one_that_takes_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is first to find it puts it first, and takes it from nobody who is still on the way."""

    async def answer(host: str, **_: object) -> str:
        await asyncio.sleep(0)
        if host != "primary":
            raise OSError("refused")
        return host

    monkeypatch.setattr("asyncpg.connect", answer)
    for place in range(3):
        hosts = ["standby", "spare"]
        hosts.insert(place, "primary")
        assert await asyncio.gather(*(postgres.connect(hosts) for _ in range(10))) == ["primary"] * 10
        assert sorted(hosts) == ["primary", "spare", "standby"]
        assert hosts[0] == "primary"


async def test_standby_alone_is_unavailable_and_never_read(pair: tuple[Cluster, Cluster]) -> None:
    primary, standby = pair
    url = primary.create_database()
    migrate(url)
    store = open_store(name_hosts(url, primary, standby.port))
    while standby.ask("SELECT count(*) FROM pg_database WHERE datname = '" + url.rpartition("/")[2] + "'") == "0":
        await asyncio.sleep(0.1)
    with pytest.raises(StoreUnavailable):
        await store.find_grant(bytes(16))
    with pytest.raises(StoreUnavailable):
        await store.end_session(bytes(32))
    await store.close()
    with pytest.raises(ConfigurationError, match="PostgreSQL cannot be reached"):
        find_schema_version(name_hosts(url, primary, standby.port))


async def test_primary_that_takes_no_more_writes_is_let_go(pair: tuple[Cluster, Cluster]) -> None:
    """503, nothing changed; and no connection to it is kept."""
    primary, _ = pair
    url = primary.create_database()
    migrate(url)
    store = open_store(url)
    await people(store)
    grant = await active(store)
    primary.ask("ALTER SYSTEM SET default_transaction_read_only = on")
    primary.ask("SELECT pg_reload_conf()")
    try:
        for reason in ("ReadOnlySQLTransactionError", "TargetServerAttributeNotMatched"):
            with pytest.raises(StoreUnavailable, match=reason):
                await rotate(store, grant, 1)
        with pytest.raises(StoreUnavailable):
            await store.find_grant(grant.id)
    finally:
        primary.ask("ALTER SYSTEM RESET default_transaction_read_only")
        primary.ask("SELECT pg_reload_conf()")
    assert (await find(store, grant)).generation == 1
    assert await rotate(store, grant, 1) is Commit.APPLIED
    await store.close()


async def test_host_that_does_not_even_refuse_uses_up_its_own_time_alone(
    pair: tuple[Cluster, Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose power is off: a server that accepts, and says nothing."""
    primary, _ = pair
    url = primary.create_database()
    migrate(url)
    asked: list[object] = []
    silent = await asyncio.start_server(lambda *wires: asked.append(wires), "127.0.0.1", 0)
    monkeypatch.setattr(postgres, "CONNECT_TIMEOUT", 0.5)
    store = open_store(name_hosts(url, primary, silent.sockets[0].getsockname()[1], primary.port))
    began = time.monotonic()
    assert await store.find_grant(bytes(16)) is None
    assert 0.4 < time.monotonic() - began < 5
    before = len(asked)
    await asyncio.gather(*(store.find_user(f"user_{number}") for number in range(20)))
    assert len(asked) == before > 0, "the one that answered stands first"
    await store.close()
    silent.close()
