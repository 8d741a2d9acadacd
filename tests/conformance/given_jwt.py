"""States with JWT access tokens: an API that checks them by itself, and tokens for it."""

import msgspec
from joserfc.jwk import ECKey

from latchstring.authorization_server.identifiers import GRANT, parse_identifier
from latchstring.protocol.jose.jws import parse_jwt
from tests.conformance.given import World, _redeem, _state
from tests.support.journey import grant_code
from tests.support.signing import sign

FILES = "https://files.example/"


@_state("jwt API")
async def _jwt_api(world: World) -> None:
    """An API of the case's own that takes JWTs: `${files}`, with `${files_id}` and `${files_secret}`."""
    world.values["files"] = f"{FILES}{world.shared.serial}"
    files = await world.deployment.resource_server(world.values["files"], "jwt")
    world.values["files_id"], world.values["files_secret"] = files


@_state("jwt tokens")
async def _jwt_tokens(world: World) -> None:
    """For that API alone."""
    await _jwt_api(world)
    app = await world.app()
    code = await grant_code(
        world.deployment, app, world.user_id, world.values["acorn"], resource=(world.values["files"],)
    )
    answer = await _redeem(world, "app", code, pkce=False)
    world.remember_tokens(answer)
    world.grant_id = parse_identifier(GRANT, parse_jwt(answer["access_token"]).claims["grant_id"])


@_state("signed by the server")
async def _signed(world: World, *, header: str = "{}", claims: str = "{}") -> None:
    """`${jwt}`, an access token for the guarded API, right in everything that is not given otherwise, in JSON; null
    leaves a name out. Only the server's own key signs it: nobody else could get so far."""
    now, signer = world.deployment.clock.now, await world.deployment.services.signing_keys.find_signer()
    content = {
        "iss": world.values["issuer"],
        "aud": "https://api.example/",
        "sub": world.user_id,
        "client_id": "oa2client_0000000000000000000000",
        "organization_id": world.values["acorn"],
        "grant_id": "grant_0000000000000000000000",
        "iat": now,
        "exp": now + 60,
        "jti": "00" * 12,
        "scope": "contacts.read",
        **msgspec.json.decode(claims),
    }
    head = {"alg": signer.algorithm, "kid": signer.key_id, "typ": "at+jwt", **msgspec.json.decode(header)}
    assert isinstance(signer.key, ECKey)
    world.values["jwt"] = sign(content, signer.key, **head)
