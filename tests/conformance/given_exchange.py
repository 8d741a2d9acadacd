"""States of apps that act: an API with an app of its own, which may exchange what the API was called with; an app that
another organization has approved."""

from typing import Any

from latchstring.authorization_server.ports import Commit
from latchstring.protocol.client_metadata import TOKEN_EXCHANGE
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE
from latchstring.wiring import build_approvals
from tests.conformance.given import World, _state

_API = "https://api.example/"
_BILLING = "https://billing.example/"


@_state("second API")
async def _second_api(world: World) -> None:
    """Billing, with a guard of its own."""
    record, secret = await world.deployment.services.apps.create_resource_server("Billing", _BILLING)
    world.values["second_guard_id"], world.values["second_guard_secret"] = record.client_id, secret


@_state("acting app")
async def _acting_app(world: World, **parameters: Any) -> None:
    """The second app, acting for the API behind the guard."""
    await world.app()
    await world.make_app("second app", name="The API itself", acts_for_resource=_API, **parameters)


@_state("third app acts")
async def _third_app(world: World) -> None:
    await world.make_app("third app", name="The API again", acts_for_resource=_API)


@_state("token of the acting app")
async def _actor_token(world: World) -> None:
    body = world.apps["second app"].body(grant_type="client_credentials")
    response = await world.browser("a program").post("/oauth2/token", data=body)
    assert response.status_code == 200, response.text
    world.values["actor_token"] = response.json()["access_token"]


@_state("exchanged")
async def _exchanged(world: World) -> None:
    """By the acting app."""
    subject = {"subject_token": world.values["access_token"], "subject_token_type": ACCESS_TOKEN_TYPE}
    body = world.apps["second app"].body(grant_type=TOKEN_EXCHANGE, **subject)
    response = await world.browser("a program").post("/oauth2/token", data=body)
    assert response.status_code == 200, response.text
    world.values["exchanged_token"] = response.json()["access_token"]


@_state("app approved")
async def _approved(world: World, scope: str | None = None) -> None:
    """By Chestnut, which neither owns it nor has Ann for a member."""
    approvals = build_approvals(world.deployment.store, world.deployment.clock)
    app, asked = await world.app(), None if scope is None else tuple(scope.split(" "))
    await approvals.approve(app.client_id, world.values["chestnut"], scope=asked, by="operator")


@_state("app unapproved")
async def _unapproved(world: World) -> None:
    approvals = build_approvals(world.deployment.store, world.deployment.clock)
    ended = await approvals.end((await world.app()).client_id, world.values["chestnut"], by="operator")
    assert ended is Commit.APPLIED
