"""Public keys as others publish them (RFC 7517), and their names (RFC 7638)."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key

from latchstring.protocol.client_certificate import certificate_thumbprint
from latchstring.protocol.jose.algorithms import ED25519, EDDSA, ES256, PS256, RS256

MAX_KEY_SET_SIZE: Final = 64 * 1024
MAX_KEYS: Final = 32
MAX_KEY_ID_LENGTH: Final = 256
_RSA_BITS: Final = (2048, 8192)
RSA_KEY_SIZE: Final = 3072
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class PublicKey(msgspec.Struct, frozen=True):
    """One key that checks signatures: `algorithms` are those that it may check, by its type and its own `alg`.

    `certificate_thumbprint` is that of the certificate that came with it (`x5c`, `x5t#S256`); nothing vouches for it.
    """

    key_id: str | None
    algorithms: tuple[str, ...]
    key: Key
    certificate_thumbprint: str | None = None

    @property
    def thumbprint(self) -> str:
        """The SHA-256 thumbprint in base64url (RFC 7638 §3), by which a bound token names the key."""
        return self.key.thumbprint()

    def __repr__(self) -> str:
        return f"PublicKey(key_id={self.key_id!r}, algorithms={self.algorithms!r})"


def parse_jwk(members: object) -> PublicKey:
    """The public signing key in a JWK; raises `ValueError` for every other: private, symmetric, short, of another
    use or curve (RFC 7517 §4, RFC 8725 §3.5)."""
    if not isinstance(members, Mapping) or not all(isinstance(name, str) for name in members):
        raise ValueError("not a JWK")
    if not _PRIVATE_MEMBERS.isdisjoint(members):
        raise ValueError("the JWK has private members")
    key_id, use, own = members.get("kid"), members.get("use", "sig"), members.get("alg")
    if key_id is not None and not (isinstance(key_id, str) and len(key_id) <= MAX_KEY_ID_LENGTH):
        raise ValueError("kid is not a short string")
    if use != "sig":
        raise ValueError("the JWK is not for signatures")
    try:
        key = import_key(_only_material(members))
        algorithms = _algorithms_for(key)
    except (JoseError, ValueError, TypeError, OverflowError, KeyError) as error:  # KeyError: an unknown curve
        raise ValueError("the JWK is malformed") from error
    if own is not None:
        algorithms = tuple(algorithm for algorithm in algorithms if algorithm == own)
    if not algorithms:
        raise ValueError("the JWK is of a type, curve, size or alg that is not supported")
    return PublicKey(key_id, algorithms, key, _find_certificate_thumbprint(members))


def _find_certificate_thumbprint(members: Mapping[str, Any]) -> str | None:
    """The SHA-256 of the key's own certificate (RFC 7517 §4.7, §4.9); None where there is none that can be read."""
    chain, thumbprint = members.get("x5c"), members.get("x5t#S256")
    if isinstance(chain, list) and chain and isinstance(chain[0], str):
        try:
            return certificate_thumbprint(b64decode(chain[0], validate=True))
        except (Base64Error, ValueError):
            return None
    return thumbprint if isinstance(thumbprint, str) else None


def _only_material(members: Mapping[str, Any]) -> dict[str, Any]:
    # What else stands in a JWK (x5u, key_ops …) has no part in verifying.
    return {name: members[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in members}


def _algorithms_for(key: Key) -> tuple[str, ...]:
    if isinstance(key, ECKey):
        return (ES256,) if key.curve_name == "P-256" and key.public_key is not None else ()
    if isinstance(key, OKPKey):
        return (EDDSA, ED25519) if key.curve_name == "Ed25519" and key.public_key is not None else ()
    if isinstance(key, RSAKey):
        numbers = key.public_key.public_numbers()
        fits = _RSA_BITS[0] <= numbers.n.bit_length() <= _RSA_BITS[1] and numbers.e.bit_length() <= 32
        return (PS256, RS256) if fits else ()
    return ()


def select_by_id(key_id: object) -> Callable[[PublicKey], bool] | None:
    """Picks the keys that a JWT's `kid` names; None where it names none."""
    return (lambda key: key.key_id == key_id) if isinstance(key_id, str) else None


def parse_jwk_set(document: object) -> tuple[PublicKey, ...]:
    """The usable keys of a JWK Set, in order; unknown ones are ignored (RFC 7517 §5).

    `document` is the JSON as bytes or already decoded. Raises `ValueError` for what is no JWK Set, is too large, holds
    a private or symmetric key, or names two keys alike.
    """
    if isinstance(document, bytes):
        if len(document) > MAX_KEY_SET_SIZE:
            raise ValueError("the JWK Set is too large")
        try:
            document = msgspec.json.decode(document)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError("not JSON") from error
    keys = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(keys, Sequence) or isinstance(keys, str) or len(keys) > MAX_KEYS:
        raise ValueError("not a JWK Set of at most 32 keys")
    usable = []
    for members in keys:
        if isinstance(members, Mapping) and not _PRIVATE_MEMBERS.isdisjoint(members):
            raise ValueError("the JWK Set has private or symmetric keys")
        try:
            usable.append(parse_jwk(members))
        except ValueError:
            continue
    key_ids = [key.key_id for key in usable if key.key_id is not None]
    if len(set(key_ids)) != len(key_ids):
        raise ValueError("two keys have the same kid")
    return tuple(usable)


def generate_private_key(algorithm: str) -> Mapping[str, Any]:
    """A fresh private key for the algorithm, as a JWK; takes its entropy from the system."""
    if algorithm == ES256:
        key: Key = ECKey.generate_key("P-256")
    elif algorithm in {EDDSA, ED25519}:
        key = OKPKey.generate_key("Ed25519")
    else:
        key = RSAKey.generate_key(RSA_KEY_SIZE)
    return key.as_dict(private=True)
