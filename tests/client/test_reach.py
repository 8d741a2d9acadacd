"""Whom the client connects to (L8): hosts that others name must be public, at the address that was judged."""

import asyncio
import ipaddress
import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from latchstring.client import AsyncOAuthClient, MemoryStore, Misconfigured, OAuthClient, Provider
from latchstring.client.exchange import Answer, Request, Unanswered
from latchstring.client.steps import Flow, send
from latchstring.client.transport import AsyncDriver, SyncDriver
from latchstring.client.transport import reach as reaching
from latchstring.client.transport.reach import Reach
from latchstring.protocol.public_addresses import IPAddress
from tests.support.https import LOOPBACK, Internet

PRIVATE = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "::1", "fd00::1", "::ffff:10.0.0.1", "0.0.0.0"]


class Names:
    """Look-ups by a script; what was asked. Then the last answer stays."""

    def __init__(self, *answers: str) -> None:
        self.answers = [[ipaddress.ip_address(each) for each in answer.split()] for answer in answers]
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[IPAddress]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def exchange(url: str) -> Flow[Answer | Unanswered]:
    return (yield from send(Request(url=url)))


async def send_sync(url: str, reach: Reach) -> Answer | Unanswered:
    def run() -> Answer | Unanswered:
        with SyncDriver(reach=reach) as driver:
            return driver.run(exchange(url))

    return await asyncio.to_thread(run)


async def send_async(url: str, reach: Reach) -> Answer | Unanswered:
    async with AsyncDriver(reach=reach) as driver:
        return await driver.run(exchange(url))


Sender = Callable[[str, Reach], Awaitable[Answer | Unanswered]]
both = pytest.mark.parametrize("send_by", [send_sync, send_async])


@pytest.fixture
def internet(tmp_path: Path) -> Internet:
    return Internet(tmp_path)


# -- which hosts are judged


@pytest.mark.parametrize(
    "named, public_only, url, is_judged",
    [
        ("https://crm.example", None, "https://crm.example/oauth2/token/", False),
        ("https://crm.example", None, "https://crm.example:8443/token", False),
        ("https://CRM.example/t1", None, "https://crm.example./token", False),
        ("https://crm.example", None, "https://login.crm.example/token", True),
        ("https://crm.example", None, "https://crm.example.evil.example/token", True),
        ("http://127.0.0.1:8400", None, "http://localhost:8401/token", False),
        ("https://crm.example", None, "http://127.0.0.1/token", True),
        ("https://crm.example", True, "https://crm.example/token", True),
        ("https://crm.example", False, "http://127.0.0.1/token", False),
    ],
)
def test_host_is_judged_unless_the_app_has_named_it(named, public_only, url, is_judged):
    assert Reach([named], public_only).is_judged(httpx.Request("GET", url)) is is_judged


@both
@pytest.mark.parametrize("address", [*PRIVATE, "93.184.216.34 10.0.0.1"])
async def test_l8_host_at_a_private_address_is_refused_and_nothing_is_sent(send_by: Sender, address, monkeypatch):
    def connect(*_: Any, **__: Any) -> None:
        raise AssertionError("it connects")

    names = Names(address)
    monkeypatch.setattr(httpx, "create_ssl_context", connect)
    outcome = await send_by("https://inside.example/", Reach(resolve=names))
    assert isinstance(outcome, Unanswered)
    assert not outcome.may_have_arrived
    assert isinstance(outcome.cause, Misconfigured)
    assert outcome.cause.code == "address_refused"
    assert not any(each in str(outcome.cause) for each in address.split()), "an address is nobody's business"
    assert names.asked == ["inside.example"]


@both
async def test_l8_literal_address_is_judged_without_a_name(send_by: Sender):
    outcome = await send_by("https://10.0.0.1/", Reach())
    assert isinstance(outcome, Unanswered)
    assert getattr(outcome.cause, "code", None) == "address_refused"


@both
async def test_host_without_an_address_is_no_answer(send_by: Sender):
    def fail(host: str, port: int) -> Sequence[IPAddress]:
        raise OSError("no such host")

    for resolve in (fail, lambda host, port: ()):
        outcome = await send_by("https://nowhere.example/", Reach(resolve=resolve))
        assert isinstance(outcome, Unanswered)
        assert isinstance(outcome.cause, httpx.ConnectError)
        assert not outcome.may_have_arrived


# -- the connection goes to the address that was judged


def allow_loopback(address: IPAddress) -> bool:
    return address == LOOPBACK


def reach_to(internet: Internet, names: Names) -> Reach:
    return Reach(resolve=names, is_allowed=allow_loopback, tls=internet.authority.trusting())


@both
async def test_l8_connection_goes_to_the_judged_address_under_the_host_s_name(send_by: Sender, internet: Internet):
    names = Names("127.0.0.1", "10.0.0.1")
    async with internet.host("login.example") as host:
        outcome = await send_by(host.url("/token?a=1"), reach_to(internet, names))
    assert isinstance(outcome, Answer)
    assert outcome.status == 200
    assert names.asked == ["login.example"], "looked up once: what a second answer would be does not matter"
    [request] = host.requests
    assert request.startswith("GET /token?a=1 HTTP/1.1\r\n")
    assert f"\r\nhost: login.example:{host.port}\r\n" in request.lower()
    assert "\r\nconnection: close\r\n" in request.lower()


