"""SIGKILL in the middle of the load: whatever was answered holds, whatever was not can be asked again."""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from latchstring.authorization_server.identifiers import GRANT, parse_identifier
from latchstring.wiring import prepare
from tests.drills.history import REPLAYED, Event, FinalRow, find_violations, read_history, write_history
from tests.drills.load import Actor, close_wires, collect_secrets, mint_codes, open_wires
from tests.support.process import Server, find_listening_pids, is_running, wait_until
from tests.support.wire import Unanswered, Wire

REFRESHING = 120
REDEEMING = 60
REVOKING = 20
# How many answers a round waits for before it kills: early, in the middle, late. DRILL_KILLS=100 asks for more.
KILLS = int(os.environ.get("DRILL_KILLS", "5"))
KILL_AFTER = [(1, 25, 75, 150, 250)[number % 5] + number // 5 for number in range(KILLS)]

pytestmark = [pytest.mark.drill, pytest.mark.timeout(240 + 30 * KILLS)]


class Drill:
    """The clients, their history, and the server of the moment."""

    def __init__(self, company, servers):
        self.company = company
        self.servers = servers
        self.events: list[Event] = []
        self.actors: list[Actor] = []
        self.answered = 0
        self.committed_unanswered = 0
        self.unanswered = 0
        # It tells which row a token belongs to.
        self.codec = prepare(company.operator.database, company.operator.keyring_path).codec

    async def make_actors(self, server: Server, count: int) -> list[Actor]:
        codes = await mint_codes(server, self.company, count)
        first = len(self.actors)
        made = [Actor(f"grant {first + i}", self.company, self.events, code) for i, code in enumerate(codes)]
        self.actors += made
        return made

    async def make_connected(self, server: Server, count: int) -> list[Actor]:
        made = await self.make_actors(server, count)
        wire = Wire(server.port)
        for actor in made:
            assert (await actor.redeem(wire)).is_success
        wire.close()
        return made

    async def load_until_killed(self, server: Server, refreshing: list[Actor], kill: Callable[[], None], after: int):
        """200 requests in flight at any time, until the server dies under them."""
        redeeming = await self.make_actors(server, REDEEMING)
        revoking = await self.make_connected(server, REVOKING)
        # Every fourth code comes twice at once.
        doubled = redeeming[::4]
        wires = await open_wires(server, len(refreshing) + len(redeeming) + len(doubled) + len(revoking))
        spare = iter(wires)
        killed = asyncio.Event()
        countdown = after

        def count() -> None:
            nonlocal countdown
            self.answered += 1
            countdown -= 1
            if countdown == 0:
                kill()
                killed.set()

        async def refresh_on(actor: Actor, wire: Wire) -> None:
            while not killed.is_set():
                await actor.refresh(wire)
                count()

        async def redeem_and_refresh(actor: Actor, wire: Wire) -> None:
            if (await actor.redeem(wire)).is_success:
                count()
                await refresh_on(actor, wire)

        async def redeem_again(actor: Actor, wire: Wire) -> None:
            await actor.redeem(wire)
            count()

        async def refresh_and_revoke(actor: Actor, wire: Wire) -> None:
            await actor.refresh(wire)
            count()
            await actor.revoke(wire)
            count()

        plan = [(refresh_on, refreshing), (redeem_and_refresh, redeeming), (redeem_again, doubled)]
        plan.append((refresh_and_revoke, revoking))
        work = [do(actor, next(spare)) for do, actors in plan for actor in actors]
        outcomes = await asyncio.gather(*work, return_exceptions=True)
        close_wires(wires)
        assert killed.is_set()
        assert [
            outcome for outcome in outcomes if isinstance(outcome, Exception) and type(outcome) is not Unanswered
        ] == []

    def read_rows(self) -> dict[bytes | None, FinalRow]:
        path = self.company.operator.database_path
        if path is None:
            listed = self.company.operator.ask("grant", "list")
            assert len(listed) == len(self.actors)
            return {
                parse_identifier(GRANT, grant["id"]): FinalRow(status=grant["status"], generation=grant["generation"])
                for grant in listed
            }
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            rows = database.execute("SELECT id, status, generation FROM oauth_grant").fetchall()
        return {row[0]: FinalRow(status=row[1], generation=row[2]) for row in rows}

    def find_row_id(self, actor: Actor) -> bytes:
        code = self.codec.parse_code(actor.code)
        assert code is not None
        return code.grant_id

    def count_unanswered(self) -> None:
        """How many requests got no answer, and how many of these had been committed all the same."""
        rows = self.read_rows()
        for actor in self.actors:
            row = rows[self.find_row_id(actor)]
            for event in actor.open:
                self.unanswered += 1
                token = self.codec.parse_refresh_token(event.presented)
                if event.kind == "refresh" and token is not None:
                    self.committed_unanswered += row.generation > token.generation
                elif event.kind == "redeem":
                    self.committed_unanswered += row.status != "pending"
                else:
                    self.committed_unanswered += row.status == "ended"

    async def each(self, server: Server, do) -> None:
        """Once for every actor, 32 at a time; a connection that fails is opened anew."""
        queue = list(reversed(self.actors))

        async def take() -> None:
            wire = Wire(server.port)
            while queue:
                await do(queue.pop(), wire)
            wire.close()

        await asyncio.gather(*(take() for _ in range(32)))

    async def verify(self, server: Server, minted: set[str], history_path) -> None:
        """Everybody retries, goes on, and asks after what was revoked; then the checker reads it all."""

        async def go_on(actor: Actor, wire: Wire) -> None:
            await actor.retry(wire)
            if actor.refresh_token:
                await actor.refresh(wire)
                await actor.introspect(wire)

        await self.each(server, go_on)
        write_history(history_path, self.events)
        history = read_history(history_path)
        collect_secrets(history, minted)
        by_id = self.read_rows()
        rows = {actor.name: by_id[self.find_row_id(actor)] for actor in self.actors}
        assert find_violations(history, rows) == []
        # The drill did what it is for.
        assert self.unanswered > 0
        assert {"active", "ended"} <= {row.status for row in rows.values()}

    def figures(self) -> dict[str, object]:
        redemptions = [event for event in self.events if event.kind == "redeem"]
        burned = {e.presented for e in redemptions if REPLAYED in e.answer.get("error_description", "")}
        burned -= {event.presented for event in redemptions if event.is_success}
        return {
            "grants": len(self.actors),
            "requests": len(self.events),
            "answered_under_load": self.answered,
            "unanswered": self.unanswered,
            "unanswered_but_committed": self.committed_unanswered,
            "codes_whose_only_redemption_was_never_answered": len(burned),
            "violations": 0,
        }


def is_gone(pid: int) -> bool:
    """Whether the kernel has taken back all that it held: its sockets stay open until its last thread has ended."""
    return not is_running(pid) and count_threads(pid) <= 1


def count_threads(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))
    except FileNotFoundError:
        return 0


