"""Who gets at the API: for every operation of the document, what is refused, how, and that nothing has changed."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from latchstring.authorization_server.api_scopes import (
    API_SCOPES,
    IMPLIED,
    OPERATOR_SCOPES,
    ORGANIZATION_MANAGE,
    ORGANIZATION_READ,
)
from latchstring.authorization_server.events import SYSTEM
from latchstring.authorization_server.records import ClientSecurity
from latchstring.protocol.errors import StoreUnavailable
from latchstring.web.api.operation import PATH
from tests.support.certificates import make_certificate, render_rfc9440
from tests.support.journey import grant_code
from tests.support.proofs import Prover
from tests.web.api.conftest import RESOURCE, ApiWorld, Caller, build_api_world, verify_answer
from tests.web.conftest import MakeWorld
from tests.web.state import dump

METADATA = "https://auth.example/.well-known/oauth-protected-resource/api/v1"
BEARER = f'Bearer realm="auth.example", {{}}resource_metadata="{METADATA}"'


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            yield method.upper(), path, described


def fill(path: str, organization_id: str) -> str:
    """The path with ids that name nothing, but for the organization."""
    unknown = dict.fromkeys(("user_id", "client_id", "connection_id", "request_id", "domain", "webhook_id"), "x")
    return PATH + path.format(**unknown, secret_id="x", organization_id=organization_id)


def needs(described: dict[str, Any]) -> str:
    [scope] = described["security"][0]["oauth2"]
    assert isinstance(scope, str)
    return scope


async def send(api: ApiWorld, method: str, path: str, token: str, **options: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await api.world.http.request(method, path, headers=headers, **options)


async def test_every_operation_without_a_token_is_401_and_says_where_to_get_one(api: ApiWorld) -> None:
    before = dump(api.world)
    for method, path, described in operations(api.document):
        response = await send(api, method, fill(path, api.world.acorn), "")
        assert response.status_code == 401, path
        assert response.headers["www-authenticate"] == BEARER.format("")
        assert "error" not in response.json()
        verify_answer(api.document, described["responses"]["401"], response)
    assert dump(api.world) == before


async def test_every_operation_with_a_token_that_lacks_its_scope_is_403(api: ApiWorld) -> None:
    tokens = {}
    for scope in API_SCOPES:
        others = [each for each in API_SCOPES if scope not in {each, *IMPLIED.get(each, ())}]
        tokens[scope] = await api.token(api.world.ann, api.world.acorn, *others)
    before = dump(api.world)
    for method, path, described in operations(api.document):
        scope = needs(described)
        response = await send(api, method, fill(path, api.world.acorn), tokens[scope])
        assert (response.status_code, response.json()["error"]) == (403, "insufficient_scope"), path
        assert f'scope="{scope}"' in response.headers["www-authenticate"]
        verify_answer(api.document, described["responses"]["403"], response)
    assert dump(api.world) == before


@pytest.mark.parametrize("was", ["admin", "suspended admin", "left"])
async def test_every_operation_by_one_who_is_no_admin_any_more_is_403(api: ApiWorld, was: str) -> None:
    """A role is looked up at each request: the token from before is worth nothing (CVE-2024-46999)."""
    world = api.world
    eve = await world.deployment.user("eve@example.com", "Eve")
    await world.deployment.member(eve, world.acorn, "admin")
    token = await api.token(eve, world.acorn)
    store, of_eve = world.deployment.store, {"user_id": eve, "organization_id": world.acorn, "now": 1_800_000_000}
    if was == "admin":
        await store.change_role(**of_eve, role="member", origin=SYSTEM)
    elif was == "left":
        await store.end_membership(**of_eve, origin=SYSTEM)
    else:
        await store.suspend_membership(**of_eve, origin=SYSTEM)
    before = dump(world)
    for method, path, _ in operations(api.document):
        response = await send(api, method, fill(path, world.acorn), token)
        if was == "admin":
            assert (response.status_code, response.json()["error"]) == (403, "access_denied"), path
        else:  # the grant is paused with the membership
            assert (response.status_code, response.json()["error"]) == (401, "invalid_token"), path
    assert dump(world) == before


async def test_operators_operations_are_for_an_operator_of_this_moment(api: ApiWorld) -> None:
    ann = await api.operator()
    assert (await ann.ask("list_reviews")).status_code == 200
    await api.world.deployment.store.set_operator(api.world.ann, is_operator=False, now=1_800_000_000)
    before = dump(api.world)
    for method, path, described in operations(api.document):
        if needs(described) in OPERATOR_SCOPES:
            response = await send(api, method, fill(path, api.world.acorn), ann.token)
            assert (response.status_code, response.json()["error"]) == (403, "access_denied"), path
    assert dump(api.world) == before


async def test_another_organizations_paths_are_404_even_for_its_own_admin(api: ApiWorld) -> None:
    """The organization is the token's (KeeperHub; CVE-2025-64431): an admin of both has to connect the other one."""
    world = api.world
    await world.deployment.store.change_role(
        user_id=world.ann, organization_id=world.birch, role="admin", now=1_800_000_000, origin=SYSTEM
    )
    ann = await api.caller()
    before = dump(world)
    for method, path, described in operations(api.document):
        if "{organization_id}" in path and needs(described) not in OPERATOR_SCOPES:
            response = await send(api, method, fill(path, world.birch), ann.token)
            assert (response.status_code, response.json()["error"]) == (404, "not_found"), path
            verify_answer(api.document, described["responses"]["404"], response)
    assert dump(world) == before


