"""The keys behind every token: kept outside the database, named by number in each token they make."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from latchstring.protocol.errors import ConfigurationError

KEY_SIZE: Final = 32
FINGERPRINT_SIZE: Final = 16


class KeyringKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """One key: 32 random bytes, of which the keys for each purpose are derived. It checks from the moment that a server
    knows it, and makes what is new from `used_from` on: until then every server has to have it."""

    key_id: int
    secret: bytes
    created_at: int
    used_from: int = 0

    def __repr__(self) -> str:
        return f"KeyringKey(key_id={self.key_id})"

    def derive(self, purpose: bytes, salt: bytes = b"") -> bytes:
        """The 32-byte key for one purpose (at most 16 bytes of name), in one epoch; none shares a key with another."""
        return hashlib.blake2b(digest_size=KEY_SIZE, key=self.secret, person=purpose, salt=salt).digest()

    @property
    def fingerprint(self) -> bytes:
        """What tells the key from every other one, and makes nothing: the database may keep it."""
        return self.derive(b"fingerprint")[:FINGERPRINT_SIZE]


class Keyring(msgspec.Struct, frozen=True):
    """All keys that may still check something; the last one makes what is new."""

    keys: tuple[KeyringKey, ...]

    @property
    def current(self) -> KeyringKey:
        """The key that makes what is new."""
        return self.keys[-1]

    def order(self, now: int) -> Keyring:
        """The same keys, those that are to come first, and last of all the one that makes what is new now."""
        to_come = tuple(key for key in self.keys if key.used_from > now)
        used = tuple(key for key in self.keys if key.used_from <= now)
        # Where this machine's clock is behind the one that made the first key, no key is in use yet.
        return Keyring(to_come + used) if used else Keyring(to_come[::-1])

    def find_successor(self, key_id: int) -> KeyringKey | None:
        """The key that comes into use after that one."""
        ids = [key.key_id for key in self.keys]
        place = ids.index(key_id) + 1 if key_id in ids else len(ids)
        return self.keys[place] if place < len(ids) else None

    def add(self, entropy: bytes, now: int, used_from: int) -> Keyring:
        """With one more key, made of 32 fresh random bytes. Numbers go up, so that one of a key that went is not taken
        again soon."""
        key_id = max(key.key_id for key in self.keys) + 1
        return Keyring((*self.keys, KeyringKey(key_id, entropy, now, used_from)))

    def drop(self, key_ids: Collection[int]) -> Keyring:
        """Without those keys."""
        return Keyring(tuple(key for key in self.keys if key.key_id not in key_ids))


class KeyMark(msgspec.Struct, frozen=True):
    """What a database knows of a key of its keyring; `retired_at` is since when that key counts no more."""

    fingerprint: bytes
    retired_at: int | None = None


def verify_fits(keyring: Keyring, marks: Mapping[int, KeyMark], source: str) -> Keyring:
    """The keys that count. Refuses, by `ConfigurationError`, a keyring that is not the one that a database goes with: a
    key that the database knows is missing from it, or is another key under the same number."""
    own = {key.key_id: key.fingerprint for key in keyring.keys}
    for key_id, mark in marks.items():
        if key_id not in own:
            if mark.retired_at is not None:
                continue
            raise ConfigurationError(
                f"{source}: lacks key {key_id}, with which tokens of this database are made; copy the keyring from the "
                "server that has it, or restore it from your backup"
            )
        if own[key_id] != mark.fingerprint:
            raise ConfigurationError(
                f"{source}: is not this database's: its key {key_id} is another one; restore the right one from your "
                "backup, or name it with --keyring or LATCHSTRING_KEYRING"
            )
    counting = keyring.drop({key_id for key_id, mark in marks.items() if mark.retired_at is not None})
    if not counting.keys:
        raise ConfigurationError(
            f"{source}: all of its keys are retired; copy the keyring from the server that has more"
        )
    return counting


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Keyring)


def new_keyring(entropy: bytes, now: int) -> Keyring:
    """A keyring of one key, made of 32 fresh random bytes."""
    return Keyring((KeyringKey(1, entropy, now),))


def render_keyring(keyring: Keyring) -> bytes:
    """The keyring as JSON, for its file."""
    return _encoder.encode(keyring) + b"\n"


def parse_keyring(content: bytes, source: str) -> Keyring:
    """Read a keyring; `source` is named in the `ConfigurationError` of a broken one. Fails closed."""
    try:
        keyring = _decoder.decode(content)
    except (msgspec.DecodeError, RecursionError):
        raise ConfigurationError(f"{source}: not a keyring; restore it from your backup") from None
    ids = [key.key_id for key in keyring.keys]
    if not ids or len(set(ids)) != len(ids) or not all(0 < key_id < 65536 for key_id in ids):
        raise ConfigurationError(f"{source}: needs at least one key, each with its own number from 1 to 65535")
    if any(len(key.secret) != KEY_SIZE for key in keyring.keys):
        raise ConfigurationError(f"{source}: a key is not {KEY_SIZE} bytes long; restore it from your backup")
    return keyring
