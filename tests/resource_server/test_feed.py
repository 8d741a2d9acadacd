"""Guards that keep up with the revocation feed: what is kept, when it is asked about again, what silence does."""

import asyncio
import threading
import time
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from latchstring.protocol.errors import ConfigurationError
from latchstring.protocol.revocation_feed import FeedAnswer, Revocation, render_feed
from latchstring.resource_server import Guard, SyncGuard
from latchstring.resource_server.refusal import Refusal
from tests.resource_server.fakes import ACTIVE, BASIC, ENDPOINT, NOW, SETTINGS

FEED = "https://login.test/oauth2/revocations/"
HEADER = [b"Bearer good"]


class FedServer(httpx.MockTransport):
    """Introspection and a feed; `told` is what the feed has to tell from now on, `is_cut` cuts everything off."""

    def __init__(self) -> None:
        super().__init__(self._handle)
        self.answer: dict[str, Any] = ACTIVE
        self.asked = 0
        self.reads: list[dict[str, list[str]]] = []
        self.told: list[Revocation] = []
        self.delay = 0.0
        self.is_cut = False
        self.feed_status = 200

    def _handle(self, request: httpx.Request) -> httpx.Response:
        if self.is_cut:
            raise httpx.ConnectError("cut off", request=request)
        assert request.headers["authorization"] == BASIC
        form = parse_qs(request.content.decode())
        if str(request.url) == FEED:
            self.reads.append(form)
            time.sleep(0.005)
            if self.feed_status != 200:
                return httpx.Response(self.feed_status)
            told, self.told = self.told, []
            return httpx.Response(200, content=render_feed(FeedAnswer(revocations=told, cursor=f"c{len(self.reads)}")))
        assert str(request.url) == ENDPOINT
        self.asked += 1
        time.sleep(self.delay)
        return httpx.Response(200, json=self.answer)


class Fed:
    """A guard of either kind, behind one face."""

    def __init__(self, kind: str, server: FedServer, **options: Any) -> None:
        settings = SETTINGS | {"revocations_endpoint": FEED} | options
        self.server = server
        self.guard: Guard | SyncGuard
        if kind == "asyncio":
            self.guard = Guard(**settings | {"http_client": httpx.AsyncClient(transport=server)})
        else:
            self.guard = SyncGuard(**settings | {"http_client": httpx.Client(transport=server)})

    async def check(self, scope: tuple[str, ...] = (), token: bytes = b"good") -> None:
        authorization = [b"Bearer " + token]
        if isinstance(self.guard, Guard):
            await self.guard.check(authorization, scope=scope)
        else:
            await asyncio.to_thread(self.guard.check, authorization, b"", scope)

    async def hear(self) -> None:
        """Until the feed has been read once more from now on, and once after that."""
        seen = len(self.server.reads)
        async with asyncio.timeout(5):
            while len(self.server.reads) < seen + 2 or not self.guard._verdicts.is_fresh():
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        if isinstance(self.guard, Guard):
            await self.guard.aclose()
        else:
            await asyncio.to_thread(self.guard.close)


@pytest.fixture
def server() -> FedServer:
    return FedServer()


@pytest.fixture(params=["asyncio", "threads"])
async def fed(request: pytest.FixtureRequest, server: FedServer):
    made = Fed(request.param, server)
    yield made
    await made.close()


async def test_token_is_asked_about_once_while_the_feed_is_heard(fed: Fed, server: FedServer):
    await fed.check()
    await fed.hear()
    await fed.check()
    asked = server.asked
    for _ in range(50):
        await fed.check(("contacts.read",))
    assert server.asked == asked


async def test_revocation_is_felt_as_soon_as_the_feed_tells(fed: Fed, server: FedServer):
    await fed.check()
    await fed.hear()
    await fed.check()
    server.answer = {"active": False}
    await fed.check()
    server.told = [Revocation(at=NOW, user_id="user_1", organization_id="orga_1")]
    await fed.hear()
    for _ in range(2):
        with pytest.raises(Refusal) as caught:
            await fed.check()
        assert caught.value.code == "invalid_token"


async def test_s17_what_is_kept_lets_nobody_do_more(fed: Fed, server: FedServer):
    """The scope is decided anew each time; the audience is the guard's own (CVE-2026-33496)."""
    await fed.check()
    await fed.hear()
    await fed.check(("contacts.read",))
    with pytest.raises(Refusal) as caught:
        await fed.check(("contacts.write",))
    assert caught.value.code == "insufficient_scope"


