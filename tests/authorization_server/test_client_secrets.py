"""Several secrets for one client: added, retired now or later, never the last by accident."""

import asyncio

import msgspec
import pytest

from latchstring.authorization_server.apps import AppRefused
from latchstring.authorization_server.client_secrets import MAX_SECRETS, OVERLAP
from latchstring.authorization_server.events import Action, EventFilter, Origin
from latchstring.authorization_server.records import ClientRecord
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_request import ClientCredentials
from tests.authorization_server.builders import ANN, KEY_ONE, KEY_TWO, MAILLOOP, build_codec, build_resource_server
from tests.authorization_server.conftest import GUARD_SECRET, SECRET, House


async def mailloop(house: House) -> ClientRecord:
    """The client as it stands now."""
    client = await house.store.find_client(MAILLOOP)
    assert client is not None
    return client


async def works(house: House, secret: str) -> bool:
    """Whether the client can prove itself by it."""
    authenticator = house._parts("authenticator")["authenticator"]
    try:
        await authenticator.authenticate(ClientCredentials(MAILLOOP, secret, "client_secret_post"))
    except OAuthError as error:
        assert error.code == "invalid_client"
        return False
    return True


async def refuse(problem: str, work) -> None:
    with pytest.raises(AppRefused) as refused:
        await work
    assert [(found.field, found.code) for found in refused.value.problems] == [("secrets", problem)]


async def test_added_secret_works_beside_the_first_and_carries_its_name(house: House):
    added = await house.client_secrets.add(await mailloop(house), "  Server in\nFrankfurt ")
    assert (await works(house, SECRET), await works(house, added)) == (True, True)
    first, second = (await mailloop(house)).secrets
    assert (first.name, second.name, second.created_at, second.expires_at) == (
        "",
        "Server in Frankfurt",
        house.now,
        None,
    )
    assert added.startswith(second.hint)
    assert added not in repr(second)
    assert first.secret_id != second.secret_id


async def test_secret_retired_now_is_dead_and_the_other_lives(house: House):
    added = await house.client_secrets.add(await mailloop(house))
    first = (await mailloop(house)).secrets[0]
    changed = await house.client_secrets.retire(await mailloop(house), first.secret_id)
    assert changed == await mailloop(house)
    assert [kept.name for kept in changed.secrets] == [""], "of what has ended nothing is kept"
    assert (await works(house, SECRET), await works(house, added)) == (False, True)


async def test_secret_retired_later_works_until_that_second(house: House):
    added = await house.client_secrets.add(await mailloop(house))
    first = (await mailloop(house)).secrets[0]
    await house.client_secrets.retire(await mailloop(house), first.secret_id, after=OVERLAP)
    assert (await mailloop(house)).secrets[0].expires_at == house.now + OVERLAP
    house.now += OVERLAP - 1
    assert (await works(house, SECRET), await works(house, added)) == (True, True)
    house.now += 1
    assert (await works(house, SECRET), await works(house, added)) == (False, True)
    await refuse("secret_unknown", house.client_secrets.retire(await mailloop(house), first.secret_id))


async def test_secret_on_its_way_out_can_end_sooner_but_not_later(house: House):
    await house.client_secrets.add(await mailloop(house))
    first = (await mailloop(house)).secrets[0]
    for after, ends_at in (
        (100, house.now + 100),
        (OVERLAP, house.now + 100),
        (50, house.now + 50),
        (1, house.now + 1),
    ):
        await house.client_secrets.retire(await mailloop(house), first.secret_id, after=after)
        assert (await mailloop(house)).secrets[0].expires_at == ends_at
    await house.client_secrets.retire(await mailloop(house), first.secret_id)
    assert not await works(house, SECRET)


@pytest.mark.parametrize("after", [0, OVERLAP])
async def test_last_secret_that_is_there_to_stay_is_retired_only_if_that_is_meant(house: House, after: int):
    only = (await mailloop(house)).secrets[0]
    await refuse("secret_last", house.client_secrets.retire(await mailloop(house), only.secret_id, after=after))
    await house.client_secrets.add(await mailloop(house))
    first, second = (await mailloop(house)).secrets
    await house.client_secrets.retire(await mailloop(house), first.secret_id, after=OVERLAP)
    # One that is ending is no one to stay.
    await refuse("secret_last", house.client_secrets.retire(await mailloop(house), second.secret_id, after=after))
    await house.client_secrets.retire(await mailloop(house), second.secret_id, after=after, even_last=True)
    house.now += OVERLAP
    assert not await works(house, SECRET)


async def test_secrets_are_a_few_and_ended_ones_do_not_count(house: House):
    for _ in range(MAX_SECRETS - 1):
        await house.client_secrets.add(await mailloop(house))
    before = await mailloop(house)
    assert len(before.secrets) == MAX_SECRETS
    await refuse("secrets_too_many", house.client_secrets.add(before))
    assert await mailloop(house) == before
    await house.client_secrets.retire(before, before.secrets[0].secret_id, after=10)
    await refuse("secrets_too_many", house.client_secrets.add(await mailloop(house)))
    house.now += 10
    await house.client_secrets.add(await mailloop(house))
    assert len((await mailloop(house)).secrets) == MAX_SECRETS, "the ended one is gone"


