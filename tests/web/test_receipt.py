"""The receipt of a consent: what, who, when, under which terms and until when, as it was told at the time."""

import msgspec

from tests.support.journey import answer_of, decide, exchange, open_consent
from tests.web.answers import assert_page
from tests.web.conftest import World
from tests.web.test_interaction import ask
from tests.web.test_reconnect import grant_of


async def connect(world: World, **fields: str) -> str:
    """Ann allows Mailloop for Birch; the connection's identifier."""
    await world.arrive(world.ann)
    page = await open_consent(world.http, world.app, **fields)
    code = answer_of(await decide(world.http, page, "allow", world.birch))["code"]
    return await grant_of(world, (await exchange(world.http, world.app, code)).json())


async def test_receipt_says_who_what_for_whom_and_for_how_long(world: World) -> None:
    grant_id = await connect(world)
    page = await world.http.get(f"/connections/{grant_id}/receipt")
    assert_page(page, 200)
    for text in ("Mailloop", "Birch &amp; Co", "Ann", "ann@example.com", "Acorn Partners", "app.example", grant_id):
        assert text in page.text, text
    assert "Read and change everything you can in" in page.text
    assert "you disconnect it" in page.text
    assert f"/connections/{grant_id}/receipt" in (await world.http.get("/connections")).text


async def test_receipt_keeps_what_was_told_when_the_app_changes_and_says_when_it_ended(world: World) -> None:
    grant_id = await connect(world)
    now = world.deployment.clock.now
    record = msgspec.structs.replace(world.app.record, name="Renamed", terms_uri="https://app.example/new-terms")
    await world.deployment.store.update_client_details(record, now=now)
    await world.deployment.services.connections.end(grant_id, world.ann)
    text = (await world.http.get(f"/connections/{grant_id}/receipt")).text
    assert "Receipt for <bdi>Mailloop</bdi>" in text
    assert "new-terms" not in text
    assert "It ended on" in text


async def test_receipt_downloads_as_a_file_of_its_own_name(world: World) -> None:
    grant_id = await connect(world)
    page = await world.http.get(f"/connections/{grant_id}/receipt?download")
    assert page.headers["content-disposition"] == f'attachment; filename="{grant_id}.html"'


async def test_receipt_of_a_consent_that_was_remembered_says_so(world: World) -> None:
    await connect(world)
    code = answer_of(await ask(world, organization_id=world.birch))["code"]
    grant_id = await grant_of(world, (await exchange(world.http, world.app, code)).json())
    assert "You were not asked this time" in (await world.http.get(f"/connections/{grant_id}/receipt")).text


async def test_receipt_of_another_member_or_of_nothing_is_not_found(world: World) -> None:
    grant_id = await connect(world)
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch, "admin")
    await world.arrive(bob)
    for identifier in (grant_id, "grant_0000000000000000000000", "x"):
        assert_page(await world.http.get(f"/connections/{identifier}/receipt"), 404)


async def test_receipt_needs_a_sign_in(world: World) -> None:
    grant_id = await connect(world)
    async with world.deployment.http() as stranger:
        page = await stranger.get(f"/connections/{grant_id}/receipt")
        assert page.headers["location"].startswith("/sign-in?continue=")
