"""Clients that are known by a document at their own host: when it is read, what is kept, and what a consent leaves
(K1 to K10, M9)."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from latchstring.authorization_server import client_documents
from latchstring.authorization_server.identifiers import derive_client_id
from latchstring.authorization_server.ports import Fetched
from latchstring.protocol.client_assertion import JWT_BEARER_ASSERTION
from latchstring.web.throttle import DOCUMENTS
from tests.support.documents import JSON, FakeFetch
from tests.support.journey import answer_of, decide, open_consent
from tests.support.signing import key_set, make_key, public_jwk, sign
from tests.web.conftest import MakeWorld, World
from tests.web.state import CHALLENGE, VERIFIER, dump, find_grants

URL = "https://notes.example/client.json"
CALLBACK = "https://notes.example/callback"
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}


class Documented:
    """A client that goes by its document's URL."""

    def __init__(self, client_id: str = URL) -> None:
        self.client_id = client_id

    def body(self, **parameters: str) -> dict[str, str]:
        return {"client_id": self.client_id, **parameters}


def render(url: str = URL, *, max_age: int | None = None, **metadata: Any) -> Fetched:
    document = {
        "client_id": url,
        "client_name": "Notes",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
        **metadata,
    }
    return Fetched(body=msgspec.json.encode(document), content_type=JSON, max_age=max_age)


@pytest.fixture
def fetch() -> FakeFetch:
    return FakeFetch({URL: render()})


@pytest.fixture
async def world(make_world: MakeWorld, fetch: FakeFetch) -> World:
    return await make_world(fetch=fetch)


async def ask(world: World, url: str = URL, **headers: str) -> httpx.Response:
    query = {"client_id": url, "response_type": "code", **PKCE}
    return await world.http.get("/oauth2/authorize/", params=query, headers=headers)


async def connect(world: World, organization_id: str | None = None, url: str = URL) -> str:
    """Walk up to the code."""
    page = await open_consent(world.http, Documented(url), **PKCE)
    assert page.status_code == 200, page.text
    return answer_of(await decide(world.http, page, "allow", organization_id or world.acorn))["code"]


async def find_row(world: World, url: str = URL) -> Any:
    return await world.deployment.store.find_client(derive_client_id(url))


async def test_document_is_asked_for_once_for_all_pages_of_a_connection(world: World, fetch: FakeFetch):
    before = dump(world)
    assert (await ask(world)).status_code == 303
    assert [row for row in dump(world) if row[0] == "client"] == [row for row in before if row[0] == "client"]
    code = await connect(world)
    body = Documented().body(grant_type="authorization_code", code=code, code_verifier=VERIFIER)
    tokens = await world.http.post("/oauth2/token", data=body)
    assert tokens.status_code == 200
    assert "refresh_token" in tokens.json()
    assert fetch.asked == {URL: 1}


async def test_first_consent_makes_the_row_and_a_later_one_renews_it(world: World, fetch: FakeFetch):
    await connect(world)
    row = await find_row(world)
    assert (row.public_id, row.name, row.organization_id, row.expires_at) == (URL, "Notes", None, None)
    fetch.documents[URL] = render(client_name="Notes 2", redirect_uris=["https://notes.example/moved"])
    world.deployment.clock.advance(client_documents.FRESH_FOR)
    await connect(world, world.birch)
    row = await find_row(world)
    assert (row.name, row.redirect_uris) == ("Notes 2", ("https://notes.example/moved",))
    assert {grant.client_id for grant in await find_grants(world)} == {row.client_id}


async def test_first_consents_at_once_make_one_row(world: World):
    pages = [await open_consent(world.http, Documented(), **PKCE) for _ in range(10)]
    answers = await asyncio.gather(*(decide(world.http, page, "allow", world.acorn) for page in pages))
    assert all("code" in answer_of(answer) for answer in answers)
    assert len([row for row in dump(world) if row[0] == "client" and URL in row]) == 1


async def test_connections_page_names_the_document_s_host(world: World):
    code = await connect(world)
    body = Documented().body(grant_type="authorization_code", code=code, code_verifier=VERIFIER)
    await world.http.post("/oauth2/token", data=body)
    assert "from <bdi>notes.example</bdi>" in (await world.http.get("/connections")).text


async def test_k7_errors_are_not_kept_and_are_counted(world: World, fetch: FakeFetch):
    del fetch.documents[URL]
    limit = client_documents.ATTEMPTS_A_MINUTE_TO_HOST
    for _ in range(limit):
        assert (await ask(world)).status_code == 400
    busy = await ask(world)
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "60")
    assert "We cannot check this app right now" in busy.text
    assert fetch.asked[URL] == limit
    other = "https://other.example/client.json"
    fetch.documents[other] = render(other)
    assert (await ask(world, other)).status_code == 303
    fetch.documents[URL] = render()
    world.deployment.clock.advance(60)
    assert (await ask(world)).status_code == 303


async def test_documents_of_all_hosts_share_a_budget(world: World, fetch: FakeFetch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client_documents, "ATTEMPTS_A_MINUTE", 5)
    urls = [f"https://host-{number}.example/client.json" for number in range(6)]
    fetch.documents |= {url: render(url) for url in urls}
    assert [(await ask(world, url)).status_code for url in urls] == [303] * 5 + [503]
    # What is kept costs nothing.
    assert (await ask(world, urls[0])).status_code == 303


