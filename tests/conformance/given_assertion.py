"""States of clients that prove themselves by a key of their own (RFC 7523)."""

from collections.abc import Sequence
from typing import Any

import msgspec

from latchstring.authorization_server.client_keys import clean_key_set
from latchstring.authorization_server.records import ClientSecurity
from tests.conformance.given import World, _state
from tests.support.signing import key_set, make_key, public_jwk, sign


@_state("key app")
async def _key_app(
    world: World,
    *,
    algorithm: str = "ES256",
    own_algorithm: str | None = None,
    profile: Any = "oauth2.1",
    key_id: str | None = "1",
    method: str = "private_key_jwt",
    request_algorithm: str | None = None,
    requires_signed_request: bool = False,
    details_types: Sequence[str] = (),
    **parameters: Any,
) -> None:
    """Its key is registered by value; with another `method`, for requests that it signs."""
    members = {} if key_id is None else {"kid": key_id}
    jwks = clean_key_set(key_set(public_jwk(make_key(algorithm), **members)))
    security = ClientSecurity(
        profile=profile,
        jwks=jwks,
        token_endpoint_auth_signing_alg=own_algorithm,
        request_object_signing_alg=request_algorithm,
        requires_signed_request=requires_signed_request,
        authorization_details_types=tuple(details_types),
    )
    await world.make_app("app", token_endpoint_auth_method=method, security=security, **parameters)


@_state("key app by URL")
async def _key_app_by_url(world: World) -> None:
    """Its key is where it says; `${jwks_uri}`."""
    world.values["jwks_uri"] = f"https://app.example/{world.shared.serial}/jwks.json"
    security = ClientSecurity(jwks_uri=world.values["jwks_uri"])
    await world.make_app("app", token_endpoint_auth_method="private_key_jwt", security=security)


@_state("keys published")
async def _keys_published(world: World, *, keys: list[int]) -> None:
    """The app's document names those of its keys, `kid` being their numbers."""
    document = key_set(*(public_jwk(make_key(number=number), kid=str(number)) for number in keys))
    world.shared.documents[world.values["jwks_uri"]] = document


@_state("keys gone")
async def _keys_gone(world: World) -> None:
    """The app's host no longer answers."""
    del world.shared.documents[world.values["jwks_uri"]]


@_state("assertion")
async def _assertion(
    world: World,
    *,
    algorithm: str = "ES256",
    key: int | str = 1,
    header: str = "{}",
    claims: str = "{}",
    seconds: str = "{}",
) -> None:
    """`${assertion}`, right in everything that is not given otherwise, in JSON; null leaves a name out. `seconds` are
    claims in seconds from now."""
    await world.app()
    client_id = world.values["client_id"]
    sign_assertion(world, {"iss": client_id, "sub": client_id}, algorithm, key, header, claims, seconds)


def sign_assertion(
    world: World, own: dict[str, Any], algorithm: str, key: int | str, header: str, claims: str, seconds: str
) -> None:
    """`${assertion}`: the claims of its own, those that any has, and what is given otherwise in JSON."""
    now = world.deployment.clock.now
    world.shared.serial_of_assertion += 1
    content: dict[str, Any] = {
        **own,
        "aud": world.values["issuer"],
        "jti": f"jti-{world.shared.serial_of_assertion}",
        "iat": now,
        "exp": now + 60,
        **msgspec.json.decode(claims),
        **{name: now + later for name, later in msgspec.json.decode(seconds).items()},
    }
    head = {"alg": algorithm, "kid": str(key), **msgspec.json.decode(header)}
    world.values["assertion"] = sign(content, make_key(algorithm, int(key)), **head)


@_state("RSA app that signs requests by PS256")
async def _ps256_app(world: World) -> None:
    await _key_app(world, algorithm="RS256", method="client_secret_post", request_algorithm="PS256")


@_state("RSA app of FAPI 2.0")
async def _fapi_app(world: World) -> None:
    await _key_app(world, algorithm="RS256", own_algorithm="PS256", profile="fapi2")
