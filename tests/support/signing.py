"""Keys that clients sign with, and what they sign."""

import hmac
from base64 import urlsafe_b64encode
from typing import Any

import msgspec
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

Pair = ECKey | OKPKey | RSAKey
_made: dict[tuple[str, int], Pair] = {}


def make_key(algorithm: str = "ES256", number: int = 1) -> Pair:
    """That many-th private key for the algorithm; the same in one run, since RSA keys take long to make."""
    if (algorithm, number) not in _made:
        key: Pair
        if algorithm == "ES256":
            key = ECKey.generate_key("P-256")
        elif algorithm in {"EdDSA", "Ed25519"}:
            key = OKPKey.generate_key("Ed25519")
        else:
            key = RSAKey.generate_key(2048)
        _made[algorithm, number] = key
    return _made[algorithm, number]


def public_jwk(key: Pair, **members: Any) -> dict[str, Any]:
    """The key as its owner publishes it."""
    return {**key.as_dict(private=False), **members}


def key_set(*jwks: dict[str, Any]) -> bytes:
    """A JWK Set."""
    return msgspec.json.encode({"keys": jwks})


def sign(claims: dict[str, Any], key: Pair, **header: Any) -> str:
    """A JWT; a header or claim that is None is left out. `none` is not signed; HS256 is with the public key, as by
    somebody who takes it for a secret."""
    header = {name: value for name, value in {"alg": "ES256", **header}.items() if value is not None}
    claims = {name: value for name, value in claims.items() if value is not None}
    text = ".".join(_encode(msgspec.json.encode(part)) for part in (header, claims))
    return f"{text}.{_encode(_sign(header.get('alg'), text.encode(), key))}"


def _sign(algorithm: str | None, text: bytes, key: Pair) -> bytes:
    # Not by `render_jwt`, which refuses headers that must be refused.
    if algorithm in {"none", None}:
        return b""
    if algorithm == "HS256":
        return hmac.digest(key.as_pem(private=False), text, "sha256")
    return JWSRegistry(algorithms=[algorithm]).get_alg(algorithm).sign(text, key)


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
