"""The developer changes a secret without a gap: adds one, sees that it is used, retires the other."""

import re
from html import unescape

import httpx

from latchstring.authorization_server.client_secrets import MAX_SECRETS, OVERLAP
from latchstring.authorization_server.records import SecretHash
from tests.support.forms import find_form, submit
from tests.support.journey import follow
from tests.web.answers import assert_page
from tests.web.conftest import World
from tests.web.state import dump

SECRET = re.compile(r'<code id="client-secret"[^>]*>(ls_cs_[0-9A-Za-z]+)</code>')


def path(world: World) -> str:
    return f"/apps/{world.app.client_id}"


async def secrets(world: World) -> tuple[SecretHash, ...]:
    client = await world.deployment.store.find_client(world.app.client_id)
    assert client is not None
    return client.secrets


async def open_app(world: World) -> httpx.Response:
    page = await world.http.get(path(world))
    assert_page(page, 200)
    return page


async def add(world: World, name: str = "") -> httpx.Response:
    page = await open_app(world)
    form = find_form(page, f"{path(world)}/secrets")
    return await submit(world.http, page, form, secret_name=name)


async def retire(world: World, kept: SecretHash, **values: str) -> httpx.Response:
    """As the page's own forms do, once one has been shown."""
    token = find_form(await open_app(world), "/sign-out").fields["csrf_token"]
    return await world.http.post(f"{path(world)}/secrets/{kept.secret_id}/retire", data={"csrf_token": token, **values})


async def use(world: World, secret: str) -> int:
    body = {"client_id": world.app.client_id, "client_secret": secret, "grant_type": "client_credentials"}
    return (await world.http.post("/oauth2/token", data=body)).status_code


async def test_secret_added_is_shown_once_and_both_work(world: World) -> None:
    await world.arrive(world.ann)
    response = await add(world, "Server in <b>Frankfurt</b>")
    assert_page(response, 200)
    (added,) = SECRET.findall(response.text)
    assert world.app.secret is not None
    assert [await use(world, secret) for secret in (world.app.secret, added)] == [200, 200]
    page = await open_app(world)
    assert added not in page.text
    assert "<b>Frankfurt" not in page.text
    assert "Server in <b>Frankfurt</b>" in unescape(page.text)
    assert page.text.count("Retire in 7 days") == 2
    assert added not in str(dump(world))


async def test_secret_retired_in_a_week_says_until_when(world: World) -> None:
    await world.arrive(world.ann)
    await add(world)
    first, second = await secrets(world)
    page = await open_app(world)
    response = await submit(world.http, page, find_form(page, f"{path(world)}/secrets/{first.secret_id}/retire"))
    assert (response.status_code, response.headers["location"]) == (303, f"{path(world)}?ending")
    shown = await follow(world.http, response)
    assert "goes on working for 7 days" in shown.text
    assert "Works until" in shown.text
    assert [kept.expires_at for kept in await secrets(world)] == [world.deployment.clock.now + OVERLAP, None]
    assert f"/secrets/{second.secret_id}/retire" not in shown.text, "the last that stays cannot be retired by a click"
    assert world.app.secret is not None
    assert await use(world, world.app.secret) == 200
    world.deployment.clock.advance(OVERLAP)
    assert await use(world, world.app.secret) == 401
    await world.arrive(world.ann)
    assert first.hint not in (await open_app(world)).text


async def test_secret_retired_now_is_dead_and_connections_stay(world: World) -> None:
    await world.arrive(world.ann)
    await add(world)
    first, second = await secrets(world)
    response = await retire(world, first)
    assert (response.status_code, response.headers["location"]) == (303, f"{path(world)}?retired")
    assert "is retired. Connections stay" in (await follow(world.http, response)).text
    assert await secrets(world) == (second,)
    assert world.app.secret is not None
    assert await use(world, world.app.secret) == 401


async def test_last_secret_and_an_unknown_one_are_not_retired(world: World) -> None:
    await world.arrive(world.ann)
    (only,) = await secrets(world)
    assert f"/secrets/{only.secret_id}/retire" not in (await open_app(world)).text
    refused = await retire(world, only)
    assert_page(refused, 422)
    assert "the last secret that is there to stay" in refused.text
    assert_page(await retire(world, SecretHash(b"x" * 32, 1, "", 0)), 422)
    assert await secrets(world) == (only,)


async def test_secrets_beyond_the_limit_are_refused_and_not_offered(world: World) -> None:
    await world.arrive(world.ann)
    page = await open_app(world)
    form = find_form(page, f"{path(world)}/secrets")
    for _ in range(MAX_SECRETS - 1):
        assert_page(await add(world), 200)
    assert f'action="{path(world)}/secrets"' not in (await open_app(world)).text
    refused = await submit(world.http, page, form, secret_name="")
    assert_page(refused, 422)
    assert not SECRET.search(refused.text)
    assert len(await secrets(world)) == MAX_SECRETS


async def test_secret_name_too_long_is_refused(world: World) -> None:
    await world.arrive(world.ann)
    assert_page(await add(world, "x" * 81), 422)
    assert len(await secrets(world)) == 1


async def test_last_use_is_shown_once_it_was_written(world: World) -> None:
    await world.arrive(world.ann)
    assert world.app.secret is not None
    assert "not yet" in (await open_app(world)).text
    assert await use(world, world.app.secret) == 200
    (only,) = await secrets(world)
    await world.deployment.store.note_secret_uses({(world.app.client_id, only.secret_id): world.deployment.clock.now})
    assert "not yet" not in (await open_app(world)).text


async def test_secrets_are_changed_by_those_alone_who_may_change_the_app(world: World) -> None:
    """And only from the page: a stranger, a member who is no admin, and a forged form change nothing."""
    await world.arrive(world.ann)
    await add(world)
    first, _ = before = await secrets(world)
    address = f"{path(world)}/secrets"
    forged = [
        await world.http.post(address, data={"csrf_token": "forged"}),
        await world.http.post(f"{address}/{first.secret_id}/retire", data={"csrf_token": "forged"}),
    ]
    for response in forged:
        assert_page(response, 403)
    bob = await world.deployment.user("bob@example.com", "Bob")
    for is_member in (False, True):
        if is_member:
            await world.deployment.member(bob, world.acorn)
        await world.arrive(bob)
        token = find_form(await world.http.get("/connections"), "/sign-out").fields["csrf_token"]
        for target in (address, f"{address}/{first.secret_id}/retire"):
            response = await world.http.post(target, data={"csrf_token": token})
            assert_page(response, 404)
    assert await secrets(world) == before
