"""When and from where a grant was last used: noted now and then, after the answer, and never in the way of one."""

import asyncio
from collections.abc import Mapping

import pytest

from latchstring.authorization_server.connection_ports import USE_NOTED_FOR
from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage import grant_uses
from latchstring.storage.grant_uses import APP_NOTED_FOR, GrantUses
from latchstring.storage.operations import SweepPlan
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import ANN, NOW
from tests.storage.test_grant_store import active, rotate

ONE, TWO = b"\x01" * 16, b"\x02" * 16
HOME, AWAY = "198.51.100.7", "203.0.113.9"


class _Store:
    """Remembers what it was told to write; fails when told to."""

    def __init__(self) -> None:
        self.written: list[dict[bytes, tuple[str | None, int]]] = []
        self.is_down = False

    async def note_grant_uses(self, uses: Mapping[bytes, tuple[str | None, int]]) -> None:
        if self.is_down:
            raise StoreUnavailable("down")
        self.written.append(dict(uses))


@pytest.fixture
def store_in_memory(monkeypatch: pytest.MonkeyPatch) -> _Store:
    monkeypatch.setattr("latchstring.storage.late_notes._DELAY", 0.01)
    return _Store()


async def test_use_is_written_later_and_once_a_day_from_one_address(store_in_memory):
    uses = GrantUses(store_in_memory)
    for second in range(100):
        uses(ONE, HOME, NOW + second)
    uses(TWO, HOME, NOW)
    assert store_in_memory.written == [], "nothing is written while a request is answered"
    await asyncio.sleep(0.05)
    assert store_in_memory.written == [{ONE: (HOME, NOW), TWO: (HOME, NOW)}]
    uses(ONE, HOME, NOW + APP_NOTED_FOR - 1)
    uses(ONE, AWAY, NOW + 60)
    await asyncio.sleep(0.05)
    assert store_in_memory.written[1:] == [{ONE: (AWAY, NOW + 60)}], "another address is news"
    uses(ONE, AWAY, NOW + 60 + APP_NOTED_FOR)
    await uses.close()
    assert store_in_memory.written[2:] == [{ONE: (AWAY, NOW + 60 + APP_NOTED_FOR)}]


async def test_use_that_an_api_asks_about_is_noted_once_an_hour_and_keeps_the_apps_address(store_in_memory):
    uses = GrantUses(store_in_memory)
    uses(ONE, HOME, NOW)
    uses(ONE, None, NOW + USE_NOTED_FOR - 1)
    await asyncio.sleep(0.05)
    uses(ONE, None, NOW + USE_NOTED_FOR)
    await uses.close()
    assert store_in_memory.written == [{ONE: (HOME, NOW)}, {ONE: (HOME, NOW + USE_NOTED_FOR)}]


async def test_uses_that_wait_and_that_are_remembered_are_bounded(store_in_memory, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grant_uses, "_MAX_WAITING", 5)
    monkeypatch.setattr(grant_uses, "_MAX_REMEMBERED", 10)
    uses = GrantUses(store_in_memory)
    for number in range(100):
        uses(bytes([number]) * 16, HOME, NOW)
    await asyncio.sleep(0.05)
    assert [len(written) for written in store_in_memory.written] == [5]
    for number in range(100):
        uses(bytes([number]) * 16, HOME, NOW)
        if number % 5 == 0:
            await asyncio.sleep(0.02)
    assert len(uses._noted) <= 10
    await uses.close()


async def test_use_that_could_not_be_written_is_lost_and_the_next_one_tried(store_in_memory):
    uses = GrantUses(store_in_memory)
    store_in_memory.is_down = True
    uses(ONE, HOME, NOW)
    await asyncio.sleep(0.05)
    store_in_memory.is_down = False
    uses(ONE, HOME, NOW + 1)
    await uses.close()
    assert store_in_memory.written == [{ONE: (HOME, NOW + 1)}]


# -- in the database


async def test_later_of_the_rows_own_time_and_the_note_counts(peopled: SqlStore):
    grant = await active(peopled)

    async def look() -> tuple[int | None, str | None]:
        [connection] = await peopled.find_connections(ANN, now=NOW)
        return connection.last_used_at, connection.used_from

    assert await look() == (NOW, None)
    await peopled.note_grant_uses({grant.id: (HOME, NOW + 10)})
    assert await look() == (NOW + 10, HOME)
    await peopled.note_grant_uses({grant.id: (None, NOW + 20)})
    assert await look() == (NOW + 20, HOME), "an address that is not known leaves the one that is"
    await rotate(peopled, grant, 1, now=NOW + 30)
    assert await look() == (NOW + 30, HOME)


async def test_notes_of_grants_that_are_gone_are_swept_and_no_others(peopled: SqlStore):
    grant = await active(peopled)
    await peopled.note_grant_uses({grant.id: (HOME, NOW), ONE: (HOME, NOW), b"\xfe" * 16: (HOME, NOW)})
    sweeper = peopled.sweeper(lambda: NOW, SweepPlan(retention=100))
    for _ in range(3):
        await sweeper.step()
    [connection] = await peopled.find_connections(ANN, now=NOW)
    assert connection.used_from == HOME
    census = await sweeper.count()
    assert census.others["grant_use"] == 1
    assert grant.id == connection.grant.id
