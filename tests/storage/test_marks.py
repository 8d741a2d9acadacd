"""A database knows its keyring by fingerprints, on every engine; a lost or foreign one fails closed (drill 9)."""

import asyncio

import pytest

from latchstring.authorization_server.epoch import FIRST_EPOCH
from latchstring.authorization_server.keyring import KeyMark, Keyring, KeyringKey
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import SigningKeyRecord
from latchstring.protocol.errors import ConfigurationError
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import KEY_ONE, KEY_TWO, NOW, build_codec
from tests.storage.conftest import OpenStore

FOREIGN = KeyringKey(KEY_ONE.key_id, b"f" * 32, 0)
BOTH = Keyring((KEY_ONE, KEY_TWO))


async def test_commit_keyring_notes_new_keys_and_nothing_to_make_a_token_with(store: SqlStore):
    marks = store.marks()
    assert await marks.find_keys() == {}
    assert await marks.commit_keyring(Keyring((KEY_ONE,)), "here") == Keyring((KEY_ONE,))
    assert await marks.commit_keyring(BOTH, "here") == BOTH
    known = await marks.find_keys()
    assert known == {key.key_id: KeyMark(key.fingerprint) for key in BOTH.keys}
    assert all(len(mark.fingerprint) == 16 and mark.fingerprint not in KEY_ONE.secret for mark in known.values())


@pytest.mark.parametrize(
    "keyring, why",
    [
        pytest.param(Keyring((FOREIGN,)), "here: is not this database's: its key 1 is another one", id="foreign"),
        pytest.param(Keyring((KEY_TWO,)), "here: lacks key 1, with which tokens of this database", id="older"),
        pytest.param(Keyring((FOREIGN, KEY_TWO)), "is another one", id="foreign-with-one-more"),
    ],
)
async def test_commit_keyring_of_another_database_is_refused_and_notes_nothing(store: SqlStore, keyring, why):
    await store.marks().commit_keyring(Keyring((KEY_ONE,)), "here")
    with pytest.raises(ConfigurationError, match=why):
        await store.marks().commit_keyring(keyring, "here")
    assert set(await store.marks().find_keys()) == {KEY_ONE.key_id}


async def test_commit_keyring_of_two_machines_that_start_at_once_takes_one(store: SqlStore, open_another: OpenStore):
    """The second one's server does not start: its tokens would be unknown to the first."""
    rings = [Keyring((KeyringKey(1, bytes([number]) * 32, NOW),)) for number in range(4)]
    stores = [store, *(open_another() for _ in range(3))]
    tries = [one.marks().commit_keyring(ring, "here") for one, ring in zip(stores, rings, strict=True)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    taken = [outcome for outcome in outcomes if isinstance(outcome, Keyring)]
    assert len(taken) == 1
    assert all(isinstance(outcome, ConfigurationError) for outcome in outcomes if outcome not in taken)
    assert await store.marks().find_keys() == {1: KeyMark(taken[0].keys[0].fingerprint)}


async def test_retire_key_counts_no_more_whether_or_not_the_file_has_it(store: SqlStore):
    marks = store.marks()
    await marks.commit_keyring(BOTH, "here")
    assert await marks.retire_key(1, now=NOW) is Commit.APPLIED
    assert await marks.retire_key(1, now=NOW + 1) is Commit.LOST
    assert await marks.retire_key(9, now=NOW) is Commit.LOST
    assert (await marks.find_keys())[1].retired_at == NOW
    for keyring in (BOTH, Keyring((KEY_TWO,))):
        assert await marks.commit_keyring(keyring, "here") == Keyring((KEY_TWO,))
    with pytest.raises(ConfigurationError, match="all of its keys are retired"):
        await marks.retire_key(2, now=NOW)
        await marks.commit_keyring(BOTH, "here")


async def test_find_epoch_of_a_database_that_was_never_restored_is_the_first(store: SqlStore):
    assert await store.marks().find_epoch() == FIRST_EPOCH


async def test_count_sealed_finds_what_a_key_of_the_keyring_has_sealed_and_nothing_else(store: SqlStore):
    sealed = build_codec(KEY_ONE).seal_private_key("kid", b"{}", bytes(12))
    await store.create_signing_key(
        SigningKeyRecord(
            algorithm="ES256",
            sequence=1,
            key_id="kid",
            public_key="{}",
            sealed_private_key=sealed,
            created_at=NOW,
            used_from=NOW,
        )
    )
    assert await store.marks().count_sealed(1) == {"signing_key.sealed_private_key": 1}
    assert await store.marks().count_sealed(2) == {}
