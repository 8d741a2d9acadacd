"""Discovery: only the issuer speaks for the issuer."""

import json

import httpx
import pytest

from latchstring.client import Misconfigured, OAuthClient, Provider, TemporaryFailure
from latchstring.client.stores import MemoryStore
from latchstring.client.testing import FakeProvider


def http_answering(status: int, body: bytes, headers: dict[str, str] | None = None) -> httpx.Client:
    return httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(status, content=body, headers=headers)),
        follow_redirects=True,
    )


def document(**changes: object) -> bytes:
    members = FakeProvider(issuer="https://crm.example").metadata() | changes
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def test_discover_of_a_good_document_takes_its_endpoints():
    provider = Provider.discover("https://crm.example", http=http_answering(200, document()))
    assert provider.issuer == "https://crm.example"
    assert provider.token_endpoint == "https://crm.example/oauth2/token/"
    assert provider.token_endpoint_auth_method == "client_secret_post"
    assert provider.authorization_response_iss_parameter_supported


async def test_discover_async_takes_the_same():
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=document()))
    async with httpx.AsyncClient(transport=transport) as http:
        provider = await Provider.discover_async("https://crm.example", http=http)
    assert provider == Provider.discover("https://crm.example", http=http_answering(200, document()))


@pytest.mark.parametrize(
    "methods,expected",
    [(None, "client_secret_basic"), (["client_secret_basic"], "client_secret_basic"), (["none"], "client_secret_post")],
)
def test_discover_chooses_the_authentication_method(methods, expected):
    body = document(token_endpoint_auth_methods_supported=methods)
    provider = Provider.discover("https://crm.example", http=http_answering(200, body))
    assert provider.token_endpoint_auth_method == expected


@pytest.mark.parametrize("issuer", ["https://evil.example", "https://crm.example/", "HTTPS://crm.example"])
def test_discover_of_another_issuer_s_document_is_refused(issuer):
    with pytest.raises(Misconfigured) as caught:
        Provider.discover("https://crm.example", http=http_answering(200, document(issuer=issuer)))
    assert caught.value.code == "issuer_mismatch"


@pytest.mark.parametrize("methods", [None, [], ["plain"]])
def test_discover_without_s256_is_refused(methods):
    with pytest.raises(Misconfigured, match="pkce_unsupported"):
        Provider.discover(
            "https://crm.example", http=http_answering(200, document(code_challenge_methods_supported=methods))
        )


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"issuer": 3}', b"[" * 200_000, b'"\xff"', b'{"issuer":"https://crm.example"}']
)
def test_discover_of_no_document_is_refused(body):
    with pytest.raises(Misconfigured, match="metadata_malformed"):
        Provider.discover("https://crm.example", http=http_answering(200, body))


def test_discover_too_big_is_not_read():
    with pytest.raises(TemporaryFailure, match="unanswered"):
        Provider.discover("https://crm.example", http=http_answering(200, document() + b" " * 300_000))


def test_discover_of_a_redirect_is_refused_and_not_followed():
    """CVE-2026-49478, CVE-2026-54603."""
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(302, headers={"Location": "//evil.example/metadata"})

    http = httpx.Client(transport=httpx.MockTransport(handler), follow_redirects=True)
    with pytest.raises(Misconfigured, match="metadata_malformed"):
        Provider.discover("https://crm.example", http=http)
    assert seen == ["https://crm.example/.well-known/oauth-authorization-server"]


def test_discover_of_an_unavailable_server_is_temporary():
    with pytest.raises(TemporaryFailure, match="server_unavailable"):
        Provider.discover("https://crm.example", http=http_answering(503, b""))


@pytest.mark.parametrize(
    "url", ["http://crm.example", "ftp://crm.example", "crm.example", "https://", "https://a@crm.example", "https://[x"]
)
def test_discover_of_no_https_url_is_refused_unasked(url):
    with pytest.raises(Misconfigured, match="argument_refused"):
        Provider.discover(url, http=http_answering(200, document()))
    with pytest.raises(Misconfigured, match="argument_refused"):
        Provider(issuer="x", authorization_endpoint=url, token_endpoint="https://crm.example/token")


def test_client_with_an_issuer_fetches_its_metadata_once():
    provider = FakeProvider(issuer="https://crm.example")
    client = OAuthClient(
        provider.issuer,
        client_id="oa2client_mailloop",
        redirect_uri="https://mailloop.example/callback",
        store=MemoryStore(),
        http=httpx.Client(transport=provider.transport()),
    )
    assert provider.requests == []
    client.begin(browser_session="b")
    client.begin(browser_session="b")
    assert [path for path, _ in provider.requests] == ["/.well-known/oauth-authorization-server"]
