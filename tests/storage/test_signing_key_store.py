"""The keys that sign, on every engine: of all servers that make one at once, one wins (O9)."""

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import SigningKeyRecord
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import NOW, build_resource_server
from tests.storage.conftest import OpenStore

ROOT = Path(__file__).parents[2]
APPLIED, LOST = Commit.APPLIED, Commit.LOST


def build_key(key_id: str = "one", **given: Any) -> SigningKeyRecord:
    values = {"algorithm": "ES256", "sequence": 1, "public_key": "{}", "sealed_private_key": b"\0x", "created_at": NOW}
    return SigningKeyRecord(key_id=key_id, **{**values, "used_from": NOW + 5, **given})


async def test_signing_key_comes_back_as_it_was_made(store: SqlStore):
    assert list(await store.find_signing_keys()) == []
    first, second, other = build_key(), build_key("two", sequence=2), build_key("three", algorithm="EdDSA")
    for key in (second, other, first):
        assert await store.create_signing_key(key) is APPLIED
    assert await store.find_signing_keys() == [first, second, other]


async def test_signing_key_of_a_sequence_taken_is_lost_and_forgets_nothing(store: SqlStore):
    await store.create_signing_key(build_key())
    await store.create_signing_key(build_key("two", sequence=2))
    assert await store.create_signing_key(build_key("late", sequence=2), forgotten=["one"]) is LOST
    assert [key.key_id for key in await store.find_signing_keys()] == ["one", "two"]
    assert await store.create_signing_key(build_key("three", sequence=3), forgotten=["one", "nobody"]) is APPLIED
    assert [key.key_id for key in await store.find_signing_keys()] == ["two", "three"]


async def test_signing_key_made_by_a_hundred_over_four_connections_is_one(store: SqlStore, open_another: OpenStore):
    stores = [store, *(open_another() for _ in range(3))]
    for sequence in range(1, 6):
        outcomes = await asyncio.gather(
            *(stores[n % 4].create_signing_key(build_key(f"{sequence}-{n}", sequence=sequence)) for n in range(100))
        )
        assert Counter(outcomes) == {APPLIED: 1, LOST: 99}
    assert [key.sequence for key in await store.find_signing_keys()] == [1, 2, 3, 4, 5]


async def test_signing_key_needed_by_four_processes_at_first_start_is_one(store: SqlStore, database: str):
    command = [sys.executable, "-m", "tests.storage.key_racer", database]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(4)
    ]

    def run() -> set[str]:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        return {racer.communicate(timeout=60)[0].strip() for racer in racers}

    try:
        key_ids = await asyncio.to_thread(run)
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
    (kept,) = await store.find_signing_keys()
    assert key_ids == {kept.key_id}


@pytest.mark.parametrize("formats", [["opaque"], ["jwt"], ["jwt", "opaque"], []])
async def test_access_token_formats_of_a_resource_are_those_of_its_servers(store: SqlStore, formats):
    for number, chosen in enumerate(formats):
        await store.create_resource_server(
            build_resource_server(client_id=f"oa2resource_{number}", access_token_format=chosen)
        )
    assert sorted(await store.find_access_token_formats(build_resource_server().resource)) == formats
    found = [await store.find_resource_server(f"oa2resource_{number}") for number in range(len(formats))]
    assert [server and server.access_token_format for server in found] == formats
