"""Compact signed JWTs (RFC 7515 §3.1, RFC 7519): read with a fixed list of algorithms and keys found beforehand.

No header names a key, a URL or an algorithm outside the caller's list: what a token says of its own verification is
never believed (RFC 8725 §3.1, §3.2, §3.10).
"""

import warnings
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jws import JWSRegistry, serialize_compact

from latchstring.protocol.jose.keys import PublicKey

MAX_JWT_LENGTH: Final = 8192
_MAX_HEADER_LENGTH: Final = 4096
# Each would choose the key or change what is signed.
_REFUSED_HEADERS: Final = ("crit", "jku", "x5u", "x5c", "b64", "zip", "enc")
# By how many characters stand beyond the last whole four; of one nothing can be decoded.
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST_CHARACTERS: Final = (_ALPHABET, "", _ALPHABET[::16], _ALPHABET[::4])
_PADDING: Final = (b"", b"", b"==", b"=")
# Into the alphabet of `+/`; what is in neither becomes a character that no decoder takes.
_TO_BASE64: Final = bytes(ord({"-": "+", "_": "/"}.get(c, c)) if c in _ALPHABET else 0 for c in map(chr, range(256)))
_decode = msgspec.json.Decoder(dict[str, Any]).decode
# RFC 9864 gives the same signature a second name; the first stays in use, and its notice would stand in every log.
warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)


class JwtRefused(ValueError):
    """The text is no JWT that counts; the message says why, in words for a log."""


class UnverifiedJwt(msgspec.Struct, frozen=True):
    """A JWT as read. Nothing in it is proven: use it only to find out whose keys to verify it with."""

    text: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    def __repr__(self) -> str:
        return "UnverifiedJwt(…)"


def parse_jwt(text: str, *, max_length: int = MAX_JWT_LENGTH) -> UnverifiedJwt:
    """Read a compact JWT whose header and claims are JSON objects; raises `JwtRefused`. Linear in its input."""
    if len(text) > max_length or not text.isascii() or text.count(".") != 2:
        raise JwtRefused("not a compact JWT, or too long")
    header, claims, _ = text.split(".")
    if len(header) > _MAX_HEADER_LENGTH:
        raise JwtRefused("the header is too long")
    return UnverifiedJwt(text, _decode_part(header), _decode_part(claims))


def _decode_part(part: str) -> dict[str, Any]:
    try:
        return _decode(_decode_base64url(part))
    except (Base64Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise JwtRefused("a part is not base64url of a JSON object") from None


def _decode_base64url(part: str) -> bytes:
    # The alphabet of `-_` alone, no padding (RFC 7515 §2), idle bits that are zero: one spelling for each value.
    if not part or part[-1] not in _LAST_CHARACTERS[len(part) % 4]:
        raise JwtRefused("a part is not base64url")
    return a2b_base64(part.encode("ascii").translate(_TO_BASE64) + _PADDING[len(part) % 4], strict_mode=True)


def verify_jwt(
    jwt: UnverifiedJwt,
    keys: Sequence[PublicKey],
    *,
    algorithms: Collection[str],
    types: Collection[str | None] | None = None,
) -> PublicKey:
    """The key that signed the JWT; from then on its claims are its signer's. Raises `JwtRefused`.

    `types` are the values of `typ` that count, in small letters and without `application/` (RFC 8725 §3.11); None
    among them is for a JWT that has none, None instead of them for any. Says nothing of the claims.
    """
    header = jwt.header
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise JwtRefused("alg is not one that counts here")
    for name in _REFUSED_HEADERS:
        if name in header:
            raise JwtRefused(f"the header has {name}")
    if types is not None and _read_type(header) not in types:
        raise JwtRefused("typ is another one")
    if key_id is not None and not isinstance(key_id, str):
        raise JwtRefused("kid is not a string")
    for key in keys:
        if algorithm not in key.algorithms or (key_id is not None and key.key_id not in {None, key_id}):
            continue
        if _is_signed_by(jwt, key, algorithm):
            return key
    raise JwtRefused("no key of the signer's verifies the signature")


def _read_type(header: Mapping[str, Any]) -> str | None:
    if "typ" not in header:
        return None
    value = header["typ"]
    return value.lower().removeprefix("application/") if isinstance(value, str) else ""


def _is_signed_by(jwt: UnverifiedJwt, key: PublicKey, algorithm: str) -> bool:
    # The header has been read and judged, and the key's type is one for the algorithm: what is left is the signature.
    signed, _, signature = jwt.text.rpartition(".")
    try:
        return JWSRegistry.algorithms[algorithm].verify(signed.encode("ascii"), _decode_base64url(signature), key.key)
    except (JoseError, ValueError):
        return False


def _registry_for(algorithm: str) -> JWSRegistry:
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = _MAX_HEADER_LENGTH
    return registry


def render_jwt(header: Mapping[str, Any], claims: Mapping[str, Any] | msgspec.Struct, key: Any) -> str:
    """The claims signed with a private key, by the header's `alg`."""
    payload = msgspec.json.encode(claims)
    return serialize_compact(dict(header), payload, key, registry=_registry_for(header["alg"]))
