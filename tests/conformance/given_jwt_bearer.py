"""Trusted issuers and what they assert of members (RFC 7523 §2.1).

`https://idp.example` names people by email and may speak for every organization, `https://people.example` publishes its
keys and names them by `user_id`, `https://narrow.example` speaks for one organization that no case is about.
"""

from typing import Any, Final

import msgspec

from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.trusted_issuers import TrustedIssuer
from latchstring.protocol.client_metadata import JWT_BEARER
from tests.conformance.given import World, _state
from tests.conformance.given_assertion import sign_assertion
from tests.support.signing import key_set, make_key, public_jwk

_PUBLISHED: Final = "https://people.example/keys.json"
_KEYS: Final = tuple(public_jwk(make_key(algorithm), kid=algorithm) for algorithm in ("ES256", "EdDSA", "RS256"))
TRUSTED_ISSUERS: Final = {
    "https://idp.example": TrustedIssuer(organizations=("*",), keys=_KEYS, user_claim="email", user_is="email"),
    "https://people.example": TrustedIssuer(organizations=("*",), jwks_uri=_PUBLISHED),
    "https://narrow.example": TrustedIssuer(
        organizations=("orga_0000000000000000000000",), keys=_KEYS, user_claim="email", user_is="email"
    ),
}


@_state("asserted")
async def _asserted(
    world: World,
    *,
    issuer: str = "https://idp.example",
    algorithm: str = "ES256",
    key: int | str = 1,
    header: str = "{}",
    claims: str = "{}",
    seconds: str = "{}",
) -> None:
    """`${assertion}` of Ann in Acorn, as for `assertion`."""
    await world.app()
    world.values["assertion_grant"] = JWT_BEARER
    own: dict[str, Any] = {"iss": issuer, "organization_id": world.values["acorn"]}
    named = {"sub": world.user_id} if issuer == "https://people.example" else {"email": world.values["email"]}
    with_key = msgspec.json.encode({"kid": algorithm, **msgspec.json.decode(header)}).decode()
    sign_assertion(world, own | named, algorithm, key, with_key, claims, seconds)


@_state("another issuer's keys published")
async def _published(world: World) -> None:
    world.shared.documents[_PUBLISHED] = key_set(public_jwk(make_key(), kid="ES256"))


@_state("asserted grant disconnected")
async def _disconnected(world: World) -> None:
    """By Ann, on her connections page."""
    [grant] = await world.deployment.store.find_grants(user_id=world.user_id, organization_id=None)
    ended = await world.deployment.services.connections.end(render_identifier(GRANT, grant.id), world.user_id)
    assert ended is not None
