"""The sample API: what a token sees, and what it does not."""

import httpx
import pytest

from latchstring.demo.sample_api import create_app
from latchstring.demo.sample_crm import CONTACTS_PER_ORGANIZATION, Crm, Organization
from latchstring.resource_server.connections import AsyncConnections
from latchstring.resource_server.introspection import AsyncIntrospection

ISSUER = "http://127.0.0.1:8400"
ACORN = Organization(id="orga_acorn", name="Acorn Partners", user_ids=frozenset({"user_ann"}))
BIRCH = Organization(id="orga_birch", name="Birch & Co", user_ids=frozenset({"user_ann", "user_ben"}))
TOKENS = {
    "ann-acorn": ("user_ann", "orga_acorn", "all.full_access offline_access"),
    "ann-birch": ("user_ann", "orga_birch", "all.full_access"),
    "ben-birch": ("user_ben", "orga_birch", "all.full_access"),
    "eve-new": ("user_eve", "orga_new", "all.full_access"),
    "narrow": ("user_ann", "orga_acorn", "offline_access"),
}


def introspect(request):
    token = dict(pair.split("=") for pair in request.content.decode().split("&"))["token"]
    if token not in TOKENS:
        return httpx.Response(200, json={"active": False})
    user_id, organization_id, scope = TOKENS[token]
    facts = {
        "active": True,
        "iss": ISSUER,
        "token_type": "Bearer",
        "exp": 4_000_000_000,
        "client_id": "app_1",
    }
    return httpx.Response(200, json=facts | {"user_id": user_id, "organization_id": organization_id, "scope": scope})


@pytest.fixture
async def http(monkeypatch):
    server = httpx.AsyncClient(transport=httpx.MockTransport(introspect))
    monkeypatch.setattr(
        "latchstring.resource_server.asgi.AsyncIntrospection",
        lambda settings, _given: AsyncIntrospection(settings, AsyncConnections(ISSUER, server)),
    )
    app = create_app(
        issuer=ISSUER,
        introspection_endpoint=f"{ISSUER}/oauth2/introspect/",
        resource="http://127.0.0.1:8401",
        client_id="oa2resource_1",
        client_secret="secret",
        organizations=[ACORN, BIRCH],
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8401") as client:
        yield client


def bearer(token):
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/api/v1/me/", "/api/v1/me"])
async def test_me_marks_the_organization_of_the_token(http, path):
    response = await http.get(path, headers=bearer("ann-birch"))
    assert response.status_code == 200
    assert response.json() == {
        "user_id": "user_ann",
        "organization_id": "orga_birch",
        "organizations": [
            {"id": "orga_acorn", "name": "Acorn Partners", "is_token_organization": False},
            {"id": "orga_birch", "name": "Birch & Co", "is_token_organization": True},
        ],
        "scope": "all.full_access",
        "client_id": "app_1",
    }
    assert response.headers["x-request-id"]


async def test_me_shows_only_own_organizations(http):
    response = await http.get("/api/v1/me/", headers=bearer("ben-birch"))
    assert [found["id"] for found in response.json()["organizations"]] == ["orga_birch"]


async def test_me_in_an_organization_unknown_to_the_crm_still_marks_it(http):
    response = await http.get("/api/v1/me/", headers=bearer("eve-new"))
    assert response.json()["organizations"] == [{"id": "orga_new", "name": "orga_new", "is_token_organization": True}]


@pytest.mark.parametrize("path", ["/api/v1/contacts/", "/api/v1/contacts"])
async def test_contacts_are_those_of_the_tokens_organization(http, path):
    acorn = (await http.get(path, headers=bearer("ann-acorn"))).json()["data"]
    birch = (await http.get(path, headers=bearer("ann-birch"))).json()["data"]
    again = (await http.get(path, headers=bearer("ben-birch"))).json()["data"]
    assert len(acorn) == len(birch) == CONTACTS_PER_ORGANIZATION
    assert birch == again
    assert not {contact["id"] for contact in acorn} & {contact["id"] for contact in birch}


async def test_contact_of_another_organization_is_not_found(http):
    [first, *_] = (await http.get("/api/v1/contacts", headers=bearer("ann-acorn"))).json()["data"]
    path = f"/api/v1/contacts/{first['id']}"
    own = await http.get(path, headers=bearer("ann-acorn"))
    own_with_slash = await http.get(path + "/", headers=bearer("ann-acorn"))
    other = await http.get(path, headers=bearer("ann-birch"))
    unknown = await http.get("/api/v1/contacts/contact_x", headers=bearer("ann-birch"))
    assert own.json() == own_with_slash.json() == first
    assert (other.status_code, unknown.status_code) == (404, 404)
    assert {**other.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}


@pytest.mark.parametrize("path", ["/api/v1/me/", "/api/v1/contacts/", "/api/v1/contacts/x", "/", "/nowhere"])
@pytest.mark.parametrize("headers", [{}, bearer("unknown")])
async def test_every_path_without_a_good_token_is_refused(http, path, headers):
    response = await http.get(path, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer realm=")
    assert response.headers["x-request-id"] == response.json()["request_id"]


async def test_contacts_without_the_scope_are_refused_but_me_answers(http):
    refused = await http.get("/api/v1/contacts/", headers=bearer("narrow"))
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert 'scope="all.full_access"' in refused.headers["www-authenticate"]
    assert (await http.get("/api/v1/me/", headers=bearer("narrow"))).status_code == 200


@pytest.mark.parametrize(
    "method, path, status, error",
    [("GET", "/nowhere", 404, "not_found"), ("POST", "/api/v1/me/", 405, "method_not_allowed")],
)
async def test_errors_are_json_with_the_request_id(http, method, path, status, error):
    response = await http.request(method, path, headers=bearer("ann-acorn"))
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert response.headers["x-request-id"] == response.json()["request_id"]


async def test_s21_metadata_names_the_server(http):
    response = await http.get("/.well-known/oauth-protected-resource")
    assert response.json() == {
        "resource": "http://127.0.0.1:8401",
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["all.full_access"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"],
    }


def test_contacts_are_believable_and_distinct():
    contacts = Crm([]).list_contacts("orga_any")
    assert len({contact.name for contact in contacts}) == len({c.email for c in contacts}) == len(contacts)
    assert contacts == Crm([]).list_contacts("orga_any")
