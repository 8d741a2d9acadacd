"""The authorization code grant over the wire (RFC 6749 §4.1.3, RFC 7636 §4.6): C1–C10, C13, C14."""

import asyncio

import pytest

from latchstring.authorization_server.events import Action, EventFilter
from tests.support.deployment import REDIRECT_URI
from tests.support.journey import answer_of, decide, exchange, grant_code, open_consent, refresh
from tests.web.answers import assert_refused
from tests.web.conftest import World
from tests.web.state import CHALLENGE, VERIFIER, dump, find_grant, is_active

OTHER_VERIFIER = "A" * 43


async def test_code_redeemed_makes_the_grant_active_with_generation_one(world: World) -> None:
    code = await grant_code(world.deployment, world.app, world.ann, world.birch)
    pending = await find_grant(world, code)
    assert (pending.status, pending.generation, pending.expires_at) == ("pending", 0, world.deployment.clock.now + 60)
    world.deployment.clock.advance(10)
    answer = (await exchange(world.http, world.app, code)).json()
    grant = await find_grant(world, answer["refresh_token"])
    assert grant.id == pending.id
    assert (grant.status, grant.generation, grant.organization_id) == ("active", 1, world.birch)
    assert grant.activated_at == world.deployment.clock.now
    assert (answer["organization_id"], answer["user_id"]) == (world.birch, world.ann)


async def test_code_used_twice_is_refused_and_ends_the_grant_and_its_tokens(world: World) -> None:
    """C1, C2: the replay is otherwise valid."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn, code_challenge=CHALLENGE)
    first = (await exchange(world.http, world.app, code, code_verifier=VERIFIER)).json()
    second = (await refresh(world.http, world.app, first["refresh_token"])).json()
    world.deployment.clock.advance(30)
    replay = await exchange(world.http, world.app, code, code_verifier=VERIFIER)
    assert_refused(replay, 400, "invalid_grant", "superseded:")
    for token in (first["access_token"], second["access_token"]):
        assert not await is_active(world, token)
    refused = await refresh(world.http, world.app, second["refresh_token"])
    assert_refused(refused, 400, "invalid_grant", "superseded:")
    grant = await find_grant(world, code)
    assert (grant.status, grant.ended_reason, grant.ended_by, grant.ended_at) == (
        "ended",
        "authorization_code_replayed",
        world.app.client_id,
        world.deployment.clock.now,
    )


async def test_code_replayed_long_after_still_ends_the_grant(world: World) -> None:
    """C2: the row remembers, whatever the code's own lifetime was."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    first = (await exchange(world.http, world.app, code)).json()
    world.deployment.clock.advance(30 * 24 * 3600)
    second = (await refresh(world.http, world.app, first["refresh_token"])).json()
    assert_refused(await exchange(world.http, world.app, code), 400, "invalid_grant", "superseded:")
    assert not await is_active(world, second["access_token"])
    for action in (Action.GRANT_REUSE_DETECTED, Action.GRANT_ENDED):
        (told,) = await world.deployment.store.find_events(EventFilter(action=action), before=None, at_most=9)
        origin = told.event.origin
        assert (origin.actor_kind, origin.actor_id, origin.address) == ("client", world.app.client_id, "127.0.0.1")
        assert told.event.after == {"reason": "authorization_code_replayed"}


