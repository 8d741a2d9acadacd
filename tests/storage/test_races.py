"""Everything that is single-use has one winner: within a process, between connections, between processes
(C4, R5; CVE-2026-53517, CVE-2026-53518, CVE-2026-1035; I1, I3)."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.ports import AssertionRefusal, Commit, ConsentCommit
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import NOW, build_organization, build_user
from tests.storage.conftest import OpenStore
from tests.storage.racer import attempt
from tests.storage.test_grant_store import active, asserted, find, fresh_grant, insert, pushed, redeem

ROOT = Path(__file__).parents[2]
ACTIONS = ["redeem", "rotate", "end"]
APPLIED, LOST = Commit.APPLIED, Commit.LOST


async def prepare(store: SqlStore, action: str):
    """A grant whose write may be applied once."""
    return await (insert(store) if action == "redeem" else active(store))


@pytest.mark.parametrize("action", ACTIONS)
async def test_hundred_at_once_have_one_winner(peopled: SqlStore, action):
    grant = await prepare(peopled, action)
    outcomes = await asyncio.gather(*(attempt(peopled, action, grant.id) for _ in range(100)))
    assert Counter(outcomes) == {APPLIED: 1, LOST: 99}
    after = await find(peopled, grant)
    assert (after.status, after.generation) == {
        "redeem": ("active", 1),
        "rotate": ("active", 2),
        "end": ("ended", 1),
    }[action]


@pytest.mark.parametrize("action", ACTIONS)
async def test_hundred_at_once_over_four_connections_have_one_winner(
    peopled: SqlStore, open_another: OpenStore, action
):
    """Two servers on one database, none of which may raise."""
    stores = [peopled, *(open_another() for _ in range(3))]
    for _ in range(5):
        grant = await prepare(peopled, action)
        outcomes = await asyncio.gather(*(attempt(stores[number % 4], action, grant.id) for number in range(100)))
        assert Counter(outcomes) == {APPLIED: 1, LOST: 99}


async def test_use_once_by_a_hundred_over_four_connections_has_one_winner(peopled: SqlStore, open_another: OpenStore):
    """J4, S15: the `jti` of an assertion or a proof counts once, on whichever server it comes in."""
    stores = [peopled, *(open_another() for _ in range(3))]
    for number in range(5):
        digest = bytes([number]) * 32
        outcomes = await asyncio.gather(
            *(stores[n % 4].use_once(digest, expires_at=NOW + 60, now=NOW) for n in range(100))
        )
        assert Counter(outcomes) == {APPLIED: 1, LOST: 99}


async def test_assertion_by_sixty_over_four_connections_counts_once_and_makes_one_grant(
    peopled: SqlStore, open_another: OpenStore
):
    """J4: the same assertion sixty times, then sixty different ones of the same member."""
    stores = [peopled, *(open_another() for _ in range(3))]

    async def assert_all(digests: list[bytes]) -> Counter[Any]:
        return Counter(
            await asyncio.gather(
                *(
                    stores[number % 4].commit_assertion(asserted(), digest=digest, digest_expires_at=NOW + 60, now=NOW)
                    for number, digest in enumerate(digests)
                )
            )
        )

    outcomes = await assert_all([b"\0" * 32] * 60)
    assert outcomes.pop(AssertionRefusal.USED) == 59
    [grant_id] = outcomes
    assert await assert_all([bytes([number + 1]) * 32 for number in range(60)]) == {grant_id: 60}


@pytest.mark.parametrize("action", ["redeem", "rotate"])
async def test_two_processes_at_once_have_one_winner_in_total(peopled: SqlStore, database: str, action):
    grants = [await prepare(peopled, action) for _ in range(40)]
    command = [sys.executable, "-m", "tests.storage.racer", database, action, "5"]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)
    ]

    def tell(racer: subprocess.Popen[str], line: str) -> None:
        assert racer.stdin is not None
        racer.stdin.write(line + "\n")
        racer.stdin.flush()

    def run() -> list[dict[str, int]]:
        for racer in racers:
            tell(racer, " ".join(grant.id.hex() for grant in grants))
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            tell(racer, "go")
        return [json.loads(racer.communicate(timeout=60)[0]) for racer in racers]

    try:
        won = await asyncio.to_thread(run)
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
    assert Counter(won[0]) + Counter(won[1]) == {grant.id.hex(): 1 for grant in grants}
    assert {(await find(peopled, grant)).generation for grant in grants} == {2 if action == "rotate" else 1}


async def test_rotation_and_retry_at_once_serialize(peopled: SqlStore):
    """A retry that loses to the successor's use is told so; one that wins was counted before it."""
    grant = await active(peopled)
    for generation in range(1, 11):
        outcomes = await asyncio.gather(
            *(peopled.commit_retry(grant.id, generation=generation) for _ in range(5)),
            peopled.commit_rotation(grant.id, generation=generation, now=NOW, expires_at=None),
            *(peopled.commit_retry(grant.id, generation=generation) for _ in range(5)),
        )
        assert outcomes[5] is APPLIED
        before = (await find(peopled, grant)).retry_count
        assert await peopled.commit_retry(grant.id, generation=generation) is LOST
        assert (await find(peopled, grant)).retry_count == before
    assert (await find(peopled, grant)).generation == 11


