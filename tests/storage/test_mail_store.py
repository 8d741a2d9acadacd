"""Mail that waits: with the transaction that queues it, one attempt's at a time, at least once."""

import asyncio
import os

from latchstring.authorization_server.mail import Mail, MailRecord, Post
from latchstring.authorization_server.ports import Commit
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import NOW, build_codec
from tests.storage.conftest import OpenStore


def build_post(now: int = NOW) -> Post:
    return Post(codec=build_codec(), clock=lambda: now, entropy=os.urandom)


def sealed(now: int = NOW) -> MailRecord:
    return build_post(now).seal(Mail(to="ann@example.com", template="test"))


async def test_mail_is_claimed_sent_and_gone(store: SqlStore) -> None:
    await store.queue_mail(sealed())
    assert await store.claim_mail(now=NOW - 1, lease=60) is None
    claimed = await store.claim_mail(now=NOW, lease=60)
    assert claimed is not None
    assert build_post().open(claimed) == Mail(to="ann@example.com", template="test")
    assert await store.claim_mail(now=NOW, lease=60) is None
    assert await store.end_mail(claimed) is Commit.APPLIED
    assert await store.claim_mail(now=NOW + 1000, lease=60) is None
    assert await store.count_mail() == (0, 0, None)


async def test_mail_whose_attempt_died_is_anothers_turn_and_keeps_its_id(store: SqlStore) -> None:
    await store.queue_mail(sealed())
    dead = await store.claim_mail(now=NOW, lease=60)
    again = await store.claim_mail(now=NOW + 60, lease=60)
    assert dead is not None
    assert again is not None
    assert (again.id, again.attempts) == (dead.id, 2)
    assert await store.end_mail(dead) is Commit.LOST
    assert await store.delay_mail(dead, due_at=None, error="x", now=NOW) is Commit.LOST
    assert await store.end_mail(again) is Commit.APPLIED


async def test_mail_delayed_waits_and_given_up_stays_to_be_seen(store: SqlStore) -> None:
    await store.queue_mail(sealed())
    claimed = await store.claim_mail(now=NOW, lease=60)
    assert claimed is not None
    assert await store.delay_mail(claimed, due_at=NOW + 300, error="ConnectionRefusedError", now=NOW) is Commit.APPLIED
    assert await store.count_mail() == (1, 0, NOW + 300)
    assert await store.claim_mail(now=NOW + 299, lease=60) is None
    again = await store.claim_mail(now=NOW + 300, lease=60)
    assert again is not None
    assert await store.delay_mail(again, due_at=None, error="recipient refused: 550", now=NOW + 301) is Commit.APPLIED
    assert await store.claim_mail(now=NOW + 10**6, lease=60) is None
    assert await store.count_mail() == (0, 1, None)
    (failed,) = await store.find_failed_mail()
    assert (failed.record.id, failed.error, failed.failed_at) == (claimed.id, "recipient refused: 550", NOW + 301)


async def test_mail_is_claimed_by_one_of_many_servers(store: SqlStore, open_another: OpenStore) -> None:
    stores = [store, *(open_another() for _ in range(3))]
    for _ in range(20):
        await store.queue_mail(sealed())
    seen: list[bytes] = []

    async def take_all(one: SqlStore) -> None:
        idle = 0
        while idle < 3:
            claimed = await one.claim_mail(now=NOW, lease=60)
            if claimed is None:
                idle += 1
                await asyncio.sleep(0.01)
                continue
            seen.append(claimed.id)
            assert await one.end_mail(claimed) is Commit.APPLIED

    await asyncio.gather(*(take_all(one) for one in stores))
    assert len(seen) == len(set(seen)) == 20