async def test_every_operation_refuses_what_it_did_not_ask_for(api: ApiWorld) -> None:
    ann = await api.operator()
    before = dump(api.world)
    for method, path, described in operations(api.document):
        place = fill(path, api.world.acorn)
        response = await send(api, method, place, ann.token, params={"surprise": "1"})
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request"), path
        assert response.json()["field"] == "surprise", path
        verify_answer(api.document, described["responses"]["400"], response)
        response = await send(api, method, place, ann.token, params=[("after", "1"), ("after", "2")])
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request"), path
        if "requestBody" not in described:
            continue
        for body in (b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"surprise":1}', b'{"a":' * 4000):
            headers = {"authorization": f"Bearer {ann.token}", "content-type": "application/json"}
            response = await api.world.http.request(method, place, headers=headers, content=body)
            assert (response.status_code, response.json()["error"]) == (400, "invalid_request"), (path, body)
            verify_answer(api.document, described["responses"]["400"], response)
        response = await send(api, method, place, ann.token, data={"a": "b"})
        assert response.status_code == 415, path
        response = await send(api, method, place, ann.token, json={"a": "b" * 70_000})
        assert response.status_code == 413, path
    assert dump(api.world) == before


async def test_ids_that_name_nothing_are_404(api: ApiWorld) -> None:
    ann = await api.operator()
    bodies = {
        "change_role": {"role": "admin"},
        "approve_app": {},
        "forget_rule": {},
        "approve_request": {},
        "decline_request": {},
        "add_secret": {},
        "retire_secret": {},
        "suspend_app": {},
        "delete_app": {"confirmation": "x"},
        "ask_review": {"wants": "public", "category": "other"},
        "save_app": {"name": "x"},
        "approve_review": {"seen": "x"},
        "decline_review": {"seen": "x"},
        **{f"save_webhook_of_{of}": {"url": "https://x.example"} for of in ("app", "organization")},
        **{f"create_webhook_of_{of}": {"url": "https://x.example"} for of in ("app", "organization")},
        **{f"replay_delivery_of_{of}": {"event_id": "x"} for of in ("app", "organization")},
        **{f"replay_deliveries_of_{of}": {"since": 0} for of in ("app", "organization")},
    }
    before = dump(api.world)
    for method, path, described in operations(api.document):
        name = described["operationId"]
        if "{" not in path.replace("{organization_id}", ""):
            continue
        sent = {"json": bodies[name]} if "requestBody" in described else {}
        response = await send(api, method, fill(path, api.world.acorn), ann.token, **sent)
        assert (response.status_code, response.json()["error"]) == (404, "not_found"), name
        verify_answer(api.document, described["responses"]["404"], response)
    # A change to a member takes its turn before it looks for one.
    changed = set(dump(api.world)) ^ set(before)
    assert {row[0] for row in changed} <= {"life_cycle"}


async def test_other_methods_are_405_with_those_that_there_are(api: ApiWorld) -> None:
    for path, methods in api.document["paths"].items():
        response = await api.world.http.request("TRACE", fill(path, api.world.acorn))
        allowed = {method.upper() for method in methods} | ({"HEAD"} if "get" in methods else set())
        assert response.status_code == 405
        assert set(response.headers["allow"].split(", ")) == allowed
    assert (await api.world.http.post(f"{PATH}/openapi.json")).status_code == 405


@pytest.mark.parametrize("path", [PATH, f"{PATH}/", f"{PATH}/x", f"{PATH}/organizations", f"{PATH}/operator/users/"])
async def test_addresses_that_are_none_are_404_or_served_with_a_slash(api: ApiWorld, path: str) -> None:
    ann = await api.operator()
    response = await send(api, "GET", path, ann.token, params={"email": "x@y"} if "users" in path else {})
    assert response.status_code == (200 if "users" in path else 404)
    assert response.headers["content-type"] == "application/json"


# -- tokens


async def ask(api: ApiWorld, headers: dict[str, str]) -> httpx.Response:
    return await api.world.http.get(f"{PATH}/organizations/{api.world.acorn}", headers=headers)


@pytest.mark.parametrize("resource", [(), ("https://api.example/",)])
async def test_token_that_is_not_meant_for_the_api_is_401(api: ApiWorld, resource: tuple[str, ...]) -> None:
    """S9: what another API is sent does not manage the organization, whatever its scope."""
    token = await api.token(api.world.ann, api.world.acorn, resource=resource)
    response = await ask(api, {"authorization": f"Bearer {token}"})
    assert (response.status_code, response.json()["error"]) == (401, "invalid_token")
    assert response.json()["error_description"] == f"The access token is for another API: request one for {RESOURCE}."


async def test_token_of_the_api_is_of_no_use_at_another_one(api: ApiWorld) -> None:
    token = await api.token(api.world.ann, api.world.acorn)
    answer = await api.world.http.post("/oauth2/introspect", data={"token": token}, auth=api.world.guard)
    assert answer.json() == {"active": False}


async def test_revoked_token_is_401_at_the_next_request(api: ApiWorld) -> None:
    token = await api.token(api.world.ann, api.world.acorn)
    assert (await ask(api, {"authorization": f"Bearer {token}"})).status_code == 200
    await api.world.http.post("/oauth2/revoke", data=api.tool.body(token=token))
    response = await ask(api, {"authorization": f"Bearer {token}"})
    assert (response.status_code, response.json()["error"]) == (401, "invalid_token")
    assert response.headers["www-authenticate"].startswith('Bearer realm="auth.example", error="invalid_token"')


async def test_app_on_its_own_is_403(api: ApiWorld) -> None:
    form = api.tool.body(grant_type="client_credentials", scope=ORGANIZATION_READ, resource=RESOURCE)
    token = (await api.world.http.post("/oauth2/token", data=form)).json()["access_token"]
    response = await ask(api, {"authorization": f"Bearer {token}"})
    assert (response.status_code, response.json()["error"]) == (403, "access_denied")
    assert response.json()["error_description"].startswith("An app calls on its own")


async def test_token_in_the_query_is_refused(api: ApiWorld) -> None:
    token = await api.token(api.world.ann, api.world.acorn)
    place = f"{PATH}/organizations/{api.world.acorn}?access_token={token}"
    assert (await api.world.http.get(place)).status_code == 401
    response = await api.world.http.get(place, headers={"authorization": f"Bearer {token}"})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


async def test_session_of_a_browser_is_nothing_to_the_api(api: ApiWorld) -> None:
    """No cookie is looked at: there is nothing that a foreign site could have a browser do (CSRF)."""
    await api.world.arrive(api.world.ann)
    assert (await ask(api, {})).status_code == 401


async def test_dpop_bound_token_needs_a_proof_and_a_proof_counts_once(api: ApiWorld) -> None:
    world, prover = api.world, Prover()
    given = {"scope": (ORGANIZATION_READ,), "resource": (RESOURCE,)}
    code = await grant_code(world.deployment, api.tool, world.ann, world.acorn, **given)
    now = world.deployment.clock.now
    proof = prover.prove(now=now)
    answer = await world.http.post(
        "/oauth2/token/", data=api.tool.body(grant_type="authorization_code", code=code), headers={"dpop": proof}
    )
    token = answer.json()["access_token"]
    assert answer.json()["token_type"] == "DPoP"
    bare = await ask(api, {"authorization": f"Bearer {token}"})
    assert (bare.status_code, bare.json()["error"]) == (401, "invalid_token")
    assert bare.headers["www-authenticate"].startswith("DPoP ")
    place = f"{RESOURCE}/organizations/{world.acorn}"
    proved = {"authorization": f"DPoP {token}", "dpop": prover.prove("GET", place, now=now, access_token=token)}
    assert (await ask(api, proved)).status_code == 200
    again = await ask(api, proved)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_dpop_proof")
    elsewhere = prover.prove("GET", f"{RESOURCE}/apps", now=now, access_token=token)
    wrong = await ask(api, {"authorization": f"DPoP {token}", "dpop": elsewhere})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_dpop_proof")


async def test_certificate_bound_token_needs_the_certificate(make_world: MakeWorld) -> None:
    settings = {"client_certificate_header": "Client-Cert", "trusted_proxy_networks": ("127.0.0.1",)}
    api = await build_api_world(await make_world(serves_api=True, **settings))
    world = api.world
    tool = await world.deployment.app(
        world.acorn,
        scope=(ORGANIZATION_READ,),
        security=ClientSecurity(tls_client_certificate_bound_access_tokens=True),
    )
    shown = {"client-cert": render_rfc9440(make_certificate())}
    given = {"scope": (ORGANIZATION_READ,), "resource": (RESOURCE,)}
    code = await grant_code(world.deployment, tool, world.ann, world.acorn, **given)
    answer = await world.http.post(
        "/oauth2/token", data=tool.body(grant_type="authorization_code", code=code), headers=shown
    )
    assert answer.status_code == 200, answer.text
    bearer = {"authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await ask(api, {**bearer, **shown})).status_code == 200
    for other in ({}, {"client-cert": render_rfc9440(make_certificate("other"))}):
        response = await ask(api, {**bearer, **other})
        assert (response.status_code, response.json()["error"]) == (401, "invalid_token")


async def test_failing_store_is_503_and_no_verdict_on_the_token(api: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await api.token(api.world.ann, api.world.acorn)

    async def fail(*arguments: Any, **options: Any) -> None:
        raise StoreUnavailable("gone")

    for method in ("find_grant", "find_user", "find_membership"):
        with monkeypatch.context() as patch:
            patch.setattr(api.world.deployment.store, method, fail)
            response = await ask(api, {"authorization": f"Bearer {token}"})
        assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
        assert response.headers["retry-after"] == "2"
        verify_answer(api.document, {"$ref": "#/components/responses/Refused"}, response)
    assert (await ask(api, {"authorization": f"Bearer {token}"})).status_code == 200


async def test_head_is_answered_as_get(api: ApiWorld) -> None:
    ann: Caller = await api.caller()
    response = await send(api, "HEAD", f"{PATH}/organizations/{api.world.acorn}", ann.token)
    assert response.status_code == 200


async def test_scope_that_manages_is_good_for_reading(api: ApiWorld) -> None:
    ann = await api.caller(None, None, ORGANIZATION_MANAGE)
    assert (await ann.ask("show_organization")).status_code == 200
    assert (await ann.ask("list_apps")).status_code == 403


@pytest.mark.parametrize("ago", [None, 12 * 3600 + 1])
async def test_what_nothing_brings_back_needs_a_fresh_sign_in(api: ApiWorld, ago: int | None) -> None:
    """RFC 9470 §3."""
    world = api.world
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.store.set_operator(world.ann, is_operator=True, now=1_800_000_000)
    signed_in_at = None if ago is None else world.deployment.clock.now - ago
    for operation, values in (
        ("delete_user", {"user_id": bob}),
        ("delete_overseen_app", {"client_id": world.app.client_id}),
        ("delete_app", {"client_id": world.app.client_id}),
    ):
        stale = await api.token(world.ann, world.acorn, authenticated_at=signed_in_at)
        ann = Caller(world.http, api.document, stale, {"organization_id": world.acorn})
        body = {"confirmation": "Mailloop"} if operation == "delete_app" else None
        before = dump(world)
        response = await ann.ask(operation, body, **values)
        assert (response.status_code, response.json()["error"]) == (401, "insufficient_user_authentication")
        assert 'max_age="43200"' in response.headers["www-authenticate"]
        assert dump(world) == before
        ann.token = await api.token(world.ann, world.acorn)
        if operation != "delete_overseen_app":  # it is the same app
            assert (await ann.ask(operation, body, **values)).status_code == 204


async def test_proof_that_comes_several_times_at_once_counts_once(api_on_either: ApiWorld) -> None:
    """S15, over all processes: the database notes it."""
    api, prover = api_on_either, Prover()
    world, now = api.world, api.world.deployment.clock.now
    given = {"scope": (ORGANIZATION_READ,), "resource": (RESOURCE,)}
    code = await grant_code(world.deployment, api.tool, world.ann, world.acorn, **given)
    form = api.tool.body(grant_type="authorization_code", code=code)
    answer = await world.http.post("/oauth2/token/", data=form, headers={"dpop": prover.prove(now=now)})
    token = answer.json()["access_token"]
    place = f"{RESOURCE}/organizations/{world.acorn}"
    proof = prover.prove("GET", place, now=now, access_token=token)
    answers = await asyncio.gather(*(ask(api, {"authorization": f"DPoP {token}", "dpop": proof}) for _ in range(20)))
    assert sorted(each.status_code for each in answers) == [200, *[401] * 19]