@pytest.mark.parametrize(
    "status, error, parameters",
    [
        (400, "invalid_grant", {}),
        (400, "invalid_grant", {"code_verifier": OTHER_VERIFIER}),
        (400, "invalid_grant", {"code_verifier": VERIFIER[:42]}),
        (400, "invalid_grant", {"code_verifier": VERIFIER, "redirect_uri": "https://app.example/other"}),
        (401, "invalid_client", {"code_verifier": VERIFIER, "client_secret": "wrong"}),
        (400, "unsupported_grant_type", {"code_verifier": VERIFIER, "grant_type": "nonsense"}),
    ],
    ids=["no-verifier", "other-verifier", "short-verifier", "other-redirect", "wrong-secret", "other-grant-type"],
)
async def test_code_replayed_by_someone_who_proves_nothing_leaves_the_tokens_alone(
    world: World, status: int, error: str, parameters: dict[str, str]
) -> None:
    """C3: a thief of a bare code cannot kill the owner's connection (OAuth 2.1 §7.5.2)."""
    code = await grant_code(
        world.deployment,
        world.app,
        world.ann,
        world.acorn,
        code_challenge=CHALLENGE,
        sent_redirect_uri=REDIRECT_URI,
    )
    first = (await exchange(world.http, world.app, code, code_verifier=VERIFIER, redirect_uri=REDIRECT_URI)).json()
    before = dump(world)
    body = {**world.app.body(grant_type="authorization_code", code=code, redirect_uri=REDIRECT_URI), **parameters}
    assert_refused(await world.http.post("/oauth2/token/", data=body), status, error)
    assert dump(world) == before
    assert await is_active(world, first["access_token"])
    assert (await refresh(world.http, world.app, first["refresh_token"])).status_code == 200


async def test_code_replayed_by_another_client_leaves_the_tokens_alone(world: World) -> None:
    """C3, C5."""
    other = await world.deployment.app(world.acorn)
    public = await world.deployment.app(world.acorn, is_public=True)
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    first = (await exchange(world.http, world.app, code)).json()
    before = dump(world)
    for app in (other, public):
        assert_refused(await exchange(world.http, app, code), 400, "invalid_grant", "The authorization code is unknown")
    assert dump(world) == before
    assert await is_active(world, first["access_token"])


async def test_code_redeemed_a_hundred_times_at_once_wins_exactly_once(world: World) -> None:
    """C4: 99 losers are valid replays, so the grant is over, and the winner's tokens with it."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    responses = await asyncio.gather(*(exchange(world.http, world.app, code) for _ in range(100)))
    winners = [response for response in responses if response.status_code == 200]
    assert len(winners) == 1
    for response in responses:
        if response is not winners[0]:
            assert_refused(response, 400, "invalid_grant", "superseded:")
    grant = await find_grant(world, code)
    assert (grant.status, grant.ended_reason, grant.generation) == ("ended", "authorization_code_replayed", 1)
    assert not await is_active(world, winners[0].json()["access_token"])


async def test_code_redeemed_a_hundred_times_at_once_by_one_who_can_prove_it_wins_for_that_one(world: World) -> None:
    """C3, C4: a thief who races without the verifier takes nothing and breaks nothing."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn, code_challenge=CHALLENGE)
    verifiers = [VERIFIER if position == 50 else OTHER_VERIFIER for position in range(100)]
    responses = await asyncio.gather(
        *(exchange(world.http, world.app, code, code_verifier=verifier) for verifier in verifiers)
    )
    assert [response.status_code for response in responses].count(200) == 1
    assert responses[50].status_code == 200
    assert await is_active(world, responses[50].json()["access_token"])


async def test_code_of_another_client_is_refused_and_not_burned(world: World) -> None:
    """C5, CVE-2026-55672 and its kin."""
    other = await world.deployment.app(world.acorn)
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    before = dump(world)
    assert_refused(await exchange(world.http, other, code), 400, "invalid_grant", "The authorization code is unknown")
    assert dump(world) == before
    assert (await exchange(world.http, world.app, code)).status_code == 200


