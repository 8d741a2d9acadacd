"""The introspection endpoint (RFC 7662): N1–N5, N8, N9."""

import pytest

from latchstring.authorization_server.keyring import new_keyring
from latchstring.authorization_server.tokens import TokenCodec
from tests.support.journey import grant_code, introspect, refresh
from tests.web.answers import assert_machine_headers, assert_refused
from tests.web.conftest import World
from tests.web.state import connect, dump, find_grant, post

INTROSPECT = "/oauth2/introspect/"


async def assert_inactive(world: World, token: str, caller: tuple[str, str] | None = None) -> None:
    """Inactive, and not a byte more (N2)."""
    response = await post(world, INTROSPECT, {"token": token}, auth=caller or world.guard)
    assert (response.status_code, response.content) == (200, b'{"active":false}')
    assert_machine_headers(response)


async def test_introspection_of_a_good_token_tells_exactly_what_it_stands_for(world: World) -> None:
    """N8, N7 as far as it exists: the organization is always told."""
    token = (await connect(world, organization_id=world.birch))["access_token"]
    response = await post(world, INTROSPECT, {"token": token}, auth=world.guard)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert_machine_headers(response)
    told = response.json()
    assert len(told.pop("jti")) == 24
    now = world.deployment.clock.now
    assert told == {
        "active": True,
        "scope": "all.full_access offline_access",
        "client_id": world.app.client_id,
        "token_type": "Bearer",
        "exp": now + 3600,
        "iat": now,
        "sub": world.ann,
        "iss": "https://auth.example",
        "organization_id": world.birch,
        "user_id": world.ann,
    }


async def test_introspection_writes_nothing(world: World) -> None:
    token = (await connect(world))["access_token"]
    before = dump(world)
    for _ in range(3):
        assert (await introspect(world.http, world.guard, token))["active"]
    assert dump(world) == before


@pytest.mark.parametrize("age, is_active", [(0, True), (3599, True), (3600, False), (3601, False), (10**8, False)])
async def test_introspection_ends_with_the_token(world: World, age: int, is_active: bool) -> None:
    """N2, CVE-2025-64708: the clock is looked at on reading."""
    token = (await connect(world))["access_token"]
    world.deployment.clock.advance(age)
    assert (await introspect(world.http, world.guard, token))["active"] is is_active


async def test_introspection_of_a_token_without_offline_access_ends_with_it_too(world: World) -> None:
    token = (await connect(world, scope=("all.full_access",)))["access_token"]
    assert (await introspect(world.http, world.guard, token))["scope"] == "all.full_access"
    world.deployment.clock.advance(3600)
    await assert_inactive(world, token)