@both
async def test_l8_certificate_must_be_the_host_s(send_by: Sender, internet: Internet):
    async with internet.host("login.example", certificate_for="other.example") as host:
        outcome = await send_by(host.url(), reach_to(internet, Names("127.0.0.1")))
    assert isinstance(outcome, Unanswered)
    assert "ERTIFICATE" in str(outcome.cause).upper()
    assert host.requests == []


@both
async def test_l8_name_that_moves_inside_is_refused_at_the_next_request(send_by: Sender, internet: Internet):
    """DNS rebinding."""
    names = Names("127.0.0.1", "10.0.0.1")
    reach = reach_to(internet, names)
    async with internet.host("login.example") as host:
        first = await send_by(host.url(), reach)
        second = await send_by(host.url(), reach)
    assert isinstance(first, Answer)
    assert isinstance(second, Unanswered)
    assert getattr(second.cause, "code", None) == "address_refused"
    assert len(host.requests) == 1


@both
async def test_dead_address_leaves_the_next_one(send_by: Sender, internet: Internet):
    names = Names("127.0.0.2 127.0.0.1")
    reach = Reach(resolve=names, is_allowed=lambda _: True, tls=internet.authority.trusting())
    async with internet.host("login.example") as host:
        outcome = await send_by(host.url(), reach)
    assert isinstance(outcome, Answer)


# -- what leads where


def document(issuer: str, **changes: str) -> bytes:
    return json.dumps(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "code_challenge_methods_supported": ["S256"],
            **changes,
        }
    ).encode()


@pytest.fixture
def inside(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> Names:
    """Every name is one of this computer, except that nothing looks public."""
    names = Names("127.0.0.1")
    monkeypatch.setattr(reaching.Reach.__init__, "__kwdefaults__", {
        **(reaching.Reach.__init__.__kwdefaults__ or {}), "resolve": names,
    })  # fmt: skip
    return names


def test_named_addresses_are_the_app_s_own_and_not_the_document_s():
    by_hand = Provider(
        issuer="https://crm.example",
        authorization_endpoint="https://app.crm.example/authorize",
        token_endpoint="https://api.crm.example/token",
    )
    assert by_hand.named_urls[1:] == ("https://app.crm.example/authorize", "https://api.crm.example/token")
    http = httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, content=document("https://crm.example")))
    )
    assert Provider.discover("https://crm.example", http=http).named_urls == ("https://crm.example",)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "mcp.example":
            return httpx.Response(
                200, json={"resource": "https://mcp.example/mcp", "authorization_servers": ["https://crm.example"]}
            )
        return httpx.Response(200, content=document("https://crm.example"))

    http = httpx.Client(transport=httpx.MockTransport(answer))
    assert Provider.discover_for("https://mcp.example/mcp", http=http).named_urls == ("https://mcp.example/mcp",)


@pytest.mark.parametrize("is_async", [False, True])
async def test_l8_token_endpoint_of_a_document_that_lies_inside_gets_no_secret(inside: Names, is_async, monkeypatch):
    """The document's own host is the app's word; where it sends secrets to is not."""
    provider = Provider(
        issuer="https://crm.example",
        authorization_endpoint="https://crm.example/authorize",
        token_endpoint="https://metadata.internal/token",
        found_by="https://crm.example",
    )
    given: dict[str, Any] = {
        "client_id": "app", "client_secret": "s3cret", "redirect_uri": "https://app.example/cb", "store": MemoryStore(),
    }  # fmt: skip
    if is_async:
        client = AsyncOAuthClient(provider, **given)
        url = await client.begin(browser_session="b")
    else:
        sync_client = OAuthClient(provider, **given)
        url = sync_client.begin(browser_session="b")
    state = httpx.URL(url).params["state"]
    with pytest.raises(Misconfigured, match="address_refused"):
        if is_async:
            await client.complete({"state": state, "code": "c"}, browser_session="b")
        else:
            sync_client.complete({"state": state, "code": "c"}, browser_session="b")
    assert set(inside.asked) == {"metadata.internal"}


@pytest.mark.parametrize("public_only", [True])
def test_l8_address_that_people_typed_is_judged_as_well(inside: Names, public_only):
    for discover in (Provider.discover, Provider.discover_for):
        with pytest.raises(Misconfigured, match="address_refused"):
            discover("https://typed.example", public_only=public_only)
    assert inside.asked == ["typed.example"] * 2


def test_tls_is_that_of_httpx():
    assert isinstance(Reach().find_tls(), ssl.SSLContext)


def test_host_of_the_app_s_own_http_client_is_not_judged(inside: Names):
    http = httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, content=document("https://crm.example")))
    )
    assert Provider.discover("https://crm.example", http=http, public_only=True).issuer == "https://crm.example"
    assert inside.asked == []
