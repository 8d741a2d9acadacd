"""When a secret was last used: noted once an hour, after the answer, and never in the way of one."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import SecretHash
from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage import secret_uses
from latchstring.storage.secret_uses import NOTED_FOR, SecretUses
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import MAILLOOP, NOW

ONE, TWO = (SecretHash(secret_hash=bytes([number]) * 32, key_id=1, hint="", created_at=NOW) for number in (1, 2))


class _Store:
    """Remembers what it was told to write; fails when told to."""

    def __init__(self) -> None:
        self.written: list[dict[tuple[str, str], int]] = []
        self.is_down = False

    async def note_secret_uses(self, uses: Mapping[tuple[str, str], int]) -> None:
        if self.is_down:
            raise StoreUnavailable("down")
        self.written.append(dict(uses))


@pytest.fixture
def store_in_memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("latchstring.storage.late_notes._DELAY", 0.01)
    return _Store()


async def test_use_is_written_later_and_once_an_hour(store_in_memory: Any):
    uses = SecretUses(store_in_memory)
    for second in range(100):
        uses("a", "1", NOW + second)
    uses("a", "2", NOW)
    uses("b", "1", NOW)
    assert store_in_memory.written == [], "nothing is written while a request is answered"
    await asyncio.sleep(0.05)
    assert store_in_memory.written == [{("a", "1"): NOW, ("a", "2"): NOW, ("b", "1"): NOW}]
    uses("a", "1", NOW + NOTED_FOR - 1)
    uses("a", "1", NOW + NOTED_FOR)
    await uses.close()
    assert store_in_memory.written[1:] == [{("a", "1"): NOW + NOTED_FOR}]


async def test_use_that_could_not_be_written_is_lost_and_the_next_one_tried(store_in_memory: Any):
    uses = SecretUses(store_in_memory)
    store_in_memory.is_down = True
    uses("a", "1", NOW)
    await asyncio.sleep(0.05)
    store_in_memory.is_down = False
    uses("a", "1", NOW + 1)
    await uses.close()
    assert store_in_memory.written == [{("a", "1"): NOW + 1}]


async def test_close_writes_what_waits_and_may_come_twice(store_in_memory: Any):
    uses = SecretUses(store_in_memory)
    uses("a", "1", NOW)
    await uses.close()
    await uses.close()
    assert store_in_memory.written == [{("a", "1"): NOW}]


async def test_uses_remembered_are_bounded(store_in_memory: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(secret_uses, "_MAX_REMEMBERED", 10)
    uses = SecretUses(store_in_memory)
    for number in range(100):
        uses("a", str(number), NOW)
    assert len(uses._noted) <= 10
    await uses.close()


# -- in the database


async def test_uses_are_found_by_client_and_the_latest_counts(peopled: SqlStore):
    await peopled.note_secret_uses({(MAILLOOP, "1"): NOW, (MAILLOOP, "2"): NOW + 1, ("nobody", "1"): NOW})
    await peopled.note_secret_uses({(MAILLOOP, "1"): NOW + 60})
    assert await peopled.find_secret_uses(MAILLOOP) == {"1": NOW + 60, "2": NOW + 1}
    assert await peopled.find_secret_uses("nobody") == {}, "a client without a row leaves none"


async def test_uses_go_with_their_secrets(peopled: SqlStore):
    assert await peopled.replace_client_secrets(MAILLOOP, (ONE, TWO), now=NOW) is Commit.APPLIED
    await peopled.note_secret_uses({(MAILLOOP, one.secret_id): NOW for one in (ONE, TWO)})
    assert await peopled.replace_client_secrets(MAILLOOP, (TWO,), known=(ONE, TWO), now=NOW) is Commit.APPLIED
    assert await peopled.find_secret_uses(MAILLOOP) == {TWO.secret_id: NOW}
    assert await peopled.replace_client_secrets(MAILLOOP, (ONE,), now=NOW) is Commit.APPLIED
    assert await peopled.find_secret_uses(MAILLOOP) == {}
