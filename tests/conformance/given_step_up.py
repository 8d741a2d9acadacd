"""States with a member whose sign-in is known (RFC 9470)."""

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from latchstring.authorization_server.answers import Answer
from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from latchstring.authorization_server.events import SYSTEM
from tests.conformance.given import World, _arrive, _redeem, _state


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


@_state("signed in by password")
async def _signed_in_by_password(world: World) -> None:
    await _arrive(world, "ann's", world.user_id, "pwd")


@_state("signed in with a second factor")
async def _signed_in_by_two_factors(world: World) -> None:
    await _arrive(world, "ann's", world.user_id, "mfa")


@_state("signed in by passkey")
async def _signed_in_by_passkey(world: World) -> None:
    await _arrive(world, "ann's", world.user_id, "phr")


@_state("the member has a second factor")
async def _has_second_factor(world: World) -> None:
    factors, now = world.deployment.services.second_factors, world.deployment.clock.now
    secret = factors.new_secret()
    code = TOTP(secret, 6, SHA1(), 30, enforce_key_length=False).generate(now).decode()
    assert await factors.add(world.user_id, secret, code, origin=SYSTEM) is not None
