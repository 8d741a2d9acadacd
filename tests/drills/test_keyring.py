"""The keyring is rotated under load: no process restarts, nobody is logged out, no request fails (drill 9)."""

import asyncio
import json
import os
import time

import pytest

from latchstring.storage.keyring_file import change_keyring
from latchstring.storage.store import SqlStore
from latchstring.storage.url import run_apart
from latchstring.wiring import prepare
from tests.drills.history import Event
from tests.drills.load import Actor, close_wires, collect_secrets, mint_codes, open_wires
from tests.support.process import wait_until
from tests.support.wire import Wire

CLIENTS = 24
LEAD = 25

pytestmark = [pytest.mark.drill, pytest.mark.timeout(240)]


def find_takings(log: str) -> list[tuple[int, list[int]]]:
    """Which key each process has taken to make tokens, and which it knows, as they logged it."""
    entries = [json.loads(line) for line in log.splitlines() if "keyring_taken" in line]
    return [(entry["making"], entry["keys"]) for entry in entries]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"], indirect=True)
async def test_keyring_rotated_under_load_fails_no_request(company, engine, servers, minted, publish):
    path = company.operator.keyring_path
    server = servers.start("--port", "0", "--config", "latchstring.toml", "--workers", "2")
    events: list[Event] = []
    codes = await mint_codes(server, company, 2 * CLIENTS)
    actors = [Actor(f"grant {number}", company, events, code) for number, code in enumerate(codes)]
    wires = await open_wires(server, len(actors))
    connected, waiting = actors[:CLIENTS], actors[CLIENTS:]
    for actor, wire in zip(connected, wires, strict=False):
        assert (await actor.redeem(wire)).is_success
    old = {actor.name: actor.refresh_token for actor in connected}
    stopped = asyncio.Event()

    async def refresh_on(actor: Actor, wire: Wire) -> None:
        while not stopped.is_set():
            assert (await actor.refresh(wire)).is_success
            assert (await actor.introspect(wire)).answer["active"] is True
            await asyncio.sleep(0.2)

    load = [asyncio.create_task(refresh_on(*pair)) for pair in zip(connected[1:], wires[1:], strict=False)]
    # What `keyring rotate` does, with a lead that a test can wait for.
    used_from = int(time.time()) + LEAD
    keys = change_keyring(path, lambda keys: keys.add(os.urandom(32), int(time.time()), used_from))

    async def note(store: SqlStore) -> None:
        await store.marks().commit_keyring(keys, "here")

    run_apart(company.operator.database, note)
    await asyncio.to_thread(wait_until, lambda: find_takings(server.log).count((1, [2, 1])) == 2, "both know the key")
    assert time.time() < used_from
    # A code and a refresh token of the old key, at whichever process, before and after the new one makes tokens.
    for actor, wire in zip(waiting[: CLIENTS // 2], wires[CLIENTS:], strict=False):
        assert (await actor.redeem(wire)).is_success
    await asyncio.to_thread(wait_until, lambda: find_takings(server.log).count((2, [1, 2])) == 2, "both make with it")
    await asyncio.sleep(1)
    codec = prepare(company.operator.database, path).codec
    assert (await connected[0].refresh(wires[0], old["grant 0"])).is_success
    stopped.set()
    await asyncio.gather(*load)
    for actor in connected:
        token = codec.parse_refresh_token(actor.refresh_token)
        assert token is not None
        assert token.key_id == 2, "made anew by the key that is in use now"

    async def find_hashing_keys(store: SqlStore) -> set[int]:
        kept = [client.secrets for client in await store.find_clients(after="")]
        kept += [api.secrets for api in await store.find_resource_servers()]
        return {secret.key_id for secrets in kept for secret in secrets}

    await asyncio.to_thread(
        wait_until, lambda: run_apart(company.operator.database, find_hashing_keys) == {2}, "secrets in use hashed anew"
    )
    assert server.stop() == 0
    close_wires(wires)
    collect_secrets(events, minted)
    assert [event for event in events if not event.is_success] == []
    publish(
        requests=len(events), failed=0, restarts=0, seconds_until_both_processes_use_it=round(time.time() - used_from)
    )
