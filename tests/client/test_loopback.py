"""A program on the person's own computer: its listener on loopback (RFC 8252 §7.3, §8.3; L6, L18, L19)."""

import socket
import threading
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from latchstring.client import (
    CallbackRefused,
    ClientError,
    Connection,
    Declined,
    MemoryStore,
    Misconfigured,
    OAuthClient,
)
from latchstring.client.loopback import connect_in_browser
from latchstring.client.provider import Provider
from latchstring.client.testing import FakeProvider


@pytest.fixture
def client(provider: FakeProvider) -> OAuthClient:
    return OAuthClient(
        provider.issuer,
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        scope="all.full_access offline_access",
        store=MemoryStore(),
        http=httpx.Client(transport=provider.transport()),
        clock=provider.clock,
    )


class Browser:
    """Opens what it is told to, somewhere else, and walks where `visit` says."""

    def __init__(self, visit) -> None:
        self.visit = visit
        self.pages: list[httpx.Response] = []
        self.url = ""

    def __call__(self, url: str) -> None:
        self.url = url
        threading.Thread(target=self._walk, daemon=True).start()

    def _walk(self) -> None:
        with httpx.Client(trust_env=False) as http:
            for callback in self.visit(self.url):
                self.pages.append(http.get(callback))


def find_redirect(url: str) -> str:
    return parse_qs(urlsplit(url).query)["redirect_uri"][0]


def connect(client: OAuthClient, browser: Browser, **options) -> Connection | ClientError:
    try:
        return connect_in_browser(client, open_browser=browser, patience=10, **options)
    except ClientError as error:
        return error


def test_browser_comes_back_and_the_program_is_connected(client: OAuthClient, provider: FakeProvider):
    browser = Browser(lambda url: [provider.authorize(url)])
    connection = connect(client, browser, organization_id="orga_birch")
    assert isinstance(connection, Connection)
    assert client.token(connection.key)
    redirect_uri = urlsplit(find_redirect(browser.url))
    assert (redirect_uri.hostname, redirect_uri.path) == ("127.0.0.1", "/callback")
    assert "organization_id=orga_birch" in browser.url
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", redirect_uri.port or 0), timeout=2).close()


def test_page_says_what_happened_and_keeps_nothing(client: OAuthClient, provider: FakeProvider):
    browser = Browser(lambda url: [provider.authorize(url)])
    connect(client, browser)
    while not browser.pages:
        pass
    page = browser.pages[0]
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "Connected. You can close this window." in page.text


def test_stranger_on_the_port_spends_nothing(client: OAuthClient, provider: FakeProvider):
    """L19: other paths, hosts and states are answered 404; the one that was waited for still counts."""

    def visit(url: str) -> list[str]:
        redirect_uri = find_redirect(url)
        forged = urlencode({"code": "ls_ac_stolen", "state": "guess"})
        host = redirect_uri.replace("127.0.0.1", "localhost")
        back = provider.authorize(url)
        return [
            redirect_uri,
            f"{redirect_uri}?{forged}",
            redirect_uri.replace("/callback", "/favicon.ico"),
            back.replace("127.0.0.1", "localhost"),
            f"{host}?{forged}",
            back,
        ]

    browser = Browser(visit)
    assert isinstance(connect(client, browser), Connection)
    while len(browser.pages) < 6:
        pass
    assert [page.status_code for page in browser.pages] == [404] * 5 + [200]


def test_decline_is_declined_and_said(client: OAuthClient, provider: FakeProvider):
    browser = Browser(lambda url: [provider.authorize(url, allow=False)])
    assert isinstance(connect(client, browser), Declined)
    while not browser.pages:
        pass
    assert "Nothing was connected." in browser.pages[0].text


def test_error_on_the_page_is_text(client: OAuthClient):
    """L18, CVE-2025-62800."""

    def visit(url: str) -> list[str]:
        state = parse_qs(urlsplit(url).query)["state"][0]
        said = {"error": "server_error", "error_description": "<script>alert(1)</script>", "state": state}
        return [f"{find_redirect(url)}?{urlencode(said | {'iss': 'https://provider.example'})}"]

    browser = Browser(visit)
    assert isinstance(connect(client, browser), ClientError)
    while not browser.pages:
        pass
    assert browser.pages[0].status_code == 400
    assert "<script" not in browser.pages[0].text
    assert "&lt;script&gt;" in browser.pages[0].text


def test_person_who_never_comes_back_is_not_waited_for_for_ever(client: OAuthClient):
    with pytest.raises(CallbackRefused, match="login_expired"):
        connect_in_browser(client, open_browser=lambda url: None, patience=0.2)


def test_caller_that_says_nothing_does_not_stop_the_listener(client: OAuthClient, provider: FakeProvider, monkeypatch):
    monkeypatch.setattr("latchstring.client.loopback._Callback.timeout", 0.2)
    kept: list[socket.socket] = []

    def visit(url: str) -> list[str]:
        port = urlsplit(find_redirect(url)).port
        silent = socket.create_connection(("127.0.0.1", port or 0))
        silent.sendall(b"GET /callback")
        kept.append(silent)
        return [provider.authorize(url)]

    assert isinstance(connect(client, Browser(visit)), Connection)


@pytest.mark.parametrize(
    "endpoint", ["file:///bin/sh", "javascript:alert(1)", "calculator://x", "http://provider.example/"]
)
def test_nothing_but_a_web_address_is_opened(endpoint):
    """L6, CVE-2025-6514."""
    with pytest.raises(Misconfigured, match="argument_refused"):
        Provider(
            issuer="https://provider.example",
            authorization_endpoint=endpoint,
            token_endpoint="https://provider.example/t",
        )


def test_begin_without_a_redirect_uri_is_misconfigured(client: OAuthClient):
    with pytest.raises(Misconfigured, match="redirect_uri is missing"):
        client.begin(browser_session="x")
