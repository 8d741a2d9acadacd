"""Issuers whose signed word for a member counts as a grant (RFC 7523 §2.1): which they are, and what each may say."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from latchstring.protocol.errors import ConfigurationError
from latchstring.protocol.https_url import parse_https_url
from latchstring.protocol.jose.algorithms import ALGORITHMS, STRICT_ALGORITHMS
from latchstring.protocol.jose.keys import PublicKey, parse_jwk_set

EVERY: Final = "*"


class TrustedIssuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issuer: by which keys its assertions are known, and for whom it may speak.

    `organizations` are those it may speak for; `*` is every one. `user_claim` names the user as `user_is` says; where
    that is `mapped`, `users` has the `user_id` of each. `organization_claim` names the organization; an assertion
    without it leaves the choice to the client. `keys` are JWKs, `jwks_uri` is where they are published: one of the two.
    """

    organizations: tuple[str, ...]
    jwks_uri: str | None = None
    keys: tuple[dict[str, Any], ...] = ()
    algorithms: tuple[str, ...] = STRICT_ALGORITHMS
    user_claim: str = "sub"
    user_is: Literal["user_id", "email", "mapped"] = "user_id"
    users: dict[str, str] = {}
    organization_claim: str = "organization_id"


class Asserted(msgspec.Struct, frozen=True):
    """An assertion that its issuer signed, for this server, just now. What it says of the member is the issuer's word;
    whether it counts, the grant decides."""

    issuer: str
    trusted: TrustedIssuer
    claims: Mapping[str, Any]
    token_id: str
    expires_at: int


def verify_trusted_issuer(name: str, trusted: TrustedIssuer, own_issuer: str) -> None:
    """Refuse, by `ConfigurationError`, an issuer that could never be believed, or that nobody meant."""

    def refuse(why: str) -> ConfigurationError:
        return ConfigurationError(f"trusted_issuers: {name}: {why}")

    if not name or name == own_issuer:
        raise refuse("give the `iss` of another issuer")
    if not trusted.organizations:
        raise refuse('organizations: name those it may speak for; ["*"] is every one')
    if (trusted.jwks_uri is None) == (not trusted.keys):
        raise refuse("give its keys or its jwks_uri, one of the two")
    if not trusted.algorithms or not set(trusted.algorithms) <= set(ALGORITHMS):
        raise refuse(f"algorithms are of {', '.join(ALGORITHMS)}")
    if not trusted.user_claim or not trusted.organization_claim:
        raise refuse("user_claim and organization_claim are names of claims")
    if (trusted.user_is == "mapped") != bool(trusted.users):
        raise refuse('users go with user_is = "mapped"')
    try:
        if trusted.jwks_uri is not None:
            parse_https_url(trusted.jwks_uri)
        elif not any(set(key.algorithms) & set(trusted.algorithms) for key in parse_keys(trusted)):
            raise refuse("keys: none is a public key for one of its algorithms")
    except ValueError as error:
        raise refuse(f"its keys: {error}") from None


def parse_keys(trusted: TrustedIssuer) -> tuple[PublicKey, ...]:
    """The issuer's keys that are given by value."""
    return parse_jwk_set({"keys": trusted.keys})
