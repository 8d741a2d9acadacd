"""Keys, and the DPoP proofs that they sign; every part of a proof can be made wrong."""

import hashlib
import itertools
from base64 import urlsafe_b64encode
from typing import Any

import msgspec
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from tests.support.deployment import ISSUER, START

TOKEN_URL = f"{ISSUER}/oauth2/token/"
_numbers = itertools.count(1)


class Prover:
    """A client's key. `jkt` names it."""

    def __init__(self, key: Any = None, algorithm: str = "ES256") -> None:
        self.key = key or ECKey.generate_key("P-256")
        self.algorithm = algorithm
        self.jkt: str = self.key.thumbprint()

    def prove(
        self,
        method: str = "POST",
        url: str = TOKEN_URL,
        *,
        now: int = START,
        access_token: str | None = None,
        header: dict[str, Any] | None = None,
        signed_by: "Prover | None" = None,
        **claims: Any,
    ) -> str:
        """A proof; a claim or header that is None is left out."""
        given = {"jti": f"proof-{next(_numbers)}", "htm": method, "htu": url, "iat": now}
        if access_token is not None:
            given["ath"] = hash_token(access_token)
        head = {"typ": "dpop+jwt", "alg": self.algorithm, "jwk": self.key.as_dict(private=False), **(header or {})}
        signer = self if signed_by is None else signed_by
        # Signed by hand: a library would refuse to sign what is wrong on purpose.
        signing_input = f"{_encode(_present(head))}.{_encode(_present({**given, **claims}))}"
        algorithm = JWSRegistry(algorithms=[self.algorithm]).get_alg(self.algorithm)
        signature = algorithm.sign(signing_input.encode(), signer.key)
        return f"{signing_input}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


def _encode(members: dict[str, Any]) -> str:
    return urlsafe_b64encode(msgspec.json.encode(members)).decode().rstrip("=")


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def hash_token(access_token: str) -> str:
    """The token's `ath` (RFC 9449 §4.2)."""
    return urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()).decode().rstrip("=")


def make_okp() -> Prover:
    return Prover(OKPKey.generate_key("Ed25519"), "EdDSA")


def make_rsa(algorithm: str = "PS256", bits: int = 2048) -> Prover:
    return Prover(RSAKey.generate_key(bits), algorithm)
