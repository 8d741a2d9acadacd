"""POST /oauth2/revocations: the feed that guards keep up with."""

import asyncio

import pytest

from latchstring.protocol.revocation_feed import Revocation, parse_feed
from tests.support.journey import refresh
from tests.web.answers import assert_machine_headers, assert_refused
from tests.web.conftest import World
from tests.web.state import connect, post

FEED = "/oauth2/revocations/"
FORM = {"wait": "0"}


async def read(world: World, after: str | None = None, **parameters: str):
    form = {**FORM, **parameters} | ({} if after is None else {"after": after})
    response = await world.http.post(FEED, data=form, auth=world.guard)
    assert response.status_code == 200, response.text
    assert_machine_headers(response)
    return parse_feed(response.content)


async def test_guard_learns_of_a_grant_that_ended_and_then_of_nothing(world: World) -> None:
    tokens = await connect(world)
    begun = await read(world)
    assert (begun.revocations, begun.has_more) == ([], False)
    await post(world, "/oauth2/revoke/", world.app.body(token=tokens["refresh_token"]))
    told = await read(world, begun.cursor)
    now = world.deployment.clock.now
    assert told.revocations == [Revocation(at=now, user_id=world.ann, organization_id=tokens["organization_id"])]
    assert (await read(world, told.cursor)).revocations == []
    assert (await read(world)).revocations == told.revocations, "a guard that begins learns what came before"


async def test_guard_learns_of_a_single_token_and_of_each_once(world: World) -> None:
    tokens = await connect(world)
    begun = await read(world)
    for _ in range(2):
        await post(world, "/oauth2/revoke/", world.app.body(token=tokens["access_token"]))
    [told] = (await read(world, begun.cursor)).revocations
    assert (told.user_id, told.organization_id) == (world.ann, tokens["organization_id"])


async def test_guard_learns_of_reuse_of_a_refresh_token(world: World) -> None:
    tokens = await connect(world)
    begun = await read(world)
    await refresh(world.http, world.app, tokens["refresh_token"])
    assert (await read(world, begun.cursor)).revocations == [], "a refresh ends nothing"
    world.deployment.clock.advance(10_000)
    await refresh(world.http, world.app, tokens["refresh_token"])
    assert {each.user_id for each in (await read(world, begun.cursor)).revocations} == {world.ann}


async def test_guard_learns_of_a_membership_s_end(world: World) -> None:
    tokens = await connect(world)
    begun = await read(world)
    of = {"user_id": world.ann, "organization_id": tokens["organization_id"]}
    await world.deployment.store.end_membership(**of, now=world.deployment.clock.now)
    told = await read(world, begun.cursor)
    assert {(each.user_id, each.organization_id) for each in told.revocations} == {tuple(of.values())}


async def test_question_is_held_until_there_is_something_to_tell(world: World) -> None:
    tokens = await connect(world)
    begun = await read(world)
    asked = asyncio.create_task(read(world, begun.cursor, wait="5"))
    await asyncio.sleep(0.3)
    assert not asked.done()
    await post(world, "/oauth2/revoke/", world.app.body(token=tokens["refresh_token"]))
    told = await asyncio.wait_for(asked, 2)
    assert len(told.revocations) == 1
    assert 0.2 < told.held < 3


async def test_question_is_answered_when_its_time_is_over(world: World) -> None:
    begun = await read(world)
    told = await read(world, begun.cursor, wait="1")
    assert told.revocations == []
    assert 0.9 < told.held < 2


@pytest.mark.parametrize(
    "form, description",
    [
        ({"after": "x"}, "after is not a cursor"),
        ({"after": ""}, "after is not a cursor"),
        ({"wait": "-1"}, "wait is a number"),
        ({"wait": "1.5"}, "wait is a number"),
        ({"wait": "1000"}, "wait is a number"),
    ],
)
async def test_question_that_makes_no_sense_is_refused(world: World, form, description) -> None:
    response = await world.http.post(FEED, data=form, auth=world.guard)
    if form == {"after": ""}:
        assert response.status_code == 200, "an empty parameter is as if it were left out (RFC 6749 §3.2)"
        return
    assert_refused(response, 400, "invalid_request", description)


async def test_feed_is_for_resource_servers_that_prove_themselves(world: World) -> None:
    name, secret = world.guard
    assert_refused(await world.http.post(FEED, data=FORM, auth=(name, "wrong")), 401, "invalid_client")
    assert_refused(await world.http.post(FEED, data=FORM), 401, "invalid_client")
    assert world.app.secret is not None
    refused = await world.http.post(FEED, data=FORM, auth=(world.app.client_id, world.app.secret))
    assert_refused(refused, 403, "unauthorized_client")
    assert (await world.http.get(FEED, auth=(name, secret))).status_code == 405
