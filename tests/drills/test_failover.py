"""Drill 4: PostgreSQL's primary is killed under load and its synchronous standby promoted.

Every acknowledged revocation and consumption is on the new primary, nobody hears `invalid_client` or `invalid_grant`
because of it, and what the clients are told meanwhile is a 503.

`caught`: the primary dies while its commits stand on the standby but were never acknowledged, so that every write under
way is in doubt and has happened. `struck`: it dies at any moment.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from latchstring.authorization_server.identifiers import GRANT, parse_identifier
from latchstring.storage.settling import SETTLE_LIMIT
from latchstring.wiring import prepare
from tests.drills.history import Event, FinalRow, find_violations
from tests.drills.load import Actor, close_wires, collect_secrets, mint_codes, open_wires
from tests.support.company import Company, found_company
from tests.support.postgres import Cluster, find_binaries, run_cluster
from tests.support.process import QuickOperator, wait_until
from tests.support.wire import Wire

pytestmark = [pytest.mark.drill, pytest.mark.timeout(180)]

# So many connections of each kind; each redeems, or revokes, one thing after the other while it lasts.
# Fewer revoke than a worker has connections: each holds one while its commit waits, and others are to get there too.
REFRESHING, REDEEMING, REVOKING = 40, 20, 6
EACH = 6
# Seconds: the load before, what a failure detector would need, the load after.
BEFORE, DETECTING, AFTER = 1.0, 1.0, 1.5
FROZEN = 0.4
_PAUSE = 0.3


@pytest.fixture
def pair(postgres: Cluster) -> Iterator[tuple[Cluster, Cluster]]:
    """A primary and its standby."""
    binaries = find_binaries()
    assert binaries is not None
    with run_cluster(binaries) as primary, run_cluster(binaries, primary) as standby:
        yield primary, standby


@pytest.fixture
def company(pair: tuple[Cluster, Cluster], tmp_path) -> Company:
    """As of the other drills; its database has two hosts."""
    primary, standby = pair
    (tmp_path / "latchstring.toml").write_text("retry_window = 3600\n")
    database = primary.create_database()
    both = database.replace(f":{primary.port}/", f":{standby.port},127.0.0.1:{primary.port}/")
    company = found_company(QuickOperator(tmp_path, both))
    primary.require_standby()
    wait_until(lambda: primary.ask("SELECT sync_state FROM pg_stat_replication") == "sync", "a synchronous standby")
    return company


class Load:
    """Clients that ask until they are answered, and what they were told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_over = False
        self.unavailable: list[float] = []

    async def insist(self, ask) -> Event:
        """Ask until it is no 503; the same question each time."""
        while True:
            event: Event = await ask()
            if event.status != 503:
                return event
            assert event.answer["error"] == "temporarily_unavailable"
            assert event.ended is not None
            self.unavailable.append(event.ended)
            await asyncio.sleep(_PAUSE)

    async def refresh_on(self, actor: Actor, wire: Wire) -> None:
        while not self.is_over:
            assert (await self.insist(partial(actor.refresh, wire))).is_success

    async def redeem_and_refresh(self, actors: list[Actor], wire: Wire) -> None:
        """One code after the other, so that some are under way whenever it happens."""
        for actor in actors:
            assert (await self.insist(partial(actor.redeem, wire))).is_success
            assert (await self.insist(partial(actor.refresh, wire))).is_success
            if not self.is_over:
                await asyncio.sleep(_PAUSE)

    async def revoke_each(self, actors: list[Actor], wire: Wire) -> None:
        for actor in actors:
            assert (await self.insist(partial(actor.revoke, wire))).is_success
            if not self.is_over:
                await asyncio.sleep(_PAUSE)


