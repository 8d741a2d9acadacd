"""ID tokens as a client judges them (OpenID Connect Core §2, §3.1.3.7, §12.2): by what it knows beforehand, whole.

Needs joserfc: packages that work without it import this module where they need it.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from latchstring.protocol.jose.algorithms import ED25519, EDDSA, ES256, PS256, RS256
from latchstring.protocol.jose.claims import find_text, find_time
from latchstring.protocol.jose.jws import JwtRefused, UnverifiedJwt, verify_jwt
from latchstring.protocol.jose.keys import PublicKey

MAX_ID_TOKEN_LENGTH: Final = 16 * 1024
MAX_SUB_LENGTH: Final = 255
MAX_DEPTH: Final = 16
# Seconds. How far ahead of ours the provider's clock may be: people's computers run less true than servers.
MAX_SKEW: Final = 60
# How long ago a token that comes just now may have been issued.
MAX_AGE: Final = 3600
# Of `typ`: what says that it is something else (an access token, a logout token) is no ID token.
_TYPES: Final = ("jwt", None)
# What each algorithm hashes with (§3.1.3.6); for Ed25519 it is the hash of the signature itself (RFC 8032 §5.1).
_HASHES: Final[Mapping[str, Callable[[bytes], Any]]] = {
    RS256: hashlib.sha256,
    PS256: hashlib.sha256,
    ES256: hashlib.sha256,
    EDDSA: hashlib.sha512,
    ED25519: hashlib.sha512,
}


class NonceMismatch(JwtRefused):
    """The ID token is of another login than this one."""


class SignInTooOld(JwtRefused):
    """The person signed in longer ago than was asked for, or the token does not say when."""


class SubjectChanged(JwtRefused):
    """The ID token is of somebody else than before."""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What the ID token of one answer has to fit: the provider, the client, the answer's access token, the code that it
    was given for, and what the login asked for. `signed_in_after` in epoch seconds."""

    issuer: str
    client_id: str
    access_token: str
    code: str | None = None
    nonce: str | None = None
    signed_in_after: float | None = None

    def __repr__(self) -> str:
        return f"Expected(issuer={self.issuer!r}, client_id={self.client_id!r})"


def verify_id_token(
    jwt: UnverifiedJwt, keys: Sequence[PublicKey], *, algorithm: str, expected: Expected, now: float
) -> Mapping[str, Any]:
    """The claims, the provider's from then on (§3.1.3.7); raises `JwtRefused` for every other token.

    `algorithm` is the one that the client is registered with, never the token's choice; `keys` are the provider's.
    """
    verify_jwt(jwt, keys, algorithms=(algorithm,), types=_TYPES)
    verify_id_claims(jwt.claims, algorithm=algorithm, expected=expected, now=now)
    return jwt.claims


def verify_id_claims(claims: Mapping[str, Any], *, algorithm: str, expected: Expected, now: float) -> None:
    """Refuse claims that are not of this provider, client, moment and login, by `JwtRefused`. Says nothing of whose
    they are: the signature does, and it was by that algorithm."""
    if not _is_shallow(claims, MAX_DEPTH):
        raise JwtRefused("the claims are nested too deeply")
    if find_text(claims, "iss") != expected.issuer:
        raise JwtRefused("iss is another issuer")
    subject = find_text(claims, "sub")
    if len(subject) > MAX_SUB_LENGTH or not subject.isascii():
        raise JwtRefused("sub is longer than 255 ASCII characters")
    _verify_audience(claims, expected.client_id)
    _verify_times(claims, now)
    # One that was not asked for is of another login, as much as a wrong one.
    if claims.get("nonce") != expected.nonce:
        raise NonceMismatch("nonce is not that of this login")
    if expected.signed_in_after is not None:
        auth_time = find_time(claims, "auth_time")
        if auth_time is None or auth_time < expected.signed_in_after - MAX_SKEW:
            raise SignInTooOld("auth_time is before the sign-in that was asked for")
    verify_hash(claims, "at_hash", expected.access_token, algorithm)
    verify_hash(claims, "c_hash", expected.code, algorithm)


def verify_same_person(claims: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Refuse the ID token of a refresh that is not of the sign-in whose claims were `before` (§12.2)."""
    if claims.get("sub") != before.get("sub"):
        raise SubjectChanged("sub is somebody else's than before")
    if claims.get("iss") != before.get("iss"):
        raise JwtRefused("iss is another issuer than before")
    if set(find_audiences(claims)) != set(find_audiences(before)):
        raise JwtRefused("aud is another one than before")
    if "nonce" in claims and claims["nonce"] != before.get("nonce"):
        raise NonceMismatch("nonce is not that of the login")


def find_audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """`aud`, one string or a list of them (RFC 7519 §4.1.3)."""
    said = claims.get("aud")
    audiences = said if isinstance(said, list) else [said]
    if not audiences or not all(isinstance(each, str) and each for each in audiences):
        raise JwtRefused("aud is missing or not of strings")
    return tuple(audiences)


def _verify_audience(claims: Mapping[str, Any], client_id: str) -> None:
    """We are among the audiences; among several we are the one that it was issued to (§3.1.3.7, 3 to 5)."""
    audiences = find_audiences(claims)
    if client_id not in audiences:
        raise JwtRefused("aud is not this client")
    if "azp" in claims and claims["azp"] != client_id:
        raise JwtRefused("azp is another client")
    if len(audiences) > 1 and "azp" not in claims:
        raise JwtRefused("aud has others beside this client, and no azp")


def _verify_times(claims: Mapping[str, Any], now: float) -> None:
    expires_at, issued_at, not_before = (find_time(claims, name) for name in ("exp", "iat", "nbf"))
    if expires_at is None or issued_at is None:
        raise JwtRefused("exp or iat is missing")
    if expires_at <= now:
        raise JwtRefused("it has expired")
    if issued_at > now + MAX_SKEW or (not_before or 0) > now + MAX_SKEW:
        raise JwtRefused("iat or nbf is in the future: is this computer's clock right?")
    if issued_at < now - MAX_AGE:
        raise JwtRefused("iat is long ago: is this computer's clock right?")


def verify_hash(claims: Mapping[str, Any], name: str, credential: str | None, algorithm: str) -> None:
    """Refuse a hash of another credential (§3.1.3.6, §3.3.2.11), and one that cannot be made again to compare: of an
    unknown algorithm, of something that did not come (CVE-2026-28498). Where there is none, nothing is bound."""
    if name not in claims:
        return
    make = _HASHES.get(algorithm)
    if make is None or credential is None:
        raise JwtRefused(f"{name} cannot be checked")
    digest = make(credential.encode("utf-8")).digest()
    if claims[name] != urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii"):
        raise JwtRefused(f"{name} is of another one")


def _is_shallow(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        return depth > 0 and all(_is_shallow(each, depth - 1) for each in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_is_shallow(each, depth - 1) for each in value)
    return True
