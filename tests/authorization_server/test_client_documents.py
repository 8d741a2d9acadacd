"""Clients known by a document: which URL is one's id, which document counts, how often anybody is asked (K)."""

import asyncio
from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.client_documents import (
    ATTEMPTS_A_MINUTE,
    ATTEMPTS_A_MINUTE_TO_HOST,
    FRESH_BOUNDS,
    FRESH_FOR,
    MAX_AT_ONCE,
    MAX_DOCUMENT_SIZE,
    MAX_KEPT,
    ClientDocuments,
    parse_document_url,
    read_document,
)
from latchstring.authorization_server.identifiers import derive_client_id
from latchstring.authorization_server.ports import Fetched
from latchstring.authorization_server.settings import ScopeDefinition, Settings, validate_settings
from latchstring.protocol.errors import OAuthError
from tests.authorization_server.builders import NOW, REDIRECT_URI
from tests.support.documents import JSON, FakeFetch
from tests.support.signing import make_key, public_jwk

URL = "https://notes.example/client.json"
SETTINGS = validate_settings(
    Settings(
        issuer="https://auth.example",
        accepts_metadata_documents=True,
        scopes={"all.full_access": ScopeDefinition(), "vault": ScopeDefinition(is_for_anyone=False)},
    )
)


def document(url: str = URL, **given: Any) -> bytes:
    content = {"client_id": url, "client_name": "Notes", "redirect_uris": [REDIRECT_URI], **given}
    return msgspec.json.encode({name: value for name, value in content.items() if value is not None})


def fetched(body: bytes | None = None, content_type: str = JSON, max_age: int | None = None) -> Fetched:
    return Fetched(body=document() if body is None else body, content_type=content_type, max_age=max_age)


# -- the URL


@pytest.mark.parametrize(
    "url",
    [
        "https://notes.example/client",
        "https://notes.example/",
        "https://notes.example:8443/client.json?v=2",
        "https://notes.example/a?back=../b/./c",
        "https://notes.example/.well-known/..client/client..",
        "https://notes.example/%2Ea",
        "https://notes.example/" + "a" * 478,
    ],
)
def test_document_url_that_is_a_client_s_id_is_read(url: str):
    assert parse_document_url(url).host == "notes.example"


DOTS, PATH, LONG = "its path has dot segments", "it has no path", "it is longer than 500 characters"


@pytest.mark.parametrize(
    "url, why",
    [
        ("https://notes.example", PATH),
        ("https://notes.example?client", PATH),
        ("https://notes.example?/client", PATH),
        ("https://notes.example/.", DOTS),
        ("https://notes.example/./client", DOTS),
        ("https://notes.example/../client", DOTS),
        ("https://notes.example/a/..", DOTS),
        ("https://notes.example/a/..?v=2", DOTS),
        ("https://notes.example/a/%2e/b", DOTS),
        ("https://notes.example/a/%2E%2E/b", DOTS),
        ("https://notes.example/a/.%2e/b", DOTS),
        ("https://notes.example/a%2F..%2fb", DOTS),
        ("https://notes.example/a%2f%2E", DOTS),
        ("https://notes.example/" + "a" * 479, LONG),
        ("http://notes.example/client", "it is not an absolute https URL"),
        ("https://ann@notes.example/client", "it has a user name or password"),
        ("https://notes.example/client#top", "it has a fragment or a character that does not belong in a URL"),
        ("https://notes.example/a\\b", "it has a fragment or a character that does not belong in a URL"),
    ],
)
def test_document_url_that_is_nobody_s_id_is_refused(url: str, why: str):
    with pytest.raises(OAuthError) as refused:
        parse_document_url(url)
    assert refused.value.code == "invalid_client"
    assert refused.value.description == f"The client_id is not the URL of a client: {why}."
    assert refused.value.reason == refused.value.description


# -- the document


@pytest.mark.parametrize("content_type", [JSON, "application/oauth-client-metadata+json", "application/x+json"])
def test_document_served_as_json_is_the_client(content_type: str):
    client = read_document(URL, fetched(content_type=content_type), SETTINGS, NOW)
    assert (client.client_id, client.public_id, client.name) == (derive_client_id(URL), URL, "Notes")
    assert (client.token_endpoint_auth_method, client.secrets) == ("none", ())
    assert (client.created_at, client.expires_at) == (NOW, None)
    assert client.scope == ("all.full_access", "offline_access"), "what an app that nobody vouches for may have"


