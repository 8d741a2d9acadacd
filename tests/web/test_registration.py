"""Clients that register themselves (RFC 7591, RFC 7592): what is kept of them, and when (G1 to G9, A23, A24, K10)."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import httpx
import msgspec
import pytest

from latchstring.authorization_server.events import Action, EventFilter
from latchstring.authorization_server.identifiers import derive_client_id
from latchstring.authorization_server.keyring import KeyringKey, new_keyring
from latchstring.authorization_server.settings import FULL_ACCESS, ScopeDefinition
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.protocol.client_assertion import JWT_BEARER_ASSERTION
from latchstring.web.throttle import REGISTRATIONS
from latchstring.wiring import build_registration_tokens, build_services
from tests.support.forms import find_form, submit
from tests.support.journey import answer_of, decide, introspect, open_consent
from tests.support.signing import key_set, make_key, public_jwk, sign
from tests.web.conftest import MakeWorld, World
from tests.web.state import CHALLENGE, VERIFIER, dump, find_grants

CALLBACK = "https://notes.example/callback"
METADATA = {"client_name": "Notes", "redirect_uris": [CALLBACK], "grant_types": ["authorization_code", "refresh_token"]}
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}


class Registered:
    """A client as the endpoint described it."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.client_id: str = answer["client_id"]
        self.authorization = {"authorization": f"Bearer {answer['registration_access_token']}"}
        self.path: str = "/oauth2/register/" + self.client_id

    def body(self, **parameters: str) -> dict[str, str]:
        secret = {"client_secret": self.answer["client_secret"]} if "client_secret" in self.answer else {}
        return {"client_id": self.client_id, **secret, **parameters}


async def register(world: World, **metadata: Any) -> Registered:
    response = await world.http.post("/oauth2/register/", json={**METADATA, **metadata})
    assert response.status_code == 201, response.text
    return Registered(response.json())


async def find_row(world: World, client: Registered) -> Any:
    return await world.deployment.store.find_client(derive_client_id(client.client_id))


def count_clients(world: World) -> int:
    with closing(sqlite3.connect(world.deployment.path)) as database:
        return int(database.execute("SELECT count(*) FROM client WHERE public_id IS NOT NULL").fetchone()[0])


@pytest.fixture
async def open_world(make_world: MakeWorld) -> World:
    return await make_world(registration="open")


