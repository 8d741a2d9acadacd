"""The revocation endpoint (RFC 7009): V1–V7, V11, V12."""

import asyncio

import pytest

from latchstring.authorization_server.events import Action, EventFilter
from tests.support.journey import grant_code, refresh
from tests.web.answers import assert_machine_headers, assert_refused
from tests.web.conftest import World
from tests.web.state import connect, dump, find_grant, is_active, post

REVOKE = "/oauth2/revoke/"


async def revoke(world: World, app, token: str, **parameters: str) -> None:
    """Revoke, which is answered as done."""
    response = await post(world, REVOKE, app.body(token=token, **parameters))
    assert (response.status_code, response.content) == (200, b""), response.text
    assert_machine_headers(response)


async def test_revocation_of_a_refresh_token_ends_the_grant_and_all_its_tokens_at_once(world: World) -> None:
    """V1, V2, V7."""
    first = await connect(world)
    second = (await refresh(world.http, world.app, first["refresh_token"])).json()
    world.deployment.clock.advance(5)
    await revoke(world, world.app, second["refresh_token"])
    for tokens in (first, second):
        assert not await is_active(world, tokens["access_token"])
        refused = await refresh(world.http, world.app, tokens["refresh_token"])
        assert_refused(refused, 400, "invalid_grant", "revoked:")
    grant = await find_grant(world, first["refresh_token"])
    assert (grant.status, grant.ended_reason) == ("ended", "revoked_by_client")
    assert (grant.ended_by, grant.ended_at) == (world.app.client_id, world.deployment.clock.now)


@pytest.mark.parametrize("kind", ["refresh_token", "access_token", "client's own"])
async def test_revocation_is_written_down_as_the_client_s_doing(world: World, kind: str) -> None:
    if kind == "client's own":
        answer = await post(world, "/oauth2/token", world.app.body(grant_type="client_credentials"))
        token, user_id = answer.json()["access_token"], None
    else:
        token, user_id = (await connect(world))[kind], world.ann
    await revoke(world, world.app, token)
    action = Action.GRANT_ENDED if kind == "refresh_token" else Action.TOKEN_REVOKED
    (told,) = await world.deployment.store.find_events(EventFilter(action=action), before=None, at_most=9)
    origin = told.event.origin
    assert (origin.actor_kind, origin.actor_id, origin.address) == ("client", world.app.client_id, "127.0.0.1")
    assert (told.event.client_id, told.event.user_id) == (world.app.client_id, user_id)
    assert told.event.organization_id == world.acorn


async def test_revocation_of_a_replaced_refresh_token_ends_the_grant_too(world: World) -> None:
    """V7: what the client throws away last may be the older string."""
    first = await connect(world)
    second = (await refresh(world.http, world.app, first["refresh_token"])).json()
    world.deployment.clock.advance(10_000)
    await revoke(world, world.app, first["refresh_token"])
    assert (await find_grant(world, second["refresh_token"])).ended_reason == "revoked_by_client"
    assert not await is_active(world, second["access_token"])


async def test_revocation_of_an_access_token_kills_that_one_only(world: World) -> None:
    """V7 the other way: the grant and its other tokens live."""
    first = await connect(world)
    second = (await refresh(world.http, world.app, first["refresh_token"])).json()
    rows = len(dump(world))
    await revoke(world, world.app, first["access_token"])
    assert not await is_active(world, first["access_token"])
    assert await is_active(world, second["access_token"])
    grant = await find_grant(world, first["refresh_token"])
    assert (grant.status, grant.access_revoked_until) == ("active", world.deployment.clock.now + 3600)
    assert len(dump(world)) == rows + 2, "one row, until the token would have expired, and its event"
    assert (await refresh(world.http, world.app, second["refresh_token"])).status_code == 200
    await revoke(world, world.app, first["access_token"])
    assert len(dump(world)) == rows + 2, "again is the same"


async def test_revocation_of_several_access_tokens_remembers_each_until_its_own_end(world: World) -> None:
    first = await connect(world)
    world.deployment.clock.advance(1000)
    second = (await refresh(world.http, world.app, first["refresh_token"])).json()
    await revoke(world, world.app, second["access_token"])
    await revoke(world, world.app, first["access_token"])
    grant = await find_grant(world, first["refresh_token"])
    assert grant.access_revoked_until == world.deployment.clock.now + 3600, "the later end is not forgotten"
    world.deployment.clock.advance(3599)
    assert not await is_active(world, second["access_token"])


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", "urn:x", ""])
async def test_revocation_with_a_wrong_hint_still_finds_the_token(world: World, hint: str) -> None:
    """V3."""
    one, two = await connect(world), await connect(world)
    await revoke(world, world.app, one["refresh_token"], token_type_hint=hint)
    await revoke(world, world.app, two["access_token"], token_type_hint=hint)
    assert (await find_grant(world, one["refresh_token"])).status == "ended"
    assert not await is_active(world, two["access_token"])
    assert (await find_grant(world, two["refresh_token"])).status == "active"


