"""Several organizations in one visit, each its own grant and code (ADR 0021)."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.support.deployment import REDIRECT_URI
from tests.support.forms import find_form, submit
from tests.support.journey import answer_of, decide, exchange, open_consent
from tests.web.answers import assert_page, assert_sent_back
from tests.web.conftest import World
from tests.web.state import CHALLENGE, VERIFIER, dump, find_grants, is_active

NEXT = "/consent/next"


async def ask(world: World, **parameters: str) -> httpx.Response:
    await world.arrive(world.ann)
    return await open_consent(world.http, world.app, organization_selection="several", **parameters)


async def go(world: World, page: httpx.Response, decision: str) -> httpx.Response:
    return await submit(world.http, page, find_form(page, NEXT), decision=decision)


def codes_of(response: httpx.Response) -> list[str]:
    answer = answer_of(response)
    return [answer["code"], *answer.get("further_codes", "").split()]


async def test_each_organization_gets_a_grant_and_a_code_of_its_own(world: World) -> None:
    page = await ask(world, state="s", code_challenge=CHALLENGE, code_challenge_method="S256")
    first = await decide(world.http, page, "allow", world.acorn)
    assert_page(first, 200)
    assert "Connect another organization" in first.text
    more = await go(world, first, "another")
    assert find_form(more, "/consent").fields["organization_id"] == world.birch, "the one that is left"
    # Birch is the last one there is, so nothing more is offered.
    response = await decide(world.http, more, "allow", world.birch)
    assert answer_of(response)["state"] == "s"
    codes = codes_of(response)
    answers = [(await exchange(world.http, world.app, code, code_verifier=VERIFIER)).json() for code in codes]
    assert [answer["organization_id"] for answer in answers] == [world.acorn, world.birch]
    assert len({answer["refresh_token"] for answer in answers}) == 2
    again = await exchange(world.http, world.app, codes[1], code_verifier=VERIFIER)
    assert again.json()["error"] == "invalid_grant"
    assert not await is_active(world, answers[1]["access_token"]), "each code counts once"
    assert await is_active(world, answers[0]["access_token"]), "and is nobody else's matter"


async def test_going_on_after_the_first_is_an_ordinary_answer(world: World) -> None:
    """An ordinary client library sees nothing new."""
    first = await decide(world.http, await ask(world), "allow", world.birch)
    response = await go(world, first, "done")
    assert response.headers["location"].startswith(f"{REDIRECT_URI}?code=ls_ac_")
    assert answer_of(response).keys() == {"code", "iss"}
    assert (await exchange(world.http, world.app, answer_of(response)["code"])).json()["organization_id"] == world.birch


async def test_codes_live_from_when_they_are_sent_and_are_shown_to_nobody_before(world: World) -> None:
    first = await decide(world.http, await ask(world), "allow", world.acorn)
    assert "ls_ac_" not in first.text
    world.deployment.clock.advance(1800)
    (code,) = codes_of(await go(world, first, "done"))
    world.deployment.clock.advance(61)
    assert (await exchange(world.http, world.app, code)).json()["error"] == "invalid_grant"


async def test_visit_that_took_too_long_sends_nothing(world: World) -> None:
    first = await decide(world.http, await ask(world), "allow", world.acorn)
    world.deployment.clock.advance(3601)
    assert_page(await go(world, first, "done"), 400)
    (grant,) = await find_grants(world)
    assert grant.status == "pending", "the sweeper's, one day"


async def test_declining_a_further_one_keeps_the_first(world: World) -> None:
    first = await decide(world.http, await ask(world), "allow", world.acorn)
    more = await go(world, first, "another")
    (code,) = codes_of(await decide(world.http, more, "deny"))
    assert (await exchange(world.http, world.app, code)).json()["organization_id"] == world.acorn
    assert len(await find_grants(world)) == 1


async def test_declining_the_first_is_access_denied(world: World) -> None:
    response = await decide(world.http, await ask(world), "deny")
    assert_sent_back(response, REDIRECT_URI, "access_denied")


async def test_clicks_that_come_twice_make_no_second_grant(world: World) -> None:
    page = await ask(world)
    first, again = [await decide(world.http, page, "allow", world.acorn) for _ in range(2)]
    assert_page(again, 200)
    assert len(await find_grants(world)) == 1
    sent, resent = await go(world, first, "done"), await go(world, again, "done")
    assert codes_of(sent) == codes_of(resent)
    await exchange(world.http, world.app, codes_of(sent)[0])
    assert_page(await go(world, first, "done"), 400)


async def test_a25_membership_that_ends_before_going_on_takes_its_code_along(world: World) -> None:
    third = await world.deployment.organization("Cedar")
    await world.deployment.member(world.ann, third)
    first = await decide(world.http, await ask(world), "allow", world.acorn)
    more = await go(world, first, "another")
    second = await decide(world.http, more, "allow", world.birch)
    now = world.deployment.clock.now
    await world.deployment.store.end_membership(user_id=world.ann, organization_id=world.acorn, now=now)
    codes = codes_of(await go(world, second, "done"))
    answers = [(await exchange(world.http, world.app, code)).json() for code in codes]
    assert [answer["organization_id"] for answer in answers] == [world.birch]


async def test_a22_page_of_another_session_or_without_its_token_sends_nothing(world: World) -> None:
    first = await decide(world.http, await ask(world), "allow", world.acorn)
    form = find_form(first, NEXT)
    before = dump(world)
    assert_page(await world.http.post(NEXT, data={**form.fields, "csrf_token": "x", "decision": "done"}), 403)
    async with world.deployment.http() as stranger:
        bob = await world.deployment.user("bob@example.com", "Bob")
        await world.deployment.member(bob, world.acorn)
        before = dump(world)
        await world.arrive(bob, stranger)
        page = await open_consent(stranger, world.app)
        token = find_form(page, "/consent").fields["csrf_token"]
        stolen = await stranger.post(NEXT, data={**form.fields, "csrf_token": token, "decision": "done"})
        assert stolen.status_code in {400, 403}
        assert "location" not in stolen.headers
    assert [row for row in dump(world) if row[0] == "oauth_grant"] == [row for row in before if row[0] == "oauth_grant"]


async def test_form_forged_to_an_organization_of_before_makes_no_second_grant(world: World) -> None:
    third = await world.deployment.organization("Cedar")
    await world.deployment.member(world.ann, third)
    first = await decide(world.http, await ask(world), "allow", world.acorn)
    more = await go(world, first, "another")
    assert world.acorn not in find_form(more, "/consent").choices["organization_id"]
    assert_page(await decide(world.http, more, "allow", world.acorn), 422)
    assert len(await find_grants(world)) == 1


async def test_member_of_one_organization_goes_straight_on(world: World) -> None:
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch)
    await world.arrive(bob)
    page = await open_consent(world.http, world.app, organization_selection="several")
    (code,) = codes_of(await decide(world.http, page, "allow"))
    world.deployment.clock.advance(61)
    assert (await exchange(world.http, world.app, code)).json()["error"] == "invalid_grant", "60 seconds, as always"


async def test_several_are_never_answered_in_silence(world: World) -> None:
    first = await decide(world.http, await ask(world), "allow", world.acorn)
    codes_of(await go(world, first, "done"))
    assert find_form(await ask(world, organization_id=world.acorn), "/consent")
    query = {"client_id": world.app.client_id, "response_type": "code", "organization_selection": "several"}
    response = await world.http.get("/oauth2/authorize/", params={**query, "prompt": "none"})
    assert_sent_back(response, REDIRECT_URI, "consent_required")


@pytest.mark.parametrize("mode", ["query", "form_post"])
async def test_pushed_request_is_used_up_by_the_first_and_the_codes_go_as_it_asked(world: World, mode: str) -> None:
    body = world.app.body(response_type="code", organization_selection="several", response_mode=mode)
    pushed = (await world.http.post("/oauth2/par/", data=body)).json()
    await world.arrive(world.ann)
    query = {"client_id": world.app.client_id, "request_uri": pushed["request_uri"]}
    page = await world.http.get("/oauth2/authorize/", params=query)
    first = await decide(world.http, page, "allow", world.acorn)
    second = await decide(world.http, await go(world, first, "another"), "allow", world.birch)
    if mode == "query":
        assert len(codes_of(second)) == 2
    else:
        fields: dict[str, Any] = find_form(second, REDIRECT_URI).fields
        assert fields["code"].startswith("ls_ac_")
        assert fields["further_codes"].startswith("ls_ac_")
    assert_page(await world.http.get("/oauth2/authorize/", params=query), 400)


async def test_address_of_twenty_codes_is_one_that_browsers_take(world: World) -> None:
    for number in range(21):
        organization_id = await world.deployment.organization(f"Organization {number:02}")
        await world.deployment.member(world.ann, organization_id)
    page = await ask(world)
    for number in range(20):
        organization_id = find_form(page, "/consent").choices["organization_id"][0]
        page = await decide(world.http, page, "allow", organization_id)
        if number < 19:
            page = await go(world, page, "another")
    assert len(codes_of(page)) == 20, "and no more in one visit"
    assert len(urlsplit(page.headers["location"]).query) < 2000
    assert parse_qs(urlsplit(page.headers["location"]).query)["iss"] == ["https://auth.example"]
