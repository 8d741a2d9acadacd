"""A million refreshes leave one row a grant: shortened, on a real server, with the rows counted."""

import asyncio
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.drills.history import Event
from tests.drills.load import Actor, close_wires, collect_secrets, mint_codes, open_wires

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]

GRANTS = 20
# 20 clients, 12 of which always ask twice at once: 32 requests in flight.
IMPATIENT = 12
REFRESHES = int(os.environ.get("DRILL_REFRESHES", "20000"))


def count_rows(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in sorted(names)}


def count_pages(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return (
            database.execute("PRAGMA page_count").fetchone()[0]
            - (database.execute("PRAGMA freelist_count").fetchone()[0])
        )


def read_memory(pid: int) -> int:
    """Resident memory in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


async def test_refreshes_leave_one_row_a_grant(company, servers, minted, publish):
    server = servers.start("--port", "0", "--config", "latchstring.toml")
    path = company.operator.database_path
    events: list[Event] = []
    actors = [
        Actor(f"grant {number}", company, events, code)
        for number, code in enumerate(await mint_codes(server, company, GRANTS))
    ]
    wires = await open_wires(server, GRANTS + IMPATIENT)
    for actor, wire in zip(actors, wires, strict=False):
        assert (await actor.redeem(wire)).is_success
    before, pages_before, memory_before = count_rows(path), count_pages(path), read_memory(server.pid)

    left = REFRESHES

    async def refresh_patiently(actor, wire):
        nonlocal left
        while left > 0:
            left -= 1
            assert (await actor.refresh(wire)).is_success

    async def refresh_twice(actor, wire, second_wire):
        nonlocal left
        while left > 0:
            left -= 2
            token = actor.refresh_token
            both = await asyncio.gather(actor.refresh(wire, token), actor.refresh(second_wire, token))
            assert [event.status for event in both] == [200, 200]
            assert both[0].answer["refresh_token"] == both[1].answer["refresh_token"]

    begun = time.monotonic()
    spare = wires[GRANTS:]
    await asyncio.gather(
        *(refresh_twice(*three) for three in zip(actors, wires, spare, strict=False)),
        *(refresh_patiently(*two) for two in zip(actors[IMPATIENT:], wires[IMPATIENT:GRANTS], strict=True)),
    )
    seconds = time.monotonic() - begun
    refreshes = [event for event in events if event.kind == "refresh"]
    assert len(refreshes) >= REFRESHES

    after = count_rows(path)
    # A client secret and a grant have one row each for when they were last used, however often that is.
    assert after == {**before, "client_secret_use": 1, "grant_use": after["grant_use"]}
    assert after["grant_use"] <= GRANTS
    assert after["oauth_grant"] == GRANTS
    assert after["revoked_access_token"] == 0
    # Longer numbers may fill a page; nothing else grows.
    pages_after = count_pages(path)
    assert pages_after <= pages_before + 2

    listed = company.operator.ask("grant", "list")
    rotations = sum(grant["generation"] - 1 for grant in listed)
    retries = sum(grant["retry_count"] for grant in listed)
    assert rotations + retries == len(refreshes)
    assert rotations == len({event.answer["refresh_token"] for event in refreshes})
    assert retries >= 1
    close_wires(wires)
    memory_after = read_memory(server.pid)
    assert server.stop() == 0
    collect_secrets(events[-2000:], minted)
    publish(
        refreshes=len(refreshes),
        rotations=rotations,
        retries=retries,
        rows=after,
        database_pages=f"{pages_before} before, {pages_after} after",
        server_memory_mib=f"{memory_before} before, {memory_after} after",
        refreshes_per_second=round(len(refreshes) / seconds),
    )
