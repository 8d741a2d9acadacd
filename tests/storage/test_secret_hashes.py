"""A secret that an older key of the keyring hashed gets its hash from the key in use: later, once, and nothing else
of it changes."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.events import EventFilter
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import SecretHash
from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage.secret_hashes import SecretHashes
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import KEY_ONE, KEY_TWO, MAILLOOP, NOW, build_codec, build_resource_server

OLD, NEW = build_codec(KEY_ONE), build_codec(KEY_ONE, KEY_TWO)
SECRETS = ("ls_cs_one", "ls_cs_two")
ONE, TWO = (
    OLD.hash_client_secret(secret, NOW, name) for secret, name in zip(SECRETS, ("first", "second"), strict=True)
)
RENEWED = NEW.renew_client_secret_hash(ONE, SECRETS[0])


def test_renewed_hash_is_of_the_key_in_use_and_of_the_same_secret():
    assert (RENEWED.key_id, RENEWED.secret_id) == (2, ONE.secret_id)
    assert RENEWED.secret_hash != ONE.secret_hash
    same = msgspec.structs.replace(RENEWED, secret_hash=ONE.secret_hash, key_id=1, first_id="")
    assert same == ONE, "its name, hint and times stay"
    assert build_codec(KEY_TWO).verify_client_secret(SECRETS[0], (RENEWED,), NOW) == RENEWED
    third = msgspec.structs.replace(KEY_TWO, key_id=3)
    assert build_codec(KEY_TWO, third).renew_client_secret_hash(RENEWED, SECRETS[0]).secret_id == ONE.secret_id


# -- when it is written


class _Store:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails: list[Any] = []

    async def renew_secret_hash(self, client_id: str, kept: SecretHash, renewed: SecretHash) -> bool:
        assert (kept, renewed) == (ONE, RENEWED)
        self.asked.append(client_id)
        if self.fails:
            failure = self.fails.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return False
        return True


async def test_hash_is_written_later_and_once():
    store: Any = _Store()
    hashes = SecretHashes(store)
    for _ in range(3):
        hashes("a", ONE, RENEWED)
    hashes("b", ONE, RENEWED)
    assert store.asked == [], "nothing is written while a request is answered"
    await hashes.close()
    hashes("a", ONE, RENEWED)
    await hashes.close()
    assert store.asked == ["a", "b"]


@pytest.mark.parametrize("failure", [StoreUnavailable("down"), False], ids=["down", "changed-meanwhile"])
async def test_hash_that_could_not_be_written_is_tried_at_the_next_use(failure: Any):
    store: Any = _Store()
    store.fails = [failure]
    hashes = SecretHashes(store)
    for expected in (1, 2, 2):
        hashes("a", ONE, RENEWED)
        await hashes.close()
        assert len(store.asked) == expected


# -- in the database


async def find_events(store: SqlStore) -> Any:
    """All that the store tells of."""
    return await store.find_events(EventFilter(), before=None, at_most=100)


async def test_hash_of_a_client_takes_the_place_of_the_old_one_and_nothing_else_changes(peopled: SqlStore):
    assert await peopled.replace_client_secrets(MAILLOOP, (ONE, TWO), now=NOW) is Commit.APPLIED
    await peopled.note_secret_uses({(MAILLOOP, ONE.secret_id): NOW})
    before, events = await peopled.find_client(MAILLOOP), await find_events(peopled)
    assert before is not None
    assert await peopled.renew_secret_hash(MAILLOOP, ONE, RENEWED)
    assert await peopled.find_client(MAILLOOP) == msgspec.structs.replace(before, secrets=(RENEWED, TWO))
    assert await peopled.find_secret_uses(MAILLOOP) == {RENEWED.secret_id: NOW}
    assert await find_events(peopled) == events
    # Whoever has seen the new one can go on changing them; whoever has seen the old ones looks again.
    assert await peopled.replace_client_secrets(MAILLOOP, (TWO,), known=(ONE, TWO), now=NOW) is Commit.LOST
    assert await peopled.replace_client_secrets(MAILLOOP, (TWO,), known=(RENEWED, TWO), now=NOW) is Commit.APPLIED
    assert await peopled.find_secret_uses(MAILLOOP) == {}


async def test_hash_of_a_secret_that_has_gone_brings_nothing_back(peopled: SqlStore):
    assert await peopled.replace_client_secrets(MAILLOOP, (TWO,), now=NOW) is Commit.APPLIED
    await peopled.renew_secret_hash(MAILLOOP, ONE, RENEWED)
    client = await peopled.find_client(MAILLOOP)
    assert client is not None
    assert client.secrets == (TWO,)
    assert not await peopled.renew_secret_hash("nobody", ONE, RENEWED)


async def test_hash_of_a_resource_server_takes_the_place_of_the_old_one(peopled: SqlStore):
    api = build_resource_server(secrets=(ONE,))
    await peopled.create_resource_server(api)
    assert await peopled.find_resource_server(api.client_id) == api
    assert await peopled.renew_secret_hash(api.client_id, ONE, RENEWED)
    renewed = msgspec.structs.replace(api, secrets=(RENEWED,))
    assert await peopled.find_resource_server(api.client_id) == renewed
