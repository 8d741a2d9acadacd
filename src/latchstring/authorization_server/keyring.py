"""The keys behind every token: kept outside the database, named by number in each token they make."""

import hashlib
from typing import Final

import msgspec

from latchstring.protocol.errors import ConfigurationError

KEY_SIZE: Final = 32


class KeyringKey(msgspec.Struct, frozen=True):
    """One key: 32 random bytes, of which the keys for each purpose are derived."""

    key_id: int
    secret: bytes
    created_at: int

    def __repr__(self) -> str:
        return f"KeyringKey(key_id={self.key_id})"

    def derive(self, purpose: bytes) -> bytes:
        """The 32-byte key for one purpose (at most 16 bytes of name); purposes never share a key."""
        return hashlib.blake2b(digest_size=KEY_SIZE, key=self.secret, person=purpose).digest()


class Keyring(msgspec.Struct, frozen=True):
    """All keys that may still check something; the last one makes what is new."""

    keys: tuple[KeyringKey, ...]

    @property
    def current(self) -> KeyringKey:
        """The key that makes what is new."""
        return self.keys[-1]


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