async def test_revocation_of_unknown_expired_or_damaged_tokens_is_200_and_changes_nothing(world: World) -> None:
    """V2."""
    tokens = await connect(world)
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    refresh_token, access_token = tokens["refresh_token"], tokens["access_token"]
    world.deployment.clock.advance(3600)
    before = dump(world)
    damaged = [token[:-1] for token in (refresh_token, access_token)]
    damaged += [token + "A" for token in (refresh_token, access_token)]
    damaged += [token[:20] + token[20:].swapcase() for token in (refresh_token, access_token)]
    for token in ["x", "🔑", "_" * 5000, "ls_at_", "ls_rt_", "Bearer x", code, world.app.secret or "", access_token]:
        await revoke(world, world.app, token)
    for token in damaged:
        await revoke(world, world.app, token)
    assert dump(world) == before


async def test_revocation_of_another_clients_tokens_is_200_and_leaves_them_alone(world: World) -> None:
    """V4, CVE-2016-6582, CVE-2018-1000211, DOT #727: confidential and public alike."""
    tokens = await connect(world)
    other = await world.deployment.app(world.acorn)
    public = await world.deployment.app(world.acorn, is_public=True)
    before = dump(world)
    for app in (other, public):
        await revoke(world, app, tokens["refresh_token"])
        await revoke(world, app, tokens["access_token"])
    assert dump(world) == before
    assert await is_active(world, tokens["access_token"])


async def test_revocation_by_a_public_client_needs_its_client_id_only(world: World) -> None:
    """V6, CVE-2018-1000211."""
    app = await world.deployment.app(world.acorn, is_public=True)
    tokens = await connect(world, app)
    await revoke(world, app, tokens["access_token"])
    assert not await is_active(world, tokens["access_token"])
    await revoke(world, app, tokens["refresh_token"])
    assert (await find_grant(world, tokens["refresh_token"])).status == "ended"


async def test_revocation_with_failed_authentication_is_401_and_revokes_nothing(world: World) -> None:
    """V5."""
    tokens = await connect(world)
    before = dump(world)
    for token in (tokens["refresh_token"], tokens["access_token"]):
        body = {"token": token, "client_id": world.app.client_id}
        assert_refused(await post(world, REVOKE, body), 401, "invalid_client")
        assert_refused(await post(world, REVOKE, {**body, "client_secret": "wrong"}), 401, "invalid_client")
        response = await post(world, REVOKE, {"token": token}, auth=(world.app.client_id, "wrong"))
        assert_refused(response, 401, "invalid_client")
        assert response.headers["www-authenticate"].startswith("Basic ")
        guard_id, guard_secret = world.guard
        by_guard = {"token": token, "client_id": guard_id, "client_secret": guard_secret}
        assert_refused(await post(world, REVOKE, by_guard), 401, "invalid_client")
    assert dump(world) == before


async def test_revocation_without_a_token_is_invalid_request(world: World) -> None:
    """V12."""
    assert_refused(await post(world, REVOKE, world.app.body()), 400, "invalid_request", "token is missing")
    assert_refused(await post(world, REVOKE, world.app.body(token="")), 400, "invalid_request", "token is missing")


async def test_revocation_of_two_tokens_in_one_request_is_refused_and_revokes_neither(world: World) -> None:
    tokens = await connect(world)
    before = dump(world)
    content = f"client_id={world.app.client_id}&client_secret={world.app.secret}&token={tokens['access_token']}"
    content += f"&token={tokens['refresh_token']}"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert_refused(await world.http.post(REVOKE, content=content, headers=headers), 400, "invalid_request")
    assert dump(world) == before


async def test_revocation_by_get_is_405_and_revokes_nothing(world: World) -> None:
    """V11."""
    tokens = await connect(world)
    before = dump(world)
    params = world.app.body(token=tokens["refresh_token"])
    assert_refused(await world.http.get(REVOKE, params=params), 405, "invalid_request")
    assert dump(world) == before


async def test_revocation_of_a_suspended_grant_ends_it_for_good(world: World) -> None:
    """V1, R6: the member's return resumes nothing."""
    store, now = world.deployment.store, world.deployment.clock.now
    tokens = await connect(world, organization_id=world.birch)
    await store.end_membership(user_id=world.ann, organization_id=world.birch, now=now)
    await revoke(world, world.app, tokens["refresh_token"])
    await store.add_membership(user_id=world.ann, organization_id=world.birch, role="member", now=now)
    assert not await is_active(world, tokens["access_token"])
    assert (await find_grant(world, tokens["refresh_token"])).ended_reason == "revoked_by_client"


async def test_revocation_a_hundred_times_at_once_is_done_once(world: World) -> None:
    tokens = await connect(world)
    body = world.app.body(token=tokens["refresh_token"])
    responses = await asyncio.gather(*(post(world, REVOKE, body) for _ in range(100)))
    assert {response.status_code for response in responses} == {200}
    assert (await find_grant(world, tokens["refresh_token"])).status == "ended"
