"""What the database keeps only sealed: mail that waits, the secrets of webhooks. A copy of it alone reads none."""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from latchstring.authorization_server.tokens import KeyNotOpened, TokenCodec

NONCE_SIZE: Final = 12


class Sealer:
    """Seals and opens values of one purpose by the keyring; each is bound to the name that it is kept under."""

    def __init__(self, codec: TokenCodec, purpose: bytes) -> None:
        self._codec = codec
        self._purpose = purpose

    def _find_seal(self, key_id: int) -> AESGCMSIV | None:
        # Asked each time: a server follows its keyring.
        key = self._codec.derive_keys(self._purpose).get(key_id)
        return None if key is None else AESGCMSIV(key)

    def seal(self, name: bytes, raw: bytes, nonce: bytes) -> bytes:
        """The value for a row; `nonce` is 12 fresh random bytes."""
        key_id = self._codec.key_id
        seal = self._find_seal(key_id)
        assert seal is not None, "the codec has the key that makes what is new"
        return key_id.to_bytes(2, "big") + nonce + seal.encrypt(nonce, raw, name)

    def open(self, name: bytes, sealed: bytes) -> bytes:
        """What was sealed under that name, or `KeyNotOpened`."""
        purpose = self._purpose.decode("ascii")
        seal = self._find_seal(int.from_bytes(sealed[:2], "big"))
        if seal is None:
            raise KeyNotOpened(f"{purpose}: sealed with a key that the keyring lacks")
        try:
            return seal.decrypt(sealed[2:14], sealed[14:], name)
        except (InvalidTag, ValueError):
            raise KeyNotOpened(f"{purpose}: not sealed with a key of this keyring") from None
