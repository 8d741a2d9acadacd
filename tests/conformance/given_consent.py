"""States of consents that are remembered."""

from typing import Any

from tests.conformance.given import World, _make_code, _state


@_state("consented")
async def _consented(world: World, **parameters: Any) -> None:
    """Ann has agreed before to all that the app asks, for Acorn; that code is none of the case's."""
    await _make_code(world, "app", **parameters)


@_state("public app with a scheme of its own")
async def _public_native_app(world: World) -> None:
    await world.make_app("app", public=True, redirect_uris=["com.example.app:/callback"])


@_state("public app on loopback")
async def _public_loopback_app(world: World) -> None:
    await world.make_app("app", public=True, redirect_uris=["http://127.0.0.1/callback"])
