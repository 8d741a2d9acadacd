"""The refresh token grant over the wire (RFC 6749 §6, DESIGN §5): R1–R9."""

import asyncio
from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.events import Action, EventFilter
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.settings import ScopeDefinition
from tests.support.deployment import App
from tests.support.journey import exchange, grant_code, introspect, refresh
from tests.web.answers import assert_refused
from tests.web.conftest import MakeWorld, World
from tests.web.state import connect, dump, find_grant, is_active, post


async def rotate(world: World, refresh_token: str, app: App | None = None, **parameters: str) -> Any:
    """Refresh, which succeeds."""
    response = await refresh(world.http, app or world.app, refresh_token, **parameters)
    assert response.status_code == 200, response.text
    return response.json()


async def assert_reuse_ended(world: World, refresh_token: str, live: dict[str, str], app: App | None = None) -> None:
    """The presented token is refused, and with it everything of its grant is over."""
    app = app or world.app
    refused = await refresh(world.http, app, refresh_token)
    assert_refused(refused, 400, "invalid_grant", "superseded:")
    grant = await find_grant(world, refresh_token)
    assert (grant.status, grant.ended_reason) == ("ended", "refresh_token_reuse")
    assert (grant.ended_by, grant.ended_at) == (app.client_id, world.deployment.clock.now)
    for action in (Action.GRANT_REUSE_DETECTED, Action.GRANT_ENDED):
        wanted = EventFilter(client_id=app.client_id, action=action)
        told = (await world.deployment.store.find_events(wanted, before=None, at_most=1))[0].event
        assert told.subject_id == render_identifier(GRANT, grant.id)
        assert (told.origin.actor_kind, told.origin.actor_id) == ("client", app.client_id)
        assert (told.origin.address, told.after) == ("127.0.0.1", {"reason": "refresh_token_reuse"})
    assert not await is_active(world, live["access_token"])
    again = await refresh(world.http, app, live["refresh_token"])
    assert_refused(again, 400, "invalid_grant", "superseded:")


async def test_refresh_rotates_and_keeps_the_older_access_token_until_its_own_end(world: World) -> None:
    """DESIGN §1.7: the same seven fields, a new refresh token."""
    first = await connect(world)
    world.deployment.clock.advance(100)
    second = await rotate(world, first["refresh_token"])
    assert second.keys() == first.keys()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert second["expires_in"] == 3600
    grant = await find_grant(world, second["refresh_token"])
    assert (grant.generation, grant.rotated_at, grant.retry_count) == (2, world.deployment.clock.now, 0)
    world.deployment.clock.advance(3500)
    assert not await is_active(world, first["access_token"])
    assert await is_active(world, second["access_token"])


async def test_refresh_two_hundred_times_leaves_one_row(world: World) -> None:
    def count() -> int:
        # When a secret was last used is noted now and then, in the background.
        return sum(row[0] != "client_secret_use" for row in dump(world))

    token = (await connect(world))["refresh_token"]
    rows = count()
    seen = {token}
    for _ in range(200):
        token = (await rotate(world, token))["refresh_token"]
        seen.add(token)
    assert len(seen) == 201
    assert count() == rows
    assert (await find_grant(world, token)).generation == 201


# -- the retry window


async def test_refresh_repeated_within_the_window_gets_the_same_successor_and_a_fresh_access_token(
    world: World,
) -> None:
    """R5, §5: a lost answer strands nobody."""
    first = await connect(world)
    second = await rotate(world, first["refresh_token"])
    accesses = {second["access_token"]}
    for count, seconds in enumerate((0, 30, 29), start=1):  # up to the 59th second
        world.deployment.clock.advance(seconds)
        retried = await rotate(world, first["refresh_token"])
        assert retried["refresh_token"] == second["refresh_token"]
        accesses.add(retried["access_token"])
        grant = await find_grant(world, first["refresh_token"])
        assert (grant.status, grant.generation, grant.retry_count) == ("active", 2, count)
    assert len(accesses) == 4
    assert all([await is_active(world, token) for token in accesses])
    assert (await rotate(world, second["refresh_token"]))["refresh_token"] != second["refresh_token"]