@pytest.mark.parametrize("age, is_good", [(0, True), (59, True), (60, False), (61, False), (100_000, False)])
async def test_code_lives_sixty_seconds(world: World, age: int, is_good: bool) -> None:
    """C6: the clock is looked at on reading, not by a sweeper."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    world.deployment.clock.advance(age)
    response = await exchange(world.http, world.app, code)
    if is_good:
        assert response.status_code == 200
    else:
        assert_refused(response, 400, "invalid_grant", "expired:")
        assert (await find_grant(world, code)).status == "pending"


@pytest.mark.parametrize(
    "verifier, description",
    [
        (None, "code_verifier is missing"),
        ("", "code_verifier is missing"),
        (OTHER_VERIFIER, "code_verifier does not match"),
        (CHALLENGE, "code_verifier does not match"),
        (VERIFIER + "A", "code_verifier does not match"),
        (VERIFIER[:42], "code_verifier is malformed"),
        ("A" * 129, "code_verifier is malformed"),
        (VERIFIER[:-1] + " ", "code_verifier is malformed"),
        (VERIFIER[:-1] + "+", "code_verifier is malformed"),
        (VERIFIER[:-1] + "é", "code_verifier is malformed"),
        ("A" * 8192, "code_verifier is malformed"),
    ],
    ids=["missing", "empty", "other", "the-challenge", "longer", "42", "129", "space", "plus", "accent", "huge"],
)
@pytest.mark.parametrize("is_public", [False, True], ids=["confidential", "public"])
async def test_code_with_wrong_or_missing_verifier_is_refused_and_kept(
    world: World, verifier: str | None, description: str, is_public: bool
) -> None:
    """C7, C9, C14, CVE-2023-48228."""
    app = await world.deployment.app(world.acorn, is_public=is_public)
    code = await grant_code(world.deployment, app, world.ann, world.acorn, code_challenge=CHALLENGE)
    before = dump(world)
    given = {} if verifier is None else {"code_verifier": verifier}
    assert_refused(await exchange(world.http, app, code, **given), 400, "invalid_grant", description)
    assert dump(world) == before
    assert (await exchange(world.http, app, code, code_verifier=VERIFIER)).status_code == 200


@pytest.mark.parametrize("verifier", [VERIFIER, "short", "A" * 200])
async def test_code_with_a_verifier_that_nothing_asked_for_is_refused_and_kept(world: World, verifier: str) -> None:
    """C8, CVE-2024-23647, CVE-2024-22258: the downgrade is noticed."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    before = dump(world)
    response = await exchange(world.http, world.app, code, code_verifier=verifier)
    assert_refused(response, 400, "invalid_request", "code_verifier was sent")
    assert dump(world) == before
    assert (await exchange(world.http, world.app, code)).status_code == 200


@pytest.mark.parametrize(
    "redirect_uri", ["https://app.example/other", REDIRECT_URI + "/", REDIRECT_URI + "?", REDIRECT_URI.upper()]
)
@pytest.mark.parametrize("with_pkce", [False, True], ids=["no-pkce", "pkce"])
async def test_code_with_a_differing_redirect_uri_is_refused_and_kept(
    world: World, redirect_uri: str, with_pkce: bool
) -> None:
    """C10."""
    prompt, given = ({"code_challenge": CHALLENGE}, {"code_verifier": VERIFIER}) if with_pkce else ({}, {})
    code = await grant_code(
        world.deployment, world.app, world.ann, world.acorn, sent_redirect_uri=REDIRECT_URI, **prompt
    )
    before = dump(world)
    refused = await exchange(world.http, world.app, code, redirect_uri=redirect_uri, **given)
    assert_refused(refused, 400, "invalid_grant", "redirect_uri differs")
    assert dump(world) == before
    assert (await exchange(world.http, world.app, code, redirect_uri=REDIRECT_URI, **given)).status_code == 200


