"""The keys that sign (O9): made when needed, published before use, kept after it, and never without the keyring."""

import asyncio
import os
from collections import Counter

import msgspec
import pytest

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.keyring import KeyringKey
from latchstring.authorization_server.records import SigningKeyRecord
from latchstring.authorization_server.settings import KEY_PUBLICATION_LEAD, Settings
from latchstring.authorization_server.signing_keys import (
    KEPT_AFTER,
    RELOAD_AFTER,
    DueKey,
    SigningKeys,
    decide_due,
    decide_published,
    decide_signer,
    describe,
)
from latchstring.protocol.errors import ConfigurationError, StoreUnavailable
from latchstring.protocol.jose.jws import JwtRefused, parse_jwt, verify_jwt
from latchstring.protocol.jose.keys import parse_jwk, parse_jwk_set
from latchstring.wiring import build_signing_keys
from tests.authorization_server.builders import KEY_ONE, KEY_TWO, NOW, build_codec
from tests.authorization_server.conftest import House

DAY = 24 * 3600
SETTINGS = Settings(issuer="https://auth.example", signing_key_lifetime=90 * DAY)


def build_key(sequence: int = 1, used_from: int = NOW, algorithm: str = "ES256") -> SigningKeyRecord:
    return SigningKeyRecord(
        algorithm=algorithm,
        sequence=sequence,
        key_id=f"{algorithm}-{sequence}",
        public_key="{}",
        sealed_private_key=b"",
        created_at=used_from,
        used_from=used_from,
    )


# -- the rules


def test_first_key_of_all_signs_at_once():
    assert decide_due((), SETTINGS, NOW) == DueKey(1, NOW)


def test_first_key_of_another_algorithm_is_published_before_it_signs():
    keys = [build_key()]
    eddsa = msgspec.structs.replace(SETTINGS, signing_algorithm="EdDSA")
    assert decide_due(keys, eddsa, NOW + 5) == DueKey(1, NOW + 5 + KEY_PUBLICATION_LEAD)
    keys.append(build_key(1, NOW + 5 + KEY_PUBLICATION_LEAD, "EdDSA"))
    assert decide_due(keys, eddsa, NOW + 5) is None
    assert decide_signer(keys, eddsa, NOW + 5).algorithm == "ES256"
    assert decide_signer(keys, eddsa, NOW + 5 + KEY_PUBLICATION_LEAD).algorithm == "EdDSA"


@pytest.mark.parametrize(
    "age, due",
    [
        (0, None),
        (89 * DAY - 1, None),
        (89 * DAY, DueKey(2, NOW + 90 * DAY)),
        (90 * DAY, DueKey(2, NOW + 91 * DAY)),
        (400 * DAY, DueKey(2, NOW + 401 * DAY)),
    ],
)
def test_next_key_is_due_a_day_before_it_signs(age, due):
    """O9: also after a long sleep, a key is published for the whole time before it signs."""
    assert decide_due([build_key()], SETTINGS, NOW + age) == due


def test_next_key_once_made_is_not_made_again():
    keys = [build_key(), build_key(2, NOW + 90 * DAY)]
    assert decide_due(keys, SETTINGS, NOW + 89 * DAY + 1) is None


@pytest.mark.parametrize("age, signer", [(0, 1), (90 * DAY - 1, 1), (90 * DAY, 2), (90 * DAY + 1, 2)])
def test_signer_is_the_newest_key_in_use(age, signer):
    keys = [build_key(), build_key(2, NOW + 90 * DAY)]
    assert decide_signer(keys, SETTINGS, NOW + age).sequence == signer


@pytest.mark.parametrize(
    "algorithm, age, signer",
    [
        ("EdDSA", 0, "ES256-1"),
        ("EdDSA", 9, "ES256-1"),
        ("EdDSA", 10, "EdDSA-1"),
        ("ES256", 10, "ES256-1"),
        ("ES256", 11, "ES256-1"),
        ("RS256", 10, "EdDSA-1"),
    ],
)
def test_signer_is_of_the_algorithm_that_is_set_once_it_has_a_key_in_use(algorithm, age, signer):
    keys = [build_key(1, NOW + 10, "EdDSA"), build_key()]
    settings = msgspec.structs.replace(SETTINGS, signing_algorithm=algorithm)
    assert decide_signer(keys, settings, NOW + age).key_id == signer