async def test_refresh_repeated_at_the_windows_end_is_reuse(world: World) -> None:
    """R4: the window is counted from the rotation; a retry does not extend it."""
    first = await connect(world)
    second = await rotate(world, first["refresh_token"])
    world.deployment.clock.advance(59)
    await rotate(world, first["refresh_token"])
    world.deployment.clock.advance(1)
    await assert_reuse_ended(world, first["refresh_token"], second)


async def test_refresh_with_the_predecessor_after_the_successor_was_used_is_reuse(world: World) -> None:
    """R5: the successor's use closes the window at once, within the very same second (R7, Keycloak #50999)."""
    first = await connect(world)
    second = await rotate(world, first["refresh_token"])
    third = await rotate(world, second["refresh_token"])
    await assert_reuse_ended(world, first["refresh_token"], third)


async def test_refresh_with_a_grandparent_is_always_reuse(world: World) -> None:
    """R6: grace covers the immediate predecessor only, however wide the window."""
    app = await with_retry_window(world, 30 * 24 * 3600)
    tokens = [await connect(world, app)]
    for _ in range(3):
        tokens.append(await rotate(world, tokens[-1]["refresh_token"], app))
    retried = await rotate(world, tokens[2]["refresh_token"], app)
    assert retried["refresh_token"] == tokens[3]["refresh_token"]
    await assert_reuse_ended(world, tokens[1]["refresh_token"], tokens[3], app)


async def with_retry_window(world: World, retry_window: int | None) -> App:
    """A client with a window of its own, past the pages (there is no form for it yet)."""
    app = await world.deployment.app(world.acorn)
    client_id = app.client_id[:-4] + "own1"
    record = msgspec.structs.replace(app.record, client_id=client_id, retry_window=retry_window)
    await world.deployment.store.create_client(record)
    return App(record, app.secret)


async def test_refresh_retry_window_zero_makes_every_repetition_reuse(world: World) -> None:
    """§5: per client, 0 s."""
    app = await with_retry_window(world, 0)
    first = await connect(world, app)
    second = await rotate(world, first["refresh_token"], app)
    await assert_reuse_ended(world, first["refresh_token"], second, app)


async def test_refresh_retry_window_of_the_client_outweighs_the_settings(make_world: MakeWorld) -> None:
    world = await make_world(retry_window=10)
    app = await with_retry_window(world, 300)
    first = await connect(world, app)
    second = await rotate(world, first["refresh_token"], app)
    ours = await connect(world)
    ours_next = await rotate(world, ours["refresh_token"])
    world.deployment.clock.advance(299)
    assert (await rotate(world, first["refresh_token"], app))["refresh_token"] == second["refresh_token"]
    await assert_reuse_ended(world, ours["refresh_token"], ours_next)


async def test_refresh_clock_going_backwards_decides_nothing(world: World) -> None:
    """Time is never the tie-breaker: the generation is."""
    first = await connect(world)
    second = await rotate(world, first["refresh_token"])
    world.deployment.clock.advance(-3600)
    third = await rotate(world, second["refresh_token"])
    assert (await rotate(world, second["refresh_token"]))["refresh_token"] == third["refresh_token"]
    await assert_reuse_ended(world, first["refresh_token"], third)


async def test_refresh_a_hundred_times_at_once_rotates_once_with_one_successor(world: World) -> None:
    """R5, CVE-2026-53517, CVE-2026-1035: never a fork."""
    first = await connect(world)
    responses = await asyncio.gather(*(refresh(world.http, world.app, first["refresh_token"]) for _ in range(100)))
    assert [response.status_code for response in responses] == [200] * 100
    answers = [response.json() for response in responses]
    assert len({answer["refresh_token"] for answer in answers}) == 1
    assert len({answer["access_token"] for answer in answers}) == 100
    grant = await find_grant(world, first["refresh_token"])
    assert (grant.status, grant.generation, grant.retry_count) == ("active", 2, 99)
    assert (await rotate(world, answers[0]["refresh_token"]))["refresh_token"]


