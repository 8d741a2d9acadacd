"""Who a `client_id` is: of a row, of an id that carries its registration, of a document (RFC 6749 §2.2)."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.client_documents import ClientDocuments
from latchstring.authorization_server.clients import Clients
from latchstring.authorization_server.identifiers import derive_client_id
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.registration import Registration
from latchstring.authorization_server.registration_codec import CarriedRegistration, RegistrationCodec
from tests.authorization_server.builders import NOW, REDIRECT_URI
from tests.authorization_server.conftest import House
from tests.support.documents import FakeFetch
from tests.support.signing import make_key, public_jwk

URL = "https://notes.example/client.json"
SUSPENDED = {"suspended_at": NOW - 5, "suspended_by": "user_operator", "suspended_reason": "It sends spam."}
CLOSED = {"owner_closed_at": NOW - 7}
KEYS = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [public_jwk(make_key())]}}


class Known:
    """Clients of the house, one of which has a document, and may have a row."""

    def __init__(self, house: House, **document: Any) -> None:
        content = {"client_id": URL, "client_name": "Notes 2", "redirect_uris": [REDIRECT_URI], **document}
        fetch = FakeFetch({URL: msgspec.json.encode(content)})
        house.configure(accepts_metadata_documents=True, registration="open")
        self.house = house
        self.documents = ClientDocuments(fetch=fetch, settings=house.settings, clock=house.clock)
        self.registrations = RegistrationCodec(house.codec)
        self.clients = Clients(
            store=house.store,
            registrations=self.registrations,
            documents=self.documents,
            settings=house.settings,
            clock=house.clock,
        )

    async def keep_row(self, **given: Any) -> ClientRecord:
        values = {"public_id": URL, "name": "Notes 1", "secrets": (), "organization_id": None, **given}
        return await self.house.client(derive_client_id(URL), **values)


def find_suspension(client: ClientRecord | None) -> tuple[Any, ...]:
    assert client is not None
    names = ("is_suspended", *SUSPENDED, *CLOSED)
    return tuple(getattr(client, name) for name in names)


@pytest.mark.parametrize("document", [{"token_endpoint_auth_method": "none"}, KEYS], ids=["public", "by-keys"])
@pytest.mark.parametrize("given", [{}, SUSPENDED, CLOSED, SUSPENDED | CLOSED], ids=["live", "spam", "closed", "both"])
async def test_client_of_a_document_is_what_that_says_and_suspended_where_its_row_is(
    house: House, document: dict[str, Any], given: dict[str, Any]
):
    """No document says that it is suspended: the operator has."""
    known = Known(house, **document)
    row = await known.keep_row(token_endpoint_auth_method=document["token_endpoint_auth_method"], **given)
    now = await known.clients.find_current(URL)
    again = await known.clients.find(URL)
    for client in (now, again):
        assert client is not None
        assert (client.client_id, client.name) == (row.client_id, "Notes 2"), "as the document has it now"
        assert find_suspension(client) == find_suspension(row)


async def test_client_of_a_document_that_nobody_has_connected_is_not_suspended(house: House):
    client = await Known(house).clients.find_current(URL)
    assert find_suspension(client) == (False, None, None, None, None)


@pytest.mark.parametrize(
    "method, has_secret",
    [("client_secret_basic", True), ("client_secret_post", True), ("none", False), ("private_key_jwt", False)],
)
async def test_client_that_registered_itself_has_a_secret_if_it_proves_itself_by_one(
    house: House, method: str, has_secret: bool
):
    known = Known(house)
    registration = Registration("Notes", (REDIRECT_URI,), ("authorization_code",), method)
    client_id = known.registrations.render_client_id(CarriedRegistration(NOW, NOW + 60, registration), bytes(12))
    client = await known.clients.find(client_id)
    assert client is not None
    secret = known.registrations.derive_client_secret(client_id)
    assert client.secrets == ((house.codec.hash_client_secret(secret, NOW),) if has_secret else ())
