"""An app sends a member to renew one certain grant, and no other can be made by mistake."""

from typing import Any

import httpx
import pytest

from latchstring.authorization_server.events import Action, EventFilter
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from tests.support.deployment import REDIRECT_URI
from tests.support.forms import find_form, submit
from tests.support.journey import answer_of, decide, exchange, open_consent, refresh
from tests.web.answers import assert_page, assert_sent_back
from tests.web.conftest import World
from tests.web.state import connect, dump, find_grant, find_grants, is_active


async def grant_of(world: World, tokens: dict[str, Any]) -> str:
    return render_identifier(GRANT, (await find_grant(world, tokens["access_token"])).id)


async def reconnect(world: World, grant_id: str, **parameters: str) -> httpx.Response:
    return await open_consent(world.http, world.app, grant_id=grant_id, **parameters)


async def test_reconnect_shows_that_organization_alone_and_replaces_the_grant_when_its_code_is_redeemed(
    world: World,
) -> None:
    old = await connect(world, organization_id=world.birch)
    other = await connect(world, organization_id=world.birch)
    await world.arrive(world.ann)
    page = await reconnect(world, await grant_of(world, old))
    form = find_form(page, "/consent")
    assert form.fields["organization_id"] == world.birch
    assert 'class="choice-name"><bdi>Acorn Partners' not in page.text
    code = answer_of(await decide(world.http, page, "allow"))["code"]
    assert await is_active(world, old["access_token"]), "nothing ends before the new one works"
    new = (await exchange(world.http, world.app, code)).json()
    assert new["organization_id"] == world.birch
    assert not await is_active(world, old["access_token"])
    assert await is_active(world, other["access_token"]), "what was not named goes on"
    ended = await find_grant(world, old["refresh_token"])
    assert (ended.status, ended.ended_reason) == ("ended", "replaced")
    (told,) = await world.deployment.store.find_events(EventFilter(action=Action.GRANT_ENDED), before=None, at_most=9)
    assert (told.event.origin.actor_kind, told.event.origin.actor_id) == ("client", world.app.client_id)
    refused = (await refresh(world.http, world.app, old["refresh_token"])).json()
    assert refused["error_description"].startswith("superseded: the member connected the app anew")
    assert (await refresh(world.http, world.app, new["refresh_token"])).status_code == 200


async def test_second_consent_without_naming_a_grant_ends_none(world: World) -> None:
    old = await connect(world)
    await world.arrive(world.ann)
    page = await open_consent(world.http, world.app)
    code = answer_of(await decide(world.http, page, "allow", world.acorn))["code"]
    await exchange(world.http, world.app, code)
    assert await is_active(world, old["access_token"])


async def test_reconnect_is_always_asked(world: World) -> None:
    """A remembered consent is none for this: the member has come to renew."""
    grant_id = await grant_of(world, await connect(world))
    await world.arrive(world.ann)
    assert find_form(await reconnect(world, grant_id), "/consent")
    silent = {"client_id": world.app.client_id, "response_type": "code", "grant_id": grant_id, "prompt": "none"}
    response = await world.http.get("/oauth2/authorize/", params=silent)
    assert_sent_back(response, REDIRECT_URI, "consent_required")


async def test_form_forged_to_another_organization_makes_nothing(world: World) -> None:
    grant_id = await grant_of(world, await connect(world, organization_id=world.birch))
    await world.arrive(world.ann)
    page = await reconnect(world, grant_id)
    before = dump(world)
    form = find_form(page, "/consent")
    assert_page(await submit(world.http, page, form, decision="allow", organization_id=world.acorn), 403)
    assert dump(world) == before


async def test_another_member_is_told_and_the_app_too(world: World) -> None:
    grant_id = await grant_of(world, await connect(world))
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.acorn)
    await world.arrive(bob)
    page = await reconnect(world, grant_id, state="s")
    assert_page(page, 403)
    assert "This connection belongs to another account" in page.text
    assert "ann@example.com" not in page.text, "whose it is, is not Bob's to know"
    assert find_form(page, "/sign-out").fields["continue"]
    before = dump(world)
    allowed = await submit(world.http, page, find_form(page, "/consent"), decision="allow", organization_id=world.acorn)
    assert_page(allowed, 400)
    back = await submit(world.http, page, find_form(page, "/consent"), decision="mismatch")
    assert assert_sent_back(back, REDIRECT_URI, "access_denied")["state"] == "s"
    assert dump(world) == before
    silent = {"client_id": world.app.client_id, "response_type": "code", "grant_id": grant_id, "prompt": "none"}
    response = await world.http.get("/oauth2/authorize/", params=silent)
    assert_sent_back(response, REDIRECT_URI, "account_selection_required")


@pytest.mark.parametrize("selection", ["fixed", "resource"])
async def test_organization_that_is_not_the_members_is_told(make_world: Any, selection: str) -> None:
    template = "https://api.example/of/{organization_id}"
    world = await make_world(organization_resources={template: "https://api.example/"})
    chestnut = await world.deployment.organization("Chestnut")
    await world.arrive(world.ann)
    asked = {"organization_id": chestnut, "organization_selection": "fixed"}
    if selection == "resource":
        asked = {"resource": template.format(organization_id=chestnut)}
    page = await open_consent(world.http, world.app, **asked)
    assert_page(page, 403)
    assert "That organization is not one of yours" in page.text
    assert "Chestnut" not in page.text
    back = await submit(world.http, page, find_form(page, "/consent"), decision="mismatch")
    assert_sent_back(back, REDIRECT_URI, "access_denied")
    assert await find_grants(world) == []


@pytest.mark.parametrize("what", ["unknown", "malformed", "another app's", "pending", "of another organization"])
async def test_grant_that_cannot_be_renewed_is_an_error_for_the_app(world: World, what: str) -> None:
    grant_id, more = "grant_0000000000000000000000", {}
    if what == "malformed":
        grant_id = "x" * 40
    elif what == "another app's":
        grant_id = await grant_of(world, await connect(world, await world.deployment.app(world.acorn)))
    elif what == "pending":
        await world.arrive(world.ann)
        page = await open_consent(world.http, world.app)
        code = answer_of(await decide(world.http, page, "allow", world.acorn))["code"]
        grant_id = render_identifier(GRANT, (await find_grant(world, code)).id)
    elif what == "of another organization":
        grant_id, more = await grant_of(world, await connect(world)), {"organization_id": world.birch}
    await world.arrive(world.ann)
    query = {"client_id": world.app.client_id, "response_type": "code", "grant_id": grant_id, **more}
    assert_sent_back(await world.http.get("/oauth2/authorize/", params=query), REDIRECT_URI, "invalid_request")


async def test_grant_that_has_ended_can_be_renewed(world: World) -> None:
    tokens = await connect(world)
    grant_id = await grant_of(world, tokens)
    await world.http.post("/oauth2/revoke/", data=world.app.body(token=tokens["refresh_token"]))
    await world.arrive(world.ann)
    code = answer_of(await decide(world.http, await reconnect(world, grant_id), "allow"))["code"]
    new = (await exchange(world.http, world.app, code)).json()
    assert await is_active(world, new["access_token"])
    ended = await find_grant(world, tokens["refresh_token"])
    assert ended.ended_reason == "revoked_by_client", "an ending stays the first one"