async def test_refresh_a_hundred_times_at_once_without_a_window_lets_one_through_and_ends(world: World) -> None:
    """R5 with a window of 0: one 200, then reuse; no second successor ever."""
    app = await with_retry_window(world, 0)
    first = await connect(world, app)
    responses = await asyncio.gather(*(refresh(world.http, app, first["refresh_token"]) for _ in range(100)))
    assert [response.status_code for response in responses].count(200) == 1
    grant = await find_grant(world, first["refresh_token"])
    assert (grant.status, grant.generation, grant.ended_reason) == ("ended", 2, "refresh_token_reuse")


async def test_refresh_racing_with_a_revocation_never_outlives_it(world: World) -> None:
    """I2: whatever the order, once the revocation is answered nothing of the grant is good."""
    first = await connect(world)
    revocation = post(world, "/oauth2/revoke/", world.app.body(token=first["refresh_token"]))
    refreshes = [refresh(world.http, world.app, first["refresh_token"]) for _ in range(20)]
    revoked, *responses = await asyncio.gather(revocation, *refreshes)
    assert revoked.status_code == 200
    assert (await find_grant(world, first["refresh_token"])).status == "ended"
    for response in responses:
        if response.status_code == 200:
            assert not await is_active(world, response.json()["access_token"])
        else:
            assert_refused(response, 400, "invalid_grant", "revoked:")


# -- whose it is


async def test_refresh_by_another_client_is_refused_and_changes_nothing(world: World) -> None:
    """R1: not even an old token ends the owner's grant in a stranger's hands."""
    other = await world.deployment.app(world.acorn)
    first = await connect(world)
    second = await rotate(world, first["refresh_token"])
    third = await rotate(world, second["refresh_token"])
    before = dump(world)
    for tokens in (first, second, third):
        response = await refresh(world.http, other, tokens["refresh_token"])
        assert_refused(response, 400, "invalid_grant", "The refresh token is unknown")
    assert dump(world) == before
    assert (await rotate(world, third["refresh_token"]))["refresh_token"]


async def test_refresh_of_a_confidential_client_without_its_secret_is_401_and_changes_nothing(world: World) -> None:
    """R1, CVE-2026-53512."""
    first = await connect(world)
    second = await rotate(world, first["refresh_token"])
    before = dump(world)
    for token in (first["refresh_token"], second["refresh_token"]):
        body = {"grant_type": "refresh_token", "refresh_token": token, "client_id": world.app.client_id}
        assert_refused(await post(world, "/oauth2/token/", body), 401, "invalid_client")
        assert_refused(await post(world, "/oauth2/token/", {**body, "client_secret": "x"}), 401, "invalid_client")
    assert dump(world) == before


async def test_refresh_of_a_public_client_is_a_matter_of_the_rotation_alone(world: World) -> None:
    """R3, R4: retried within the window, ended by reuse after it."""
    app = await world.deployment.app(world.acorn, is_public=True)
    first = await connect(world, app)
    second = await rotate(world, first["refresh_token"], app)
    assert (await rotate(world, first["refresh_token"], app))["refresh_token"] == second["refresh_token"]
    world.deployment.clock.advance(60)
    await assert_reuse_ended(world, first["refresh_token"], second, app)


async def test_refresh_token_cut_extended_or_changed_is_unknown_and_ends_nothing(world: World) -> None:
    """N5: every single-character change of it, and of its predecessor."""
    first = (await connect(world))["refresh_token"]
    second = (await rotate(world, first))["refresh_token"]
    before = dump(world)
    damaged = []
    for token in (first, second):
        damaged += [token[:-1], token + "A", token[1:], token + " ", token.swapcase(), token * 2]
        damaged += [
            token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
            for position in range(0, len(token), 3)
        ]
    for text in [*damaged, "x", "🔑", "ls_rt_", "ls_rt_" + "0" * 4000]:
        refused = await refresh(world.http, world.app, text)
        assert_refused(refused, 400, "invalid_grant", "The refresh token is unknown")
    assert dump(world) == before


