"""What a client is held to: its profile, and what it is let off by name. Every rule that differs between clients is
asked here; none weakens RFC 9700.

`oauth2.1` is the default. `legacy` is the same with named allowances, each for something that an older client cannot
do. `fapi2` is the FAPI 2.0 security profile.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from latchstring.authorization_server.records import ClientRecord, ClientSecurity, Profile
from latchstring.protocol.client_metadata import (
    CLIENT_SECRET_BASIC,
    CLIENT_SECRET_POST,
    NONE,
    PRIVATE_KEY_JWT,
    SELF_SIGNED_TLS_CLIENT_AUTH,
    TLS_CLIENT_AUTH,
)
from latchstring.protocol.jose.algorithms import ALGORITHMS, STRICT_ALGORITHMS

CODE_WITHOUT_PKCE: Final = "code_without_pkce"
ALLOWANCES: Final[Mapping[str, str]] = MappingProxyType(
    {CODE_WITHOUT_PKCE: "a confidential client may ask for a code without PKCE (RFC 9700 §2.1.1 recommends it)"}
)
"""What a `legacy` client can be let off, each with what that means."""

LEGACY: Final = ClientSecurity(profile="legacy", allowances=(CODE_WITHOUT_PKCE,))
"""What an app with a secret is held to unless its owner asks for more (`docs/decisions/0007`)."""

PROFILES: Final[tuple[Profile, ...]] = ("oauth2.1", "legacy", "fapi2")


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What a profile asks. `signing_algorithms` are for assertions, request objects and proofs."""

    requires_pkce: bool
    requires_pushed_request: bool
    requires_redirect_uri: bool
    requires_bound_tokens: bool
    rotates_refresh_tokens: bool
    authentication_methods: frozenset[str]
    signing_algorithms: tuple[str, ...]


_SECRETS: Final = frozenset({CLIENT_SECRET_BASIC, CLIENT_SECRET_POST})
_KEYS: Final = frozenset({PRIVATE_KEY_JWT, TLS_CLIENT_AUTH, SELF_SIGNED_TLS_CLIENT_AUTH})
_OAUTH_2_1: Final = Policy(
    requires_pkce=True,
    requires_pushed_request=False,
    requires_redirect_uri=False,
    requires_bound_tokens=False,
    rotates_refresh_tokens=True,
    authentication_methods=_SECRETS | _KEYS | {NONE},
    signing_algorithms=ALGORITHMS,
)
_PROFILES: Final[Mapping[Profile, Policy]] = MappingProxyType(
    {
        "oauth2.1": _OAUTH_2_1,
        "legacy": _OAUTH_2_1,
        "fapi2": Policy(
            requires_pkce=True,
            requires_pushed_request=True,
            requires_redirect_uri=True,
            requires_bound_tokens=True,
            rotates_refresh_tokens=False,
            authentication_methods=_KEYS,
            signing_algorithms=STRICT_ALGORITHMS,
        ),
    }
)
_WITHOUT_PKCE: Final = msgspec.structs.replace(_OAUTH_2_1, requires_pkce=False)


def must_push_requests(client: ClientRecord) -> bool:
    """Whether the client's requests count only where they were pushed (RFC 9126 §5, §6)."""
    return client.security.requires_pushed_request or find_policy(client).requires_pushed_request


def requires_binding(client: ClientRecord) -> bool:
    """Whether the client gets no token but one that is bound to a key or a certificate."""
    security = client.security
    return (
        security.dpop_bound_access_tokens
        or security.tls_client_certificate_bound_access_tokens
        or _PROFILES[security.profile].requires_bound_tokens
    )


def find_policy(client: ClientRecord) -> Policy:
    """What the client is held to."""
    security = client.security
    if CODE_WITHOUT_PKCE in security.allowances and security.profile == "legacy" and not client.is_public:
        return _WITHOUT_PKCE
    return _PROFILES[security.profile]


def default_security(token_endpoint_auth_method: str) -> ClientSecurity:
    """What a new client is held to unless told otherwise (`docs/decisions/0007`)."""
    return LEGACY if token_endpoint_auth_method in _SECRETS else ClientSecurity()


def verify_allowances(security: ClientSecurity, *, is_public: bool) -> None:
    """Refuse an allowance that does not exist, or that nobody in this profile can be given. Raises `ValueError`."""
    unknown = [name for name in security.allowances if name not in ALLOWANCES]
    if unknown:
        raise ValueError(f"there is no allowance {unknown[0]}; there is {', '.join(ALLOWANCES)}")
    if security.allowances and (security.profile != "legacy" or is_public):
        raise ValueError("only a confidential client of the profile legacy has allowances")


def tighten(security: ClientSecurity) -> ClientSecurity:
    """The same without anything that it was let off."""
    profile: Profile = "oauth2.1" if security.profile == "legacy" else security.profile
    return msgspec.structs.replace(security, profile=profile, allowances=())


def find_used_allowances(client: ClientRecord, *, has_code_challenge: bool) -> tuple[str, ...]:
    """What an authorization request that was let through was let off by name."""
    return () if has_code_challenge or find_policy(client).requires_pkce else (CODE_WITHOUT_PKCE,)
