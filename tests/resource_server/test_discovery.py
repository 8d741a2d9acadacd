"""A guard that is told the issuer alone finds the rest by its metadata (RFC 8414)."""

import asyncio
import gzip
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from latchstring.protocol.errors import ConfigurationError
from latchstring.protocol.server_metadata import ServerMetadata, render_server_metadata
from latchstring.resource_server import Guard, SyncGuard, discovery
from latchstring.resource_server.connections import MAX_ANSWER_LENGTH
from latchstring.resource_server.refusal import Refusal
from latchstring.resource_server.settings import DEFAULT_FED_LIFETIME, MAX_ANSWER_LIFETIME
from tests.resource_server.fakes import ENDPOINT, ISSUER, RESOURCE, SETTINGS
from tests.resource_server.signed import JWKS_URI, KeyServer, sign

METADATA = "https://login.test/.well-known/oauth-authorization-server"
FEED = "https://login.test/oauth2/revocations/"
WHOLE: dict[str, Any] = {
    "issuer": ISSUER, "introspection_endpoint": ENDPOINT, "jwks_uri": JWKS_URI, "revocations_endpoint": FEED,
}  # fmt: skip


class Server(KeyServer):
    """Says of itself what it is told to say; `refusals` are answers before that."""

    def __init__(self) -> None:
        super().__init__()
        self.document = dict(WHOLE)
        self.refusals: list[httpx.Response | Exception] = []
        self.found = 0
        self.feeds = 0
        self.path = METADATA

    def _handle(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        if url == FEED:
            self.feeds += 1
            time.sleep(0.01)
            return httpx.Response(200, json={"revocations": [], "cursor": "c", "has_more": False, "held": 0.0})
        if url != self.path:
            return super()._handle(request)
        assert (request.method, "authorization" in request.headers) == ("GET", False)
        self.found += 1
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, Exception):
                raise refusal
            return refusal
        body = render_server_metadata(ServerMetadata(**self.document))
        return httpx.Response(200, content=body)


