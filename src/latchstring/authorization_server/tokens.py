"""The codec of every credential string: what it carries, and that nobody else made it.

A string is `<prefix>_<kind>_` + body + checksum: letters and digits only, so that a double click selects it.
The checksum (CRC-32 of what stands before it, six base-62 digits) lets scanners tell a credential from noise;
it is no proof. The proof is a MAC that also covers a secret of the grant's row (codes and refresh tokens), or
authenticated encryption (access tokens).
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64, crc32
from collections.abc import Collection
from hmac import compare_digest
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from latchstring.authorization_server.epoch import FIRST_EPOCH, Epoch
from latchstring.authorization_server.identifiers import (
    CLIENT,
    ID_ENTROPY_SIZE,
    ORGANIZATION,
    parse_identifier,
    render_identifier,
)
from latchstring.authorization_server.keyring import Keyring
from latchstring.authorization_server.records import SecretHash
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import StoreUnavailable

GRANT_ID_SIZE: Final = 16
TOKEN_ID_SIZE: Final = 12
_TAG_SIZE: Final = 16
ROW_SECRET_SIZE: Final = 16
CLIENT_SECRET_SIZE: Final = 33
MAX_TOKEN_LENGTH: Final = 4096

_CODE_MAC_SIZE: Final = 21
_REFRESH_MAC_SIZE: Final = 20
_CODE_SIZE: Final = 2 + GRANT_ID_SIZE + _CODE_MAC_SIZE
_REFRESH_SIZE: Final = 2 + GRANT_ID_SIZE + 4 + _REFRESH_MAC_SIZE
# The first byte of a sealed access token tells what it stands on: a grant, or a client at work for an organization.
_ON_GRANT: Final = 1
_ON_CLIENT: Final = 2
_TIMES_SIZE: Final = 4 + 3
_SUBJECT_SIZES: Final = {_ON_GRANT: GRANT_ID_SIZE, _ON_CLIENT: 2 * ID_ENTROPY_SIZE}

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS: Final = [high + low for high in _DIGITS for low in _DIGITS]


def render_base62(raw: bytes) -> str:
    """Bytes as letters and digits: Base64 whose two symbols, and the escape itself, are written as pairs.

    Twenty times as fast in Python as a true change of base; `docs/decisions/0002` has the figures. The
    length of `raw` is a multiple of three, so that no bit of the last character is idle.
    """
    text = b2a_base64(raw, newline=False).replace(b"Z", b"Zc").replace(b"+", b"Za").replace(b"/", b"Zb")
    return text.decode("ascii")


def parse_base62(text: str) -> bytes | None:
    """The bytes of `render_base62`, or None for any string that it does not make: one spelling for each value."""
    if not (text.isascii() and text.isalnum()):
        return None
    escapes = text.count("Z")
    if escapes:
        if text.count("Za") + text.count("Zb") + text.count("Zc") != escapes:
            return None
        text = text.replace("Za", "+").replace("Zb", "/").replace("Zc", "Z")
    try:
        return a2b_base64(text, strict_mode=True)
    except Base64Error:
        return None


def render_checksum(text: bytes) -> str:
    """CRC-32 as six base-62 digits."""
    rest, low = divmod(crc32(text), 3844)
    high, middle = divmod(rest, 3844)
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


class KeyNotOpened(Exception):
    """The keyring is not the one that sealed a private key: nothing may be signed, and no new key be made instead."""


class Code(msgspec.Struct, frozen=True):
    """An authorization code as read, its MAC not yet verified."""

    grant_id: bytes
    key_id: int
    mac: bytes

    def __repr__(self) -> str:
        return f"Code(grant_id={self.grant_id.hex()})"


class DeviceCode(msgspec.Struct, frozen=True):
    """A device code as read, its MAC not yet verified. `device_id` is the id of the grant that it comes to."""

    device_id: bytes
    key_id: int
    mac: bytes

    def __repr__(self) -> str:
        return f"DeviceCode(device_id={self.device_id.hex()})"


class RefreshToken(msgspec.Struct, frozen=True):
    """A refresh token as read, its MAC not yet verified."""

    grant_id: bytes
    key_id: int
    generation: int
    mac: bytes

    def __repr__(self) -> str:
        return f"RefreshToken(grant_id={self.grant_id.hex()}, generation={self.generation})"


class Actor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who acts for the token's subject, and for whom that one acted in turn (RFC 8693 §4.1)."""

    sub: str
    act: Actor | None = None


class TokenFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What only some access tokens carry: the key they are bound to, who acts, `authorization_details` (a JSON array)
    where they are not the grant's own; the generation of the approval under which a client acts for another
    organization than its own; after an exchange, whom the token was issued to and the ids of the tokens that it came
    from."""

    confirmation: Confirmation | None = None
    actor: Actor | None = None
    authorization_details: str | None = None
    approval: int | None = None
    client_id: str | None = None
    ancestors: tuple[bytes, ...] = ()


class AccessToken(msgspec.Struct, frozen=True):
    """An access token that this deployment made, standing on a grant.

    `scope` is None and `resource` empty where they are the grant's own; `facts` is None where there are none.
    """

    token_id: bytes
    grant_id: bytes
    issued_at: int
    expires_at: int
    scope: str | None
    resource: tuple[str, ...] = ()
    facts: TokenFacts | None = None


class ClientAccessToken(msgspec.Struct, frozen=True):
    """An access token that this deployment made for a client at work for an organization (RFC 6749 §4.4)."""

    token_id: bytes
    client_id: str
    organization_id: str
    issued_at: int
    expires_at: int
    scope: str
    resource: tuple[str, ...] = ()
    facts: TokenFacts | None = None


_encode_facts = msgspec.json.Encoder().encode
_decode_facts = msgspec.json.Decoder(TokenFacts).decode


class TokenCodec:
    """Makes and reads credential strings. Pure: entropy is an argument, time is compared by the caller."""

    def __init__(self, keyring: Keyring, prefix: str = "ls", epoch: Epoch = FIRST_EPOCH) -> None:
        self._prefix = prefix
        self._code_prefix = f"{prefix}_ac_"
        self._device_prefix = f"{prefix}_dc_"
        self._access_prefix = f"{prefix}_at_"
        self._refresh_prefix = f"{prefix}_rt_"
        self._secret_prefix = f"{prefix}_cs_"
        self.load(keyring, epoch)

    def load(self, keyring: Keyring, epoch: Epoch, missing: Collection[int] = ()) -> None:
        """Go on with those keys, the last one making what is new. `missing` are the numbers of keys that other servers
        have: what was made with one can be neither taken nor refused here."""
        self.keyring = keyring
        self.epoch = epoch
        self.missing = frozenset(missing)
        salt = epoch.salt
        self._key_id = keyring.current.key_id
        self._mac_keys = {key.key_id: key.derive(b"token-mac") for key in keyring.keys}
        self._seals = {key.key_id: AESGCMSIV(key.derive(b"access-seal", salt)) for key in keyring.keys}
        self._secret_keys = {key.key_id: key.derive(b"client-secret") for key in keyring.keys}
        self._key_seals = {key.key_id: AESGCMSIV(key.derive(b"signing-key-seal")) for key in keyring.keys}
        self.nonce_keys = tuple(key.derive(b"dpop-nonce", salt) for key in reversed(keyring.keys))
        """The keys of DPoP nonces; the first one makes what is new."""
        self._page_keys = {key.key_id: key.derive(b"page-mac", salt) for key in keyring.keys}
        self._other_keys: dict[bytes, dict[int, bytes]] = {}

    def _knows(self, key_id: int) -> bool:
        """Whether the key is one of the keyring's; `StoreUnavailable` where it is another server's."""
        if key_id in self._mac_keys:
            return True
        if key_id in self.missing:
            raise StoreUnavailable(f"the keyring lacks key {key_id}, which other servers have")
        return False

    # -- strings

    @staticmethod
    def _render(prefix: str, raw: bytes) -> str:
        text = prefix + render_base62(raw)
        return text + render_checksum(text.encode("ascii"))

    @staticmethod
    def _parse(prefix: str, text: str) -> bytes | None:
        if not text.startswith(prefix) or len(text) > MAX_TOKEN_LENGTH or not text.isascii():
            return None
        if render_checksum(text[:-6].encode("ascii")) != text[-6:]:
            return None
        return parse_base62(text[len(prefix) : -6])

    def render_credential(self, kind: str, raw: bytes) -> str:
        """A credential of a kind that is made elsewhere, such as `ra`; `raw` is a multiple of three bytes long."""
        return self._render(f"{self._prefix}_{kind}_", raw)

    @property
    def key_id(self) -> int:
        """The number of the key that makes what is new."""
        return self._key_id

    def derive_keys(self, purpose: bytes) -> dict[int, bytes]:
        """The keys for a purpose of somebody else's, by number, as they are now."""
        keys = self._other_keys.get(purpose)
        if keys is None:
            keys = self._other_keys[purpose] = {key.key_id: key.derive(purpose) for key in self.keyring.keys}
        return keys

    # -- authorization codes

    def _code_mac(self, key_id: int, grant_id: bytes, row_secret: bytes) -> bytes:
        return hashlib.blake2b(
            grant_id + row_secret, digest_size=_CODE_MAC_SIZE, key=self._mac_keys[key_id], person=b"code"
        ).digest()

    def render_code(self, grant_id: bytes, row_secret: bytes) -> str:
        """The grant's authorization code (RFC 6749 §4.1.2): there is only one, so nothing is stored for it."""
        mac = self._code_mac(self._key_id, grant_id, row_secret)
        return self._render(self._code_prefix, self._key_id.to_bytes(2, "big") + grant_id + mac)

    def parse_code(self, text: str) -> Code | None:
        """The code's parts, or None for a string that is no code of ours."""
        raw = self._parse(self._code_prefix, text)
        if raw is None or len(raw) != _CODE_SIZE:
            return None
        return Code(raw[2:18], int.from_bytes(raw[:2], "big"), raw[18:])

    def verify_code(self, code: Code, row_secret: bytes) -> bool:
        """Whether this deployment made the code for the grant with that row secret."""
        return self._knows(code.key_id) and compare_digest(
            self._code_mac(code.key_id, code.grant_id, row_secret), code.mac
        )

    # -- device codes

    def _device_mac(self, key_id: int, device_id: bytes, row_secret: bytes) -> bytes:
        return hashlib.blake2b(
            device_id + row_secret, digest_size=_CODE_MAC_SIZE, key=self._mac_keys[key_id], person=b"device"
        ).digest()

    def render_device_code(self, device_id: bytes, row_secret: bytes) -> str:
        """The device code of a request (RFC 8628 §3.2), good for the grant that takes over its id and row secret."""
        mac = self._device_mac(self._key_id, device_id, row_secret)
        return self._render(self._device_prefix, self._key_id.to_bytes(2, "big") + device_id + mac)

    def parse_device_code(self, text: str) -> DeviceCode | None:
        """The device code's parts, or None for a string that is no device code of ours."""
        raw = self._parse(self._device_prefix, text)
        if raw is None or len(raw) != _CODE_SIZE:
            return None
        return DeviceCode(raw[2:18], int.from_bytes(raw[:2], "big"), raw[18:])

    def verify_device_code(self, code: DeviceCode, row_secret: bytes) -> bool:
        """Whether this deployment made the device code for the request, or the grant, with that row secret."""
        return self._knows(code.key_id) and compare_digest(
            self._device_mac(code.key_id, code.device_id, row_secret), code.mac
        )

    # -- refresh tokens

    def _refresh_mac(self, key_id: int, body: bytes, row_secret: bytes) -> bytes:
        return hashlib.blake2b(
            body + row_secret, digest_size=_REFRESH_MAC_SIZE, key=self._mac_keys[key_id], person=b"refresh"
        ).digest()

    def render_refresh_token(self, grant_id: bytes, generation: int, row_secret: bytes) -> str:
        """The grant's refresh token of a generation: computed, so that a retry gets the same string."""
        body = grant_id + generation.to_bytes(4, "big")
        mac = self._refresh_mac(self._key_id, body, row_secret)
        return self._render(self._refresh_prefix, self._key_id.to_bytes(2, "big") + body + mac)

    def parse_refresh_token(self, text: str) -> RefreshToken | None:
        """The refresh token's parts, or None for a string that is no refresh token of ours."""
        raw = self._parse(self._refresh_prefix, text)
        if raw is None or len(raw) != _REFRESH_SIZE:
            return None
        return RefreshToken(raw[2:18], int.from_bytes(raw[:2], "big"), int.from_bytes(raw[18:22], "big"), raw[22:])

    def verify_refresh_token(self, token: RefreshToken, row_secret: bytes) -> bool:
        """Whether this deployment made the token for the grant with that row secret."""
        if not self._knows(token.key_id):
            return False
        body = token.grant_id + token.generation.to_bytes(4, "big")
        return compare_digest(self._refresh_mac(token.key_id, body, row_secret), token.mac)

    # -- access tokens

    def render_access_token(
        self,
        grant_id: bytes,
        *,
        token_id: bytes,
        issued_at: int,
        lifetime: int,
        scope: str | None,
        resource: tuple[str, ...] = (),
        facts: TokenFacts | None = None,
    ) -> str:
        """An opaque access token: sealed grant id and times, and scope and resource where narrower than the grant's.

        `token_id` is 12 fresh random bytes; AES-GCM-SIV keeps its promises should two ever be equal.
        """
        return self._seal(_ON_GRANT, grant_id, token_id, issued_at, lifetime, scope or "", resource, facts)

    def render_client_access_token(
        self,
        client_id: str,
        organization_id: str,
        *,
        token_id: bytes,
        issued_at: int,
        lifetime: int,
        scope: str,
        resource: tuple[str, ...] = (),
        facts: TokenFacts | None = None,
    ) -> str:
        """An opaque access token without a grant: sealed client, organization, times, scope and resource."""
        client, organization = parse_identifier(CLIENT, client_id), parse_identifier(ORGANIZATION, organization_id)
        assert client is not None
        assert organization is not None
        return self._seal(_ON_CLIENT, client + organization, token_id, issued_at, lifetime, scope, resource, facts)

    def _seal(
        self,
        kind: int,
        subject: bytes,
        token_id: bytes,
        issued_at: int,
        lifetime: int,
        scope: str,
        resource: tuple[str, ...],
        facts: TokenFacts | None,
    ) -> str:
        words = f"{scope}\n{' '.join(resource)}" if resource or facts else scope
        if facts is not None:
            words = f"{words}\n{_encode_facts(facts).decode()}"
        plain = b"".join(
            (bytes((kind,)), subject, issued_at.to_bytes(4, "big"), lifetime.to_bytes(3, "big"), words.encode())
        )
        plain += b" " * (-(2 + TOKEN_ID_SIZE + len(plain) + _TAG_SIZE) % 3)
        sealed = self._seals[self._key_id].encrypt(token_id, plain, b"at")
        return self._render(self._access_prefix, self._key_id.to_bytes(2, "big") + token_id + sealed)

    def parse_access_token(self, text: str) -> AccessToken | ClientAccessToken | None:
        """The token that this deployment sealed, or None for every other string. The caller looks at the clock."""
        raw = self._parse(self._access_prefix, text)
        if raw is None or len(raw) < 2 + TOKEN_ID_SIZE + _TAG_SIZE:
            return None
        key_id = int.from_bytes(raw[:2], "big")
        if not self._knows(key_id):
            return None
        token_id = raw[2:14]
        try:
            plain = self._seals[key_id].decrypt(token_id, raw[14:], b"at")
        except InvalidTag:
            return None
        # What was sealed was written by this class; from here on nothing can be malformed.
        kind = plain[0]
        times = 1 + _SUBJECT_SIZES[kind]
        issued_at = int.from_bytes(plain[times : times + 4], "big")
        expires_at = issued_at + int.from_bytes(plain[times + 4 : times + 7], "big")
        scope, _, rest = plain[times + _TIMES_SIZE :].decode().rstrip(" ").partition("\n")
        resources, _, words = rest.partition("\n")
        resource = tuple(resources.split(" ")) if resources else ()
        facts = _decode_facts(words) if words else None
        if kind == _ON_GRANT:
            return AccessToken(token_id, plain[1:17], issued_at, expires_at, scope or None, resource, facts)
        client_id = render_identifier(CLIENT, plain[1:17])
        organization_id = render_identifier(ORGANIZATION, plain[17:33])
        return ClientAccessToken(token_id, client_id, organization_id, issued_at, expires_at, scope, resource, facts)

    # -- client secrets

    def render_client_secret(self, entropy: bytes) -> str:
        """A client secret of 33 fresh random bytes; shown once, kept as a hash."""
        return self._render(self._secret_prefix, entropy)

    def hash_client_secret(self, client_secret: str, now: int, name: str = "") -> SecretHash:
        """The keyed hash to keep: 256-bit secrets need no slow one."""
        secret_hash = self._hash_secret(self._key_id, client_secret)
        return SecretHash(secret_hash, self._key_id, client_secret[: len(self._secret_prefix) + 4], now, name)

    def renew_client_secret_hash(self, kept: SecretHash, client_secret: str) -> SecretHash:
        """The same secret, hashed with the key in use."""
        secret_hash = self._hash_secret(self._key_id, client_secret)
        return msgspec.structs.replace(kept, secret_hash=secret_hash, key_id=self._key_id, first_id=kept.secret_id)

    def _hash_secret(self, key_id: int, client_secret: str) -> bytes:
        return hashlib.blake2b(client_secret.encode(), digest_size=32, key=self._secret_keys[key_id]).digest()

    def verify_client_secret(self, client_secret: str, secrets: tuple[SecretHash, ...], now: int) -> SecretHash | None:
        """Which of those kept the secret is, if that one has not ended; None for any other. Costs one hash where there
        is none, as for an unknown client."""
        found = None
        for kept in secrets:
            if self._knows(kept.key_id):
                given = self._hash_secret(kept.key_id, client_secret)
                if compare_digest(given, kept.secret_hash) and not kept.has_ended(now):
                    found = kept
        if not secrets:
            self._hash_secret(self._key_id, client_secret)
        return found

    # -- private keys that the database keeps

    def seal_private_key(self, key_id: str, private_key: bytes, nonce: bytes) -> bytes:
        """A signing key's private part, bound to the key's id; `nonce` is 12 fresh random bytes."""
        sealed = self._key_seals[self._key_id].encrypt(nonce, private_key, key_id.encode())
        return self._key_id.to_bytes(2, "big") + nonce + sealed

    def open_private_key(self, key_id: str, sealed: bytes) -> bytes:
        """What was sealed; `KeyNotOpened` says which key of the keyring is missing, or that it is another's."""
        keyring_key_id = int.from_bytes(sealed[:2], "big")
        seal = self._key_seals.get(keyring_key_id)
        if seal is None:
            raise KeyNotOpened(f"signing key {key_id} is sealed with key {keyring_key_id}, which the keyring lacks")
        try:
            return seal.decrypt(sealed[2:14], sealed[14:], key_id.encode())
        except (InvalidTag, ValueError):
            raise KeyNotOpened(
                f"signing key {key_id} was not sealed with key {keyring_key_id} of this keyring"
            ) from None

    # -- values that pages carry

    def render_page_value(self, purpose: bytes, binding: bytes, content: bytes) -> str:
        """Content that a page carries and brings back unchanged, bound to a purpose and to a browser."""
        mac = self._page_mac(self._key_id, purpose, binding, content)
        return b64encode(self._key_id.to_bytes(2, "big") + mac + content, b"-_").decode("ascii").rstrip("=")

    def parse_page_value(self, purpose: bytes, binding: bytes, text: str) -> bytes | None:
        """The content, or None for a value not made by us for that purpose and that browser."""
        if len(text) > 4 * MAX_TOKEN_LENGTH or not text.isascii():
            return None
        try:
            raw = b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        except (Base64Error, ValueError):
            return None
        key_id = int.from_bytes(raw[:2], "big")
        if len(raw) < 22 or key_id not in self._page_keys:
            return None
        content = raw[22:]
        return content if compare_digest(self._page_mac(key_id, purpose, binding, content), raw[2:22]) else None

    def _page_mac(self, key_id: int, purpose: bytes, binding: bytes, content: bytes) -> bytes:
        mac = hashlib.blake2b(digest_size=20, key=self._page_keys[key_id], person=purpose)
        mac.update(len(binding).to_bytes(2, "big") + binding + content)
        return mac.digest()
