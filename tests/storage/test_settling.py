"""A write whose connection breaks under it (drill 4, I1, I3, I4, I6): what became of it is found out, each way.

`before`: the statement never arrived. `after`: it was committed, and the answer was lost.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest

from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import Rebinding
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage import settling
from latchstring.storage.store import SqlStore
from latchstring.storage.url import open_store
from tests.authorization_server.builders import NOW
from tests.storage.conftest import make_postgres, people
from tests.storage.test_grant_store import active, find, insert, redeem, rotate
from tests.support.cutting_proxy import CuttingProxy, cutting

pytestmark = pytest.mark.xdist_group("postgresql")
APPLIED, LOST = Commit.APPLIED, Commit.LOST
EACH_MOMENT = pytest.mark.parametrize("moment", ["before", "after"])
REBINDING = Rebinding(Confirmation(jkt="k" * 43))


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    return make_postgres(request)


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[CuttingProxy]:
    async with cutting(database) as proxy:
        yield proxy


@pytest.fixture
async def other(database: str) -> AsyncIterator[SqlStore]:
    """Another server, whose connections hold."""
    store = open_store(database)
    await people(store)
    yield store
    await store.close()


@pytest.fixture
async def store(proxy: CuttingProxy, other: SqlStore) -> AsyncIterator[SqlStore]:
    """The server whose connections are cut; its hot statements are prepared, so that the next message runs one."""
    store = open_store(proxy.url)
    for rebinding in (None, REBINDING):
        grants = [await insert(other) for _ in range(3)]
        for group in (grants[:1], grants[1:]):
            await asyncio.gather(*(redeem_bound(store, grant, rebinding) for grant in group))
            await asyncio.gather(*(rotate_bound(store, grant, rebinding) for grant in group))
    await store.end_grant(grants[0].id, by="x", reason="disconnected", now=NOW)
    yield store
    await store.close()


async def redeem_bound(store, grant, rebinding: Rebinding | None) -> Commit:
    return await store.commit_redemption(
        grant.id, generation=1, now=NOW, expires_at=NOW + 1000, absolute_expires_at=None, rebinding=rebinding
    )


async def rotate_bound(store, grant, rebinding: Rebinding | None) -> Commit:
    return await store.commit_rotation(grant.id, generation=1, now=NOW, expires_at=NOW + 1000, rebinding=rebinding)


@EACH_MOMENT
@pytest.mark.parametrize("rebinding", [None, REBINDING], ids=["plain", "rebound"])
async def test_redemption_in_doubt_is_answered_as_what_it_was(store, other, proxy, moment, rebinding):
    grant = await insert(other)
    proxy.arm(moment)
    assert await redeem_bound(store, grant, rebinding) is APPLIED
    assert proxy.cuts == 1
    after = await find(other, grant)
    assert (after.status, after.generation, after.activated_at) == ("active", 1, NOW)
    # And it is used up: for everybody else it is a replay.
    assert await redeem(other, grant) is LOST
    assert await redeem(store, grant) is LOST


@EACH_MOMENT
@pytest.mark.parametrize("rebinding", [None, REBINDING], ids=["plain", "rebound"])
async def test_rotation_in_doubt_rotates_once(store, other, proxy, moment, rebinding):
    grant = await active(other)
    proxy.arm(moment)
    assert await rotate_bound(store, grant, rebinding) is APPLIED
    assert proxy.cuts == 1
    assert (await find(other, grant)).generation == 2
    assert await rotate(other, grant, 1) is LOST


@EACH_MOMENT
async def test_write_cut_again_and_again_is_applied_once(store, other, proxy, moment):
    grant = await active(other)
    proxy.arm(moment, "after", "before")
    assert await rotate(store, grant, 1) is APPLIED
    # The second and third cut hit what found out about the first, as soon as a connection had it prepared.
    assert proxy.cuts >= 1
    assert (await find(other, grant)).generation == 2


async def test_value_that_cannot_be_sent_leaves_no_doubt(other):
    """It fails at once, and its neighbours are served."""
    grants = [await active(other) for _ in range(3)]
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(
            *(
                other.commit_rotation(grant.id, generation=1, now=NOW, expires_at=2**70 if number == 1 else None)
                for number, grant in enumerate(grants)
            ),
            return_exceptions=True,
        )
    assert isinstance(outcomes[1], StoreUnavailable)
    assert (outcomes[0], outcomes[2]) == (APPLIED, APPLIED)
    assert (await find(other, grants[1])).generation == 1


@EACH_MOMENT
async def test_batch_in_doubt_is_settled_for_each_of_its_callers(store, other, proxy, moment):
    grants = [await active(other) for _ in range(20)]
    first = asyncio.ensure_future(rotate(store, grants[0], 1))
    await asyncio.sleep(0)
    proxy.arm(moment, moment)
    outcomes = await asyncio.gather(first, *(rotate(store, grant, 1) for grant in grants[1:]))
    assert Counter(outcomes) == {APPLIED: 20}
    assert proxy.cuts >= 1
    assert {(await find(other, grant)).generation for grant in grants} == {2}


async def test_redemption_in_doubt_that_another_one_won_is_not_judged(store, other, proxy):
    """I1: never two winners. It is unavailable, not lost: what is judged is what comes again."""
    grant = await insert(other)
    proxy.arm("before")
    proxy.goes_away = True
    in_doubt = asyncio.ensure_future(redeem(store, grant))
    while not proxy.cuts:
        await asyncio.sleep(0.01)
    assert await redeem(other, grant) is APPLIED
    proxy.goes_away = False
    with pytest.raises(StoreUnavailable, match="another one came between"):
        await in_doubt
    assert await redeem(store, grant) is LOST
    assert (await find(other, grant)).generation == 1


async def test_rotation_in_doubt_that_was_gone_on_from_is_not_judged(store, other, proxy):
    """Its successor went to a parallel request, and was used: what came in doubt is no reuse."""
    grant = await active(other)
    proxy.arm("after")
    proxy.goes_away = True
    in_doubt = asyncio.ensure_future(rotate(store, grant, 1))
    while (await find(other, grant)).generation == 1:
        await asyncio.sleep(0.01)
    assert await rotate(other, grant, 2) is APPLIED
    proxy.goes_away = False
    with pytest.raises(StoreUnavailable, match="another one came between"):
        await in_doubt
    after = await find(other, grant)
    assert (after.status, after.generation) == ("active", 3)


async def test_write_of_an_ended_grant_in_doubt_is_not_applied(store, other, proxy):
    """I2: whoever ended it was told so."""
    grant = await active(other)
    proxy.arm("after")
    proxy.goes_away = True
    in_doubt = asyncio.ensure_future(rotate(store, grant, 1))
    while (await find(other, grant)).generation == 1:
        await asyncio.sleep(0.01)
    assert await other.end_grant(grant.id, by="x", reason="disconnected", now=NOW) is APPLIED
    proxy.goes_away = False
    with pytest.raises(StoreUnavailable):
        await in_doubt
    assert (await find(other, grant)).status == "ended"


async def test_write_in_doubt_of_a_database_that_stays_away_is_unavailable_and_the_lane_goes_on(
    store, other, proxy, monkeypatch
):
    monkeypatch.setattr(settling, "SETTLE_LIMIT", 0.5)
    grant, next_one = await active(other), await active(other)
    proxy.arm("before")
    proxy.goes_away = True
    in_doubt = asyncio.ensure_future(rotate(store, grant, 1))
    while not proxy.cuts:
        await asyncio.sleep(0.01)
    # Nothing of the others' was ever sent: they hear it at once, and not after the limit.
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(rotate(store, next_one, 1), 0.4)
    with pytest.raises(StoreUnavailable):
        await in_doubt
    proxy.goes_away = False
    assert await rotate(store, grant, 1) is APPLIED
    assert await rotate(store, next_one, 1) is APPLIED


@pytest.mark.parametrize("moment", ["before", "after", "commit"])
async def test_end_in_doubt_is_unavailable_and_is_asked_again(store, other, proxy, moment):
    """I2: not acknowledged, and no harm if it had happened."""
    grant = await active(other)
    proxy.arm(moment)
    with pytest.raises(StoreUnavailable):
        await store.end_grant(grant.id, by="x", reason="disconnected", now=NOW)
    again = await store.end_grant(grant.id, by="x", reason="disconnected", now=NOW)
    assert proxy.cuts == 1
    assert again is (LOST if moment == "commit" else APPLIED)
    assert (await find(other, grant)).status == "ended"


async def test_reads_of_a_connection_that_broke_are_done_again(store, other, proxy):
    grant = await active(other)
    assert await store.find_grant(grant.id) == await find(other, grant)
    proxy.arm("after")
    assert await store.find_grant(grant.id) == await find(other, grant)
    assert proxy.cuts == 1


async def test_marks_of_two_servers_differ(store, other):
    grants = [await active(other) for _ in range(50)]
    await asyncio.gather(
        *(
            (store, other)[number % 2].commit_rotation(grant.id, generation=1, now=NOW, expires_at=None)
            for number, grant in enumerate(grants)
        )
    )
    connection = await asyncpg.connect(store._engine._hosts[0])
    marks = await connection.fetch("SELECT written_as FROM oauth_grant WHERE generation = 2")
    await connection.close()
    assert len({mark[0] for mark in marks}) == len(marks) >= 50