def test_signer_where_the_clock_is_behind_is_the_first_key():
    assert decide_signer([build_key()], SETTINGS, NOW - 5).sequence == 1


@pytest.mark.parametrize(
    "age, published",
    [
        (0, [1, 2]),
        (90 * DAY, [1, 2]),
        (90 * DAY + KEPT_AFTER - 1, [1, 2]),
        (90 * DAY + KEPT_AFTER, [2]),
        (1000 * DAY, [2]),
    ],
)
def test_key_is_published_before_its_use_and_until_its_last_token_has_expired(age, published):
    """O9."""
    keys = [build_key(), build_key(2, NOW + 90 * DAY)]
    assert [key.sequence for key in decide_published(keys, SETTINGS, NOW + age)] == published


def test_key_of_an_algorithm_no_longer_set_is_published_until_its_time_is_over():
    eddsa = msgspec.structs.replace(SETTINGS, signing_algorithm="EdDSA")
    keys = [build_key(), build_key(1, NOW + DAY, "EdDSA")]
    assert len(decide_published(keys, eddsa, NOW + 91 * DAY + KEPT_AFTER - 1)) == 2
    assert [key.algorithm for key in decide_published(keys, eddsa, NOW + 91 * DAY + KEPT_AFTER)] == ["EdDSA"]


def test_kept_time_covers_the_longest_access_token():
    assert KEPT_AFTER > 24 * 3600
    assert KEY_PUBLICATION_LEAD > 10 * RELOAD_AFTER, "every process knows the key before it signs"


def test_states_name_next_signing_verifying_and_over():
    keys = [build_key(), build_key(2, NOW + 90 * DAY), build_key(3, NOW + 180 * DAY)]
    states = describe(keys, SETTINGS, NOW + 170 * DAY)
    assert states == {"ES256-1": "over", "ES256-2": "signing", "ES256-3": "next"}
    assert describe(keys, SETTINGS, NOW + 90 * DAY)["ES256-1"] == "verifying"
    assert describe((), SETTINGS, NOW) == {}
    both = [build_key(), build_key(1, NOW, "EdDSA")]
    assert describe(both, SETTINGS, NOW) == {"ES256-1": "signing", "EdDSA-1": "verifying"}, "in use from that second on"


# -- on a store


async def sign(keys: SigningKeys) -> str:
    return (await keys.find_signer()).sign({"sub": "x"}, type="at+jwt")


async def is_verified(keys: SigningKeys, text: str) -> bool:
    published = parse_jwk_set(await keys.render_key_set())
    try:
        verify_jwt(parse_jwt(text), published, algorithms=("ES256", "EdDSA", "PS256", "RS256"), types=("at+jwt",))
    except JwtRefused:
        return False
    return True


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256", "RS256"])
async def test_key_of_each_algorithm_is_made_and_verifies_what_it_signed(house: House, algorithm):
    house.configure(signing_algorithm=algorithm)
    keys = house.signing_keys
    text = await sign(keys)
    assert parse_jwt(text).header["alg"] == algorithm
    assert await is_verified(keys, text)


async def test_key_set_is_public_parts_with_distinct_ids_and_one_use(house: House):
    """M8."""
    keys = house.signing_keys
    await keys.rotate()
    await keys.rotate()
    document = msgspec.json.decode(await keys.render_key_set())
    assert len(document["keys"]) == 2
    assert len({key["kid"] for key in document["keys"]}) == 2
    for key in document["keys"]:
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        assert key["kid"] == parse_jwk(key).thumbprint