@pytest.mark.parametrize(
    "content_type", ["text/html", "text/x+json", "application/javascript", "application/jsonp", "json", "", "+json"]
)
def test_document_served_as_something_else_is_refused(content_type: str):
    with pytest.raises(OAuthError, match="not served as application/json") as refused:
        read_document(URL, fetched(content_type=content_type), SETTINGS, NOW)
    assert refused.value.code == "invalid_client"


UNUSABLE = "The client's document cannot be used. "
ANOTHER = "The client's document has a client_id other than its URL."
SECRET = "The client's document has a secret: everybody can read it."
REFUSED = {
    "another client_id": (document(url=f"{URL}?"), ANOTHER),
    "no client_id": (document(client_id=None), ANOTHER),
    "a secret": (document(client_secret="x"), SECRET),
    "the end of a secret": (document(client_secret_expires_at=0), SECRET),
    "a method with a secret": (
        document(token_endpoint_auth_method="client_secret_basic"),
        f"{UNUSABLE}token_endpoint_auth_method is not one of: none, private_key_jwt.",
    ),
    "no redirect URI": (document(redirect_uris=[]), f"{UNUSABLE}Give at least one redirect URI."),
    "no JSON": (b"<p>Hello", f"{UNUSABLE}The body is not a JSON object (RFC 7591 section 3.1)."),
}


@pytest.mark.parametrize("body, why", REFUSED.values(), ids=REFUSED)
def test_document_that_does_not_count_is_refused_as_an_invalid_client(body: bytes, why: str):
    with pytest.raises(OAuthError) as refused:
        read_document(URL, fetched(body), SETTINGS, NOW)
    assert (refused.value.code, refused.value.status) == ("invalid_client", 401)
    assert refused.value.description == why


def test_document_with_keys_proves_itself_by_them():
    body = document(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [public_jwk(make_key())]})
    client = read_document(URL, fetched(body), SETTINGS, NOW)
    assert client.token_endpoint_auth_method == "private_key_jwt"
    assert client.security.jwks is not None


def test_document_gets_of_the_scope_it_asks_for_what_anyone_may_have():
    client = read_document(URL, fetched(document(scope="all.full_access vault")), SETTINGS, NOW)
    assert client.scope == ("all.full_access",)


# -- asking


class Asking:
    """Documents by URL, read at a time that the test says."""

    def __init__(self, **settings: Any) -> None:
        self.now = NOW
        self.fetch = FakeFetch()
        settings = msgspec.structs.asdict(SETTINGS) | settings
        self.documents = ClientDocuments(fetch=self.fetch, settings=Settings(**settings), clock=lambda: self.now)

    async def find(self, url: str = URL, **given: Any) -> Any:
        self.fetch.documents.setdefault(url, fetched(document(url), **given))
        return await self.documents.find(url)

    async def refuse(self, url: str = URL) -> OAuthError:
        with pytest.raises(OAuthError) as refused:
            await self.find(url)
        return refused.value


@pytest.fixture
def asking() -> Asking:
    return Asking()


@pytest.mark.parametrize(
    "max_age, kept_for",
    [
        (None, FRESH_FOR),
        (0, FRESH_BOUNDS[0]),
        (FRESH_BOUNDS[0] + 1, FRESH_BOUNDS[0] + 1),
        (7 * 24 * 3600, FRESH_BOUNDS[1]),
    ],
)
async def test_document_is_kept_as_long_as_it_says_within_bounds(asking: Asking, max_age: int | None, kept_for: int):
    assert asking.documents.recall(URL) is None
    client = await asking.find(max_age=max_age)
    asking.now += kept_for - 1
    assert asking.documents.recall(URL) == client
    assert await asking.find() == client
    assert asking.fetch.asked[URL] == 1
    asking.now += 1
    assert asking.documents.recall(URL) is None
    again = await asking.find()
    assert (again.created_at, asking.fetch.asked[URL]) == (asking.now, 2)


async def test_document_that_is_none_is_never_kept(asking: Asking):
    """K3: one that is put right counts at once."""
    asking.fetch.documents[URL] = b"{}"
    for count in (1, 2):
        assert (await asking.refuse()).code == "invalid_client"
        assert (asking.documents.recall(URL), asking.fetch.asked[URL]) == (None, count)
    asking.fetch.documents[URL] = document()
    assert (await asking.find()).name == "Notes"


async def test_document_longest_unused_gives_way_beyond_the_cap(asking: Asking):
    urls = [f"https://{number}.example/c" for number in range(MAX_KEPT + 1)]
    for number, url in enumerate(urls):
        asking.now = NOW + number  # within the budget
        await asking.find(url, max_age=FRESH_BOUNDS[1])
        assert asking.documents.recall(urls[0]) is not None  # used all the time
    assert asking.documents.recall(urls[1]) is None
    assert None not in [asking.documents.recall(url) for url in urls[2:]]


