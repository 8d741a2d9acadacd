"""Well-known providers: each file against answers of the shape that the provider's documentation shows."""

import json
import tomllib
from base64 import b64decode
from pathlib import Path
from time import time
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import msgspec
import pytest
from joserfc.jwk import RSAKey

from latchstring.client import (
    MemoryStore,
    Misconfigured,
    OAuthClient,
    Provider,
    ReauthorizeRequired,
    TemporaryFailure,
    provider,
)
from latchstring.protocol.jose.jws import render_jwt

FILES = Path(provider.__file__).with_name("providers")
KEY = RSAKey.generate_key(2048)


class Case(msgspec.Struct, kw_only=True):
    """What the provider sends, and what the client makes of it."""

    scope: str
    answer: dict
    refreshed: dict
    refusal: tuple[int, dict]
    key: tuple[str, str]
    identity: object = None
    user: dict | None = None
    asked: dict[str, str] = {}
    sent: dict[str, str] = {}
    places: dict[str, str] = {}
    id_token: dict | None = None


BEARER = {"token_type": "Bearer", "access_token": "access-1", "expires_in": 3600, "refresh_token": "refresh-1"}
AGAIN = {"token_type": "Bearer", "access_token": "access-2", "expires_in": 3600, "refresh_token": "refresh-2"}
GONE = (400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
CASES = {
    "atlassian": Case(
        scope="read:me read:jira-work offline_access",
        answer=BEARER | {"scope": "read:me read:jira-work offline_access"},
        refreshed=AGAIN | {"scope": "read:me read:jira-work offline_access"},
        refusal=(403, {"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}),
        identity=[
            {"id": "f6ea2f6a", "name": "Birch", "scopes": ["read:jira-work"], "url": "https://birch.atlassian.example"},
            {"id": "1324a887", "name": "Acorn", "scopes": ["read:jira-work"], "url": "https://acorn.atlassian.example"},
            {"id": "1324a887", "name": "Acorn", "scopes": ["read:confluence"], "url": "https://acorn.example"},
        ],
        user={"account_type": "atlassian", "account_id": "112233aa", "email": "ann@acorn.example"},
        key=("1324a887,f6ea2f6a", "112233aa"),
        asked={"audience": "api.atlassian.com", "prompt": "consent"},
    ),
    "linear": Case(
        scope="read issues:create",
        answer=BEARER | {"expires_in": 86399, "scope": "read issues:create"},
        refreshed=AGAIN | {"scope": "read issues:create"},
        refusal=GONE,
        identity={"data": {"viewer": {"id": "8c9d5a1e"}, "organization": {"id": "2f3b7d10"}}},
        key=("2f3b7d10", "8c9d5a1e"),
        asked={"scope": "read,issues:create"},
    ),
    "notion": Case(
        scope="",
        answer={
            "access_token": "ntn_1",
            "token_type": "bearer",
            "refresh_token": "nrt_1",
            "bot_id": "3c90c3cc",
            "workspace_id": "90a1c3d8",
            "workspace_name": "Acorn",
            "owner": {"type": "user", "user": {"object": "user", "id": "5b0f7a44", "type": "person"}},
            "request_id": "9f1a",
        },
        refreshed={
            "access_token": "ntn_2",
            "token_type": "bearer",
            "refresh_token": "nrt_2",
            "bot_id": "3c90c3cc",
            "workspace_id": "90a1c3d8",
        },
        refusal=(400, {"error": "invalid_grant", "request_id": "9f1b"}),
        key=("90a1c3d8", "5b0f7a44"),
        asked={"owner": "user"},
        sent={"notion-version": "2025-09-03", "content-type": "application/json"},
    ),
    "shopify": Case(
        scope="read_orders write_products",
        answer={
            "access_token": "shpat_1",
            "scope": "read_orders,write_products",
            "expires_in": 3600,
            "refresh_token": "shprt_1",
            "refresh_token_expires_in": 7776000,
        },
        refreshed={
            "access_token": "shpat_2",
            "scope": "read_orders,write_products",
            "expires_in": 3600,
            "refresh_token": "shprt_2",
        },
        refusal=(400, {"error": "invalid_grant", "error_description": "The refresh token is not active."}),
        key=("acorn.myshopify.com", ""),
        asked={"scope": "read_orders,write_products"},
        places={"shop": "acorn"},
    ),
    "xero": Case(
        scope="openid accounting.transactions offline_access",
        answer=BEARER | {"expires_in": 1800, "scope": "openid accounting.transactions offline_access"},
        refreshed=AGAIN | {"expires_in": 1800},
        refusal=(400, {"error": "invalid_grant"}),
        identity=[{"id": "7cb59f93", "tenantId": "fe79f7dd", "tenantType": "ORGANISATION", "tenantName": "Acorn"}],
        id_token={"sub": "d3a04c79", "email": "ann@acorn.example", "xero_userid": "5e8c1a22"},
        key=("fe79f7dd", "d3a04c79"),
    ),
    "close": Case(
        scope="all.full_access offline_access",
        answer=BEARER
        | {"scope": "all.full_access offline_access", "organization_id": "orga_bwwWG475", "user_id": "user_N6KhMpzH"},
        refreshed=AGAIN
        | {"scope": "all.full_access offline_access", "organization_id": "orga_bwwWG475", "user_id": "user_N6KhMpzH"},
        refusal=GONE,
        key=("orga_bwwWG475", "user_N6KhMpzH"),
        asked={"scope": "all.full_access offline_access", "code_challenge_method": "S256"},
    ),
    "github": Case(
        scope="read:user",
        answer={
            "access_token": "ghu_16C7e42F292c6912E7710c838347Ae178B4a",
            "expires_in": 28800,
            "refresh_token": "ghr_1B4a2e77838347a7E420ce178F2E7c6912E169246c34E1ccbF66C46812d16D5B",
            "refresh_token_expires_in": 15897600,
            "scope": "",
            "token_type": "bearer",
        },
        refreshed={
            "access_token": "ghu_2",
            "expires_in": "28800",
            "refresh_token": "ghr_2",
            "scope": "",
            "token_type": "bearer",
        },
        refusal=(200, {"error": "bad_refresh_token", "error_description": "The refresh token passed is incorrect."}),
        identity={"login": "octocat", "id": 583231, "type": "User"},
        key=("", "583231"),
    ),
    "google": Case(
        scope="openid https://www.googleapis.com/auth/calendar.readonly",
        answer=BEARER | {"expires_in": 3920, "scope": "openid https://www.googleapis.com/auth/calendar.readonly"},
        refreshed={"access_token": "access-2", "expires_in": 3920, "scope": "openid", "token_type": "Bearer"},
        refusal=GONE,
        id_token={"sub": "110248495921238986420", "hd": "acorn.example", "azp": "client", "email_verified": True},
        key=("", "110248495921238986420"),
        asked={"access_type": "offline", "prompt": "consent"},
    ),
    "hubspot": Case(
        scope="oauth crm.objects.contacts.read",
        answer={
            "token_type": "bearer",
            "access_token": "access-1",
            "refresh_token": "refresh-1",
            "expires_in": 1800,
            "hub_id": 1234567,
            "user_id": 293199,
            "scopes": ["oauth", "crm.objects.contacts.read"],
            "token_use": "access_token",
        },
        refreshed={
            "token_type": "bearer",
            "access_token": "access-2",
            "refresh_token": "refresh-1",
            "expires_in": 1800,
            "hub_id": 1234567,
            "user_id": 293199,
        },
        refusal=(400, {"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"}),
        key=("1234567", "293199"),
    ),
    "salesforce": Case(
        scope="api refresh_token openid",
        answer={
            "access_token": "00DB0000000TfcR!AQQAQFhoK8vTMg_rKA.esrJ2bCs.OOIjJgl",
            "refresh_token": "5Aep8614iLM.Dq661ePDmPEgaAW9Oh_L3JKkDpB4xReb54",
            "scope": "refresh_token api openid",
            "instance_url": "https://acorn.my.salesforce.example",
            "id": "https://login.salesforce.com/id/00DB0000000TfcRMAS/005B0000005Bk90IAC",
            "token_type": "Bearer",
            "issued_at": "1278448101416",
            "signature": "CMJ4l+CCaPQiKjoOEwEig9H4wqhpuLSk4J2urAe+fVg=",
        },
        refreshed={"access_token": "00DB0000000TfcR!2", "token_type": "Bearer", "scope": "refresh_token api openid"},
        refusal=(400, {"error": "invalid_grant", "error_description": "expired access/refresh token"}),
        id_token={"sub": "https://login.salesforce.com/id/00DB0000000TfcRMAS/005B0000005Bk90IAC"},
        identity={
            "sub": "https://login.salesforce.com/id/00DB0000000TfcRMAS/005B0000005Bk90IAC",
            "organization_id": "00DB0000000TfcRMAS",
            "user_id": "005B0000005Bk90IAC",
            "email": "ann@acorn.example",
        },
        key=("00DB0000000TfcRMAS", "005B0000005Bk90IAC"),
    ),
    "slack": Case(
        scope="commands incoming-webhook",
        answer={
            "ok": True,
            "access_token": "xoxe.xoxb-1-abcdefg",
            "token_type": "bot",
            "scope": "commands,incoming-webhook",
            "bot_user_id": "U0KRQLJ9H",
            "app_id": "A0KRD7HC3",
            "expires_in": 43200,
            "refresh_token": "xoxe-1-abcdefg",
            "team": {"name": "Acorn Partners", "id": "T9TK3CUKW"},
            "enterprise": None,
            "authed_user": {"id": "U1234"},
        },
        refreshed={
            "ok": True,
            "access_token": "xoxe.xoxb-1-hijklmn",
            "token_type": "bot",
            "expires_in": 43200,
            "refresh_token": "xoxe-1-hijklmn",
            "team": {"name": "Acorn Partners", "id": "T9TK3CUKW"},
        },
        refusal=(200, {"ok": False, "error": "invalid_refresh_token"}),
        key=("T9TK3CUKW", "U1234"),
        asked={"scope": "commands,incoming-webhook"},
    ),
}


def find(name: str) -> Provider:
    return Provider.named(name, **CASES[name].places)


class Wire:
    """Answers as the provider does, at exactly its addresses, and keeps what was asked."""

    def __init__(self, known: Provider, case: Case) -> None:
        self.known, self.case = known, case
        self.forms: list[dict[str, str]] = []
        self.tokens = [(200, case.answer), (200, case.refreshed), case.refusal]
        self.identity: list[tuple[int, object]] = [(200, case.identity)]
        self.user: list[tuple[int, object]] = [(200, case.user)]
        self.nonce: str | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["accept"] == "application/json"
        url = str(request.url)
        if url == self.known.token_endpoint:
            return self._token(request)
        if url == self.known.jwks_uri:
            return httpx.Response(200, json={"keys": [{**KEY.as_dict(private=False), "kid": "1", "use": "sig"}]})
        name = self.known.token_header or "authorization"
        assert request.headers[name].removeprefix("Bearer ") == self.case.answer["access_token"]
        assert url in {self.known.identity_url, self.known.user_url}
        is_query = url == self.known.identity_url and self.known.identity_query is not None
        assert request.method == ("POST" if is_query else "GET")
        if is_query:
            assert json.loads(request.content) == {"query": self.known.identity_query}
        status, said = (self.identity if url == self.known.identity_url else self.user).pop(0)
        return httpx.Response(status, content=json.dumps(said))

    def _token(self, request: httpx.Request) -> httpx.Response:
        assert request.method == "POST"
        assert {name: request.headers[name] for name in self.case.sent} == self.case.sent
        is_json = request.headers["content-type"] == "application/json"
        assert is_json == (self.known.token_request_format == "json")
        form = json.loads(request.content) if is_json else dict(parse_qsl(request.content.decode()))
        if "authorization" in request.headers:
            scheme, _, pair = request.headers["authorization"].partition(" ")
            assert scheme == "Basic"
            assert not {"client_id", "client_secret"} & form.keys()
            form["client_id"], _, form["client_secret"] = b64decode(pair).decode().partition(":")
        self.forms.append(form)
        status, value = self.tokens.pop(0)
        if status == 200 and self.case.id_token is not None and form["grant_type"] == "authorization_code":
            times = {"iat": int(time()), "exp": int(time()) + 120}
            said = {"iss": self.known.issuer, "aud": "client", "nonce": self.nonce, **times, **self.case.id_token}
            value = value | {"id_token": render_jwt({"alg": "RS256", "kid": "1"}, said, KEY)}
        return httpx.Response(status, content=json.dumps(value))


def start(known: Provider, case: Case) -> tuple[OAuthClient, Wire, str]:
    """A client, the provider's side, and the address that the browser is sent to."""
    wire = Wire(known, case)
    client = OAuthClient(
        known,
        client_id="client",
        client_secret="secret",
        redirect_uri="https://app.example/callback",
        scope=case.scope,
        store=MemoryStore(),
        http=httpx.Client(transport=httpx.MockTransport(wire)),
    )
    url = client.begin(browser_session="ann")
    wire.nonce = dict(parse_qsl(urlsplit(url).query)).get("nonce")
    return client, wire, url


def back(url: str) -> dict[str, str]:
    return {"code": "code-1", "state": parse_qs(urlsplit(url).query)["state"][0]}


def test_every_file_has_a_case_and_only_known_members():
    assert Provider.names() == sorted(CASES)
    for path in FILES.glob("*.toml"):
        assert set(tomllib.loads(path.read_text())) <= set(Provider.__struct_fields__), path.name
    assert {path.suffix for path in FILES.iterdir()} == {".toml"}


def test_close_is_where_its_documentation_says():
    close = Provider.named("close")
    assert close.authorization_endpoint == "https://app.close.com/oauth2/authorize/"
    assert close.token_endpoint == "https://api.close.com/oauth2/token/"
    assert close.revocation_endpoint == "https://api.close.com/oauth2/revoke/"


@pytest.mark.parametrize("name", ["", "nobody", "../provider", "close.toml"])
def test_unknown_name_is_refused_with_those_there_are(name):
    with pytest.raises(Misconfigured, match=r"there are atlassian, close, github") as caught:
        Provider.named(name)
    assert caught.value.code == "argument_refused"


@pytest.mark.parametrize("name", CASES)
def test_provider_connects_refreshes_and_says_when_the_grant_is_gone(name):
    known, case = find(name), CASES[name]
    client, wire, url = start(known, case)
    assert url.startswith(f"{known.authorization_endpoint}?")
    asked = dict(parse_qsl(urlsplit(url).query))
    assert asked.items() >= case.asked.items()
    assert asked["client_id"] == "client"
    assert asked["response_type"] == "code"
    assert ("code_challenge" in asked, "code_challenge_method" in asked) == (known.sends_code_challenge,) * 2

    connection = client.complete(back(url), browser_session="ann")
    assert (connection.organization_id, connection.user_id) == case.key
    assert connection.key == client.key(*case.key)
    assert client.token(connection.key) == case.answer["access_token"]
    assert len(wire.identity) == (case.identity is None), "read once, and only where the token answer lacks it"
    assert len(wire.user) == (case.user is None)
    assert (connection.identity is not None) == (case.id_token is not None) == ("openid" in case.scope.split())
    assert wire.forms[0].items() >= known.exchange_parameters.items()
    assert {name: wire.forms[0][name] for name in ("client_id", "client_secret", "grant_type", "code")} == {
        "client_id": "client",
        "client_secret": "secret",
        "grant_type": "authorization_code",
        "code": "code-1",
    }
    assert ("code_verifier" in wire.forms[0]) == known.sends_code_challenge

    renewed = client.refresh(connection.key)
    assert renewed.access_token == case.refreshed["access_token"]
    assert renewed.refresh_token == case.refreshed.get("refresh_token", case.answer["refresh_token"])
    assert wire.forms[1]["refresh_token"] == case.answer["refresh_token"]
    with pytest.raises(ReauthorizeRequired, match="invalid_grant"):
        client.refresh(connection.key)


@pytest.mark.parametrize("name", [name for name in CASES if find(name).organization_path])
def test_refresh_for_another_organization_is_refused(name):
    known, case = find(name), CASES[name]
    client, wire, url = start(known, case)
    key = client.complete(back(url), browser_session="ann").key
    member, _, inner = (known.organization_field or "").partition(".")
    wire.tokens = [(200, case.refreshed | {member: {inner: "other"} if inner else "other"})]
    with pytest.raises(Misconfigured, match="organization_changed"):
        client.refresh(key)


@pytest.mark.parametrize(
    "name, error, kind, code",
    [
        ("slack", "bad_client_secret", Misconfigured, "invalid_client"),
        ("slack", "invalid_code", ReauthorizeRequired, "invalid_grant"),
        ("slack", "some_new_error", Misconfigured, "provider_error"),
        ("github", "incorrect_client_credentials", Misconfigured, "invalid_client"),
        ("github", "bad_verification_code", ReauthorizeRequired, "invalid_grant"),
    ],
)
def test_error_with_status_200_means_what_it_says(name, error, kind, code):
    client, wire, url = start(Provider.named(name), CASES[name])
    wire.tokens = [(200, {"ok": False, "error": error})]
    with pytest.raises(kind) as caught:
        client.complete(back(url), browser_session="ann")
    assert caught.value.code == code
    assert caught.value.cause.error == error
    assert client.connections() == []


def test_identity_is_asked_for_again_until_it_is_answered(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    case = CASES["github"]
    client, wire, url = start(Provider.named("github"), case)
    wire.identity = [(503, None), (429, None), (200, case.identity)]
    assert client.complete(back(url), browser_session="ann").user_id == case.key[1]
    client, wire, url = start(Provider.named("github"), case)
    wire.identity = [(503, None)] * 3
    with pytest.raises(TemporaryFailure, match="server_unavailable"):
        client.complete(back(url), browser_session="ann")
    assert client.connections() == []


@pytest.mark.parametrize("answer", [(403, {}), (200, []), (200, {"email": "ann@acorn.example"}), (200, {"id": ""})])
def test_identity_that_is_not_told_is_misconfigured_and_stores_nothing(answer):
    client, wire, url = start(Provider.named("github"), CASES["github"])
    wire.identity = [answer]
    with pytest.raises(Misconfigured, match="identity_missing"):
        client.complete(back(url), browser_session="ann")
    assert client.connections() == []


def test_google_without_openid_is_told_what_to_ask_for():
    client, wire, url = start(Provider.named("google"), msgspec.structs.replace(CASES["google"], scope="calendar"))
    wire.tokens = [(200, CASES["google"].answer | {"scope": "calendar"})]
    with pytest.raises(Misconfigured, match="scope openid") as caught:
        client.complete(back(url), browser_session="ann")
    assert caught.value.code == "identity_missing"
    assert client.connections() == []


def test_l16_userinfo_of_somebody_else_is_refused_and_stores_nothing():
    case = CASES["salesforce"]
    client, wire, url = start(Provider.named("salesforce"), case)
    assert isinstance(case.identity, dict)
    wire.identity = [(200, case.identity | {"sub": "https://login.salesforce.com/id/other/other"})]
    with pytest.raises(Misconfigured, match="userinfo_refused"):
        client.complete(back(url), browser_session="ann")
    assert client.connections() == []


def test_provider_s_own_parameters_cannot_replace_the_client_s():
    known = msgspec.structs.replace(
        Provider.named("close"), authorization_parameters={"state": "x", "code_challenge": "x", "audience": "api"}
    )
    _, _, url = start(known, CASES["close"])
    asked = parse_qs(urlsplit(url).query)
    assert asked["audience"] == ["api"]
    assert len(asked["state"][0]) == len(asked["code_challenge"][0]) == 43


def test_several_organizations_of_one_grant_are_its_organization_in_any_order():
    case = CASES["atlassian"]
    client, wire, url = start(find("atlassian"), case)
    assert isinstance(case.identity, list)
    wire.identity = [(200, case.identity[::-1])]
    assert client.complete(back(url), browser_session="ann").organization_id == case.key[0]


@pytest.mark.parametrize("said", [[], {}, [{"id": None}], "none"])
def test_list_without_an_organization_is_misconfigured(said):
    client, wire, url = start(find("xero"), CASES["xero"])
    wire.identity = [(200, said)]
    with pytest.raises(Misconfigured, match="identity_missing"):
        client.complete(back(url), browser_session="ann")
    assert client.connections() == []


@pytest.mark.parametrize(
    "places",
    [
        {},
        {"shop": ""},
        {"shop": "evil.example/"},
        {"shop": "a.b"},
        {"shop": "A"},
        {"shop": "-a"},
        {"shop": "a\nb"},
        {"shop": "a", "region": "eu"},
    ],
)
def test_place_that_is_no_label_of_a_host_is_refused(places):
    with pytest.raises(Misconfigured, match=r"takes shop="):
        Provider.named("shopify", **places)
    assert Provider.named("shopify", shop="acorn-2").token_endpoint.startswith("https://acorn-2.myshopify.com/")


def test_provider_without_places_takes_none():
    with pytest.raises(Misconfigured, match="takes nothing more"):
        Provider.named("close", shop="acorn")


def test_api_of_shopify_gets_the_token_where_it_wants_it():
    client, _, url = start(find("shopify"), CASES["shopify"])
    key = client.complete(back(url), browser_session="ann").key
    seen: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200)

    with httpx.Client(transport=httpx.MockTransport(answer), auth=client.auth(key)) as api:
        api.get("https://acorn.myshopify.com/admin/api/2026-10/shop.json")
    assert seen[0]["x-shopify-access-token"] == "shpat_1"
    assert "authorization" not in seen[0]
