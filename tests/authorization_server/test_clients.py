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
        self.fetch = FakeFetch({URL: msgspec.json.encode(content)})
        house.configure(accepts_metadata_documents=True, registration="open")
        self.house = house
        self.documents = ClientDocuments(fetch=self.fetch, settings=house.settings, clock=house.clock)
        self.registrations = RegistrationCodec(house.codec)

    @property
    def clients(self) -> Clients:
        return Clients(
            store=self.house.store,
            registrations=self.registrations,
            documents=self.documents,
            settings=self.house.settings,
            clock=self.house.clock,
        )

    async def keep_row(self, **given: Any) -> ClientRecord:
        values = {"public_id": URL, "name": "Notes 1", "secrets": (), "organization_id": None, **given}
        return await self.house.client(derive_client_id(URL), **values)


def register(known: Known, method: str = "none") -> str:
    registration = Registration("Notes", (REDIRECT_URI,), ("authorization_code",), method)
    return known.registrations.render_client_id(CarriedRegistration(NOW, NOW + 60, registration), bytes(12))


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
    client_id = register(known, method)
    client = await known.clients.find(client_id)
    assert client is not None
    secret = known.registrations.derive_client_secret(client_id)
    assert client.secrets == ((house.codec.hash_client_secret(secret, NOW),) if has_secret else ())


async def test_client_of_a_row_is_found_by_its_id_until_it_is_deleted(house: House):
    clients = Known(house).clients
    app = await house.client("oa2client_00000000000000000000App")
    await house.client("oa2client_0000000000000000000Gone", ended_at=NOW)
    assert await clients.find(app.client_id) == await clients.find_current(app.client_id) == app
    for nobody in ("oa2client_0000000000000000000Gone", "oa2client_0000000000000000000None", ""):
        assert await clients.find(nobody) is None
        assert await clients.find_current(nobody) is None


async def test_client_with_an_id_of_its_own_is_asked_about_by_that_alone(house: House):
    """Tokens and the API name it by the short id; a page must not be led to it by two names."""
    known = Known(house)
    row = await known.keep_row(token_endpoint_auth_method="none")
    assert await known.clients.find(row.client_id) == row
    assert await known.clients.find_current(row.client_id) is None


async def test_client_of_a_document_works_on_as_its_row_has_it_while_its_host_is_away(house: House):
    known = Known(house)
    assert await known.clients.find(URL) is None, "nobody has connected it, and nobody is asked"
    row = await known.keep_row(token_endpoint_auth_method="none")
    assert await known.clients.find(URL) == row
    assert known.fetch.asked.total() == 0
    await known.documents.find(URL)
    now = await known.clients.find(URL)
    assert now is not None
    assert now.name == "Notes 2", "what was read a moment ago"


async def test_client_by_keys_of_a_document_works_on_as_its_row_has_it_while_its_host_is_away(house: House):
    known = Known(house, **KEYS)
    row = await known.keep_row(token_endpoint_auth_method="private_key_jwt")
    known.fetch.documents.clear()
    assert await known.clients.find(URL) == row


async def test_client_that_registered_itself_lapses_unless_it_has_a_row(house: House):
    known = Known(house)
    client_id = register(known)
    house.now += 59
    client = await known.clients.find(client_id)
    assert client is not None
    assert (client.client_id, client.public_id) == (derive_client_id(client_id), client_id)
    assert (client.created_at, client.expires_at) == (NOW, NOW + 60)
    assert await known.clients.find_current(client_id) == client
    house.now += 1
    assert await known.clients.find(client_id) is None
    assert await known.clients.find(client_id[:-4]) is None


async def test_client_that_registered_itself_is_none_where_nobody_may_register(house: House):
    known = Known(house)
    client_id = register(known)
    house.configure(registration="off")
    assert await known.clients.find(client_id) is None
    row = await house.client(derive_client_id(client_id), public_id=client_id, token_endpoint_auth_method="none")
    assert await known.clients.find(client_id) == row, "what a member has connected works on"


@pytest.mark.parametrize(
    "given, is_there",
    [
        ({"expires_at": None}, True),
        ({"expires_at": NOW + 1}, True),
        ({"expires_at": NOW}, False),
        ({"ended_at": NOW - 1}, False),
        ({"ended_at": NOW - 1, "expires_at": NOW + 1}, False),
        ({"public_id": "oa2registered_other"}, False),
    ],
)
async def test_client_that_registered_itself_is_what_its_row_says(house: House, given: dict[str, Any], is_there: bool):
    """The id still carries the registration, and counts no more beside a row."""
    known = Known(house)
    client_id = register(known)
    values = {"public_id": client_id, "token_endpoint_auth_method": "none", "name": "Changed", **given}
    row = await house.client(derive_client_id(client_id), **values)
    assert await known.clients.find(client_id) == (row if is_there else None)