class Finding:
    """A guard of either kind with the issuer alone, behind one face."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.server = Server()
        self.set_up()

    def set_up(self, **options: Any) -> None:
        settings = {name: value for name, value in SETTINGS.items() if name != "introspection_endpoint"} | options
        self.guard: Guard | SyncGuard
        if self.kind == "asyncio":
            self.guard = Guard(**settings, http_client=httpx.AsyncClient(transport=self.server))
        else:
            self.guard = SyncGuard(**settings, http_client=httpx.Client(transport=self.server))

    async def check(self, token: str = "good") -> int:
        try:
            header = [f"Bearer {token}".encode()]
            if isinstance(self.guard, Guard):
                await self.guard.check(header)
            else:
                await asyncio.to_thread(self.guard.check, header)
        except Refusal as refusal:
            return refusal.status
        return 200

    async def close(self) -> None:
        if isinstance(self.guard, Guard):
            await self.guard.aclose()
        else:
            self.guard.close()


@pytest.fixture(params=["asyncio", "threads"])
def finding(request: Any) -> Iterator[Finding]:
    made = Finding(request.param)
    yield made
    if isinstance(made.guard, SyncGuard):
        made.guard.close()


async def test_guard_finds_endpoints_keys_and_feed_at_its_first_check(finding: Finding):
    assert finding.server.found == 0, "nothing is asked before"
    assert await finding.check() == 200
    token = sign()
    finding.server.tokens[token] = finding.server.tokens["good"]  # asked about until the feed is heard
    assert await finding.check(token) == 200
    settings = finding.guard.settings
    assert (settings.introspection_endpoint, settings.jwks_uri, settings.revocations_endpoint) == (
        ENDPOINT, JWKS_URI, FEED,
    )  # fmt: skip
    assert settings.kept_for == DEFAULT_FED_LIFETIME
    for _ in range(200):
        if finding.server.feeds:
            break
        await asyncio.sleep(0.01)
    assert finding.server.feeds > 0
    assert (finding.server.found, finding.server.fetched) == (1, 1)
    await finding.close()


async def test_server_without_keys_or_feed_is_asked_about_every_token(finding: Finding):
    finding.server.document = {"issuer": ISSUER, "introspection_endpoint": ENDPOINT}
    assert [await finding.check() for _ in range(2)] == [200, 200]
    assert finding.server.asked == ["good", "good"]
    assert not finding.guard.settings.keeps_answers


@pytest.mark.parametrize("given, kept", [(3600, MAX_ANSWER_LIFETIME), (10, 10), (0, 0)])
async def test_answers_are_kept_for_less_where_there_is_no_feed(finding: Finding, given, kept):
    finding.server.document = {"issuer": ISSUER, "introspection_endpoint": ENDPOINT}
    finding.set_up(answer_lifetime=given)
    await finding.check()
    assert finding.guard.settings.kept_for == kept


async def test_issuer_with_a_path_is_found_where_the_path_is_inserted(finding: Finding):
    finding.server.path = METADATA + "/t1"
    finding.server.document["issuer"] = f"{ISSUER}/t1"
    finding.server.tokens["good"] = finding.server.tokens["good"] | {"iss": f"{ISSUER}/t1"}
    finding.set_up(issuer=f"{ISSUER}/t1")
    assert await finding.check() == 200
    await finding.close()


@pytest.mark.parametrize(
    "document",
    [
        WHOLE | {"issuer": "https://evil.test"},
        WHOLE | {"issuer": ISSUER + "/"},
        {"issuer": ISSUER, "jwks_uri": JWKS_URI},
        WHOLE | {"introspection_endpoint": "http://login.test/introspect"},
        WHOLE | {"jwks_uri": "file:///etc/passwd"},
        WHOLE | {"revocations_endpoint": "ftp://login.test/"},
    ],
)
async def test_document_that_is_another_s_or_leads_astray_is_never_used(finding: Finding, document, caplog):
    finding.server.document = document
    assert await finding.check() == 503
    assert (finding.server.asked, finding.server.fetched, finding.server.feeds) == ([], 0, 0)
    assert "cannot find the authorization server by https://login.test/.well-known/" in caplog.text


@pytest.mark.parametrize(
    "refusal",
    [
        lambda: httpx.ConnectError("refused"),
        lambda: httpx.Response(500),
        lambda: httpx.Response(302, headers={"location": "https://evil.test/"}),
        lambda: httpx.Response(200, html="<p>Hello"),
        lambda: httpx.Response(200, content=b"x" * (MAX_ANSWER_LENGTH + 1)),
        lambda: httpx.Response(200, content=gzip.compress(b"{}"), headers={"content-encoding": "gzip"}),
    ],
    ids=["refused", "500", "redirect", "html", "too large", "compressed"],
)
async def test_s18_until_the_server_is_found_every_request_is_a_503(finding: Finding, refusal, monkeypatch):
    finding.server.refusals = [refusal()]
    assert [await finding.check() for _ in range(5)] == [503] * 5
    assert finding.server.found == 1, "not asked again for each request"
    monkeypatch.setattr(discovery, "RETRY_INTERVAL", 0.0)
    assert await finding.check() == 200
    await finding.close()


async def test_requests_that_come_together_ask_once(finding: Finding):
    assert await asyncio.gather(*(finding.check() for _ in range(20))) == [200] * 20
    assert finding.server.found == 1
    await finding.close()


async def test_without_joserfc_signed_tokens_are_asked_about(finding: Finding, monkeypatch):
    monkeypatch.setattr(discovery, "find_spec", lambda name: None)
    token = sign()
    finding.server.tokens[token] = finding.server.tokens["good"]
    assert await finding.check(token) == 200
    assert (finding.server.asked, finding.server.fetched) == ([token], 0)
    await finding.close()


async def test_issuer_s_requirement_of_an_audience_stands(finding: Finding):
    """S9."""
    with pytest.raises(ConfigurationError, match="resource"):
        finding.set_up(resource="")
    finding.server.tokens["good"] = finding.server.tokens["good"] | {"aud": "https://other.test"}
    assert await finding.check() == 401
    assert finding.guard.settings.resource == RESOURCE
    await finding.close()


@pytest.mark.parametrize("name", ["jwks_uri", "revocations_endpoint"])
def test_endpoint_named_without_introspection_refuses_to_start(finding: Finding, name):
    with pytest.raises(ConfigurationError, match="introspection_endpoint is not set"):
        finding.set_up(**{name: WHOLE[name]})
