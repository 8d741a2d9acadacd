"""States of authorization details (RFC 9396): two types that the deployment declares, and an app that may use them."""

from typing import Any, Final

import msgspec

from latchstring.authorization_server.details_types import DetailField, DetailsType
from latchstring.authorization_server.policy import LEGACY
from tests.conformance.given import World, _consent_page, _state
from tests.support.forms import find_form, submit
from tests.support.journey import answer_of, exchange

TYPES: Final = {
    "payment": DetailsType(
        title="Pay {amount.value} {amount.currency} to {creditor}",
        description="Once, from the account that you choose.",
        risk="high",
        fields={
            "amount": DetailField(
                type="object",
                required=True,
                fields={
                    "value": DetailField(required=True, max_length=20),
                    "currency": DetailField(required=True, values={"EUR": "euros", "CHF": ""}),
                },
            ),
            "creditor": DetailField(required=True),
            "reference": DetailField(title="Reference"),
            "instant": DetailField(type="boolean", title="At once"),
            "attempts": DetailField(type="number"),
            "actions": DetailField(
                type="strings",
                title="It may",
                values={"initiate": "start the payment", "status": "see whether it arrived"},
            ),
        },
    ),
    "account": DetailsType(
        title="See the balance of accounts", risk="low", fields={"accounts": DetailField(type="strings")}
    ),
    "other": DetailsType(title="Do something else"),
}
PAYMENT: Final[dict[str, Any]] = {
    "type": "payment",
    "amount": {"value": "12.50", "currency": "EUR"},
    "creditor": "Miller & Sons",
    "reference": "Invoice 7",
    "actions": ["initiate", "status"],
}
ACCOUNT: Final[dict[str, Any]] = {"type": "account", "accounts": ["1", "2"]}


def _render(*details: dict[str, Any]) -> str:
    return msgspec.json.encode(details).decode()


@_state("app for payments")
async def _payments_app(world: World, **parameters: Any) -> None:
    """`${payment}` and `${both}` are what it may ask for; the rest is less or more than that."""
    security = msgspec.structs.replace(LEGACY, authorization_details_types=("payment", "account"))
    await world.make_app("app", security=security, **parameters)
    world.values["payment"] = _render(PAYMENT)
    world.values["both"] = _render(PAYMENT, ACCOUNT)
    world.values["too long a text"] = _render({"type": "account", "accounts": ["x" * 141]})
    world.values["too many"] = _render(*[{"type": "account"}] * 9)
    world.values["too long"] = _render(
        {"type": "account", "accounts": [f"{number}" * 46 for number in range(100, 115)]}
    )
    world.values["deep"] = '[{"type":"account","accounts":' + "[" * 2000 + "]" * 2000 + "}]"
    world.values["part"] = _render({**PAYMENT, "actions": ["status"]}, ACCOUNT)
    world.values["account"] = _render(ACCOUNT)
    world.values["another creditor"] = _render({**PAYMENT, "creditor": "Evil Ltd"})
    world.values["more actions"] = _render({**ACCOUNT, "accounts": ["1", "2", "3"]})
    world.values["no reference"] = _render({name: value for name, value in PAYMENT.items() if name != "reference"})


@_state("payment allowed")
async def _payment_allowed(world: World, *, details: str = "${both}", **query: str) -> None:
    """Ann has allowed it, and the app has its tokens."""
    await _consent_page(world, authorization_details=world.values.fill(details), **query)
    app = await world.app()
    page = await world.browser().get(
        "/oauth2/authorize/",
        params={
            "client_id": app.client_id,
            "response_type": "code",
            "authorization_details": world.values.fill(details),
            **query,
        },
    )
    answer = await submit(
        world.browser(), page, find_form(page, "/consent"), decision="allow", organization_id=world.values["acorn"]
    )
    response = await exchange(world.browser("a program"), app, answer_of(answer)["code"])
    assert response.status_code == 200, response.text
    world.remember_tokens(response.json())
