"""Asking the server about a token, async and sync: without a clear answer it is a 503, never a yes (S18)."""

import asyncio
import time

import httpx
import pytest

from latchstring.resource_server.connections import AsyncConnections, Connections
from latchstring.resource_server.introspection import AsyncIntrospection, Introspection
from latchstring.resource_server.refusal import Refusal
from latchstring.resource_server.settings import GuardSettings
from tests.resource_server.fakes import (
    ACTIVE,
    CLIENT_ID,
    CLIENT_SECRET,
    ENDPOINT,
    ISSUER,
    RESOURCE,
    FakeServer,
)


def settings(**changes):
    given = {
        "issuer": ISSUER,
        "introspection_endpoint": ENDPOINT,
        "resource": RESOURCE,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }
    return GuardSettings(**given | changes)


async def ask_async(transport, token, **changes):
    async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
        return await AsyncIntrospection(settings(**changes), AsyncConnections(ENDPOINT, client)).introspect(token)


async def ask_sync(transport, token, **changes):
    with httpx.Client(transport=transport, follow_redirects=True) as client:
        return await asyncio.to_thread(
            Introspection(settings(**changes), Connections(ENDPOINT, client)).introspect, token
        )


@pytest.fixture(params=[ask_async, ask_sync], ids=["async", "sync"])
def ask(request):
    return request.param


@pytest.fixture
def server():
    return FakeServer()


async def test_introspect_known_token_is_answered_with_own_credentials_form_encoded(ask, server):
    answer = await ask(server, "good")
    assert (answer.active, answer.user_id, answer.exp) == (True, "user_1", ACTIVE["exp"])
    assert server.asked == ["good"]


@pytest.mark.parametrize("token", ["unknown", "a+b/c=="])
async def test_introspect_unknown_token_is_inactive_and_sent_as_given(ask, server, token):
    assert not (await ask(server, token)).active
    assert server.asked == [token]


NO_ANSWER = {
    "500": lambda: httpx.Response(500),
    "502 html": lambda: httpx.Response(502, html="<h1>Bad gateway</h1>"),
    "429": lambda: httpx.Response(429),
    "400": lambda: httpx.Response(400, json={"error": "invalid_request"}),
    "204": lambda: httpx.Response(204),
    "201": lambda: httpx.Response(201, json=ACTIVE),
    "redirect": lambda: httpx.Response(307, headers={"location": ENDPOINT}),
    "html": lambda: httpx.Response(200, html="<h1>Welcome</h1>"),
    "empty": lambda: httpx.Response(200),
    "array": lambda: httpx.Response(200, json=[ACTIVE]),
    "no active": lambda: httpx.Response(200, json={}),
    "active as text": lambda: httpx.Response(200, json=ACTIVE | {"active": "true"}),
    "active as number": lambda: httpx.Response(200, json=ACTIVE | {"active": 1}),
    "exp as text": lambda: httpx.Response(200, json=ACTIVE | {"exp": "1900000000"}),
    "exp not whole": lambda: httpx.Response(200, json=ACTIVE | {"exp": 1900000000.5}),
    "aud as number": lambda: httpx.Response(200, json=ACTIVE | {"aud": 1}),
    "cut": lambda: httpx.Response(200, content=b'{"active":true,'),
    "not utf-8": lambda: httpx.Response(200, content=b'{"active":true,"scope":"\xff"}'),
    "deep": lambda: httpx.Response(200, content=b'{"active":true,"x":' + b"[" * 60_000),
    "too large": lambda: httpx.Response(200, content=b'{"active":true,"x":"' + b"x" * 70_000 + b'"}'),
    "compressed": lambda: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"x")),
    "connect error": lambda: httpx.ConnectError("refused"),
    "connect timeout": lambda: httpx.ConnectTimeout("slow"),
    "read timeout": lambda: httpx.ReadTimeout("slow"),
    "pool timeout": lambda: httpx.PoolTimeout("busy"),
    "protocol error": lambda: httpx.RemoteProtocolError("nonsense"),
    "os error": lambda: OSError("no sockets left"),
    "runtime error": lambda: RuntimeError("the client is closed"),
}