async def test_add_with_a_name_too_long_is_refused(house: House):
    await refuse("secret_name_too_long", house.client_secrets.add(await mailloop(house), "x" * 81))
    await house.client_secrets.add(await mailloop(house), "x" * 80)
    assert (await mailloop(house)).secrets[-1].name == "x" * 80


async def test_refusal_says_to_what_one_must_keep_in_any_language(house: House):
    """A page has its own words for it, and takes the number from here."""
    for _ in range(MAX_SECRETS - 1):
        await house.client_secrets.add(await mailloop(house))
    for name, message, limit in (
        ("x" * 81, "Keep the name to 80 characters.", "80"),
        ("x", "There are 5 secrets already: retire one first.", "5"),
    ):
        with pytest.raises(AppRefused) as refused:
            await house.client_secrets.add(await mailloop(house), name)
        (problem,) = refused.value.problems
        assert (problem.message, problem.values) == (message, {"limit": limit})


async def test_client_without_secrets_gets_none(house: House):
    for method in ("none", "private_key_jwt"):
        client = msgspec.structs.replace(await mailloop(house), token_endpoint_auth_method=method)
        await refuse("secret_useless", house.client_secrets.add(client))
        assert await house.client_secrets.replace(client) is None


async def test_change_of_secrets_that_have_changed_meanwhile_is_refused(house: House):
    """Two people at once: neither undoes what the other did."""
    seen = await mailloop(house)
    added = await house.client_secrets.add(seen)
    before = await mailloop(house)
    await refuse("secrets_changed", house.client_secrets.add(seen))
    await refuse("secrets_changed", house.client_secrets.retire(seen, seen.secrets[0].secret_id, even_last=True))
    assert await mailloop(house) == before
    assert await works(house, added)


async def test_race_of_many_adding_one_wins(house: House):
    seen = await mailloop(house)
    outcomes = await asyncio.gather(*(house.client_secrets.add(seen) for _ in range(20)), return_exceptions=True)
    won = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert len(won) == 1
    assert len((await mailloop(house)).secrets) == 2
    assert await works(house, won[0])


async def test_replaced_secrets_are_all_dead(house: House):
    origin = Origin("user", ANN, "203.0.113.9")
    added = await house.client_secrets.add(await mailloop(house), origin=origin)
    new = await house.client_secrets.replace(await mailloop(house), origin=origin)
    assert new is not None
    assert [await works(house, secret) for secret in (SECRET, added, new)] == [False, False, True]
    assert [kept.name for kept in (await mailloop(house)).secrets] == [""], "nobody has given it a name"
    told = await house.store.find_events(EventFilter(action=Action.APP_SECRETS_CHANGED), before=None, at_most=9)
    assert [found.event.origin for found in told] == [origin, origin]
    vanished = msgspec.structs.replace(await mailloop(house), client_id="oa2client_vanished")
    assert await house.client_secrets.replace(vanished) is None


async def test_use_of_a_secret_is_noted_by_the_one_that_was_used(house: House):
    added = await house.client_secrets.add(await mailloop(house))
    first, second = (await mailloop(house)).secrets
    for secret in (SECRET, added, "ls_cs_wrong"):
        await works(house, secret)
    assert house.secret_uses == [(MAILLOOP, first.secret_id, house.now), (MAILLOOP, second.secret_id, house.now)]


async def test_secret_that_an_older_key_hashed_is_hashed_anew_when_it_is_used(house: House):
    """So that the older key can go one day; a secret that does not work changes nothing."""
    [kept] = (await mailloop(house)).secrets
    assert await works(house, SECRET)
    assert house.secret_hashes == [], "the key is the one in use"
    house.codec = build_codec(KEY_ONE, KEY_TWO)
    assert not await works(house, "ls_cs_wrong")
    assert house.secret_hashes == []
    assert await works(house, SECRET)
    [(client_id, old, renewed)] = house.secret_hashes
    assert (client_id, old, renewed.key_id, renewed.secret_id) == (MAILLOOP, kept, 2, kept.secret_id)
    assert build_codec(KEY_TWO).verify_client_secret(SECRET, (renewed,), house.now) == renewed
    assert house.secret_uses[-1] == (MAILLOOP, kept.secret_id, house.now)


async def test_secret_of_an_api_that_an_older_key_hashed_is_hashed_anew_when_it_is_used(house: House):
    house.codec = build_codec(KEY_ONE, KEY_TWO)
    authenticator, guard = house._parts("authenticator")["authenticator"], build_resource_server().client_id
    with pytest.raises(OAuthError):
        await authenticator.authenticate_resource_server(ClientCredentials(guard, "ls_cs_wrong", "client_secret_basic"))
    assert house.secret_hashes == []
    api = await authenticator.authenticate_resource_server(
        ClientCredentials(guard, GUARD_SECRET, "client_secret_basic")
    )
    [(client_id, old, renewed)] = house.secret_hashes
    assert (client_id, (old,), renewed.key_id) == (guard, api.secrets, 2)
    assert build_codec(KEY_TWO).verify_client_secret(GUARD_SECRET, (renewed,), house.now) == renewed
