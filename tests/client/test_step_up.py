"""More scope, a fresher sign-in (L13, RFC 6750 §3.1, RFC 9470); which API tokens are for (L9, RFC 8707, RFC 9728)."""

import json
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest

from latchstring.client import Misconfigured, OAuthClient, Provider, StepUp, find_step_up
from latchstring.client.stores.memory import MemoryStore
from tests.client.conftest import BROWSER, Mailloop

API = "https://api.example/mcp"


def answer(status: int, *challenges: str) -> httpx.Response:
    return httpx.Response(status, headers=[(b"WWW-Authenticate", each.encode()) for each in challenges])


@pytest.mark.parametrize(
    "response, expected",
    [
        (answer(200, 'Bearer error="insufficient_scope", scope="a"'), None),
        (answer(403), None),
        (answer(401, 'Bearer error="invalid_token", scope="a"'), None),
        (answer(403, 'Bearer error="insufficient_scope"'), None),
        (answer(403, 'Bearer error="insufficient_scope", scope="a b"'), StepUp(scope=("a", "b"))),
        (answer(403, "Basic", 'DPoP error="insufficient_scope", scope="a"'), StepUp(scope=("a",))),
        (answer(403, 'Bearer error="insufficient_scope", scope="a \u00e9 \\" c"'), StepUp(scope=("a", "c"))),
        (
            answer(401, 'Bearer error="insufficient_user_authentication", acr_values="mfa", max_age="300"'),
            StepUp(acr_values="mfa", max_age=300),
        ),
        (answer(401, 'Bearer error="insufficient_user_authentication", max_age="soon"'), StepUp()),
    ],
)
def test_what_an_api_wants_is_read_from_its_challenge(response, expected):
    assert find_step_up(response) == expected


def ask(mailloop: Mailloop, key, wanted: StepUp) -> dict[str, str]:
    url = mailloop.client.begin_step_up(key, wanted, browser_session=BROWSER)
    return dict(parse_qsl(urlsplit(url).query)) | {"url": url}


def test_step_up_asks_for_the_union_in_the_same_organization(mailloop: Mailloop):
    key = mailloop.connect(organization_id="orga_birch").key
    asked = ask(mailloop, key, StepUp(scope=("contacts.write", "all.full_access"), acr_values="mfa", max_age=300))
    assert asked["scope"] == "all.full_access offline_access contacts.write"
    assert (asked["organization_id"], asked["acr_values"], asked["max_age"]) == ("orga_birch", "mfa", "300")
    stepped = mailloop.client.complete(
        mailloop.provider.authorize(asked["url"], organization_id="orga_birch"), browser_session=BROWSER
    )
    assert stepped.key == key
    assert stepped.scope == "all.full_access offline_access contacts.write"


def test_step_up_is_asked_for_twice_and_then_refused(mailloop: Mailloop):
    key = mailloop.connect().key
    wanted = StepUp(scope=("contacts.write",))
    for _ in range(2):
        back = mailloop.provider.authorize(ask(mailloop, key, wanted)["url"])
        for grant in mailloop.provider.grants.values():
            grant.scope = "all.full_access offline_access"
        mailloop.client.complete(back, browser_session=BROWSER)
    with pytest.raises(Misconfigured, match="step_up_refused"):
        ask(mailloop, key, wanted)
    assert ask(mailloop, key, StepUp(scope=("contacts.read",)))["scope"].endswith("contacts.read")
    mailloop.connect()
    assert ask(mailloop, key, wanted)["scope"].endswith("contacts.write")


@pytest.mark.parametrize("wanted", [StepUp(max_age=300), StepUp(acr_values="mfa"), StepUp(acr_values="phr", max_age=5)])
def test_sign_in_is_asked_for_as_often_as_it_has_grown_old_but_not_in_vain(mailloop: Mailloop, wanted: StepUp):
    key = mailloop.connect().key
    for _ in range(4):
        mailloop.clock.now += 60
        back = mailloop.provider.authorize(ask(mailloop, key, wanted)["url"])
        mailloop.client.complete(back, browser_session=BROWSER)
    back = mailloop.provider.authorize(ask(mailloop, key, wanted)["url"])
    mailloop.client.complete(back, browser_session=BROWSER)
    with pytest.raises(Misconfigured, match="step_up_refused"):
        ask(mailloop, key, wanted)