async def test_rotation_happens_by_itself_and_breaks_no_token(house: House):
    """O9: walked day by day over a year; each token verifies for as long as it may live."""
    keys = house.signing_keys
    living: list[tuple[str, int]] = []
    key_ids = set()
    for _ in range(365):
        house.now += DAY
        text = await sign(keys)
        key_ids.add(parse_jwt(text).header["kid"])
        living = [*[(t, until) for t, until in living if until > house.now], (text, house.now + DAY)]
        for earlier, _ in living:
            assert await is_verified(keys, earlier)
    assert len(key_ids) == 5
    assert len(await house.store.find_signing_keys()) <= 3, "those that are over are cleared away"


async def test_signing_key_was_in_the_key_set_for_a_day_before_it_signed(house: House):
    """O9: whoever keeps the key set for a day never meets a key that it does not have."""
    keys = house.signing_keys
    await sign(keys)
    kept, kept_at = parse_jwk_set(await keys.render_key_set()), house.now
    for _ in range(24 * 200):
        house.now += 3600
        if house.now - kept_at >= DAY:
            kept, kept_at = parse_jwk_set(await keys.render_key_set()), house.now
        verify_jwt(parse_jwt(await sign(keys)), kept, algorithms=("ES256",))


async def test_two_servers_that_started_together_sign_with_one_key(house: House):
    first, second = house.signing_keys, house.signing_keys
    texts = await asyncio.gather(*(sign(keys) for keys in (first, second) for _ in range(10)))
    assert len({parse_jwt(text).header["kid"] for text in texts}) == 1
    assert len(await house.store.find_signing_keys()) == 1


async def test_servers_rotating_at_once_make_one_next_key(house: House):
    servers = [house.signing_keys for _ in range(8)]
    await servers[0].find_signer()
    house.now += 89 * DAY + 1
    await asyncio.gather(*(server.find_published() for server in servers))
    assert Counter(key.sequence for key in await house.store.find_signing_keys()) == {1: 1, 2: 1}


async def test_servers_asked_to_rotate_at_once_all_name_the_key_that_was_made(house: House):
    servers = [house.signing_keys for _ in range(4)]
    await servers[0].find_signer()
    made = await asyncio.gather(*(server.rotate() for server in servers))
    kept = [key for key in await house.store.find_signing_keys() if key.sequence > 1]
    assert kept == [made[0]]
    assert set(made) == {made[0]}


async def test_key_that_others_keep_getting_ahead_of_is_unavailable_and_says_so(house: House, monkeypatch):
    async def lose(*_: object, **__: object) -> Commit:
        return Commit.LOST

    monkeypatch.setattr(house.store, "create_signing_key", lose)
    with pytest.raises(StoreUnavailable, match="the signing key that is due could not be made"):
        await house.signing_keys.find_signer()
    with pytest.raises(StoreUnavailable, match="other servers kept making signing keys"):
        await house.signing_keys.rotate()


async def test_server_verifies_what_another_signed_with_a_key_it_has_not_seen(house: House):
    one, other = house.signing_keys, house.signing_keys
    await one.find_signer()
    made = await other.rotate(is_compromised=True)
    text = await sign(other)
    verifiers = await one.find_verifiers(made.key_id)
    assert verify_jwt(parse_jwt(text), verifiers, algorithms=("ES256",)).key_id == made.key_id
    assert await one.find_verifiers("nobody") == ()


async def test_rotate_makes_the_next_key_once(house: House):
    keys = house.signing_keys
    first = (await keys.find_signer()).key_id
    made = await keys.rotate()
    assert made.used_from == house.now + KEY_PUBLICATION_LEAD
    assert await keys.rotate() == made
    assert (await keys.find_signer()).key_id == first
    house.now += KEY_PUBLICATION_LEAD
    assert (await keys.find_signer()).key_id == made.key_id
    third = await keys.rotate()
    assert await keys.rotate() == third != made
    assert sorted(key.sequence for key in await house.store.find_signing_keys()) == [1, 2, 3]


async def test_rotate_where_there_is_no_key_makes_the_first_one(house: House):
    made = await house.signing_keys.rotate()
    assert (made.sequence, made.used_from) == (1, NOW)
    assert (await house.signing_keys.find_signer()).key_id == made.key_id


