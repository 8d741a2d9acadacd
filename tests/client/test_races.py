"""Many at once: threads, tasks and processes. One refresh, and everybody has its token."""

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from latchstring.client import AsyncOAuthClient, MemoryStore, OAuthClient, SQLiteStore, TemporaryFailure
from latchstring.client.testing import SERVICE_UNAVAILABLE, FakeProvider
from tests.client.conftest import BROWSER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, Mailloop

ROOT = Path(__file__).parents[2]


def refreshes(provider: FakeProvider) -> int:
    return sum(form.get("grant_type") == "refresh_token" for _, form in provider.requests)


def all_at_once(count, call):
    barrier = threading.Barrier(count)

    def start():
        barrier.wait()
        try:
            return call()
        except TemporaryFailure as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(start) for _ in range(count)]]


def async_client(provider: FakeProvider, store, **options) -> AsyncOAuthClient:
    settings = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uri": REDIRECT_URI}
    http = httpx.AsyncClient(transport=options.pop("transport", None) or provider.transport())
    return AsyncOAuthClient(
        provider.issuer,
        store=store,
        scope="all.full_access offline_access",
        http=http,
        clock=provider.clock,
        **settings | options,
    )


async def connect(client: AsyncOAuthClient, provider: FakeProvider):
    url = await client.begin(browser_session=BROWSER)
    return await client.complete(provider.authorize(url), browser_session=BROWSER)


def test_token_by_20_threads_refreshes_once(mailloop, clock):
    connection = mailloop.connect()
    clock.advance(3700)
    mailloop.provider.latency = 0.05
    tokens = all_at_once(20, lambda: mailloop.client.token(connection.key))
    assert set(tokens) == {mailloop.client.connection(connection.key).access_token}
    assert refreshes(mailloop.provider) == 1


def test_token_by_20_threads_of_a_failing_provider_asks_once(mailloop, clock):
    connection = mailloop.connect()
    clock.advance(3700)
    mailloop.provider.latency = 0.05
    mailloop.provider.faults = [SERVICE_UNAVAILABLE] * 20
    errors = all_at_once(20, lambda: mailloop.client.token(connection.key))
    assert {error.code for error in errors} == {"server_unavailable"}
    assert refreshes(mailloop.provider) == 1


def test_token_by_two_clients_on_one_store_refreshes_once(provider, store, clock):
    """Two clients know nothing of each other, as two processes do: the lease decides."""
    first, second = Mailloop(provider, store, clock), Mailloop(provider, store, clock)
    connection = first.connect()
    second.client.connections()
    clock.advance(3700)
    provider.latency = 0.05
    turn = iter([first, second] * 5)
    lock = threading.Lock()

    def call():
        with lock:
            mailloop = next(turn)
        return mailloop.client.token(connection.key)

    assert set(all_at_once(10, call)) == {first.client.connection(connection.key).access_token}
    assert refreshes(provider) == 1
    assert provider.most_in_flight == 1


def test_api_calls_by_20_threads_with_a_refused_token_refresh_once(mailloop):
    connection = mailloop.connect()
    mailloop.provider.dead_access_tokens.add(connection.access_token)
    mailloop.provider.latency = 0.01
    with mailloop.api(connection.key) as api:
        answers = all_at_once(20, lambda: api.get("/api/v1/me/"))
    assert {answer.status_code for answer in answers} == {200}
    assert refreshes(mailloop.provider) == 1


def test_token_by_two_processes_on_one_file_refreshes_once(tmp_path: Path):
    program = """
import sys
from latchstring.client import OAuthClient, SQLiteStore
issuer, path, client_id, secret = sys.argv[1:]
client = OAuthClient(issuer, client_id=client_id, client_secret=secret,
                     redirect_uri="http://127.0.0.1:8402/callback", store=SQLiteStore(path))
key = client.key("orga_acorn", "user_ann")
client.connection(key)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(5):
    print(client.token(key), flush=True)
"""
    path = tmp_path / "connections.db"
    with FakeProvider(expires_in=0, latency=0.1).serve() as provider:
        store = SQLiteStore(path)
        client = OAuthClient(
            provider.issuer,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            redirect_uri=REDIRECT_URI,
            scope="all.full_access offline_access",
            store=store,
        )
        url = client.begin(browser_session=BROWSER)
        connection = client.complete(provider.authorize(url), browser_session=BROWSER)
        provider.expires_in = 3600  # the first token has expired when it arrives; the next will not
        command = [sys.executable, "-c", program, provider.issuer, str(path), CLIENT_ID, CLIENT_SECRET]
        processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
            for _ in range(2)
        ]
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        tokens = [process.communicate(timeout=30)[0].split() for process in processes]
        assert [process.returncode for process in processes] == [0, 0]
        saved = client.connection(connection.key)
        assert refreshes(provider) == 1
        assert saved.generation == 2
        assert {token for each in tokens for token in each} == {saved.access_token}
        client.close()
        store.close()


async def test_token_by_20_tasks_refreshes_once(provider, store, clock):
    async with async_client(provider, store) as client:
        connection = await connect(client, provider)
        clock.advance(3700)
        tokens = await asyncio.gather(*(client.token(connection.key) for _ in range(20)))
        assert set(tokens) == {(await client.connection(connection.key)).access_token}
        assert refreshes(provider) == 1


async def test_refresh_whose_waiters_are_all_cancelled_is_saved(provider, store, clock):
    arrived, go_on = asyncio.Event(), asyncio.Event()
    inner = provider.transport()

    async def slow(request: httpx.Request) -> httpx.Response:
        response = await inner.handle_async_request(request)
        if b"grant_type=refresh_token" in request.content:
            arrived.set()
            await go_on.wait()
        return response

    async with async_client(provider, store, transport=httpx.MockTransport(slow)) as client:
        connection = await connect(client, provider)
        clock.advance(3700)
        waiting = [asyncio.create_task(client.token(connection.key)) for _ in range(3)]
        await arrived.wait()
        for task in waiting:
            task.cancel()
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*waiting, return_exceptions=True)
        )
        go_on.set()
    assert store.find_connection(connection.key).generation == 2
    assert [grant.generation for grant in provider.grants.values()] == [2]


async def test_async_answer_that_drips_is_cut_off_in_time(clock):
    async def drip():
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    async def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=drip())

    provider = FakeProvider(clock=clock)
    transport = httpx.MockTransport(handler)
    async with async_client(provider, MemoryStore(), transport=transport, time_limit=0.2) as client:
        began = time.monotonic()
        with pytest.raises(TemporaryFailure, match="unanswered"):
            await client.begin(browser_session=BROWSER)
        assert time.monotonic() - began < 2


def test_sync_answer_that_drips_is_cut_off_in_time(clock):
    def drip():
        while True:
            yield b" "
            time.sleep(0.02)

    provider = FakeProvider(clock=clock)
    mailloop = Mailloop(provider, MemoryStore(), clock, time_limit=0.2)
    mailloop.client._driver._given = httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, content=drip()))
    )
    began = time.monotonic()
    with pytest.raises(TemporaryFailure, match="unanswered"):
        mailloop.client.begin(browser_session=BROWSER)
    assert time.monotonic() - began < 2