def test_resource_goes_with_every_request_for_a_token(provider, store, clock):
    """L9: the authorization request, the code, the refresh, the app's own."""
    app = Mailloop(provider, store, clock, resource=API)
    url = app.client.begin(browser_session=BROWSER)
    assert parse_qs(urlsplit(url).query)["resource"] == [API]
    key = app.client.complete(provider.authorize(url), browser_session=BROWSER).key
    app.client.refresh(key)
    app.client.connect_as_app("orga_birch")
    app.client.begin_device()
    assert [form.get("resource") for path, form in provider.requests if form] == [API] * 4
    with pytest.raises(Misconfigured, match="argument_refused"):
        app.client.begin(browser_session=BROWSER, parameters={"resource": "https://other.example"})


@pytest.mark.parametrize("resource", ["api.example", "http://api.example", "https://api.example/#a", ""])
def test_resource_that_names_no_api_is_refused(provider, store, clock, resource):
    with pytest.raises(Misconfigured, match="argument_refused"):
        Mailloop(provider, store, clock, resource=resource)


def serve(document: object, status: int = 200) -> httpx.MockTransport:
    """An API with that metadata, and its authorization server's."""

    def reply(request: httpx.Request) -> httpx.Response:
        if str(request.url) == "https://api.example/.well-known/oauth-protected-resource/mcp":
            return httpx.Response(status, content=json.dumps(document))
        assert str(request.url) == "https://login.example/.well-known/oauth-authorization-server"
        server = {
            "issuer": "https://login.example",
            "authorization_endpoint": "https://login.example/authorize",
            "token_endpoint": "https://login.example/token",
            "code_challenge_methods_supported": ["S256"],
        }
        return httpx.Response(200, content=json.dumps(server))

    return httpx.MockTransport(reply)


def test_provider_is_found_by_the_api_s_own_metadata():
    document = {"resource": API, "authorization_servers": ["https://login.example", "https://other.example"]}
    provider = Provider.discover_for(API, http=httpx.Client(transport=serve(document)))
    assert provider.issuer == "https://login.example"
    client = OAuthClient(
        provider, client_id="app", redirect_uri="https://app.example/cb", resource=API, store=MemoryStore()
    )
    assert "resource=https%3A%2F%2Fapi.example%2Fmcp" in client.begin(browser_session=BROWSER)


async def test_provider_is_found_by_the_api_s_own_metadata_in_asyncio():
    document = {"resource": API, "authorization_servers": ["https://login.example"]}
    http = httpx.AsyncClient(transport=serve(document))
    assert (await Provider.discover_for_async(API, http=http)).issuer == "https://login.example"


@pytest.mark.parametrize(
    "document, status, code",
    [
        (
            {"resource": "https://api.example", "authorization_servers": ["https://login.example"]},
            200,
            "resource_mismatch",
        ),
        ({"resource": API + "/", "authorization_servers": ["https://login.example"]}, 200, "resource_mismatch"),
        ({"resource": API}, 200, "metadata_malformed"),
        ({"authorization_servers": ["https://login.example"]}, 200, "metadata_malformed"),
        ({"resource": API, "authorization_servers": ["http://login.example"]}, 200, "argument_refused"),
        ({}, 404, "metadata_malformed"),
    ],
)
def test_api_s_metadata_that_is_not_for_the_api_asked_is_never_used(document, status, code):
    """L9: `resource` equals the API asked, byte for byte (RFC 9728 §3.3)."""
    with pytest.raises(Misconfigured) as caught:
        Provider.discover_for(API, http=httpx.Client(transport=serve(document, status)))
    assert caught.value.code == code