def is_replaced(server: Server, pid: int) -> bool:
    return len(find_listening_pids(server.port, list(set(server.find_workers()) - {pid}))) == 2


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"], indirect=True)
async def test_kill_in_the_middle_of_the_load_loses_nothing(company, engine, servers, minted, publish, tmp_path):
    drill = Drill(company, servers)
    kill_after = KILL_AFTER if engine == "sqlite" else KILL_AFTER[1:4]
    server = servers.start("--port", "0", "--config", "latchstring.toml")
    refreshing = await drill.make_connected(server, REFRESHING)
    restarts = []
    for after in kill_after:
        await drill.load_until_killed(server, refreshing, server.kill, after)
        drill.count_unanswered()
        begun = time.monotonic()
        server = servers.start("--port", "0", "--config", "latchstring.toml")
        restarts.append(round(time.monotonic() - begun, 2))
        # Their clients have the address of the new server, and ask again at once.
        await drill.each(server, Actor.retry)
    await drill.verify(server, minted, tmp_path / "history.jsonl")
    assert server.stop() == 0
    publish(kills=len(kill_after), **drill.figures(), seconds_to_ready=restarts)


async def test_killed_worker_takes_nothing_with_it(company, servers, minted, publish, tmp_path):
    drill = Drill(company, servers)
    server = servers.start("--port", "0", "--config", "latchstring.toml", "--workers", "2")
    refreshing = await drill.make_connected(server, REFRESHING)
    for after in (100, 200):
        victim = server.find_workers()[0]
        await drill.load_until_killed(server, refreshing, partial(os.kill, victim, signal.SIGKILL), after)
        drill.count_unanswered()
        wait_until(partial(is_gone, victim), "the worker is gone")
        # The other worker takes them all, with no pause.
        await drill.each(server, Actor.retry)
        wait_until(partial(is_replaced, server, victim), "a new worker")
    await drill.verify(server, minted, tmp_path / "history.jsonl")
    assert server.stop() == 0
    publish(kills=2, **drill.figures())