async def test_documents_read_at_once_are_bounded(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client_documents, "MAX_AT_ONCE", 3)
    gate = asyncio.Event()

    async def slow(url: str, *, max_size: int) -> Fetched:
        await gate.wait()
        return render(url)

    world = await make_world(fetch=slow)
    asking = [asyncio.ensure_future(ask(world, f"https://host-{number}.example/c")) for number in range(5)]
    done, _ = await asyncio.wait(asking, timeout=1)
    gate.set()
    answers = await asyncio.gather(*asking)
    assert len(done) == 2
    assert sorted(answer.status_code for answer in answers) == [303, 303, 303, 503, 503]
    assert (await ask(world, "https://host-9.example/c")).status_code == 303


async def test_documents_kept_are_bounded(world: World, fetch: FakeFetch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client_documents, "MAX_KEPT", 2)
    urls = [f"https://host-{number}.example/client.json" for number in range(3)]
    fetch.documents |= {url: render(url, max_age=3600) for url in urls}
    for url in [urls[0], urls[1], urls[0], urls[2], urls[0], urls[1]]:
        await ask(world, url)
    assert fetch.asked == {urls[0]: 1, urls[1]: 2, urls[2]: 1}


async def test_requests_that_name_a_document_are_limited_by_source(world: World):
    answers = [(await ask(world)).status_code for _ in range(DOCUMENTS.amount + 1)]
    assert answers == [303] * DOCUMENTS.amount + [503]
    pushed = await world.http.post("/oauth2/par", data=Documented().body(response_type="code", **PKCE))
    assert pushed.status_code == 429


@pytest.mark.parametrize(
    "settings", [{"accepts_metadata_documents": False}, {"metadata_document_hosts": ("other.example",)}], ids=str
)
async def test_document_that_is_not_taken_is_never_asked_for(
    make_world: MakeWorld, fetch: FakeFetch, settings: dict[str, Any]
):
    world = await make_world(fetch=fetch, **settings)
    refused = await ask(world)
    assert refused.status_code == 400
    assert "This server takes no client metadata document from that host." in refused.text
    assert not fetch.asked
    metadata = (await world.http.get("/.well-known/oauth-authorization-server")).json()
    is_on = settings.get("accepts_metadata_documents", True)
    assert metadata.get("client_id_metadata_document_supported", False) is is_on


async def test_document_of_a_listed_host_is_taken(make_world: MakeWorld, fetch: FakeFetch):
    world = await make_world(fetch=fetch, metadata_document_hosts=("notes.example",))
    assert (await ask(world)).status_code == 303


@pytest.mark.parametrize("path", ["token", "revoke", "introspect"])
async def test_machine_endpoints_ask_nobody_for_an_unknown_client(world: World, fetch: FakeFetch, path: str):
    body = Documented().body(grant_type="refresh_token", refresh_token="x", token="x")
    refused = await world.http.post(f"/oauth2/{path}", data=body)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert not fetch.asked


async def test_short_id_is_no_way_around_the_document(world: World):
    await connect(world)
    assert (await ask(world, derive_client_id(URL))).status_code == 400


def assertion(world: World, key: int) -> dict[str, str]:
    now = world.deployment.clock.now
    claims = {"iss": URL, "sub": URL, "aud": "https://auth.example", "jti": f"{key}-{now}", "iat": now, "exp": now + 60}
    signed = sign(claims, make_key("ES256", key), alg="ES256", kid=str(key))
    return {"client_assertion_type": JWT_BEARER_ASSERTION, "client_assertion": signed}


def keyed(key: int) -> dict[str, Any]:
    jwks = msgspec.json.decode(key_set(public_jwk(make_key("ES256", key), kid=str(key))))
    return {"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks}


@pytest.mark.parametrize("way", ["by value", "by URL"])
async def test_client_with_a_key_proves_itself_by_it_alone(world: World, fetch: FakeFetch, way: str):
    metadata = keyed(1)
    if way == "by URL":
        key_url = "https://notes.example/jwks.json"
        fetch.documents[key_url] = msgspec.json.encode(metadata.pop("jwks"))
        metadata["jwks_uri"] = key_url
    fetch.documents[URL] = render(**metadata)
    code = await connect(world)
    body = Documented().body(grant_type="authorization_code", code=code, code_verifier=VERIFIER)
    assert (await world.http.post("/oauth2/token", data=body)).status_code == 401
    wrong = await world.http.post("/oauth2/token", data=body | assertion(world, 2))
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    right = await world.http.post("/oauth2/token", data=body | assertion(world, 1))
    assert right.status_code == 200, right.text


async def test_key_that_the_document_replaced_counts_no_longer(world: World, fetch: FakeFetch):
    fetch.documents[URL] = render(**keyed(1))
    code = await connect(world)
    body = Documented().body(grant_type="authorization_code", code=code, code_verifier=VERIFIER)
    tokens = (await world.http.post("/oauth2/token", data=body | assertion(world, 1))).json()
    fetch.documents[URL] = render(**keyed(2))
    world.deployment.clock.advance(client_documents.FRESH_FOR)
    body = Documented().body(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert (await world.http.post("/oauth2/token", data=body | assertion(world, 1))).status_code == 401
    assert (await world.http.post("/oauth2/token", data=body | assertion(world, 2))).status_code == 200


async def test_consent_answered_while_the_document_cannot_be_read_gets_no_code(world: World, fetch: FakeFetch):
    page = await open_consent(world.http, Documented(), **PKCE)
    del fetch.documents[URL]
    world.deployment.clock.advance(client_documents.FRESH_FOR)
    assert (await decide(world.http, page, "allow", world.acorn)).status_code == 400
    assert await find_grants(world) == []