async def test_every_retry_of_many_at_once_is_counted(peopled: SqlStore, open_another: OpenStore):
    other, grant = open_another(), await active(peopled)
    outcomes = await asyncio.gather(
        *(store.commit_retry(grant.id, generation=1) for _ in range(25) for store in (peopled, other))
    )
    assert set(outcomes) == {APPLIED}
    assert (await find(peopled, grant)).retry_count == 50


async def test_end_and_rotation_at_once_leave_it_ended(peopled: SqlStore, open_another: OpenStore):
    """I2: whichever is first, afterwards the grant is dead."""
    other = open_another()
    for _ in range(10):
        grant = await active(peopled)
        ended, rotated = await asyncio.gather(
            other.end_grant(grant.id, by="x", reason="disconnected", now=NOW),
            peopled.commit_rotation(grant.id, generation=1, now=NOW, expires_at=None),
        )
        assert ended is APPLIED
        after = await find(peopled, grant)
        assert (after.status, after.generation) == ("ended", 2 if rotated is APPLIED else 1)


async def test_acknowledged_write_is_seen_by_the_next_read_of_every_connection(
    peopled: SqlStore, open_another: OpenStore
):
    """V8, I2: 200 first, then dead on all nodes; also while other reads are going on."""
    readers = [peopled, *(open_another() for _ in range(2))]
    is_over = False

    async def read_on(store: SqlStore, grant_id: bytes) -> None:
        while not is_over:
            await store.find_grant(grant_id)
            await asyncio.sleep(0)

    noise = await active(peopled)
    background = [asyncio.create_task(read_on(store, noise.id)) for store in readers]
    for number in range(30):
        grant = await insert(peopled)
        writer = readers[number % 3]
        assert await redeem(writer, grant) is APPLIED
        assert [(await store.find_grant(grant.id)).status for store in readers] == ["active"] * 3  # type: ignore[union-attr]
        await writer.end_grant(grant.id, by="x", reason="disconnected", now=NOW)
        found = await asyncio.gather(*(store.find_grant(grant.id) for store in readers))
        assert [record is not None and record.status for record in found] == ["ended"] * 3
    is_over = True
    await asyncio.gather(*background)


async def test_pushed_request_answered_by_many_at_once_makes_one_grant(peopled: SqlStore, open_another: OpenStore):
    """P5."""
    other = open_another()
    await peopled.create_pushed_request(pushed(), now=NOW)
    grants = [fresh_grant() for _ in range(20)]
    outcomes = await asyncio.gather(
        *(
            (peopled, other)[number % 2].commit_consent(grant, pushed_request_id=pushed().id)
            for number, grant in enumerate(grants)
        )
    )
    assert Counter(outcomes) == {ConsentCommit.CREATED: 1, ConsentCommit.REQUEST_USED: 19}
    assert len(await peopled.find_grants(user_id=None, organization_id=None)) == 1


@pytest.mark.parametrize("is_pushed", [False, True])
async def test_question_answered_many_times_at_once_makes_one_grant(
    peopled: SqlStore, open_another: OpenStore, is_pushed
):
    """As C4: one page, one grant, however often Allow was pressed; each click brings a row secret of its own."""
    other = open_another()
    pushed_request_id = None
    if is_pushed:
        await peopled.create_pushed_request(pushed(), now=NOW)
        pushed_request_id = pushed().id
    first = fresh_grant()
    grants = [msgspec.structs.replace(first, row_secret=bytes([number]) * 16) for number in range(20)]
    outcomes = await asyncio.gather(
        *(
            (peopled, other)[number % 2].commit_consent(grant, pushed_request_id=pushed_request_id)
            for number, grant in enumerate(grants)
        )
    )
    assert Counter(outcomes) == {ConsentCommit.CREATED: 1, ConsentCommit.ANSWERED: 19}
    [kept] = await peopled.find_grants(user_id=None, organization_id=None)
    assert kept == grants[outcomes.index(ConsentCommit.CREATED)]


async def test_one_email_taken_by_many_at_once_goes_to_one(store: SqlStore, open_another: OpenStore):
    other = open_another()
    outcomes = await asyncio.gather(
        *((store, other)[number % 2].create_user(build_user(f"user_{number}")) for number in range(20))
    )
    assert Counter(outcomes) == {APPLIED: 1, LOST: 19}


async def test_membership_added_by_many_at_once_is_one(store: SqlStore, open_another: OpenStore):
    other = open_another()
    await store.create_organization(build_organization())
    await store.create_user(build_user())
    add = {"user_id": build_user().user_id, "organization_id": build_organization().organization_id, "now": NOW}
    outcomes = await asyncio.gather(
        *((store, other)[number % 2].add_membership(**add, role="member") for number in range(20))  # type: ignore[arg-type]
    )
    assert set(outcomes) == {APPLIED}
    assert len(await store.find_memberships(build_user().user_id)) == 1
