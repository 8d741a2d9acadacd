"""The fetcher against real TLS servers that behave, and that do not (K1, K2, K5, K6, G7; drill 11)."""

import asyncio
import socket
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from latchstring.authorization_server.ports import Fetched, FetchRefused
from latchstring.outbound.fetcher import MAX_AT_ONCE_FROM_HOST, Fetcher
from tests.support.https import LOOPBACK, Answer, Internet

SIZE = 5000


@pytest.fixture
def internet(tmp_path: Path) -> Internet:
    return Internet(tmp_path)


async def test_fetch_of_public_document_returns_it_whole(internet: Internet) -> None:
    async with internet.host("app.test") as host:
        headers = ("Content-Type: application/json; charset=utf-8", "Cache-Control: max-age=60")
        host.answer = Answer(headers=headers, body=b'{"keys":[]}')
        fetched = await internet.fetcher()(host.url("/a/jwks.json?v=1"), max_size=SIZE)
    assert fetched == Fetched(body=b'{"keys":[]}', content_type="application/json", max_age=60)
    (request,) = host.requests
    assert request.startswith("GET /a/jwks.json?v=1 HTTP/1.1\r\n")
    assert f"\r\nhost: app.test:{host.port}\r\n" in request.lower()


async def test_fetch_sends_no_credential_cookie_or_proxy(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    netrc = tmp_path / "netrc"
    netrc.write_text("default login ann password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    fetch = internet.fetcher()
    async with internet.host("app.test") as host:
        host.answer = Answer(headers=("Set-Cookie: a=b",))
        await fetch(host.url(), max_size=SIZE)
        await fetch(host.url(), max_size=SIZE)
    for request in host.requests:
        assert "cookie" not in request.lower()
        assert "authorization" not in request.lower()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_fetch_redirected_is_refused_and_not_followed(internet: Internet, status: str) -> None:
    async with internet.host("app.test") as host, internet.host("other.test") as other:
        host.answer = Answer(status, (f"Location: {other.url()}",))
        with pytest.raises(FetchRefused, match=f"answered {status[:3]}"):
            await internet.fetcher()(host.url(), max_size=SIZE)
    assert other.requests == []


@pytest.mark.parametrize("status", ["201 Created", "204 No Content", "206 Partial", "404 Not Found", "500 Oops"])
async def test_fetch_of_another_status_is_refused(internet: Internet, status: str) -> None:
    async with internet.host("app.test") as host:
        host.answer = Answer(status)
        with pytest.raises(FetchRefused):
            await internet.fetcher()(host.url(), max_size=SIZE)


async def test_fetch_of_http_url_is_refused_before_any_look_up(internet: Internet) -> None:
    with pytest.raises(FetchRefused, match="https"):
        await internet.fetcher()("http://app.test/jwks.json", max_size=SIZE)
    assert internet.lookups == []


async def test_fetch_of_exactly_the_size_is_answered_and_one_more_refused(internet: Internet) -> None:
    async with internet.host("app.test") as host:
        host.answer = Answer(body=b"x" * SIZE)
        assert len((await internet.fetcher()(host.url(), max_size=SIZE)).body) == SIZE
        host.answer = Answer(body=b"x" * (SIZE + 1))
        with pytest.raises(FetchRefused, match="larger"):
            await internet.fetcher()(host.url(), max_size=SIZE)


async def test_fetch_of_endless_document_stops_at_the_size(internet: Internet) -> None:
    async with internet.host("app.test") as host:
        host.answer = Answer(body=b"x" * 1000, endless=True)
        with pytest.raises(FetchRefused, match="larger"):
            await internet.fetcher()(host.url(), max_size=SIZE)


async def test_fetch_of_compressed_document_is_refused(internet: Internet) -> None:
    async with internet.host("app.test") as host:
        host.answer = Answer(headers=("Content-Encoding: gzip",))
        with pytest.raises(FetchRefused, match="compressed"):
            await internet.fetcher()(host.url(), max_size=SIZE)


@pytest.mark.parametrize("answer", [Answer(pause=30), Answer(body=b"x", pause=0.05, endless=True)])
async def test_fetch_from_slow_host_ends_at_the_deadline(internet: Internet, answer: Answer) -> None:
    async with internet.host("app.test") as host:
        host.answer = answer
        began = time.monotonic()
        with pytest.raises(FetchRefused, match="no answer within"):
            await internet.fetcher(deadline=0.5)(host.url(), max_size=SIZE)
        assert time.monotonic() - began < 5


async def test_fetch_from_slow_name_server_ends_at_the_deadline(internet: Internet) -> None:
    async def hang(host: str, port: int) -> list:
        await asyncio.sleep(30)
        return []

    with pytest.raises(FetchRefused, match="no answer within"):
        await internet.fetcher(resolve=hang, deadline=0.2)("https://app.test/", max_size=SIZE)


async def test_fetch_with_certificate_of_another_name_is_refused(internet: Internet) -> None:
    async with internet.host("app.test", certificate_for="other.test") as host:
        with pytest.raises(FetchRefused, match="certificate"):
            await internet.fetcher()(host.url(), max_size=SIZE)
    assert host.requests == []


async def test_fetch_with_certificate_of_unknown_authority_is_refused(internet: Internet) -> None:
    fetch = Fetcher(resolve=internet.resolve, is_allowed=lambda _: True)
    async with internet.host("app.test") as host:
        with pytest.raises(FetchRefused, match="certificate"):
            await fetch(host.url(), max_size=SIZE)
    assert host.requests == []


async def test_fetch_by_default_does_not_connect_to_loopback(internet: Internet) -> None:
    async with internet.host("app.test") as host:
        fetch = Fetcher(resolve=internet.resolve, tls=internet.authority.trusting())
        with pytest.raises(FetchRefused, match="not a public address"):
            await fetch(host.url(), max_size=SIZE)
        # By number and by the system's own look-up, too.
        for name in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"):
            with pytest.raises(FetchRefused, match="not a public address|no address"):
                await Fetcher()(f"https://{name}:{host.port}/", max_size=SIZE)
    assert host.requests == []


async def test_fetch_with_one_private_address_among_public_ones_is_refused(internet: Internet) -> None:
    internet.addresses["app.test"] = [(ip_address("1.1.1.1"), ip_address("10.0.0.1"))]
    with pytest.raises(FetchRefused, match=r"10\.0\.0\.1 is not a public address"):
        await internet.fetcher()("https://app.test/", max_size=SIZE)


async def test_fetch_with_rebinding_name_connects_to_the_address_that_was_judged(
    internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K5: the first look-up is good, every later one would lead into the network."""
    by_system: list[object] = []
    own = socket.getaddrinfo

    def look_up(host: object, *rest: object, **named: object) -> object:
        by_system.append(host)
        return own(host, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    async with internet.host("app.test") as host:
        internet.addresses["app.test"] = [(LOOPBACK,), (ip_address("10.0.0.1"),)]
        await internet.fetcher()(host.url(), max_size=SIZE)
    assert internet.lookups == ["app.test"]
    assert "app.test" not in by_system
    assert len(host.requests) == 1


async def test_fetch_with_first_address_dead_tries_the_next(internet: Internet) -> None:
    async with internet.host("app.test") as host:
        internet.addresses["app.test"] = [(ip_address("127.0.0.2"), LOOPBACK)]
        fetch = internet.fetcher(is_allowed=lambda address: address.is_loopback)
        assert (await fetch(host.url(), max_size=SIZE)).body == b"{}"


async def test_fetch_of_name_without_address_is_refused(internet: Internet) -> None:
    async def fail(host: str, port: int) -> list:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with pytest.raises(FetchRefused, match="no address"):
        await internet.fetcher(resolve=fail)("https://app.test/", max_size=SIZE)
    internet.addresses["app.test"] = [()]
    with pytest.raises(FetchRefused, match="no address"):
        await internet.fetcher()("https://app.test/", max_size=SIZE)


async def test_fetch_answered_with_no_http_is_refused(internet: Internet) -> None:
    async with internet.host("app.test") as host:
        host.answer = Answer("200 OK\x00", ("no header",))
        with pytest.raises(FetchRefused):
            await internet.fetcher()(host.url(), max_size=SIZE)


async def test_fetch_many_from_one_slow_host_leaves_slots_for_others(internet: Internet) -> None:
    async with internet.host("slow.test") as slow, internet.host("app.test") as host:
        slow.answer = Answer(pause=30)
        fetch = internet.fetcher(deadline=3)
        waiting = [asyncio.create_task(fetch(slow.url(), max_size=SIZE)) for _ in range(50)]
        await asyncio.sleep(0)
        assert (await fetch(host.url(), max_size=SIZE)).body == b"{}"
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert (await fetch(host.url(), max_size=SIZE)).body == b"{}"
        slow.answer = Answer()
        assert (await fetch(slow.url(), max_size=SIZE)).body == b"{}"
    refused = [outcome for outcome in outcomes if "too many requests" in str(outcome)]
    assert len(refused) == 50 - MAX_AT_ONCE_FROM_HOST
