"""An authenticator in software (WebAuthn §6): it makes passkeys, signs with them, and errs where a test wants it to."""

import hashlib
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any, Final

import cbor2
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

ES256, EDDSA, RS256 = -7, -8, -257
PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40
_AAGUID: Final = bytes(16)


def encode(raw: bytes) -> str:
    """base64url as browsers write it."""
    return urlsafe_b64encode(raw).decode().rstrip("=")


def decode(text: str) -> bytes:
    """The other way."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def make_key(algorithm: int, *, rsa_bits: int = 2048) -> Any:
    """A private key of that COSE algorithm."""
    if algorithm == EDDSA:
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == ES256:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, rsa_bits)


def render_key(key: Any, algorithm: int) -> dict[int, Any]:
    """The public key as COSE has it (RFC 9053 §7, RFC 8230 §4)."""
    if algorithm == EDDSA:
        return {1: 1, 3: EDDSA, -1: 6, -2: key.public_key().public_bytes_raw()}
    numbers = key.public_key().public_numbers()
    if algorithm == ES256:
        return {1: 2, 3: ES256, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
    size = (key.key_size + 7) // 8
    return {1: 3, 3: RS256, -1: numbers.n.to_bytes(size, "big"), -2: numbers.e.to_bytes(3, "big")}


def sign(key: Any, algorithm: int, data: bytes) -> bytes:
    """The signature as WebAuthn §6.5.5 has it."""
    if algorithm == EDDSA:
        return key.sign(data)
    if algorithm == ES256:
        return key.sign(data, ec.ECDSA(SHA256()))
    return key.sign(data, padding.PKCS1v15(), SHA256())


@dataclass
class Passkey:
    """One credential, for whichever host it was made. `count` is None where the authenticator does not count."""

    algorithm: int = ES256
    count: int | None = None
    is_synced: bool = True
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    user_handle: bytes = b""
    key: Any = None

    def __post_init__(self) -> None:
        self.key = self.key or make_key(self.algorithm)

    def _flags(self) -> int:
        return PRESENT | VERIFIED | (ELIGIBLE | BACKED_UP if self.is_synced else 0)

    def _render_data(self, rp_id: str, flags: int | None, count: int | None, more: bytes = b"") -> bytes:
        flags = self._flags() if flags is None else flags
        number = count if count is not None else self.count or 0
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + number.to_bytes(4, "big") + more

    def create(
        self,
        question: str,
        *,
        origin: str,
        rp_id: str | None = None,
        flags: int | None = None,
        client_data: dict[str, Any] | None = None,
        public_key: dict[int, Any] | None = None,
        attestation: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Answer `navigator.credentials.create()`; the rest is what to do wrong."""
        asked = msgspec.json.decode(question)
        self.user_handle = decode(asked["user"]["id"])
        cose = cbor2.dumps(public_key or render_key(self.key, self.algorithm))
        attested = _AAGUID + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cose
        flags = self._flags() if flags is None else flags
        data = self._render_data(rp_id or asked["rp"]["id"], flags | ATTESTED, None, attested)
        raw = self._render_client_data("webauthn.create", asked["challenge"], origin, client_data)
        whole = {"fmt": "none", "attStmt": {}, "authData": data, **(attestation or {})}
        if whole["fmt"] == "packed" and not whole["attStmt"]:
            signature = sign(self.key, self.algorithm, data + hashlib.sha256(raw).digest())
            whole["attStmt"] = {"alg": self.algorithm, "sig": signature}
        response = {
            "clientDataJSON": encode(raw),
            "attestationObject": encode(cbor2.dumps(whole)),
            "transports": ["internal", "hybrid", "telepathy"],
        }
        return {"id": encode(self.credential_id), "type": "public-key", "response": response}

    def get(
        self,
        question: str,
        *,
        origin: str,
        rp_id: str | None = None,
        flags: int | None = None,
        count: int | None = None,
        client_data: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Answer `navigator.credentials.get()`; the rest is what to do wrong."""
        asked = msgspec.json.decode(question)
        if self.count is not None and count is None:
            self.count += 1
        data = self._render_data(rp_id or asked["rpId"], flags, count)
        raw = self._render_client_data("webauthn.get", asked["challenge"], origin, client_data)
        response = {
            "clientDataJSON": encode(raw),
            "authenticatorData": encode(data),
            "signature": encode(sign(self.key, self.algorithm, data + hashlib.sha256(raw).digest())),
            "userHandle": encode(self.user_handle),
        }
        return {"id": encode(self.credential_id), "type": "public-key", "response": response}

    @staticmethod
    def _render_client_data(kind: str, challenge: str, origin: str, changed: dict[str, Any] | None) -> bytes:
        data = {"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}
        return msgspec.json.encode({**data, **(changed or {})})
