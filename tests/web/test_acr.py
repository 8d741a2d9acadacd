"""How a member signed in, from the page to the token (RFC 9470; GHSA-hp74-gm6m-2qm5: a weak login is no step-up)."""

import httpx
import pytest

from tests.support.forms import find_form, submit
from tests.support.journey import answer_of, decide, exchange, follow, introspect, obtain_code, refresh, sign_in
from tests.support.passkeys import add_passkey, present
from tests.web.conftest import World
from tests.web.test_account import enter_password, make_code, turn_on


async def find_acr(world: World) -> str | None:
    """How the browser's session says that Ann signed in."""
    cookie = world.http.cookies["__Host-latchstring_session"]
    signed_in = await world.deployment.services.login.find(cookie)
    assert signed_in is not None
    return signed_in.acr


async def enter_code(world: World, page: httpx.Response, code: str) -> httpx.Response:
    return await submit(world.http, page, find_form(page, "/sign-in/code"), code=code)


# -- what a sign-in yields


@pytest.mark.parametrize("kind", ["password", "authenticator app", "recovery code", "passkey"])
async def test_each_way_of_signing_in_has_its_level_in_session_and_token(world: World, kind: str) -> None:
    expected = {"password": "pwd", "authenticator app": "mfa", "recovery code": "mfa", "passkey": "phr"}[kind]
    if kind == "password":
        await enter_password(world)
    elif kind == "passkey":
        await world.arrive(world.ann)
        passkey, _ = await add_passkey(world.http)
        world.http.cookies.clear()
        await present(world.http, passkey)
    else:
        secret, codes = await turn_on(world)
        page = await enter_password(world)
        code = codes[0] if kind == "recovery code" else make_code(secret, world.deployment.clock.now)
        assert (await enter_code(world, page, code)).status_code == 303
    assert await find_acr(world) == expected
    tokens = (await exchange(world.http, world.app, await obtain_code(world.http, world.app, world.acorn))).json()
    told = await introspect(world.http, world.guard, tokens["access_token"])
    assert (told["acr"], told["auth_time"]) == (expected, world.deployment.clock.now)
    world.http.cookies.clear()
    world.deployment.clock.advance(100)
    await enter_password(world)
    fresh = (await refresh(world.http, world.app, tokens["refresh_token"])).json()
    told = await introspect(world.http, world.guard, fresh["access_token"])
    assert (told["acr"], told["auth_time"]) == (expected, world.deployment.clock.now - 100), "a refresh is no sign-in"


async def test_weaker_sign_in_after_a_strong_one_replaces_level_and_moment_together(world: World) -> None:
    """GHSA-hp74-gm6m-2qm5: the passkey of before lends its strength to no password of now."""
    await world.arrive(world.ann)
    passkey, _ = await add_passkey(world.http)
    world.http.cookies.clear()
    await present(world.http, passkey)
    assert await find_acr(world) == "phr"
    world.deployment.clock.advance(60)
    query = {"client_id": world.app.client_id, "response_type": "code", "prompt": "login"}
    page = await follow(world.http, await world.http.get("/oauth2/authorize/", params=query))
    page = await sign_in(world.http, page, "ann@example.com")
    assert await find_acr(world) == "pwd"
    code = answer_of(await decide(world.http, page, "allow", world.acorn))["code"]
    tokens = (await exchange(world.http, world.app, code)).json()
    told = await introspect(world.http, world.guard, tokens["access_token"])
    assert (told["acr"], told["auth_time"]) == ("pwd", world.deployment.clock.now)


async def test_setting_up_what_is_stronger_is_no_sign_in_by_it(world: World) -> None:
    await enter_password(world)
    await add_passkey(world.http)
    assert await find_acr(world) == "pwd"


async def test_sign_in_whose_kind_nobody_knows_is_told_of_without_acr(world: World) -> None:
    await world.arrive(world.ann)
    tokens = (await exchange(world.http, world.app, await obtain_code(world.http, world.app, world.acorn))).json()
    told = await introspect(world.http, world.guard, tokens["access_token"])
    assert "acr" not in told
    assert told["auth_time"] == world.deployment.clock.now