async def test_guard_cut_off_fails_closed_at_its_bound(server: FedServer):
    fed = Fed("asyncio", server, revocations_bound=1, timeout=0.5)
    await fed.check()
    await fed.hear()
    await fed.check()
    server.is_cut = True
    began = time.monotonic()
    with pytest.raises(Refusal) as caught:
        while time.monotonic() - began < 5:
            await fed.check()
            await asyncio.sleep(0.01)
    assert (caught.value.status, caught.value.retry_after) == (503, 5)
    assert time.monotonic() - began < 4
    server.is_cut = False
    await fed.check()
    await fed.close()


@pytest.mark.parametrize("status", [404, 500, 503, 401])
async def test_feed_that_is_refused_leaves_every_token_to_be_asked_about(fed: Fed, server: FedServer, status, caplog):
    server.feed_status = status
    for _ in range(3):
        await fed.check()
        await asyncio.sleep(0.02)
    assert server.asked == 3
    assert caplog.text.count("The revocation feed is not heard") == 1


async def test_cursor_that_the_server_does_not_know_begins_anew(fed: Fed, server: FedServer):
    await fed.check()
    await fed.hear()
    assert "after" in server.reads[-1]
    server.feed_status = 400
    seen = len(server.reads)
    async with asyncio.timeout(5):
        while len(server.reads) < seen + 3:
            await asyncio.sleep(0.01)
    assert "after" not in server.reads[-1]


async def test_many_requests_with_one_token_ask_once(fed: Fed, server: FedServer):
    await fed.check()
    await fed.hear()
    server.asked, server.delay = 0, 0.05
    await asyncio.gather(*(fed.check(token=b"another") for _ in range(8)))
    assert server.asked == 1


async def test_caller_that_hangs_up_takes_nobody_s_answer(server: FedServer):
    fed = Fed("asyncio", server)
    release = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if str(request.url) == FEED:
            await asyncio.sleep(60)
        await release.wait()
        return httpx.Response(200, json=ACTIVE)

    assert isinstance(fed.guard, Guard)
    fed.guard = Guard(
        **SETTINGS
        | {"revocations_endpoint": FEED, "http_client": httpx.AsyncClient(transport=httpx.MockTransport(answer))}
    )
    first, second = (asyncio.create_task(fed.check()) for _ in range(2))
    await asyncio.sleep(0.02)
    first.cancel()
    release.set()
    await second
    await fed.close()


def test_guard_made_before_a_fork_reads_in_each_process(server: FedServer, monkeypatch):
    fed = Fed("threads", server)
    assert isinstance(fed.guard, SyncGuard)
    fed.guard.check(HEADER)
    before = {thread.ident for thread in threading.enumerate() if thread.name == "latchstring-feed"}
    assert len(before) == 1
    monkeypatch.setattr("os.getpid", lambda: -1)
    fed.guard.check(HEADER)
    after = {thread.ident for thread in threading.enumerate() if thread.name == "latchstring-feed"}
    assert len(after) == 2
    fed.guard.close()


async def test_without_a_feed_an_answer_is_kept_as_long_as_the_guard_says(server: FedServer):
    fed = Fed("asyncio", server, revocations_endpoint=None, answer_lifetime=0.1)
    for _ in range(5):
        await fed.check()
    assert server.asked == 1
    await asyncio.sleep(0.11)
    await fed.check()
    assert server.asked == 2
    assert server.reads == []


async def test_without_either_every_request_asks(server: FedServer):
    fed = Fed("asyncio", server, revocations_endpoint=None)
    for _ in range(3):
        await fed.check()
    assert server.asked == 3


@pytest.mark.parametrize(
    "options, why",
    [
        ({"revocations_endpoint": "ftp://login.test"}, "revocations_endpoint"),
        ({"revocations_bound": 0.5}, "revocations_bound"),
        ({"revocations_bound": 61}, "revocations_bound"),
        ({"answer_lifetime": 3601}, "answer_lifetime"),
        ({"answer_lifetime": -1}, "answer_lifetime"),
        ({"revocations_endpoint": None, "answer_lifetime": 61}, "answer_lifetime"),
    ],
)
def test_bound_that_bounds_nothing_is_refused(server: FedServer, options, why):
    with pytest.raises(ConfigurationError, match=why):
        Fed("asyncio", server, **options)
