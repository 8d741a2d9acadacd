"""Client ids that carry their own registration, and the credentials that follow from them (ADR 0014).

Such an id is `oa2registered_` + body: letters and digits. The body is the number of a key, a MAC, a nonce and what was
registered: anybody can read it, and only this deployment can have made it. The client's secret and its registration
access token are MACs over the id, so that neither is kept anywhere.
"""

import hashlib
from hmac import compare_digest
from typing import Final

import msgspec

from latchstring.authorization_server.records import SecretHash
from latchstring.authorization_server.registration import Registration
from latchstring.authorization_server.tokens import CLIENT_SECRET_SIZE, TokenCodec, parse_base62, render_base62

REGISTERED: Final = "oa2registered_"
MAX_REGISTERED_ID_LENGTH: Final = 2048
REGISTRATION_NONCE_SIZE: Final = 12
_MAC_SIZE: Final = 16
_TOKEN_SIZE: Final = 33
_HEADER_SIZE: Final = 2 + _MAC_SIZE + REGISTRATION_NONCE_SIZE


class CarriedRegistration(msgspec.Struct, frozen=True, array_like=True):
    """What an id carries: when it was issued, when it lapses unless a person has consented, and what was registered."""

    issued_at: int
    expires_at: int
    registration: Registration


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(CarriedRegistration).decode


def find_registering_key(client_id: str) -> int | None:
    """The number of the key that an id of such a client names; None for every other id."""
    raw = parse_base62(client_id.removeprefix(REGISTERED)) if client_id.startswith(REGISTERED) else None
    return None if raw is None else int.from_bytes(raw[:2], "big")


class RegistrationCodec:
    """Makes and reads client ids that carry their registration, and derives their credentials. Pure."""

    def __init__(self, codec: TokenCodec) -> None:
        self._codec = codec

    @property
    def _keys(self) -> dict[int, bytes]:
        return self._codec.derive_keys(b"registration")

    def _mac(self, key_id: int, purpose: bytes, content: bytes, size: int) -> bytes:
        return hashlib.blake2b(content, digest_size=size, key=self._keys[key_id], person=purpose).digest()

    def render_client_id(self, carried: CarriedRegistration, nonce: bytes) -> str:
        """The id; `nonce` is 12 fresh random bytes, so that no two registrations are the same client."""
        key_id = self._codec.key_id
        content = nonce + _encode(carried)
        content += b" " * (-(2 + _MAC_SIZE + len(content)) % 3)
        mac = self._mac(key_id, b"client-id", content, _MAC_SIZE)
        return REGISTERED + render_base62(key_id.to_bytes(2, "big") + mac + content)

    def parse_client_id(self, client_id: str) -> CarriedRegistration | None:
        """What the id carries, or None for every string that this deployment has not made."""
        raw = self._read(client_id)
        if raw is None:
            return None
        content = raw[2 + _MAC_SIZE :]
        mac = self._mac(int.from_bytes(raw[:2], "big"), b"client-id", content, _MAC_SIZE)
        if not compare_digest(mac, raw[2 : 2 + _MAC_SIZE]):
            return None
        # What has a MAC was written by this class; from here on nothing can be malformed.
        return _decode(content[REGISTRATION_NONCE_SIZE:])

    def _read(self, client_id: str) -> bytes | None:
        if not client_id.startswith(REGISTERED) or len(client_id) > MAX_REGISTERED_ID_LENGTH:
            return None
        raw = parse_base62(client_id[len(REGISTERED) :])
        if raw is None or len(raw) <= _HEADER_SIZE or int.from_bytes(raw[:2], "big") not in self._keys:
            return None
        return raw

    def derive_client_secret(self, client_id: str) -> str:
        """The secret of the client with that id, one of this deployment's."""
        return self._codec.render_client_secret(self._derive(client_id, b"client-secret", CLIENT_SECRET_SIZE))

    def hash_client_secret(self, client_id: str, now: int) -> SecretHash:
        """The same secret as every client's is kept."""
        return self._codec.hash_client_secret(self.derive_client_secret(client_id), now)

    def derive_registration_token(self, client_id: str) -> str:
        """The registration access token of the client with that id, one of this deployment's (RFC 7592 §1.2)."""
        return self._codec.render_credential("ra", self._derive(client_id, b"registration", _TOKEN_SIZE))

    def verify_registration_token(self, client_id: str, token: str) -> bool:
        """Whether the token is the registration access token of the client with that id."""
        if self.parse_client_id(client_id) is None:
            return False
        return compare_digest(self.derive_registration_token(client_id).encode(), token.encode())

    def _derive(self, client_id: str, purpose: bytes, size: int) -> bytes:
        raw = self._read(client_id)
        assert raw is not None, "the id is not one of this deployment's"
        return self._mac(int.from_bytes(raw[:2], "big"), purpose, client_id.encode(), size)