async def test_document_that_cannot_be_read_is_refused_and_the_log_says_why(asking: Asking):
    with pytest.raises(OAuthError) as refused:
        await asking.documents.find(URL)
    assert (refused.value.code, refused.value.description) == (
        "invalid_client",
        "The client's document cannot be read.",
    )
    assert refused.value.reason == f"document of {URL}: nothing there"


async def test_document_larger_than_the_cap_is_not_read(asking: Asking):
    padding = MAX_DOCUMENT_SIZE - len(document(client_uri=""))
    asking.fetch.documents[URL] = document(client_uri="") + b" " * padding
    assert (await asking.find()).name == "Notes"
    other = f"{URL}?2"
    asking.fetch.documents[other] = document(other) + b" " * MAX_DOCUMENT_SIZE
    assert "larger than 5120 bytes" in (await asking.refuse(other)).reason


@pytest.mark.parametrize(
    "settings, url",
    [
        ({"accepts_metadata_documents": False}, URL),
        ({"accepts_metadata_documents": False, "metadata_document_hosts": ("notes.example",)}, URL),
        ({"metadata_document_hosts": ()}, URL),
        ({"metadata_document_hosts": ("example", "a.notes.example")}, URL),
    ],
)
async def test_document_of_a_host_that_is_not_taken_is_asked_nothing(settings: dict[str, Any], url: str):
    asking = Asking(**settings)
    refused = await asking.refuse(url)
    assert refused.code == "invalid_client"
    assert refused.description == "This server takes no client metadata document from that host."
    assert asking.fetch.asked.total() == 0


async def test_document_of_a_host_on_the_list_is_read():
    assert (await Asking(metadata_document_hosts=("notes.example",)).find()).name == "Notes"


async def test_url_that_is_no_client_s_is_refused_before_the_host_is_looked_at():
    refused = await Asking(accepts_metadata_documents=False).refuse("https://notes.example/..")
    assert refused.description.endswith("dot segments.")


# -- the budget


async def test_host_is_asked_so_often_in_a_minute(asking: Asking):
    asking.now = NOW - NOW % 60
    for number in range(ATTEMPTS_A_MINUTE_TO_HOST):
        await asking.find(f"{URL}?{number}")
    asking.now += 59
    refused = await asking.refuse(f"{URL}?more")
    assert (refused.code, refused.retry_after) == ("temporarily_unavailable", 60)
    assert refused.description == "Too many client documents are being read. Wait a minute."
    assert (await asking.find(f"{URL}?0")).name == "Notes", "what is kept asks nobody"
    assert (await asking.find("https://other.example/client")).name == "Notes"
    asking.now += 1
    assert (await asking.find(f"{URL}?more")).name == "Notes"


async def test_hosts_together_are_asked_so_often_in_a_minute(asking: Asking):
    asking.now = NOW - NOW % 60
    for number in range(ATTEMPTS_A_MINUTE):
        await asking.find(f"https://{number}.example/c")
    assert (await asking.refuse("https://more.example/c")).code == "temporarily_unavailable"
    asking.now += 60
    assert (await asking.find("https://more.example/c")).name == "Notes"


async def test_so_many_are_asked_at_once_and_a_failure_gives_its_place_back(asking: Asking):
    gate = asyncio.Event()
    answer = asking.fetch

    async def wait(url: str, *, max_size: int) -> Fetched:
        await gate.wait()
        return await answer(url, max_size=max_size)

    asking.documents = ClientDocuments(fetch=wait, settings=SETTINGS, clock=lambda: asking.now)
    # None of them is there: each is refused, and each gives its place back.
    tasks = [asyncio.create_task(asking.documents.find(f"https://{number}.example/c")) for number in range(MAX_AT_ONCE)]
    await asyncio.sleep(0)
    assert (await asking.refuse("https://more.example/c")).code == "temporarily_unavailable"
    gate.set()
    assert {type(result) for result in await asyncio.gather(*tasks, return_exceptions=True)} == {OAuthError}
    gate.clear()
    again = [asyncio.create_task(asking.find(f"https://{number}.example/c")) for number in range(MAX_AT_ONCE)]
    await asyncio.sleep(0)
    assert (await asking.refuse("https://more.example/c")).code == "temporarily_unavailable"
    gate.set()
    assert [client.name for client in await asyncio.gather(*again)] == ["Notes"] * MAX_AT_ONCE
