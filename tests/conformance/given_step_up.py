"""States with a member whose sign-in is known (RFC 9470)."""

from latchstring.authorization_server.answers import Answer
from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from tests.conformance.given import World, _redeem, _state


@_state("tokens of a member who has just signed in")
@_state("tokens of a member who has just signed in by password")
async def _fresh_tokens(world: World) -> None:
    await _connect(world, "pwd")


@_state("tokens of a member who has just signed in with a second factor")
async def _fresh_tokens_of_two_factors(world: World) -> None:
    await _connect(world, "mfa")


@_state("tokens of a member who has just signed in by passkey")
async def _fresh_tokens_of_a_passkey(world: World) -> None:
    await _connect(world, "phr")


async def _connect(world: World, acr: str) -> None:
    app = await world.app()
    prompt = AuthorizationPrompt(
        client_id=app.client_id,
        redirect_uri=app.record.redirect_uris[0],
        sent_redirect_uri=None,
        state=None,
        scope=app.record.scope,
        code_challenge=None,
        organization_id=None,
    )
    answer = Answer(organization_id=world.values["acorn"])
    now = world.deployment.clock.now
    code = await world.deployment.services.consent.allow(
        prompt, app.record, world.user_id, answer, authenticated_at=now, acr=acr
    )
    assert isinstance(code, str)
    world.remember_tokens(await _redeem(world, "app", code, pkce=False))
