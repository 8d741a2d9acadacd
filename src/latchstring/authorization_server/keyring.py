"""The keys behind every token: kept outside the database, named by number in each token they make."""

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from latchstring.protocol.errors import ConfigurationError

KEY_SIZE: Final = 32
FINGERPRINT_SIZE: Final = 16


class KeyringKey(msgspec.Struct, frozen=True):
    """One key: 32 random bytes, of which the keys for each purpose are derived."""

    key_id: int
    secret: bytes
    created_at: int

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


def verify_fits(keyring: Keyring, fingerprints: Mapping[int, bytes], source: str) -> None:
    """Refuse, by `ConfigurationError`, a keyring that is not the one that a database goes with: one of the keys whose
    fingerprints the database has is missing from it, or is another key under the same number."""
    own = {key.key_id: key.fingerprint for key in keyring.keys}
    for key_id, fingerprint in fingerprints.items():
        if key_id not in own:
            raise ConfigurationError(
                f"{source}: lacks key {key_id}, with which tokens of this database are made; copy the keyring from the "
                "server that has it, or restore it from your backup"
            )
        if own[key_id] != fingerprint:
            raise ConfigurationError(
                f"{source}: is not this database's: its key {key_id} is another one; restore the right one from your "
                "backup, or name it with --keyring or LATCHSTRING_KEYRING"
            )


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