@pytest.mark.parametrize("how", ["caught", "struck"])
async def test_killed_primary_loses_nothing_and_refuses_nobody(pair, company, servers, minted, publish, how):
    primary, standby = pair
    server = servers.start("--port", "0", "--config", "latchstring.toml", "--workers", "2")
    load = Load()
    codes = iter(await mint_codes(server, company, REFRESHING + REDEEMING * EACH + REVOKING * EACH))

    def actors(kind: str, count: int) -> list[Actor]:
        return [Actor(f"{kind} {number}", company, load.events, next(codes)) for number in range(count)]

    refreshing, revoking = actors("refreshing", REFRESHING), actors("revoking", REVOKING * EACH)
    redeeming = actors("redeeming", REDEEMING * EACH)
    wires = await open_wires(server, REFRESHING + REDEEMING + REVOKING)
    for actor in (*refreshing, *revoking):
        assert (await actor.redeem(wires[0])).is_success

    spare = iter(wires)
    work = [asyncio.ensure_future(load.refresh_on(actor, next(spare))) for actor in refreshing]
    for do, rest, count in ((load.redeem_and_refresh, redeeming, REDEEMING), (load.revoke_each, revoking, REVOKING)):
        work += [asyncio.ensure_future(do(rest[number::count], next(spare))) for number in range(count)]
    await asyncio.sleep(BEFORE)
    if how == "caught":
        # What the standby has been sent stays in its socket: written there later, and never acknowledged.
        receiver = int(standby.ask("SELECT pid FROM pg_stat_wal_receiver"))
        os.kill(receiver, signal.SIGSTOP)
        await asyncio.sleep(FROZEN)
        primary.kill()
        os.kill(receiver, signal.SIGCONT)
    else:
        primary.kill()
    killed_at = time.monotonic()
    await asyncio.sleep(DETECTING)
    await asyncio.to_thread(standby.promote)
    promoted_at = time.monotonic()
    await asyncio.sleep(AFTER)
    load.is_over = True
    await asyncio.wait_for(asyncio.gather(*work), SETTLE_LIMIT)

    # Everybody goes on: who revoked is refused, everybody else is not.
    for actor in (*refreshing, *redeeming, *revoking):
        assert (await actor.refresh(wires[0])).status == (400 if actor.was_revoked else 200)
        assert (await actor.introspect(wires[0])).answer["active"] is not actor.was_revoked
    close_wires(wires)
    told = Counter((event.kind, event.status, event.answer.get("error")) for event in load.events)
    assert {error for _, _, error in told} <= {None, "temporarily_unavailable", "invalid_grant"}
    assert told["refresh", 400, "invalid_grant"] == len(revoking)
    assert sum(count for (_, status, _), count in told.items() if status == 400) == len(revoking)

    listed = {parse_identifier(GRANT, row["id"]): row for row in company.operator.ask("grant", "list")}
    codec = prepare(company.operator.database, company.operator.keyring_path).codec
    rows = {}
    for actor in (*refreshing, *redeeming, *revoking):
        code = codec.parse_code(actor.code)
        assert code is not None
        row = listed[code.grant_id]
        rows[actor.name] = FinalRow(status=row["status"], generation=row["generation"])
        assert row["status"] == ("ended" if actor.was_revoked else "active")
    assert find_violations(load.events, rows) == []
    assert load.unavailable, "the drill did what it is for"
    assert server.stop() == 0
    collect_secrets(load.events, minted)
    in_flight = [event for event in load.events if event.started < killed_at < (event.ended or 0)]
    settled = Counter(event.kind for event in in_flight if event.is_success)
    # The doubt that this is about was met: these were committed, and then answered as what they were.
    assert how == "struck" or (settled["redeem"] and settled["refresh"])
    publish(
        how=how,
        requests=len(load.events),
        answered_503=len(load.unavailable),
        under_way_at_the_kill=len(in_flight),
        redemptions_in_doubt_answered_200=settled["redeem"],
        refreshes_in_doubt_answered_200=settled["refresh"],
        acknowledged_revocations=told["revoke", 200, None],
        acknowledged_redemptions=told["redeem", 200, None],
        lost=0,
        refused_because_of_it=0,
        seconds_from_kill_to_promotion=round(promoted_at - killed_at, 2),
        seconds_of_503=round(max(load.unavailable) - killed_at, 2),
    )