async def test_key_that_is_known_is_looked_for_and_read_once(house: House, monkeypatch):
    """Each API call with a signed token asks: neither the database nor a parser is asked again."""
    keys = house.signing_keys
    key_id = (await keys.find_signer()).key_id
    [verifier] = await keys.find_verifiers(key_id)
    signer = await keys.find_signer()

    async def fail() -> None:
        raise StoreUnavailable("down")

    monkeypatch.setattr(house.store, "find_signing_keys", fail)
    [again] = await keys.find_verifiers(key_id)
    assert again is verifier
    assert await keys.find_signer() is signer, "nor is it unsealed for each token"


async def test_rotate_of_compromised_keys_signs_at_once_and_forgets_them(house: House):
    keys, running = house.signing_keys, house.signing_keys
    old = await sign(running)
    made = await keys.rotate(is_compromised=True)
    assert [key.key_id for key in await house.store.find_signing_keys()] == [made.key_id]
    assert not await is_verified(keys, old)
    house.now += RELOAD_AFTER
    assert not await is_verified(running, old), "a running server follows within a minute"
    assert (await running.find_signer()).key_id == made.key_id


# -- keyring and database, each alone


async def test_private_parts_are_nowhere_in_the_database(house: House):
    """O9: the database alone signs nothing."""
    signer = await house.signing_keys.find_signer()
    private = signer.key.as_dict(private=True)["d"]
    assert isinstance(private, str)
    for record in await house.store.find_signing_keys():
        assert private not in record.public_key
        assert private.encode() not in record.sealed_private_key
        assert private not in repr(record)
        assert private not in repr(signer)


@pytest.mark.parametrize(
    "wrong, named",
    [
        (KEY_TWO, "sealed with key 1, which the keyring lacks"),
        (KeyringKey(1, b"\x07" * 32, NOW), "not sealed with key 1"),
    ],
)
async def test_keyring_that_did_not_seal_the_keys_signs_nothing_and_makes_no_other(house: House, wrong, named):
    """Drill 9: never with a new, silent key."""
    await house.signing_keys.find_signer()
    before = await house.store.find_signing_keys()
    house.codec = build_codec(wrong)
    keys = house.signing_keys
    with pytest.raises(StoreUnavailable, match=named):
        await keys.find_signer()
    with pytest.raises(ConfigurationError, match="restore the keyring"):
        await keys.verify_keyring()
    with pytest.raises(StoreUnavailable, match=named):
        await keys.rotate()
    house.now += 89 * DAY + 1
    with pytest.raises(StoreUnavailable, match=named):
        await house.signing_keys.find_published()
    assert await house.store.find_signing_keys() == before


async def test_keyring_that_was_lost_is_left_behind_by_a_compromised_rotation(house: House):
    await house.signing_keys.find_signer()
    house.codec = build_codec(KEY_TWO)
    made = await house.signing_keys.rotate(is_compromised=True)
    assert (await house.signing_keys.find_signer()).key_id == made.key_id
    await house.signing_keys.verify_keyring()


async def test_keyring_with_a_newer_key_goes_on_with_the_older_one_s_signing_keys(house: House):
    signer = await house.signing_keys.find_signer()
    house.codec = build_codec(KEY_ONE, KEY_TWO)
    assert (await house.signing_keys.find_signer()).key_id == signer.key_id


async def test_sealed_key_moved_to_another_row_is_not_opened(house: House):
    """A row's private part is bound to its id."""
    keys = house.signing_keys
    signer = await keys.find_signer()
    (record,) = await house.store.find_signing_keys()
    with pytest.raises(Exception, match="was not sealed"):
        house.codec.open_private_key("another", record.sealed_private_key)
    assert house.codec.open_private_key(signer.key_id, record.sealed_private_key)


async def test_store_that_fails_is_unavailable_and_makes_nothing(house: House, monkeypatch):
    async def fail() -> None:
        raise StoreUnavailable("down")

    keys = build_signing_keys(house.store, house.codec, house.settings, house.clock, os.urandom)
    monkeypatch.setattr(house.store, "find_signing_keys", fail)
    with pytest.raises(StoreUnavailable):
        await keys.find_signer()
    monkeypatch.undo()
    assert await house.store.find_signing_keys() == []
