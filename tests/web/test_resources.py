"""Resource indicators (RFC 8707): A27, C12, R2, N3 — a token for one API is nothing at another."""

import pytest

from tests.support import device
from tests.support.device import GRANT_TYPE
from tests.support.journey import (
    answer_of,
    decide,
    exchange,
    follow,
    grant_code,
    introspect,
    obtain_code,
    open_consent,
    refresh,
)
from tests.web.conftest import World

API = "https://api.example/"
FILES = "https://files.example/"


@pytest.fixture
async def files(world: World) -> tuple[str, str]:
    """The guard of a second API."""
    record, secret = await world.deployment.services.apps.create_resource_server("Files", FILES)
    return record.client_id, secret


async def test_resource_unknown_at_authorization_is_invalid_target(world):
    """A27, RFC 8707 §2."""
    query = {"client_id": world.app.client_id, "response_type": "code", "resource": "https://other.example/"}
    response = await world.http.get("/oauth2/authorize/", params=query)
    assert answer_of(response)["error"] == "invalid_target"


async def test_resource_chosen_at_authorization_binds_every_token(world, files):
    """C12, N3: introspection by the other API's guard says inactive."""
    code = await obtain_code(world.http, world.app, world.acorn, resource=API)
    tokens = (await exchange(world.http, world.app, code)).json()
    newer = (await refresh(world.http, world.app, tokens["refresh_token"])).json()
    for token in (tokens["access_token"], newer["access_token"]):
        told = await introspect(world.http, world.guard, token)
        assert (told["active"], told["aud"]) == (True, [API])
        assert await introspect(world.http, files, token) == {"active": False}


async def test_resource_outside_the_grant_is_invalid_target_and_consumes_nothing(world, files):
    """C12, R2."""
    code = await obtain_code(world.http, world.app, world.acorn, resource=API)
    refused = await exchange(world.http, world.app, code, resource=FILES)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")
    tokens = (await exchange(world.http, world.app, code)).json()
    refused = await refresh(world.http, world.app, tokens["refresh_token"], resource=FILES)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")
    assert (await refresh(world.http, world.app, tokens["refresh_token"])).status_code == 200


async def test_resource_narrows_one_access_token_and_leaves_the_grant_wide(world, files):
    """RFC 8707 §2.2."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn, resource=(API, FILES))
    wide = (await exchange(world.http, world.app, code)).json()
    narrow = (await refresh(world.http, world.app, wide["refresh_token"], resource=FILES)).json()
    assert (await introspect(world.http, world.guard, wide["access_token"]))["aud"] == [API, FILES]
    assert (await introspect(world.http, files, narrow["access_token"]))["aud"] == [FILES]
    assert await introspect(world.http, world.guard, narrow["access_token"]) == {"active": False}
    again = (await refresh(world.http, world.app, narrow["refresh_token"])).json()
    assert (await introspect(world.http, world.guard, again["access_token"]))["active"] is True


async def test_resource_of_a_pushed_request_is_kept(world, files):
    pushed = await world.http.post("/oauth2/par", data=world.app.body(response_type="code", resource=FILES))
    page = await open_consent(world.http, world.app, request_uri=pushed.json()["request_uri"])
    page = await follow(world.http, page)
    code = answer_of(await decide(world.http, page, "allow", world.acorn))["code"]
    tokens = (await exchange(world.http, world.app, code)).json()
    assert (await introspect(world.http, files, tokens["access_token"]))["aud"] == [FILES]


async def test_resource_with_client_credentials_is_for_that_api_alone(world, files):
    app = await world.deployment.app(world.acorn, grant_types=("client_credentials",))
    body = app.body(grant_type="client_credentials", resource=FILES)
    answer = (await world.http.post("/oauth2/token/", data=body)).json()
    assert (answer["organization_id"], "user_id" in answer, "refresh_token" in answer) == (world.acorn, False, False)
    told = await introspect(world.http, files, answer["access_token"])
    assert (told["active"], told["sub"], told["aud"]) == (True, app.client_id, [FILES])
    assert await introspect(world.http, world.guard, answer["access_token"]) == {"active": False}
    await world.http.post("/oauth2/revoke/", data=app.body(token=answer["access_token"]))
    assert await introspect(world.http, files, answer["access_token"]) == {"active": False}


@pytest.mark.parametrize("grant_type", ["refresh_token", "client_credentials", GRANT_TYPE])
async def test_part_of_an_api_that_is_one_organizations_is_for_its_grants_alone(make_world, grant_type):
    """A27: at every grant type, by the organization that the token is for."""
    template = "https://api.example/of/{organization_id}"
    world = await make_world(organization_resources={template: API})
    body = {"grant_type": grant_type}
    if grant_type == "refresh_token":
        code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
        body["refresh_token"] = (await exchange(world.http, world.app, code)).json()["refresh_token"]
    elif grant_type == GRANT_TYPE:
        codes = await device.ask(world.http, world.app)
        await device.allow(world.http, codes["user_code"], world.acorn)
        body["device_code"] = codes["device_code"]
    foreign = template.format(organization_id=world.birch)
    refused = await world.http.post("/oauth2/token", data=world.app.body(**body, resource=foreign))
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")
    own = template.format(organization_id=world.acorn)
    tokens = await world.http.post("/oauth2/token", data=world.app.body(**body, resource=own))
    assert tokens.status_code == 200, tokens.text
    live = await introspect(world.http, world.guard, tokens.json()["access_token"])
    assert (live["aud"], live["organization_id"]) == ([API], world.acorn)


async def test_device_that_asks_for_one_organizations_part_can_be_allowed_for_that_one_alone(make_world):
    template = "https://api.example/of/{organization_id}"
    world = await make_world(organization_resources={template: API})
    asked = template.format(organization_id=world.birch)
    codes = await device.ask(world.http, world.app, resource=asked)
    page = await device.enter(world.http, codes["user_code"])
    await device.answer(world.http, page, "allow", world.birch)
    tokens = (await device.poll(world.http, world.app, codes["device_code"])).json()
    live = await introspect(world.http, world.guard, tokens["access_token"])
    assert (live["aud"], live["organization_id"]) == ([API], world.birch)
