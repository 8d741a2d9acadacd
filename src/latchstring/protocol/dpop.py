"""DPoP proofs (RFC 9449 §4): what one must say, and whose key signed it. Shared by the server and the guard.

Needs joserfc: packages that work without it import this module where they need it.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping, Sequence
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from latchstring.protocol.dpop_nonce import PERIOD, verify_nonce
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.jose.claims import MAX_SKEW, find_text, find_time, find_token_id
from latchstring.protocol.jose.jws import JwtRefused, UnverifiedJwt, parse_jwt, verify_jwt
from latchstring.protocol.jose.keys import PublicKey, parse_jwk

MAX_PROOF_AGE: Final = 60
"""Seconds after `iat` for which a proof without a nonce counts."""

REMEMBERED_FOR: Final = 3 * PERIOD
"""Seconds after which no proof that counts now can count any more: so long its `jti` is remembered."""

_TYPES: Final = frozenset({"dpop+jwt"})
_PORTS: Final = {"https": 443, "http": 80}
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Proof(msgspec.Struct, frozen=True):
    """A proof that holds. `thumbprint` names its key (RFC 7638); `digest` is what must not come a second time."""

    thumbprint: str
    digest: bytes


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof must be about: the request's method, its URL (any of several spellings), the access token with
    which it comes, if any. `nonce_keys` are those of the nonces given out here."""

    method: str
    urls: tuple[str, ...]
    algorithms: Collection[str]
    access_token: str | None = None
    nonce_keys: tuple[bytes, ...] = ()
    requires_nonce: bool = False


def find_proof(headers: Sequence[bytes]) -> str | None:
    """The proof in the request's `DPoP` headers, if any; two are refused (RFC 9449 §4.3)."""
    if not headers:
        return None
    if len(headers) > 1:
        raise _refuse("There is more than one DPoP header.")
    return headers[0].decode("latin-1").strip(" ")


def verify_proof(text: str, expected: Expected, now: int) -> Proof:
    """The proof, once all of RFC 9449 §4.3 holds but that it comes for the first time; else `invalid_dpop_proof`, or
    `use_dpop_nonce` where the nonce is missing or old."""
    try:
        jwt = parse_jwt(text)
        key = _verify_signature(jwt, expected)
        proof_id = _verify_claims(jwt.claims, expected, now)
    except JwtRefused as refused:
        raise _refuse(f"The DPoP proof is not valid: {refused}.") from None
    digest = hashlib.sha256("\n".join(("dpop", key.thumbprint, expected.urls[0], proof_id)).encode()).digest()
    return Proof(key.thumbprint, digest)


def _refuse(description: str) -> OAuthError:
    return OAuthError("invalid_dpop_proof", description)


def _verify_signature(jwt: UnverifiedJwt, expected: Expected) -> PublicKey:
    try:
        key = parse_jwk(jwt.header.get("jwk"))
    except ValueError as error:
        raise JwtRefused(f"jwk: {error}") from None
    return verify_jwt(jwt, [key], algorithms=expected.algorithms, types=_TYPES)


def _verify_claims(claims: Mapping[str, Any], expected: Expected, now: int) -> str:
    proof_id = find_token_id(claims)
    if find_text(claims, "htm") != expected.method:
        raise JwtRefused("htm is another method")
    if normalize_url(find_text(claims, "htu")) not in map(normalize_url, expected.urls):
        raise JwtRefused("htu is another URL")
    if expected.access_token is not None and not _is_hash_of(claims.get("ath"), expected.access_token):
        raise JwtRefused("ath is not the hash of the access token")
    has_nonce = _verify_nonce(claims.get("nonce"), expected, now)
    _verify_times(claims, now, is_fresh=has_nonce)
    return proof_id


def _verify_nonce(nonce: object, expected: Expected, now: int) -> bool:
    """Whether the proof has a nonce of ours, and so was made just now, whatever its clock says (RFC 9449 §4.3)."""
    if not expected.nonce_keys or (nonce is None and not expected.requires_nonce):
        return False
    if not isinstance(nonce, str) or not verify_nonce(expected.nonce_keys, nonce, now):
        raise OAuthError("use_dpop_nonce", "The DPoP proof needs the nonce that stands in the DPoP-Nonce header.")
    return True


def _verify_times(claims: Mapping[str, Any], now: int, *, is_fresh: bool) -> None:
    issued_at, expires_at, not_before = (find_time(claims, name) for name in ("iat", "exp", "nbf"))
    if issued_at is None:
        raise JwtRefused("iat is missing")
    if is_fresh:
        return
    if issued_at > now + MAX_SKEW or (not_before is not None and not_before > now + MAX_SKEW):
        raise JwtRefused("iat or nbf is in the future")
    if issued_at < now - MAX_PROOF_AGE or (expires_at is not None and expires_at <= now):
        raise JwtRefused("it is too old: make one for each request")


def _is_hash_of(claim: object, access_token: str) -> bool:
    digest = hashlib.sha256(access_token.encode()).digest()
    expected = urlsafe_b64encode(digest)[:43].decode("ascii")
    return isinstance(claim, str) and compare_digest(claim.encode(), expected.encode())


def normalize_url(url: str) -> str | None:
    """The URL as it is compared: without query and fragment (RFC 9449 §4.3), by syntax and scheme (RFC 3986 §6.2.2,
    §6.2.3). None for what is no http URL, or has a user. Dot segments stay: servers take them as they stand."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not host or "@" in parts.netloc:
        return None
    if not (url.isascii() and url.isprintable()) or " " in url:
        return None
    authority = f"[{host}]" if ":" in host else host
    if port is not None and port != _PORTS[parts.scheme]:
        authority += f":{port}"
    return f"{parts.scheme}://{authority}{_normalize_path(parts.path) or '/'}"


def _normalize_path(path: str) -> str:
    if "%" not in path:
        return path
    first, *rest = path.split("%")
    return first + "".join(_decode_unreserved(part) for part in rest)


def _decode_unreserved(part: str) -> str:
    if len(part) < 2 or not _HEX.issuperset(part[:2]):
        return f"%{part}"  # not an escape: it stays as it is, and is equal to itself alone
    octet = int(part[:2], 16)
    return (chr(octet) if octet in _UNRESERVED else f"%{octet:02X}") + part[2:]
