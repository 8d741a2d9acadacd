"""A serving process follows its keyring without a restart, and nobody is logged out (drill 9)."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from latchstring.authorization_server.keyring import Keyring, KeyringKey, render_keyring
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage.keyring_file import change_keyring, load_keyring
from latchstring.storage.keyring_watch import KeyringWatch
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import GRANT_ID, KEY_ONE, NOW, ROW_SECRET
from tests.support.deployment import Clock

SECRET = b"\x09" * 32


class Machine:
    """One machine: its file, its process's codec, and the watch between them."""

    def __init__(self, path: Path, store: SqlStore, clock: Clock) -> None:
        self.path = path
        path.write_bytes(render_keyring(Keyring((KEY_ONE,))))
        path.chmod(0o600)
        self.codec = TokenCodec(Keyring((KEY_ONE,)))
        self.watch = KeyringWatch(path, self.codec, store.marks(), clock)
        self.marks = store.marks()

    async def rotate(self, clock: Clock, lead: int = 100) -> None:
        keys = change_keyring(self.path, lambda keys: keys.add(SECRET, clock.now, clock.now + lead))
        await self.marks.commit_keyring(keys, "here")

    def token(self) -> str:
        return self.codec.render_refresh_token(GRANT_ID, 1, ROW_SECRET)

    def takes(self, text: str) -> bool:
        token = self.codec.parse_refresh_token(text)
        assert token is not None
        return self.codec.verify_refresh_token(token, ROW_SECRET)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
async def first(tmp_path: Path, store: SqlStore, clock: Clock) -> Machine:
    machine = Machine(tmp_path / "first.keyring", store, clock)
    await machine.marks.commit_keyring(load_keyring(machine.path, NOW, may_create=False), "here")
    return machine


@pytest.fixture
def second(tmp_path: Path, store: SqlStore, clock: Clock) -> Machine:
    return Machine(tmp_path / "second.keyring", store, clock)


async def test_watch_takes_a_new_key_to_check_with_and_makes_with_it_when_its_time_has_come(
    first: Machine, second: Machine, clock: Clock
):
    old = first.token()
    await first.watch.look()
    await first.rotate(clock)
    for machine in (first, second):
        second.path.write_bytes(first.path.read_bytes())
        await machine.watch.look()
        assert machine.codec.key_id == 1
    clock.advance(100)
    await first.watch.look()
    assert first.codec.key_id == 2
    new = first.token()
    assert new != old
    # The other one has not looked since, and knows both.
    assert second.codec.key_id == 1
    for machine in (first, second):
        assert machine.takes(old)
        assert machine.takes(new)


async def test_watch_that_lacks_a_key_of_others_is_unavailable_for_what_that_key_made_and_for_nothing_else(
    first: Machine, second: Machine, clock: Clock
):
    """I6: a machine that was forgotten at the rotation strands no client."""
    old, forged = first.token(), TokenCodec(Keyring((KeyringKey(7, SECRET, NOW),)))
    await first.rotate(clock)
    clock.advance(100)
    await first.watch.look()
    new, access = (
        first.token(),
        first.codec.render_access_token(GRANT_ID, token_id=bytes(12), issued_at=NOW, lifetime=60, scope=None),
    )
    secret = first.codec.hash_client_secret("ls_cs_x", NOW)
    with capture_logs() as logs:
        await second.watch.look()
        await second.watch.look()
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["keyring_not_taken"]
    assert second.takes(old)
    for ask in (
        lambda: second.takes(new),
        lambda: second.codec.parse_access_token(access),
        lambda: second.codec.verify_client_secret("ls_cs_x", (secret,), NOW),
    ):
        with pytest.raises(StoreUnavailable, match="lacks key 2"):
            ask()
    assert not second.takes(forged.render_refresh_token(GRANT_ID, 1, ROW_SECRET))
    second.path.write_bytes(first.path.read_bytes())
    await second.watch.look()
    assert second.takes(new)
    assert second.codec.parse_access_token(access) is not None


async def test_watch_drops_a_retired_key_that_the_file_still_has(first: Machine, second: Machine, clock: Clock):
    old = first.token()
    await first.rotate(clock)
    clock.advance(100)
    second.path.write_bytes(first.path.read_bytes())
    await first.watch.look()
    await first.marks.retire_key(1, now=clock.now)
    for machine in (first, second):
        await machine.watch.look()
        assert not machine.takes(old)
        assert machine.takes(first.token())


@pytest.mark.parametrize("content", [None, b"", b"{}", render_keyring(Keyring((KeyringKey(1, SECRET, NOW),)))])
async def test_watch_of_a_file_lost_broken_or_foreign_goes_on_with_the_keys_it_has(first: Machine, content):
    token = first.token()
    first.path.unlink()
    if content is not None:
        first.path.write_bytes(content)
    with capture_logs() as logs:
        await first.watch.look()
        await first.watch.look()
    [entry] = logs
    assert (entry["event"], entry["log_level"]) == ("keyring_not_taken", "error")
    assert str(first.path) in entry["reason"]
    assert first.takes(token)
    assert first.token() == token
    assert first.path.exists() == (content is not None)


async def test_watch_that_finds_nothing_new_leaves_the_codec_as_it_is(first: Machine):
    with capture_logs() as logs:
        await first.watch.look()
    assert logs == []


def test_change_keyring_keeps_the_file_to_its_owner_and_leaves_nothing_beside_it(tmp_path: Path):
    path = tmp_path / "keyring"
    keys = load_keyring(path, NOW, may_create=True)
    changed = change_keyring(path, lambda keys: keys.add(SECRET, NOW, NOW + 5))
    assert changed.keys[0] == keys.keys[0]
    assert load_keyring(path, NOW, may_create=False) == changed
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
