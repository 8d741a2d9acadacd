"""What the database keeps only sealed: mail that waits, the secrets of webhooks. A copy of it alone reads none."""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from latchstring.authorization_server.tokens import KeyNotOpened, TokenCodec

NONCE_SIZE: Final = 12


class Sealer:
    """Seals and opens values of one purpose by the keyring; each is bound to the name that it is kept under."""

    def __init__(self, codec: TokenCodec, purpose: bytes) -> None:
        self._purpose = purpose.decode("ascii")
        self._key_id = codec.key_id
        self._seals = {key_id: AESGCMSIV(key) for key_id, key in codec.derive_keys(purpose).items()}

    def seal(self, name: bytes, raw: bytes, nonce: bytes) -> bytes:
        """The value for a row; `nonce` is 12 fresh random bytes."""
        return self._key_id.to_bytes(2, "big") + nonce + self._seals[self._key_id].encrypt(nonce, raw, name)

    def open(self, name: bytes, sealed: bytes) -> bytes:
        """What was sealed under that name, or `KeyNotOpened`."""
        seal = self._seals.get(int.from_bytes(sealed[:2], "big"))
        if seal is None:
            raise KeyNotOpened(f"{self._purpose}: sealed with a key that the keyring lacks")
        try:
            return seal.decrypt(sealed[2:14], sealed[14:], name)
        except (InvalidTag, ValueError):
            raise KeyNotOpened(f"{self._purpose}: not sealed with a key of this keyring") from None