async def test_refresh_token_of_a_generation_never_issued_is_unknown_and_ends_nothing(world: World) -> None:
    """A token from the future (a restored backup, a leaked keyring without the row's secret) is no reuse."""
    first = (await connect(world))["refresh_token"]
    grant = await find_grant(world, first)
    codec = world.deployment.codec
    before = dump(world)
    for generation, secret in (
        (2, grant.row_secret),
        (0, grant.row_secret),
        (2**32 - 1, grant.row_secret),
        (1, bytes(16)),
    ):
        forged = codec.render_refresh_token(grant.id, generation, secret)
        refused = await refresh(world.http, world.app, forged)
        assert_refused(refused, 400, "invalid_grant", "The refresh token is unknown")
    assert dump(world) == before


# -- scope


async def test_refresh_for_less_narrows_the_access_token_and_keeps_the_refresh_tokens_scope(
    make_world: MakeWorld,
) -> None:
    """R2."""
    from latchstring.authorization_server.settings import ScopeDefinition

    world = await make_world(scopes={name: ScopeDefinition(title=name) for name in ("read", "write")})
    app = await world.deployment.app(world.acorn)
    first = await connect(world, app)
    assert first["scope"] == "read write offline_access"
    narrow = await rotate(world, first["refresh_token"], app, scope="read")
    assert narrow["scope"] == "read"
    assert "refresh_token" in narrow
    assert (await introspect(world.http, world.guard, narrow["access_token"]))["scope"] == "read"
    assert (await introspect(world.http, world.guard, first["access_token"]))["scope"] == "read write offline_access"
    whole = await rotate(world, narrow["refresh_token"], app)
    assert whole["scope"] == "read write offline_access"
    assert (await find_grant(world, whole["refresh_token"])).scope == ("read", "write", "offline_access")


@pytest.mark.parametrize(
    "scope", ["all.full_access offline_access more", "more", "offline_access  all.full_access", '"']
)
async def test_refresh_for_more_is_invalid_scope_and_rotates_nothing(world: World, scope: str) -> None:
    """R2."""
    app = await world.deployment.app(world.acorn, scope=("all.full_access", "offline_access"))
    tokens = await connect(world, app)
    before = dump(world)
    assert_refused(await refresh(world.http, app, tokens["refresh_token"], scope=scope), 400, "invalid_scope")
    assert dump(world) == before
    await rotate(world, tokens["refresh_token"], app)


async def test_refresh_cannot_change_the_organization(world: World) -> None:
    """I5: there is no parameter for it; what was consented to is what comes."""
    tokens = await connect(world, organization_id=world.birch)
    answer = await rotate(world, tokens["refresh_token"], organization_id=world.acorn)
    assert answer["organization_id"] == world.birch


# -- what ends it


async def test_refresh_after_membership_ended_says_so_and_resumes_when_the_member_returns(world: World) -> None:
    """R8, CVE-2026-43983: the other organization's grant is untouched."""
    store, clock = world.deployment.store, world.deployment.clock
    tokens = await connect(world, organization_id=world.birch)
    elsewhere = await connect(world, organization_id=world.acorn)
    await store.end_membership(user_id=world.ann, organization_id=world.birch, now=clock.now)
    assert not await is_active(world, tokens["access_token"])
    before = dump(world)
    for _ in range(2):
        response = await refresh(world.http, world.app, tokens["refresh_token"])
        assert_refused(response, 400, "invalid_grant", "membership_ended:")
    assert dump(world) == before
    assert (await find_grant(world, tokens["refresh_token"])).status == "suspended"
    assert await is_active(world, elsewhere["access_token"])
    await store.add_membership(user_id=world.ann, organization_id=world.birch, role="member", now=clock.now)
    assert await is_active(world, tokens["access_token"])
    await rotate(world, tokens["refresh_token"])


async def test_refresh_with_an_old_token_while_suspended_ends_nothing_then_but_is_reuse_later(world: World) -> None:
    store, clock = world.deployment.store, world.deployment.clock
    first = await connect(world, organization_id=world.birch)
    second = await rotate(world, first["refresh_token"])
    clock.advance(100)
    await store.end_membership(user_id=world.ann, organization_id=world.birch, now=clock.now)
    refused = await refresh(world.http, world.app, first["refresh_token"])
    assert_refused(refused, 400, "invalid_grant", "membership_ended:")
    await store.add_membership(user_id=world.ann, organization_id=world.birch, role="member", now=clock.now)
    await assert_reuse_ended(world, first["refresh_token"], second)