async def test_introspection_of_codes_refresh_tokens_and_secrets_is_inactive(world: World) -> None:
    """N9: what is no access token never passes a guard."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    tokens = await connect(world)
    for other in (code, tokens["refresh_token"], world.app.secret or "", world.guard[1], world.app.client_id):
        for hint in ("access_token", "refresh_token"):
            response = await post(world, INTROSPECT, {"token": other, "token_type_hint": hint}, auth=world.guard)
            assert (response.status_code, response.content) == (200, b'{"active":false}')


async def test_introspection_of_a_damaged_token_is_inactive_at_every_position(world: World) -> None:
    """N5, CVE-2026-27840: cut, extended, one character changed; never an error page."""
    token = (await connect(world))["access_token"]
    damaged = [token[:length] for length in range(1, len(token))]
    damaged += [token + extra for extra in ("A", "0", "=", " ", "\n", token)]
    damaged += [
        token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        for position in range(len(token))
    ]
    damaged += [" " + token, token.upper(), token.swapcase(), token.replace("ls_at_", "ls_rt_"), "Bearer " + token]
    for text in damaged:
        await assert_inactive(world, text)
    assert (await introspect(world.http, world.guard, token))["active"]


@pytest.mark.parametrize("token", ["x", "ls_at_", "ls_at_" + "0" * 4000, "🔑", "\x7f", '"', "ls_at_000000", "_" * 8192])
async def test_introspection_of_nonsense_is_inactive(world: World, token: str) -> None:
    await assert_inactive(world, token)


async def test_introspection_of_a_token_of_another_deployment_is_inactive(world: World) -> None:
    """N2: the same grant and client, sealed by another keyring."""
    grant = await find_grant(world, (await connect(world))["access_token"])
    codec, now = TokenCodec(new_keyring(bytes(32), 0)), world.deployment.clock.now
    times = {"token_id": bytes(12), "issued_at": now, "lifetime": 3600}
    await assert_inactive(world, codec.render_access_token(grant.id, scope=None, **times))
    on_client = codec.render_client_access_token(world.app.client_id, world.acorn, scope="all.full_access", **times)
    await assert_inactive(world, on_client)


async def test_introspection_by_a_resource_server_sees_the_tokens_of_every_client(world: World) -> None:
    other = await world.deployment.app(world.birch)
    for app in (world.app, other):
        token = (await connect(world, app))["access_token"]
        assert (await introspect(world.http, world.guard, token))["client_id"] == app.client_id


async def test_introspection_by_a_client_sees_its_own_tokens_only(world: World) -> None:
    """N3, CVE-2026-37979."""
    other = await world.deployment.app(world.acorn)
    own, foreign = await connect(world), await connect(world, other)
    assert world.app.secret is not None
    caller = (world.app.client_id, world.app.secret)
    assert (await introspect(world.http, caller, own["access_token"]))["client_id"] == world.app.client_id
    await assert_inactive(world, foreign["access_token"], caller)
    in_body = await post(world, INTROSPECT, world.app.body(token=own["access_token"]))
    assert in_body.json()["active"] is True


async def test_introspection_by_a_public_client_is_refused(world: World) -> None:
    """N1, N3: anyone could call itself by a public name."""
    app = await world.deployment.app(world.acorn, is_public=True)
    token = (await connect(world, app))["access_token"]
    assert_refused(await post(world, INTROSPECT, app.body(token=token)), 401, "invalid_client")


async def test_introspection_without_or_with_wrong_credentials_is_401(world: World) -> None:
    """N1; a bearer token is no credential here."""
    token = (await connect(world))["access_token"]
    assert_refused(await post(world, INTROSPECT, {"token": token}), 401, "invalid_client")
    for caller in ((world.guard[0], "wrong"), (world.guard[0], ""), (world.guard[0], world.app.secret or "")):
        response = await post(world, INTROSPECT, {"token": token}, auth=caller)
        assert_refused(response, 401, "invalid_client")
        assert response.headers["www-authenticate"].startswith("Basic ")
    assert_refused(await post(world, INTROSPECT, {"token": token, "client_id": world.guard[0]}), 401, "invalid_client")
    bearer = {"authorization": f"Bearer {token}"}
    assert_refused(await post(world, INTROSPECT, {"token": token}, headers=bearer), 401, "invalid_client")


async def test_introspection_without_a_token_is_invalid_request(world: World) -> None:
    for data in ({"x": "1"}, {"token": ""}):
        response = await post(world, INTROSPECT, data, auth=world.guard)
        assert_refused(response, 400, "invalid_request", "token is missing")


async def test_introspection_by_get_is_405(world: World) -> None:
    """N4: a token never belongs in a URL."""
    token = (await connect(world))["access_token"]
    response = await world.http.get(INTROSPECT, params={"token": token}, auth=world.guard)
    assert_refused(response, 405, "invalid_request")


async def test_introspection_after_everything_that_ends_a_grant_is_inactive(world: World) -> None:
    """N2: disconnected, ended by the operator, membership over, reuse."""
    store, clock = world.deployment.store, world.deployment.clock
    by_operator, by_reuse, by_leaving = (
        await connect(world),
        await connect(world),
        await connect(world, organization_id=world.birch),
    )
    grant = world.deployment.codec.parse_refresh_token(by_operator["refresh_token"])
    assert grant is not None
    await store.end_grant(grant.grant_id, by="operator", reason="ended_by_operator", now=clock.now)
    await refresh(world.http, world.app, by_reuse["refresh_token"])
    clock.advance(60)
    assert_refused(await refresh(world.http, world.app, by_reuse["refresh_token"]), 400, "invalid_grant")
    await store.end_membership(user_id=world.ann, organization_id=world.birch, now=clock.now)
    for tokens in (by_operator, by_reuse, by_leaving):
        await assert_inactive(world, tokens["access_token"])
