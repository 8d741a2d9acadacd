"""Drill 5: each code and each refresh token at once from all sides, over two servers that share nothing but the
database. With PostgreSQL these are two hosts, each in a network of its own where this machine lets us make them.

A round is one credential on all connections at the same time: one redemption wins, one successor is given out.
`DRILL_RACES=10000` asks for as many rounds as the drills page reports.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from latchstring.authorization_server.ports import ConsentCommit
from latchstring.storage.url import open_store
from latchstring.wiring import prepare
from tests.authorization_server.builders import build_grant
from tests.drills.history import REPLAYED
from tests.drills.load import close_wires
from tests.support.company import Company, found_company
from tests.support.hosts import Hosts, two_hosts
from tests.support.postgres import find_binaries, run_cluster
from tests.support.process import QuickOperator, Server, Servers
from tests.support.wire import Wire

ROUNDS = int(os.environ.get("DRILL_RACES", "200"))
AT_ONCE = 8  # connections in a round, half of them to each server
TRACKS = 4  # rounds under way at a time
ROTATIONS = 50  # of one grant, one after the other

pytestmark = [pytest.mark.drill, pytest.mark.timeout(240 + ROUNDS)]


@pytest.fixture
def hosts(engine: str) -> Iterator[Hosts]:
    if engine == "sqlite":
        # A file is shared by processes of one machine.
        yield Hosts("addresses", ("127.0.0.2", "127.0.0.3"), ((), ()), "127.0.0.1")
        return
    with two_hosts() as hosts:
        yield hosts


@pytest.fixture
def company(tmp_path, engine: str, hosts: Hosts, request: pytest.FixtureRequest) -> Iterator[Company]:
    (tmp_path / "latchstring.toml").write_text('retry_window = 3600\nissuer = "https://login.example"\n')
    if engine == "sqlite":
        yield found_company(QuickOperator(tmp_path))
        return
    request.getfixturevalue("postgres")  # skipped, or failed, where there is none
    binaries = find_binaries()
    assert binaries is not None
    with run_cluster(binaries, host=hosts.outside) as cluster:
        yield found_company(QuickOperator(tmp_path, cluster.create_database()))


@pytest.fixture
def pair(servers: Servers, hosts: Hosts) -> list[Server]:
    """One server on each host; the first is there before the second, as the keyring is made by the first start."""
    return [
        servers.start("--host", address, "--port", "0", "--config", "latchstring.toml", prefix=prefix)
        for address, prefix in zip(hosts.addresses, hosts.prefixes, strict=True)
    ]


async def insert_codes(company: Company, count: int) -> dict[str, bytes]:
    """Codes, and the grants that they are of, as consent makes them; good for longer than a code that people make."""
    codec = prepare(company.operator.database, company.operator.keyring_path).codec
    store = open_store(company.operator.database)
    now = int(time.time())
    grants = [
        build_grant(
            id=os.urandom(16),
            row_secret=os.urandom(16),
            client_id=company.app.client_id,
            user_id=company.user_id,
            organization_id=company.organization_id,
            created_at=now,
            expires_at=now + 24 * 3600,
        )
        for _ in range(count)
    ]
    for start in range(0, count, 500):
        made = await asyncio.gather(*(store.commit_consent(grant) for grant in grants[start : start + 500]))
        assert set(made) == {ConsentCommit.CREATED}
    await store.close()
    return {codec.render_code(grant.id, grant.row_secret): grant.id for grant in grants}


async def open_tracks(pair: list[Server]) -> list[list[Wire]]:
    """Connections for that many rounds at a time, to both servers in turn."""
    return [[await Wire(pair[n % 2].port, pair[n % 2].host).connect() for n in range(AT_ONCE)] for _ in range(TRACKS)]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"], indirect=True)
async def test_raced_credentials_have_one_winner_and_one_successor(company, hosts, pair, publish, engine):
    app = company.app
    codes = await insert_codes(company, ROUNDS)
    chains = await insert_codes(company, -(-ROUNDS // ROTATIONS))
    tracks = await open_tracks(pair)
    began = time.monotonic()

    async def redeem_all(track: list[Wire], waiting: list[str]) -> None:
        while waiting:
            body = app.body(grant_type="authorization_code", code=waiting.pop())
            answers = await asyncio.gather(*(wire.post("/oauth2/token/", body) for wire in track))
            assert Counter(answer.status for answer in answers) == {200: 1, 400: AT_ONCE - 1}
            refusals = [answer.json() for answer in answers if answer.status == 400]
            assert {refusal["error"] for refusal in refusals} == {"invalid_grant"}
            # Whoever was first among the losers ended the grant; it told the others so.
            assert sum(REPLAYED in refusal["error_description"] for refusal in refusals) >= 1

    rotations: list[int] = []

    async def refresh_all(track: list[Wire], waiting: list[str]) -> None:
        while waiting:
            redeemed = await track[0].post(
                "/oauth2/token/", app.body(grant_type="authorization_code", code=waiting.pop())
            )
            token = redeemed.json()["refresh_token"]
            for _ in range(ROTATIONS):
                body = app.body(grant_type="refresh_token", refresh_token=token)
                answers = await asyncio.gather(*(wire.post("/oauth2/token/", body) for wire in track))
                assert {answer.status for answer in answers} == {200}
                successors = {answer.json()["refresh_token"] for answer in answers}
                assert len(successors) == 1
                assert len({answer.json()["access_token"] for answer in answers}) == AT_ONCE
                assert successors != {token}
                [token] = successors
            rotations.append(ROTATIONS)

    queue = list(codes)
    await asyncio.gather(*(redeem_all(track, queue) for track in tracks))
    redeemed_after = time.monotonic() - began
    queue = list(chains)
    await asyncio.gather(*(refresh_all(track, queue) for track in tracks))
    refreshed_after = time.monotonic() - began - redeemed_after
    for track in tracks:
        close_wires(track)
    assert [server.stop() for server in pair] == [0, 0]

    rows = await read_rows(company, [*codes.values(), *chains.values()])
    replayed, rotated = (Counter(rows[grant_id] for grant_id in made.values()) for made in (codes, chains))
    assert replayed == {("ended", 1, 0, "authorization_code_replayed"): ROUNDS}
    # As many generations as rounds: nobody rotated twice, and all others were counted as retries.
    assert rotated == {("active", 1 + ROTATIONS, ROTATIONS * (AT_ONCE - 1), None): len(chains)}
    publish(
        hosts=hosts.kind,
        rounds_of_redemption=ROUNDS,
        rounds_of_refresh=sum(rotations),
        at_once=AT_ONCE,
        redemptions_that_won=ROUNDS,
        successors=sum(rotations),
        seconds=round(redeemed_after + refreshed_after, 1),
    )


async def read_rows(company: Company, grant_ids: list[bytes]) -> dict[bytes, tuple[str, int, int, str | None]]:
    """What is left of each grant: status, generation, retries, reason of its end."""
    store = open_store(company.operator.database)
    rows: dict[bytes, tuple[str, int, int, str | None]] = {}
    for grant_id in grant_ids:
        grant = await store.find_grant(grant_id)
        assert grant is not None
        rows[grant_id] = (grant.status, grant.generation, grant.retry_count, grant.ended_reason)
    await store.close()
    return rows
