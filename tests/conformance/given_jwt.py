"""States with JWT access tokens: an API that checks them by itself, and tokens for it."""

from latchstring.authorization_server.identifiers import GRANT, parse_identifier
from latchstring.protocol.jose.jws import parse_jwt
from tests.conformance.given import World, _redeem, _state
from tests.support.journey import grant_code

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
