"""Posting to a host that somebody has named (K5, G7): to public addresses, once, bounded, and never led elsewhere."""

import asyncio
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from latchstring.authorization_server.ports import FetchRefused
from latchstring.authorization_server.webhook_records import Posted
from latchstring.outbound.poster import MAX_EXCERPT, Poster
from tests.support.https import LOOPBACK, Answer, Internet


@pytest.fixture
def internet(tmp_path: Path) -> Internet:
    return Internet(tmp_path)


async def test_post_sends_body_and_headers_and_returns_the_answer(internet: Internet) -> None:
    async with internet.host("app.test") as host:
        host.answer = Answer("202 Accepted", body=b"thanks\x00")
        answer = await internet.poster()(host.url("/hook?a=b"), body=b'{"a":1}', headers={"webhook-id": "evnt_1"})
    assert answer == Posted(202, "thanks ")
    assert host.requests[0].startswith("POST /hook?a=b HTTP/1.1\r\n")
    assert "\r\nwebhook-id: evnt_1\r\n" in host.requests[0].lower()
    assert host.bodies == [b'{"a":1}']


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_post_redirected_is_not_followed(internet: Internet, status: str) -> None:
    async with internet.host("app.test") as host, internet.host("other.test") as other:
        host.answer = Answer(status, (f"Location: {other.url()}",))
        answer = await internet.poster()(host.url(), body=b"{}", headers={})
    assert answer.status == int(status[:3])
    assert other.requests == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.8", "169.254.169.254", "192.168.1.1", "::1", "fd00::1", "64:ff9b::a00:1", "0.0.0.0"],
)
async def test_post_to_a_host_of_our_own_network_is_refused_and_tells_no_address(
    internet: Internet, address: str
) -> None:
    async with internet.host("inside.test") as host:
        internet.addresses["inside.test"] = [(ip_address("93.184.215.14"), ip_address(address))]
        poster = Poster(resolve=internet.resolve, tls=internet.authority.trusting())
        with pytest.raises(FetchRefused) as refused:
            await poster(host.url(), body=b"{}", headers={})
    assert address not in str(refused.value)
    assert host.requests == []


async def test_post_looks_the_name_up_once(internet: Internet) -> None:
    async with internet.host("app.test") as host:
        internet.addresses["app.test"] = [(LOOPBACK,), (ip_address("10.0.0.8"),)]
        await internet.poster()(host.url(), body=b"{}", headers={})
    assert internet.lookups == ["app.test"]


@pytest.mark.parametrize("url", ["http://app.test/hook", "https://a:b@app.test/", "https://app.test/#x", "ftp://x", ""])
async def test_post_to_anything_but_https_is_refused(internet: Internet, url: str) -> None:
    with pytest.raises(FetchRefused):
        await internet.poster()(url, body=b"{}", headers={})
    assert internet.lookups == []


async def test_post_to_a_host_of_another_name_is_refused(internet: Internet) -> None:
    async with internet.host("app.test", certificate_for="other.test") as host:
        with pytest.raises(FetchRefused):
            await internet.poster()(host.url(), body=b"{}", headers={})
    assert host.requests == []


async def test_post_reads_no_more_than_an_excerpt(internet: Internet) -> None:
    async with internet.host("app.test") as host:
        host.answer = Answer(body=b"x" * 10_000, endless=True)
        answer = await internet.poster()(host.url(), body=b"{}", headers={})
    assert answer.excerpt == "x" * MAX_EXCERPT


async def test_post_that_is_not_answered_ends_at_its_deadline(internet: Internet) -> None:
    async with internet.host("app.test") as host:
        host.answer = Answer(pause=30.0, body=b"")
        began = time.monotonic()
        with pytest.raises(FetchRefused, match="no answer within"):
            host.answer = Answer(body=b"x", pause=0.2, endless=True)
            await internet.poster(deadline=0.5)(host.url(), body=b"{}", headers={})
    assert time.monotonic() - began < 3


async def test_posts_to_one_host_may_be_many(internet: Internet) -> None:
    async with internet.host("app.test") as host:
        posts = (internet.poster()(host.url(), body=b"{}", headers={}) for _ in range(12))
        answers = await asyncio.gather(*posts)
    assert {answer.status for answer in answers} == {200}
