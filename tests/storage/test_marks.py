"""A database knows its keyring by fingerprints, on every engine; a lost or foreign one fails closed (drill 9)."""

import pytest

from latchstring.authorization_server.epoch import FIRST_EPOCH
from latchstring.authorization_server.keyring import Keyring, KeyringKey
from latchstring.protocol.errors import ConfigurationError
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import KEY_ONE, KEY_TWO

FOREIGN = KeyringKey(KEY_ONE.key_id, b"f" * 32, 0)


async def test_commit_keyring_notes_new_keys_and_nothing_to_make_a_token_with(store: SqlStore):
    assert await store.marks().find_fingerprints() == {}
    await store.marks().commit_keyring(Keyring((KEY_ONE,)), "here")
    await store.marks().commit_keyring(Keyring((KEY_ONE, KEY_TWO)), "here")
    known = await store.marks().find_fingerprints()
    assert known == {KEY_ONE.key_id: KEY_ONE.fingerprint, KEY_TWO.key_id: KEY_TWO.fingerprint}
    assert all(len(fingerprint) == 16 and fingerprint not in KEY_ONE.secret for fingerprint in known.values())


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
    assert set(await store.marks().find_fingerprints()) == {KEY_ONE.key_id}


async def test_forget_key_lets_the_keyring_go_without_it(store: SqlStore):
    await store.marks().commit_keyring(Keyring((KEY_ONE, KEY_TWO)), "here")
    await store.marks().forget_key(KEY_ONE.key_id)
    await store.marks().commit_keyring(Keyring((KEY_TWO,)), "here")
    assert set(await store.marks().find_fingerprints()) == {KEY_TWO.key_id}


async def test_find_epoch_of_a_database_that_was_never_restored_is_the_first(store: SqlStore):
    assert await store.marks().find_epoch() == FIRST_EPOCH