@pytest.mark.parametrize("failure", NO_ANSWER.values(), ids=NO_ANSWER)
async def test_s18_introspect_without_a_clear_answer_is_unavailable(ask, server, failure):
    server.respond = [failure(), failure()]
    with pytest.raises(Refusal) as refused:
        await ask(server, "good")
    assert (refused.value.status, refused.value.code) == (503, "temporarily_unavailable")
    assert refused.value.retry_after == 5
    assert "good" not in str(refused.value) + refused.value.reason
    assert len(server.asked) <= 2


@pytest.mark.parametrize("failure", [httpx.ReadError("reset"), httpx.RemoteProtocolError("disconnected")])
async def test_introspect_connection_broken_once_is_asked_again(ask, server, failure):
    server.respond = [failure]
    assert (await ask(server, "good")).active
    assert server.asked == ["good", "good"]


@pytest.mark.parametrize(
    "sent, kept", [("7", 7), ("0", 1), ("9999", 60), ("9" * 5000, 5), ("soon", 5), ("-1", 5), ("²", 5)]
)
async def test_introspect_server_busy_passes_its_retry_after_within_bounds(ask, server, sent, kept):
    server.respond = [httpx.Response(503, headers=[(b"retry-after", sent.encode())])]
    with pytest.raises(Refusal) as refused:
        await ask(server, "good")
    assert refused.value.retry_after == kept


async def test_s18_introspect_own_credentials_refused_is_unavailable_and_loud(ask, server, caplog):
    with pytest.raises(Refusal) as refused:
        await ask(server, "good", client_secret="wrong-one")
    assert (refused.value.status, refused.value.code) == (503, "temporarily_unavailable")
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "Guard misconfigured" in record.getMessage()
    assert CLIENT_ID in record.getMessage()
    assert "wrong-one" not in caplog.text


class DripAsync(httpx.AsyncByteStream):
    async def __aiter__(self):
        while True:
            await asyncio.sleep(0.02)
            yield b" "


class DripSync(httpx.SyncByteStream):
    def __iter__(self):
        while True:
            time.sleep(0.02)
            yield b" "


@pytest.mark.parametrize("ask, stream", [(ask_async, DripAsync()), (ask_sync, DripSync())])
async def test_introspect_answer_that_drips_is_cut_off_in_time(ask, stream):
    started = time.monotonic()
    with pytest.raises(Refusal, match="temporarily_unavailable"):
        await ask(httpx.MockTransport(lambda _: httpx.Response(200, stream=stream)), "good", timeout=0.2)
    assert time.monotonic() - started < 2


def test_introspect_from_one_event_loop_after_another_works(unused_tcp_port):
    """A test client runs a loop for each request; connections of a dead loop must not be used again."""

    async def serve_once(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{"active":false}')
        await writer.drain()

    endpoint = f"http://127.0.0.1:{unused_tcp_port}/introspect"
    introspection = AsyncIntrospection(settings(introspection_endpoint=endpoint), AsyncConnections(endpoint, None))

    async def run():
        async with await asyncio.start_server(serve_once, "127.0.0.1", unused_tcp_port):
            return await introspection.introspect("token")

    assert not asyncio.run(run()).active
    assert not asyncio.run(run()).active


def test_introspection_closes_what_it_opened():
    async def run():
        connections = AsyncConnections("http://127.0.0.1:9/", None)
        introspection = AsyncIntrospection(settings(introspection_endpoint="http://127.0.0.1:9/"), connections)
        with pytest.raises(Refusal):
            await introspection.introspect("token")
        client = connections.find()
        await connections.aclose()
        await connections.aclose()
        return client.is_closed

    assert asyncio.run(run())
    own = Connections(ENDPOINT, None)
    client = own.find()
    assert own.find() is client
    own.close()
    own.close()
    assert client.is_closed
