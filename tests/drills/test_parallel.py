"""A hundred at once, over two processes: one code has one winner, one refresh token one successor."""

import asyncio
from collections import Counter

import pytest

from tests.drills.history import Event
from tests.drills.load import Actor, close_wires, collect_secrets, mint_codes
from tests.support.process import find_serving_pid
from tests.support.wire import Wire

pytestmark = [pytest.mark.drill, pytest.mark.timeout(300)]

AT_ONCE = 100
ROUNDS = 8


async def open_at_both(server, count):
    """As many connections to the one worker as to the other, alternating."""
    workers = server.find_workers()
    held: dict[int, list[Wire]] = {pid: [] for pid in workers}
    while any(len(wires) < count // 2 for wires in held.values()):
        wire = await Wire(server.port).connect()
        # The answer means that it has been accepted, and so who holds it.
        await wire.post("/oauth2/token/", {})
        pid = find_serving_pid(server.port, wire.client_port, workers)
        if pid is None or len(held[pid]) == count // 2:
            wire.close()
        else:
            held[pid].append(wire)
    return [wire for pair in zip(*held.values(), strict=True) for wire in pair]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"], indirect=True)
async def test_parallel_over_two_workers_has_one_winner_and_one_successor(company, servers, minted, publish):
    server = servers.start("--port", "0", "--config", "latchstring.toml", "--workers", "2")
    codes = iter(await mint_codes(server, company, 2 * ROUNDS))
    wires = await open_at_both(server, AT_ONCE)
    events: list[Event] = []

    async def all_at_once(ask):
        return await asyncio.gather(*(ask(wire) for wire in wires))

    for number in range(ROUNDS):
        raced = Actor(f"code {number}", company, events, next(codes))
        redeemed = await all_at_once(raced.redeem)
        winners = [event for event in redeemed if event.is_success]
        assert len(winners) == 1
        losers = [event.answer for event in redeemed if not event.is_success]
        assert {answer["error"] for answer in losers} == {"invalid_grant"}
        assert all(answer["error_description"].startswith("superseded: ") for answer in losers)
        # The replay has ended the grant: the winner's tokens are dead at either worker.
        for wire in wires[:2]:
            assert (await raced.refresh(wire, winners[0].answer["refresh_token"])).status == 400
            assert (await raced.introspect(wire)).answer == {"active": False}

        chain = Actor(f"chain {number}", company, events, next(codes))
        assert (await chain.redeem(wires[0])).is_success
        for _ in range(2):
            token = chain.refresh_token
            refreshed = await all_at_once(lambda wire, chain=chain, token=token: chain.refresh(wire, token))
            assert [event.status for event in refreshed] == [200] * AT_ONCE
            assert len({event.answer["refresh_token"] for event in refreshed}) == 1
            assert len({event.answer["access_token"] for event in refreshed}) == AT_ONCE
        # Two rotations, and no more, whichever worker did them.
        assert (await chain.introspect(wires[0])).answer["active"] is True
        assert (await chain.revoke(wires[0])).is_success
        assert (await chain.introspect(wires[1])).answer == {"active": False}
        assert (await chain.refresh(wires[1])).status == 400

    close_wires(wires)
    listed = company.operator.ask("grant", "list")
    ends = Counter((grant["ended_reason"], grant["generation"], grant["retry_count"]) for grant in listed)
    assert ends == {
        ("authorization_code_replayed", 1, 0): ROUNDS,
        ("revoked_by_client", 3, 2 * (AT_ONCE - 1)): ROUNDS,
    }
    assert server.stop() == 0
    collect_secrets(events, minted)
    publish(
        rounds=ROUNDS,
        at_once=AT_ONCE,
        redemptions_that_won=ROUNDS,
        refreshes_answered=2 * ROUNDS * AT_ONCE,
        successors=2 * ROUNDS,
    )
