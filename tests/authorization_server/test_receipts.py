"""What is kept of a consent, as it was told: in full, and in no other words later."""

from typing import Any

import pytest

from latchstring.authorization_server.receipts import Receipt, ReceiptScope, build_receipt, read_receipt
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.settings import ScopeDefinition
from tests.authorization_server.builders import NOW, build_client, build_grant, build_organization
from tests.authorization_server.conftest import House

DETAILS = '[{"type":"payment"}]'


async def write(house: House, client: ClientRecord, **given: Any) -> Receipt:
    grant = build_grant(**given)
    text = await build_receipt(
        grant, client, house.store, house.settings, redirect_host="app.example", is_remembered=False
    )
    return read_receipt(text)


async def test_receipt_has_everything_that_was_told(house: House):
    house.configure(
        scopes={
            "all.full_access": ScopeDefinition(title="Everything", description="All of it", risk="high"),
            "mail.send": ScopeDefinition(title="Mail"),
        }
    )
    client = build_client(terms_uri="https://app.example/terms", policy_uri="https://app.example/policy")
    given = {
        "scope": ("all.full_access", "unknown", "offline_access"),
        "created_at": NOW + 5,
        "absolute_expires_at": NOW + 86400,
        "authorization_details": DETAILS,
    }
    assert await write(house, client, **given) == Receipt(
        app_name="Mailloop",
        publisher="Acorn Partners",
        redirect_host="app.example",
        terms_uri="https://app.example/terms",
        policy_uri="https://app.example/policy",
        organization_name="Acorn Partners",
        member_name="Ann",
        member_email="ann@example.com",
        scopes=(ReceiptScope(name="all.full_access", title="Everything", description="All of it", risk="high"),),
        is_offline=True,
        authorization_details=DETAILS,
        given_at=NOW + 5,
        ends_at=NOW + 86400,
        is_remembered=False,
    )


async def test_receipt_of_little_says_so(house: House):
    receipt = await write(house, build_client(), scope=("all.full_access",))
    assert (receipt.is_offline, receipt.ends_at, receipt.authorization_details) == (False, None, None)
    assert (receipt.terms_uri, receipt.policy_uri) == (None, None)


@pytest.mark.parametrize(
    "client, publisher",
    [
        pytest.param({"organization_id": "orga_birch"}, "Birch & Co", id="another-organization"),
        pytest.param({"organization_id": None}, "", id="registered-itself"),
        pytest.param(
            {"organization_id": None, "public_id": "https://app.example/client.json"}, "app.example", id="document"
        ),
    ],
)
async def test_receipt_names_who_stood_behind_the_app(house: House, client: dict[str, Any], publisher: str):
    await house.store.create_organization(build_organization("orga_birch", "Birch & Co"))
    receipt = await write(house, build_client(**client))
    assert (receipt.publisher, receipt.organization_name) == (publisher, "Acorn Partners")


async def test_receipt_of_who_is_gone_by_then_has_no_names(house: House):
    """A consent that is not going to be written after all: the write itself refuses it."""
    receipt = await write(house, build_client(organization_id=None), user_id="user_gone", organization_id="orga_gone")
    assert (receipt.member_name, receipt.member_email, receipt.organization_name) == ("", "", "")