async def test_registrations_without_a_consent_leave_no_row(open_world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("latchstring.web.throttle.REGISTRATIONS", type(REGISTRATIONS)(1_000_000))
    before = dump(open_world)
    clients = [await register(open_world, client_name=f"Junk {number}") for number in range(500)]
    assert len({client.client_id for client in clients}) == 500
    assert max(len(client.client_id) for client in clients) < 300
    assert dump(open_world) == before
    await open_consent(open_world.http, clients[-1], **PKCE)
    assert count_clients(open_world) == 0


async def test_registrations_of_the_same_metadata_are_different_clients(open_world: World):
    one, two = await register(open_world), await register(open_world)
    assert one.client_id != two.client_id
    assert one.answer["client_secret"] != two.answer["client_secret"]
    assert one.answer["registration_access_token"] != two.answer["registration_access_token"]


async def test_first_consent_makes_the_row_with_its_grant(open_world: World):
    client = await register(open_world)
    page = await open_consent(open_world.http, client, **PKCE)
    assert count_clients(open_world) == 0
    answer = answer_of(await decide(open_world.http, page, "allow", open_world.birch))
    (grant,) = await find_grants(open_world)
    row = await find_row(open_world, client)
    assert (row.client_id, row.public_id) == (grant.client_id, client.client_id)
    assert (row.organization_id, row.expires_at, row.ended_at) == (None, None, None)
    assert row.security.profile == "oauth2.1"
    body = client.body(grant_type="authorization_code", code=answer["code"], code_verifier=VERIFIER)
    tokens = (await open_world.http.post("/oauth2/token", data=body)).json()
    assert tokens["organization_id"] == open_world.birch
    facts = await introspect(open_world.http, open_world.guard, tokens["access_token"])
    assert (facts["active"], facts["client_id"]) == (True, grant.client_id)


async def test_decline_and_refused_consent_make_no_row(open_world: World):
    client = await register(open_world)
    page = await open_consent(open_world.http, client, **PKCE)
    stranger = await open_world.deployment.organization("Chestnut Ltd")
    refused = await decide(open_world.http, page, "allow", stranger)
    assert refused.status_code == 403
    assert answer_of(await decide(open_world.http, page, "deny"))["error"] == "access_denied"
    assert (count_clients(open_world), await find_grants(open_world)) == (0, [])


async def test_first_consents_at_once_make_one_row(open_world: World):
    client = await register(open_world)
    pages = [await open_consent(open_world.http, client, **PKCE) for _ in range(20)]
    answers = await asyncio.gather(*(decide(open_world.http, page, "allow", open_world.acorn) for page in pages))
    assert all("code" in answer_of(answer) for answer in answers)
    assert count_clients(open_world) == 1
    grants = await find_grants(open_world)
    assert (len(grants), len({grant.client_id for grant in grants})) == (20, 1)


async def test_a23_client_consented_to_before_is_asked_about_again(open_world: World):
    client = await register(open_world, token_endpoint_auth_method="none")
    for _ in range(2):
        page = await open_consent(open_world.http, client, **PKCE)
        assert page.status_code == 200
        answer_of(await decide(open_world.http, page, "allow", open_world.acorn))
    assert count_clients(open_world) == 1


async def test_k10_consent_to_what_has_changed_meanwhile_is_asked_for_again(open_world: World):
    client = await register(open_world)
    page = await open_consent(open_world.http, client, **PKCE)
    update = {"client_id": client.client_id, **METADATA, "client_name": "Your bank"}
    changed = await open_world.http.put(client.path, json=update, headers=client.authorization)
    assert changed.status_code == 200
    again = await decide(open_world.http, page, "allow", open_world.acorn)
    assert again.status_code == 409
    assert "The app has changed since you opened this page." in again.text
    assert "Your bank" in again.text
    assert await find_grants(open_world) == []
    assert "code" in answer_of(await decide(open_world.http, again, "allow", open_world.acorn))
    row = await find_row(open_world, client)
    assert (row.name, row.expires_at) == ("Your bank", None)


async def test_registration_deleted_between_page_and_answer_gets_no_code(open_world: World):
    client = await register(open_world)
    page = await open_consent(open_world.http, client, **PKCE)
    assert (await open_world.http.delete(client.path, headers=client.authorization)).status_code == 204
    assert (await decide(open_world.http, page, "allow", open_world.acorn)).status_code == 400
    assert await find_grants(open_world) == []
    row = await find_row(open_world, client)
    assert row.expires_at == open_world.deployment.clock.now + 24 * 3600


async def test_row_of_a_changed_registration_lapses_with_its_id(open_world: World):
    client = await register(open_world)
    update = {"client_id": client.client_id, **METADATA}
    await open_world.http.put(client.path, json=update, headers=client.authorization)
    assert count_clients(open_world) == 1
    open_world.deployment.clock.advance(24 * 3600)
    assert (await open_world.http.get(client.path, headers=client.authorization)).status_code == 401
    assert (await open_consent(open_world.http, client, **PKCE)).status_code == 400


async def test_pushed_request_of_a_registered_client_leads_to_its_consent(open_world: World):
    client = await register(open_world)
    body = client.body(response_type="code", **PKCE)
    pushed = (await open_world.http.post("/oauth2/par", data=body)).json()
    await open_world.arrive(open_world.ann)
    query = {"client_id": client.client_id, "request_uri": pushed["request_uri"]}
    page = await open_world.http.get("/oauth2/authorize/", params=query)
    assert page.status_code == 200
    query["client_id"] = derive_client_id(client.client_id)
    assert (await open_world.http.get("/oauth2/authorize/", params=query)).status_code == 400
    assert "code" in answer_of(await decide(open_world.http, page, "allow", open_world.acorn))


async def test_g3_short_id_of_a_registered_client_is_no_way_around_its_own(open_world: World):
    client = await register(open_world)
    page = await open_consent(open_world.http, client, **PKCE)
    answer_of(await decide(open_world.http, page, "allow", open_world.acorn))
    query = {"client_id": derive_client_id(client.client_id), "response_type": "code", **PKCE}
    assert (await open_world.http.get("/oauth2/authorize/", params=query)).status_code == 400


async def test_g7_consent_page_of_a_registered_client_links_to_its_own_hosts_alone(open_world: World):
    links = {
        "client_uri": "https://elsewhere.example/",
        "logo_uri": "http://169.254.169.254/logo.png",
        "tos_uri": "https://elsewhere.example/terms",
        "policy_uri": "https://notes.example/privacy",
    }
    client = await register(open_world, **links)
    page = await open_consent(open_world.http, client, **PKCE)
    assert 'href="https://notes.example/privacy"' in page.text
    assert "elsewhere.example" not in page.text
    assert "169.254" not in page.text


async def test_connection_of_a_registered_client_says_that_it_registered_itself(open_world: World):
    client = await register(open_world)
    page = await open_consent(open_world.http, client, **PKCE)
    code = answer_of(await decide(open_world.http, page, "allow", open_world.acorn))["code"]
    body = client.body(grant_type="authorization_code", code=code, code_verifier=VERIFIER)
    tokens = (await open_world.http.post("/oauth2/token", data=body)).json()
    shown = await open_world.http.get("/connections")
    assert "it registered itself" in shown.text
    form = next(form for form in [find_form(shown, path) for path in _disconnects(shown)])
    await submit(open_world.http, shown, form)
    body = client.body(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    refused = await open_world.http.post("/oauth2/token", data=body)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


def _disconnects(page: httpx.Response) -> list[str]:
    return [
        part.partition('"')[0] for part in page.text.split('action="')[1:] if "/disconnect" in part.partition('"')[0]
    ]


async def test_registrations_from_one_source_are_limited(open_world: World):
    for _ in range(REGISTRATIONS.amount):
        await register(open_world)
    refused = await open_world.http.post("/oauth2/register", json=METADATA)
    assert (refused.status_code, refused.json()["error"]) == (429, "temporarily_unavailable")
    assert int(refused.headers["retry-after"]) > 0


async def test_g9_registration_that_is_off_answers_404_and_is_not_advertised(world: World):
    before = dump(world)
    refused = await world.http.post("/oauth2/register", json=METADATA)
    assert (refused.status_code, refused.json()["error"]) == (404, "invalid_request")
    metadata = (await world.http.get("/.well-known/oauth-authorization-server")).json()
    assert "registration_endpoint" not in metadata
    assert dump(world) == before


async def test_g9_registration_switched_off_ends_what_nobody_has_consented_to(make_world: MakeWorld):
    world = await make_world(registration="open")
    metadata = (await world.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["registration_endpoint"] == "https://auth.example/oauth2/register/"
    kept, lost = await register(world), await register(world)
    page = await open_consent(world.http, kept, **PKCE)
    answer_of(await decide(world.http, page, "allow", world.acorn))
    off = type(world.deployment.settings)(issuer="https://auth.example", registration="off")
    services = build_services(off, world.deployment.store, world.deployment.codec, clock=world.deployment.clock)
    assert await services.clients.find(kept.client_id) is not None
    assert await services.clients.find(lost.client_id) is None


async def test_g9_gated_registration_counts_each_use_of_its_token(make_world: MakeWorld):
    world = await make_world(registration="gated")
    deployment = world.deployment
    tokens = build_registration_tokens(deployment.store, deployment.codec, deployment.clock)
    record, token = await tokens.create(note="partners", count=2, lifetime=3600)
    assert token.startswith(record.hint)

    async def attempt(authorization: str | None, **metadata: Any) -> httpx.Response:
        headers = {} if authorization is None else {"authorization": authorization}
        return await world.http.post("/oauth2/register", json={**METADATA, **metadata}, headers=headers)

    without = await attempt(None)
    assert (without.status_code, without.json()["error"]) == (401, "invalid_token")
    assert without.headers["www-authenticate"] == 'Bearer realm="latchstring"'
    for wrong in (f"Bearer {token}x", f"Bearer {token[:-1]}", "Bearer x"):
        assert (await attempt(wrong)).status_code == 401
    assert (await attempt(f"Bearer {token}", redirect_uris=["nonsense"])).status_code == 400
    assert (await tokens.find())[0].remaining == 2
    answers = await asyncio.gather(*(attempt(f"bearer {token}") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [401] * 8
    assert (await tokens.find())[0].remaining == 0


@pytest.mark.parametrize("ends", ["expired", "ended"])
async def test_g9_initial_access_token_past_its_end_registers_nobody(make_world: MakeWorld, ends: str):
    world = await make_world(registration="gated")
    deployment = world.deployment
    tokens = build_registration_tokens(deployment.store, deployment.codec, deployment.clock)
    record, token = await tokens.create(note="", count=2, lifetime=3600)
    assert token.startswith("ls_ia_")
    assert record.hint == token[: len("ls_ia_") + 8]
    if ends == "expired":
        deployment.clock.advance(3600)
    else:
        assert await tokens.end(record.hint)
        assert not await tokens.end(record.hint)
    refused = await world.http.post("/oauth2/register", json=METADATA, headers={"authorization": f"Bearer {token}"})
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")


async def test_g4_scope_that_is_not_for_anyone_is_never_the_default(make_world: MakeWorld):
    scopes = {FULL_ACCESS: ScopeDefinition(is_for_anyone=False), "contacts.read": ScopeDefinition(title="Read")}
    world = await make_world(registration="open", scopes=scopes)
    client = await register(world)
    assert client.answer["scope"] == "contacts.read offline_access"


async def test_all_that_was_registered_is_told_each_time(open_world: World):
    """RFC 7591 §3.2.1, RFC 7592 §2.1, §2.2."""
    told = {
        "client_name": "Notes",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "request_object_signing_alg": "EdDSA",
        "jwks_uri": "https://notes.example/keys",
        "scope": "contacts.read offline_access",
        "client_uri": "https://notes.example/",
        "tos_uri": "https://notes.example/terms",
        "policy_uri": "https://notes.example/policy",
        "require_pushed_authorization_requests": True,
        "dpop_bound_access_tokens": True,
        "tls_client_certificate_bound_access_tokens": True,
        "require_signed_request_object": True,
    }
    scope = open_world.deployment.settings.scopes
    told["scope"] = " ".join([*(name for name in scope), "offline_access"])
    client = await register(open_world, **told)
    assert told.items() <= client.answer.items()
    assert client.answer["response_types"] == ["code"]
    assert client.answer["registration_client_uri"] == f"https://auth.example{client.path}"
    found = (await open_world.http.get(client.path, headers=client.authorization)).json()
    assert told.items() <= found.items()
    changed = {**told, "tos_uri": "https://notes.example/terms-2", "jwks_uri": "https://notes.example/keys-2"}
    body = {**changed, "client_id": client.client_id}
    answer = await open_world.http.put(client.path, json=body, headers=client.authorization)
    assert answer.status_code == 200, answer.text
    assert changed.items() <= answer.json().items()


async def test_update_that_sends_back_what_was_told_names_all_of_it(open_world: World):
    client = await register(open_world)
    sent = {"registration_client_uri": "x", "client_id_issued_at": 1}
    body = {**METADATA, "client_id": client.client_id, **sent}
    refused = await open_world.http.put(client.path, json=body, headers=client.authorization)
    assert refused.json()["error_description"] == (
        "An update does not contain registration_client_uri, client_id_issued_at (RFC 7592 section 2.2)."
    )


async def test_registration_that_its_client_ended_is_written_down_as_its_doing(open_world: World):
    client = await register(open_world)
    page = await open_consent(open_world.http, client, **PKCE)
    answer_of(await decide(open_world.http, page, "allow", open_world.birch))
    assert (await open_world.http.delete(client.path, headers=client.authorization)).status_code == 204
    client_id = derive_client_id(client.client_id)
    for action in (Action.APP_DELETED, Action.GRANT_ENDED):
        wanted = EventFilter(client_id=client_id, action=action)
        (told,) = await open_world.deployment.store.find_events(wanted, before=None, at_most=9)
        assert (told.event.origin.actor_kind, told.event.origin.actor_id) == ("client", client_id)
    row = await find_row(open_world, client)
    assert row.expires_at == row.created_at + open_world.deployment.settings.registration_lifetime


async def test_id_of_another_deployment_is_nobody_s(open_world: World):
    client = await register(open_world)
    stranger = TokenCodec(new_keyring(b"\x09" * 32, 0))
    services = build_services(open_world.deployment.settings, open_world.deployment.store, stranger)
    assert await services.clients.find(client.client_id) is None


async def test_client_with_a_row_outlives_the_key_that_made_its_id(open_world: World):
    client = await register(open_world)
    page = await open_consent(open_world.http, client, **PKCE)
    answer_of(await decide(open_world.http, page, "allow", open_world.acorn))
    deployment = open_world.deployment
    rotated = TokenCodec(type(new_keyring(b"\x09" * 32, 0))((KeyringKey(2, b"\x09" * 32, 0),)))
    services = build_services(deployment.settings, deployment.store, rotated, clock=deployment.clock)
    assert await services.clients.find(client.client_id) is not None


async def test_client_with_a_key_proves_itself_by_it_alone(open_world: World):
    jwks = msgspec.json.decode(key_set(public_jwk(make_key("ES256"), kid="1")))
    metadata = {"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256"}
    client = await register(open_world, jwks=jwks, **metadata)
    assert "client_secret" not in client.answer
    assert client.answer["jwks"] == jwks
    page = await open_consent(open_world.http, client, **PKCE)
    code = answer_of(await decide(open_world.http, page, "allow", open_world.acorn))["code"]
    body = client.body(grant_type="authorization_code", code=code, code_verifier=VERIFIER)
    assert (await open_world.http.post("/oauth2/token", data=body)).status_code == 401
    now = open_world.deployment.clock.now
    claims = {"iss": client.client_id, "sub": client.client_id, "aud": "https://auth.example", "jti": "1"}
    signed = sign({**claims, "iat": now, "exp": now + 60}, make_key("ES256"), alg="ES256", kid="1")
    proof = {"client_assertion_type": JWT_BEARER_ASSERTION, "client_assertion": signed}
    assert (await open_world.http.post("/oauth2/token", data=body | proof)).status_code == 200


async def test_client_that_wants_its_requests_pushed_is_held_to_it(open_world: World):
    client = await register(open_world, require_pushed_authorization_requests=True)
    assert client.answer["require_pushed_authorization_requests"] is True
    assert "require_signed_request_object" not in client.answer
    refused = await open_consent(open_world.http, client, **PKCE)
    assert refused.status_code == 400


async def test_client_that_wants_its_requests_signed_is_held_to_it(open_world: World):
    """A29, RFC 9101 §10.5; without keys there is nothing to hold it to."""
    jwks = msgspec.json.decode(key_set(public_jwk(make_key("ES256"), kid="1")))
    held = {"require_signed_request_object": True, "request_object_signing_alg": "ES256"}
    refused = await open_world.http.post("/oauth2/register", json={**METADATA, **held})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")
    client = await register(open_world, jwks=jwks, **held)
    assert {name: client.answer[name] for name in held} == held
    assert (await open_consent(open_world.http, client, **PKCE)).status_code == 400
    now = open_world.deployment.clock.now
    claims = {"iss": client.client_id, "client_id": client.client_id, "aud": "https://auth.example", "exp": now + 60}
    challenge = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    signed = sign({**claims, "response_type": "code", **challenge}, make_key("ES256"), alg="ES256", kid="1")
    page = await open_consent(open_world.http, client, request=signed)
    assert find_form(page, "/consent")


async def test_client_that_wants_its_tokens_bound_gets_none_without_a_proof(open_world: World):
    """RFC 9449 §5.2; the code is still good afterwards."""
    client = await register(open_world, dpop_bound_access_tokens=True)
    assert client.answer["dpop_bound_access_tokens"] is True
    page = await open_consent(open_world.http, client, **PKCE)
    code = answer_of(await decide(open_world.http, page, "allow", open_world.acorn))["code"]
    body = client.body(grant_type="authorization_code", code=code, code_verifier=VERIFIER)
    refused = await open_world.http.post("/oauth2/token", data=body)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    (grant,) = await find_grants(open_world)
    assert grant.status == "pending"