async def test_refresh_of_a_revoked_token_is_never_in_grace(world: World) -> None:
    """R6, DOT #1617, #1816: predecessor and current, one second after."""
    first = await connect(world)
    second = await rotate(world, first["refresh_token"])
    assert (await post(world, "/oauth2/revoke/", world.app.body(token=second["refresh_token"]))).status_code == 200
    for tokens in (first, second):
        response = await refresh(world.http, world.app, tokens["refresh_token"])
        assert_refused(response, 400, "invalid_grant", "revoked:")
    grant = await find_grant(world, first["refresh_token"])
    assert (grant.ended_reason, grant.retry_count) == ("revoked_by_client", 0)


async def test_refresh_after_the_idle_lifetime_is_expired(make_world: MakeWorld) -> None:
    """R9: each rotation begins it anew; looked at on reading."""
    world = await make_world(refresh_token_idle_lifetime=7200)
    tokens = await connect(world)
    for _ in range(3):
        world.deployment.clock.advance(7199)
        tokens = await rotate(world, tokens["refresh_token"])
    world.deployment.clock.advance(7200)
    before = dump(world)
    assert_refused(await refresh(world.http, world.app, tokens["refresh_token"]), 400, "invalid_grant", "expired:")
    assert dump(world) == before


async def test_refresh_after_the_absolute_lifetime_is_expired_however_often_it_was_used(make_world: MakeWorld) -> None:
    """R9 (ASVS 10.4.8)."""
    world = await make_world(refresh_token_idle_lifetime=7200, refresh_token_absolute_lifetime=10_000)
    first = await connect(world)
    world.deployment.clock.advance(7000)
    second = await rotate(world, first["refresh_token"])
    world.deployment.clock.advance(2999)
    third = await rotate(world, second["refresh_token"])
    world.deployment.clock.advance(1)
    for tokens in (second, third):  # neither a retry nor a rotation gets past the end
        response = await refresh(world.http, world.app, tokens["refresh_token"])
        assert_refused(response, 400, "invalid_grant", "expired:")


async def test_refresh_without_any_lifetime_goes_on_for_years(make_world: MakeWorld) -> None:
    world = await make_world(refresh_token_idle_lifetime=None, refresh_token_absolute_lifetime=None)
    tokens = await connect(world)
    world.deployment.clock.advance(5 * 365 * 24 * 3600)
    await rotate(world, tokens["refresh_token"])


async def test_refresh_by_a_client_whose_secret_was_replaced_needs_the_new_one(world: World) -> None:
    """R8: the connection itself lives on."""
    tokens = await connect(world)
    secret = await world.deployment.services.client_secrets.replace(world.app.record)
    assert_refused(await refresh(world.http, world.app, tokens["refresh_token"]), 401, "invalid_client")
    await rotate(world, tokens["refresh_token"], App(world.app.record, secret))


async def test_tokens_follow_the_role_that_the_member_has_now(make_world: MakeWorld) -> None:
    """A grant keeps what was granted; what a new token may do is what the member's role lets them give away."""
    scopes = {"contacts.read": ScopeDefinition(title="Read"), "members.delete": ScopeDefinition(roles=("admin",))}
    world = await make_world(scopes=scopes)
    app = await world.deployment.app(world.acorn, scope=(*scopes, "offline_access"))
    code = await grant_code(world.deployment, app, world.ann, world.acorn)
    await world.deployment.member(world.ann, world.acorn, "member")
    first = (await exchange(world.http, app, code)).json()
    assert first["scope"] == "contacts.read offline_access"
    assert (await introspect(world.http, world.guard, first["access_token"]))["scope"] == first["scope"]
    less = await rotate(world, first["refresh_token"], app, scope="contacts.read members.delete")
    assert less["scope"] == "contacts.read"
    none = await rotate(world, less["refresh_token"], app, scope="contacts.read")
    assert none["scope"] == "contacts.read"
    await world.deployment.member(world.ann, world.acorn, "admin")
    whole = await rotate(world, none["refresh_token"], app)
    assert set(whole["scope"].split()) == {*scopes, "offline_access"}
