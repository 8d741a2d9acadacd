"""How long published keys are kept, and how often they are asked for (J5, K7; drill 11)."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from latchstring.authorization_server.ports import Fetched, FetchRefused
from latchstring.outbound import key_sets
from latchstring.outbound.key_sets import ASK_AGAIN_AFTER, FRESH_FOR, STALE_FOR, CachedKeySets
from latchstring.protocol.client_certificate import certificate_thumbprint
from latchstring.protocol.jose.keys import PublicKey
from tests.support.certificates import certificate_jwk, make_certificate
from tests.support.https import Answer, Internet
from tests.support.signing import key_set, make_key, public_jwk

URL = "https://app.test/jwks.json"
KEYS = [public_jwk(make_key(number=number), kid=str(number)) for number in (1, 2)]


class Published:
    """What stands at every URL, and how often it was asked for."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.body: bytes | None = key_set(KEYS[0])
        self.max_age: int | None = None
        self.asked = 0
        self.sets = CachedKeySets(fetch=self.fetch, clock=lambda: self.now)

    async def fetch(self, url: str, *, max_size: int) -> Fetched:
        self.asked += 1
        await asyncio.sleep(0)
        if self.body is None:
            raise FetchRefused("down")
        return Fetched(body=self.body, content_type="application/json", max_age=self.max_age)

    async def find(self, key_id: str | None = "1") -> list[str | None]:
        keys: tuple[PublicKey, ...] = await self.sets(URL, is_wanted=lambda key: key_id is None or key.key_id == key_id)
        return [key.key_id for key in keys]


@pytest.fixture
def published() -> Published:
    return Published()


@pytest.mark.parametrize("max_age, fresh", [(None, FRESH_FOR), (0, 60), (600, 600), (86400, 3600)])
async def test_key_set_is_kept_as_long_as_it_says_within_bounds(published: Published, max_age, fresh):
    published.max_age = max_age
    for seconds, asked in ((0, 1), (fresh - 1, 1), (1, 2)):
        published.now += seconds
        assert await published.find() == ["1"]
        assert published.asked == asked


async def test_unknown_key_id_is_asked_for_once_an_interval(published: Published):
    await published.find()
    published.body = key_set(*KEYS)
    for _ in range(20):
        assert await published.find("2") == ["1"]
    assert published.asked == 1
    published.now += ASK_AGAIN_AFTER
    assert await published.find("2") == ["1", "2"]
    for number in range(20):
        await published.find(f"made-up-{number}")
    assert published.asked == 2


def is_named(thumbprint: str, key: PublicKey) -> bool:
    return key.certificate_thumbprint == thumbprint


async def test_certificate_that_is_not_among_the_keys_has_them_read_again(published: Published):
    old, new = (make_certificate(name) for name in ("old", "new"))
    published.body = key_set(certificate_jwk(old))
    await published.find(None)
    published.body = key_set(certificate_jwk(old), certificate_jwk(new, by_thumbprint=True))
    published.now += ASK_AGAIN_AFTER
    for der, asked in ((old, 1), (new, 2), (make_certificate("theirs"), 2)):
        thumbprint = certificate_thumbprint(der)
        keys = await published.sets(URL, is_wanted=partial(is_named, thumbprint))
        assert published.asked == asked
    assert [key.certificate_thumbprint for key in keys] == [certificate_thumbprint(der) for der in (old, new)]


async def test_many_callers_at_once_share_one_request(published: Published):
    assert await asyncio.gather(*(published.find() for _ in range(50))) == [["1"]] * 50
    assert published.asked == 1


async def test_caller_that_goes_away_leaves_the_request_to_the_others(published: Published):
    first, second = asyncio.create_task(published.find()), asyncio.create_task(published.find())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == ["1"]
    assert published.asked == 1


async def test_host_that_fails_is_asked_once_an_interval_and_its_error_not_kept(published: Published):
    good, published.body = published.body, None
    for _ in range(20):
        with pytest.raises(FetchRefused, match="down"):
            await published.find()
    assert published.asked == 1
    published.body = good
    published.now += ASK_AGAIN_AFTER
    assert await published.find() == ["1"]


@pytest.mark.parametrize("body", [None, b"<html>", b"{}", b'{"keys": 1}', b'{"keys": [{"kty": "oct", "k": "AA"}]}'])
async def test_stale_set_counts_while_the_host_fails_and_then_no_longer(published: Published, body):
    await published.find()
    published.body = body
    published.now += FRESH_FOR + STALE_FOR - 1
    assert await published.find() == ["1"]
    published.now += 1
    with pytest.raises(FetchRefused):
        await published.find()
    published.now += ASK_AGAIN_AFTER
    published.body = key_set(KEYS[1])
    assert await published.find("2") == ["2"]


async def test_clock_set_back_does_not_stop_asking(published: Published):
    await published.find()
    published.now -= 1_000
    published.body = key_set(*KEYS)
    assert await published.find("2") == ["1", "2"]


async def test_sets_kept_are_bounded_in_number(published: Published, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(key_sets, "MAX_KEPT", 3)
    for number in range(10):
        await published.sets(f"https://app-{number}.test/")
    assert len(published.sets._by_url) == 3
    await published.sets("https://app-9.test/")
    assert published.asked == 10
    await published.sets("https://app-0.test/")
    assert published.asked == 11


async def test_set_of_a_real_host_is_read_and_a_redirect_is_not(tmp_path: Path):
    internet = Internet(tmp_path)
    async with internet.host("app.test") as host:
        host.answer = Answer(body=key_set(KEYS[0]))
        sets = CachedKeySets(fetch=internet.fetcher(), clock=lambda: 0)
        (key,) = await sets(host.url())
        assert key.key_id == "1"
        host.answer = Answer("302 Found", (f"Location: {host.url()}",))
        with pytest.raises(FetchRefused, match="answered 302"):
            await sets(host.url("/elsewhere"))
