"""Rate limits: what is counted, what callers are told (draft-ietf-httpapi-ratelimit-headers-10), in every framework."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from latchstring.protocol.errors import ConfigurationError
from latchstring.resource_server import Access, Bucket, Level, RateLimit
from latchstring.resource_server.limit_memory import ProcessBuckets, ThreadBuckets
from latchstring.resource_server.limits import find_buckets
from latchstring.resource_server.refusal import Refusal, refuse_unavailable
from tests.resource_server.fakes import ACTIVE, NOW, Api, FakeServer, browse, make_guard, make_sync_guard
from tests.resource_server.signed import sign
from tests.resource_server.sites import Site, whole

PER_CLIENT = RateLimit(name="per-client", quota=3, window=60, per="client")
PER_ORGANIZATION = RateLimit(name="per-organization", quota=100, window=10, per="organization")
SMALL = Bucket("a", 3, 60)


def take(memory: ThreadBuckets, *buckets: Bucket, now: float = NOW) -> list[Level]:
    return list(memory.take(buckets, now))


# -- buckets


def test_bucket_holds_its_quota_and_refills_evenly():
    memory = ThreadBuckets()
    assert [take(memory, SMALL)[0] for _ in range(3)] == [Level(2, 20.0), Level(1, 40.0), Level(0, 60.0)]
    assert take(memory, SMALL) == [Level(0, 60.0, wait=20.0)]
    assert take(memory, SMALL, now=NOW + 19.5) == [Level(0, 40.5, wait=0.5)]
    assert take(memory, SMALL, now=NOW + 20) == [Level(0, 60.0)]
    assert take(memory, SMALL, now=NOW + 60) == [Level(1, 40.0)]
    assert take(memory, SMALL, now=NOW + 1000) == [Level(2, 20.0)]


def test_request_over_one_limit_is_taken_out_of_none():
    memory = ThreadBuckets()
    other = Bucket("b", 5, 60)
    for _ in range(3):
        take(memory, SMALL, other)
    small, untouched = take(memory, SMALL, other)
    assert (small.wait, untouched.remaining, untouched.wait) == (20.0, 2, 0.0)
    assert take(memory, other)[0].remaining == 1


def test_bucket_is_the_caller_s_own():
    memory = ThreadBuckets()
    for _ in range(3):
        take(memory, SMALL)
    assert take(memory, Bucket("b", 3, 60)) == [Level(2, 20.0)]


def test_clock_that_steps_back_makes_no_bucket_emptier_than_empty():
    memory = ThreadBuckets()
    take(memory, SMALL)
    assert take(memory, SMALL, now=NOW - 3600) == [Level(0, 60.0, wait=20.0)]
    assert take(memory, SMALL, now=NOW - 3580)[0].wait == 0


def test_memory_is_bounded_and_forgets_first_who_is_long_gone():
    memory = ThreadBuckets(max_buckets=3)
    for name in "abc":
        take(memory, Bucket(name, 3, 60))
    take(memory, Bucket("a", 3, 60))
    take(memory, Bucket("d", 3, 60))
    assert len(memory._full_at) == 3
    assert take(memory, Bucket("a", 3, 60))[0].remaining == 0, "used lately, and so kept"
    assert take(memory, Bucket("b", 3, 60))[0].remaining == 2, "the one that was forgotten"
    take(memory, Bucket("e", 3, 60), now=NOW + 600)
    assert list(memory._full_at) == ["e"], "full buckets are not kept"


@pytest.mark.parametrize("quota", [1, 7, 100, 1000])
def test_threads_that_race_get_the_quota_and_no_more(quota):
    memory, begin = ThreadBuckets(), threading.Barrier(8)

    def run(_: int) -> int:
        begin.wait()
        return sum(not take(memory, Bucket("a", quota, 60))[0].wait for _ in range(quota))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(run, range(8))) == quota


@pytest.mark.parametrize("quota, window", [(1, 1), (3, 1), (7, 60), (60, 7), (1000, 1), (10**6, 3600)])
def test_quota_is_exact_whatever_the_fractions(quota, window):
    memory, bucket = ThreadBuckets(), Bucket("a", quota, window)
    taken = [take(memory, bucket)[0] for _ in range(min(quota, 2000))]
    assert [level.remaining for level in taken] == list(range(quota - 1, quota - 1 - len(taken), -1))
    assert all(level.wait == 0 for level in taken)
    if quota <= 2000:
        assert take(memory, bucket)[0].wait > 0


def test_buckets_are_the_client_s_the_organization_s_and_the_connection_s():
    access = Access(organization_id="orga_1", client_id="oa2client_1", scope=(), expires_at=NOW)
    limits = [RateLimit(name=per, quota=1, window=1, per=per) for per in ("client", "organization", "connection")]
    assert [bucket.key for bucket in find_buckets(limits, access)] == [
        "client oa2client_1", "organization orga_1", "connection oa2client_1 orga_1",
    ]  # fmt: skip


# -- settings


@pytest.mark.parametrize(
    "given",
    [
        {"name": ""}, {"name": 'a"b'}, {"name": "a b"}, {"name": "a" * 65}, {"quota": 0}, {"quota": -1}, {"quota": 1.5},
        {"quota": True}, {"window": 0}, {"window": 10**10}, {"per": "planet"},
    ],
    ids=str,
)  # fmt: skip
def test_limit_that_means_nothing_refuses_to_start(given):
    complete: dict[str, Any] = {"name": "a", "quota": 1, "window": 1, "per": "client"} | given
    with pytest.raises(ConfigurationError, match=next(iter(given))):
        RateLimit(**complete)


def test_two_limits_of_one_name_refuse_to_start():
    with pytest.raises(ConfigurationError, match="same name"):
        make_guard(FakeServer(), rate_limits=[PER_CLIENT, PER_CLIENT])


@pytest.mark.parametrize("make, memory", [(make_guard, ThreadBuckets()), (make_sync_guard, ProcessBuckets())])
def test_limit_memory_of_the_wrong_kind_refuses_to_start(make, memory):
    with pytest.raises(ConfigurationError, match="take"):
        make(FakeServer(), rate_limits=[PER_CLIENT], limit_memory=memory)


# -- what callers meet, in every framework


async def test_answers_tell_what_is_left_and_then_to_wait(site: Site, plain: Site):
    for each in (site, plain):
        each.set_up(rate_limits=[PER_CLIENT, PER_ORGANIZATION])
    policy = '"per-client";q=3;w=60, "per-organization";q=100;w=10'
    told = []
    for token in ("good", sign(), "good"):
        answer = await site.bear(token)
        await plain.bear(token)
        assert answer.status_code == 200
        assert answer.headers.get_list("ratelimit-policy") == [policy]
        told += answer.headers.get_list("ratelimit")
    assert told == [
        '"per-client";r=2;t=20, "per-organization";r=99;t=1',
        '"per-client";r=1;t=40, "per-organization";r=98;t=1',
        '"per-client";r=0;t=20, "per-organization";r=97;t=1',
    ]

    refused = await site.bear("good")
    assert (refused.status_code, refused.json()["error"]) == (429, "temporarily_unavailable")
    assert "token is fine" in refused.json()["error_description"]
    assert (refused.headers["retry-after"], refused.headers["cache-control"]) == ("20", "no-store")
    assert refused.headers.get_list("ratelimit-policy") == [policy]
    assert refused.headers.get_list("ratelimit") == ['"per-client";r=0;t=20, "per-organization";r=97;t=1']
    assert "www-authenticate" not in refused.headers
    assert whole(refused) == whole(await plain.bear("good"))

    site.now = NOW + 20
    assert (await site.bear("good")).status_code == 200


async def test_limit_is_for_each_caller(site: Site):
    site.set_up(rate_limits=[RateLimit(name="a", quota=1, window=60, per="connection")])
    site.server.tokens |= {
        "same": ACTIVE | {"user_id": "user_2"},
        "other-client": ACTIVE | {"client_id": "oa2client_2"},
        "other": ACTIVE | {"organization_id": "orga_2"},
    }
    statuses = [(await site.bear(token)).status_code for token in ("good", "same", "other-client", "other", "other")]
    assert statuses == [200, 429, 200, 200, 429]


async def test_request_that_is_refused_before_counts_nothing(site: Site):
    site.set_up(rate_limits=[PER_CLIENT])
    for _ in range(5):
        assert (await site.bear("good", "/write")).status_code == 403
        assert (await site.bear("unknown")).status_code == 401
    answer = await site.bear("good")
    assert answer.headers["ratelimit"] == '"per-client";r=2;t=20'
    assert "ratelimit" not in (await site.call(path="/open")).headers


async def test_many_at_once_get_the_quota_and_no_more(site: Site):
    site.set_up(rate_limits=[PER_CLIENT])
    answers = await asyncio.gather(*(site.bear("good") for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 9


async def test_without_limits_answers_say_nothing_of_them(site: Site):
    assert not [name for name in (await site.bear("good")).headers if "ratelimit" in name]


class Shared:
    """A memory that processes share, as an API writes one; `fault` is what befalls it."""

    def __init__(self) -> None:
        self.buckets = ThreadBuckets()
        self.fault: Refusal | None = None

    def take(self, buckets: Any, now: float) -> Any:
        if self.fault is not None:
            raise self.fault
        return self.buckets.take(buckets, now)


class AsyncShared(Shared):
    async def take(self, buckets: Any, now: float) -> Any:
        return super().take(buckets, now)


async def test_memory_that_is_shared_counts_for_all_guards_and_may_refuse(site: Site):
    memory = AsyncShared() if site.make_guard is make_guard else Shared()
    for _ in range(3):
        site.set_up(rate_limits=[PER_CLIENT], limit_memory=memory)
        assert (await site.bear("good")).status_code == 200
    site.set_up(rate_limits=[PER_CLIENT], limit_memory=memory)
    assert (await site.bear("good")).status_code == 429
    memory.fault = refuse_unavailable("the memory of rate limits is out of reach")
    assert (await site.bear("good")).status_code == 503


async def test_guard_in_a_guard_counts_a_request_once():
    server = FakeServer()
    guard = make_guard(server, rate_limits=[PER_CLIENT])
    async with browse(guard.asgi(guard.require("contacts.read")(Api()))) as http:
        answer = await http.get("/", headers={"authorization": "Bearer good"})
    assert answer.headers.get_list("ratelimit") == ['"per-client";r=2;t=20']


async def test_take_tells_those_who_check_by_themselves():
    guard = make_guard(FakeServer(), rate_limits=[PER_CLIENT])
    access = await guard.check([b"Bearer good"])
    assert await guard.take(access) == (
        ("ratelimit-policy", '"per-client";q=3;w=60'),
        ("ratelimit", '"per-client";r=2;t=20'),
    )