async def test_code_without_the_redirect_uri_that_was_sent_is_accepted_only_with_pkce(world: World) -> None:
    """C10: OAuth 2.1 drops the parameter; without PKCE nothing else holds the two requests together."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn, sent_redirect_uri=REDIRECT_URI)
    before = dump(world)
    assert_refused(await exchange(world.http, world.app, code), 400, "invalid_grant", "redirect_uri is missing")
    assert dump(world) == before
    code = await grant_code(
        world.deployment,
        world.app,
        world.ann,
        world.acorn,
        sent_redirect_uri=REDIRECT_URI,
        code_challenge=CHALLENGE,
    )
    assert (await exchange(world.http, world.app, code, code_verifier=VERIFIER)).status_code == 200


async def test_code_of_a_request_without_redirect_uri_needs_none_and_may_bring_the_registered_one(world: World) -> None:
    """DESIGN §1.2: it may be omitted while exactly one is registered."""
    for given in ({}, {"redirect_uri": REDIRECT_URI}):
        page = await open_consent(world.http, world.app)
        code = answer_of(await decide(world.http, page, "allow", world.acorn))["code"]
        assert (await exchange(world.http, world.app, code, **given)).status_code == 200


async def test_code_of_a_member_who_left_before_the_exchange_is_refused_for_good(world: World) -> None:
    """C13: coming back does not revive the code."""
    code = await grant_code(world.deployment, world.app, world.ann, world.birch)
    elsewhere = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    store, now = world.deployment.store, world.deployment.clock.now
    await store.end_membership(user_id=world.ann, organization_id=world.birch, now=now)
    assert_refused(await exchange(world.http, world.app, code), 400, "invalid_grant", "membership_ended:")
    grant = await find_grant(world, code)
    assert (grant.status, grant.ended_reason) == ("ended", "membership_ended")
    await store.add_membership(user_id=world.ann, organization_id=world.birch, role="member", now=now)
    assert_refused(await exchange(world.http, world.app, code), 400, "invalid_grant", "membership_ended:")
    assert (await exchange(world.http, world.app, elsewhere)).status_code == 200, "the other organization's is good"


async def test_code_of_a_grant_ended_meanwhile_is_refused(world: World) -> None:
    """C13."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    grant = await find_grant(world, code)
    now = world.deployment.clock.now
    await world.deployment.store.end_grant(grant.id, by="operator", reason="ended_by_operator", now=now)
    assert_refused(await exchange(world.http, world.app, code), 400, "invalid_grant", "revoked:")


async def test_code_of_a_suspended_grant_is_refused_without_ending_it(world: World) -> None:
    """C2 with the member away: the replay says membership_ended, and coming back resumes the grant."""
    code = await grant_code(world.deployment, world.app, world.ann, world.birch)
    tokens = (await exchange(world.http, world.app, code)).json()
    store, now = world.deployment.store, world.deployment.clock.now
    await store.end_membership(user_id=world.ann, organization_id=world.birch, now=now)
    assert_refused(await exchange(world.http, world.app, code), 400, "invalid_grant", "membership_ended:")
    await store.add_membership(user_id=world.ann, organization_id=world.birch, role="member", now=now)
    assert await is_active(world, tokens["access_token"])


async def test_code_cut_extended_or_changed_is_unknown_and_consumes_nothing(world: World) -> None:
    """C14, N5: every single-character change of it."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    before = dump(world)
    damaged = [
        code[:-1],
        code + "A",
        code[1:],
        code + " ",
        " " + code,
        code.upper(),
        code.swapcase(),
        "x",
        "🔑",
        "_" * 64,
    ]
    damaged += [
        code[:position] + ("A" if code[position] != "A" else "B") + code[position + 1 :]
        for position in range(len(code))
    ]
    for text in damaged:
        assert_refused(
            await exchange(world.http, world.app, text), 400, "invalid_grant", "The authorization code is unknown"
        )
    assert dump(world) == before
    assert (await exchange(world.http, world.app, code)).status_code == 200


async def test_code_given_as_another_kind_of_token_is_refused(world: World) -> None:
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    tokens = (await exchange(world.http, world.app, code)).json()
    before = dump(world)
    for token in (tokens["access_token"], tokens["refresh_token"], world.app.secret or ""):
        assert_refused(await exchange(world.http, world.app, token), 400, "invalid_grant")
    assert_refused(await refresh(world.http, world.app, code), 400, "invalid_grant")
    assert_refused(await refresh(world.http, world.app, tokens["access_token"]), 400, "invalid_grant")
    assert dump(world) == before


async def test_codes_of_two_pages_are_two_grants(world: World) -> None:
    """A25: each code carries exactly one organization; one code's end is not the other's."""
    page = await open_consent(world.http, world.app)
    another_page = await open_consent(world.http, world.app)
    first = answer_of(await decide(world.http, page, "allow", world.acorn))["code"]
    second = answer_of(await decide(world.http, another_page, "allow", world.birch))["code"]
    one = (await exchange(world.http, world.app, first)).json()
    two = (await exchange(world.http, world.app, second)).json()
    assert (one["organization_id"], two["organization_id"]) == (world.acorn, world.birch)
    assert_refused(await exchange(world.http, world.app, first), 400, "invalid_grant")
    assert not await is_active(world, one["access_token"])
    assert await is_active(world, two["access_token"])
