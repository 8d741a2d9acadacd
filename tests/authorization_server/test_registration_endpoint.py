"""Registration over a real store (RFC 7591, RFC 7592): how much fits into an id, and whose updates count."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.identifiers import derive_client_id
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.registration_codec import MAX_REGISTERED_ID_LENGTH
from latchstring.authorization_server.registration_endpoint import RegistrationEndpoint
from latchstring.protocol.client_metadata import ClientInformation, ClientMetadata
from latchstring.protocol.errors import OAuthError
from tests.authorization_server.builders import REDIRECT_URI
from tests.authorization_server.conftest import House

PARTS = ("clients", "store", "codec", "registrations", "settings", "clock", "entropy")
METADATA = ClientMetadata(client_name="Notes", redirect_uris=[REDIRECT_URI])


def build_endpoint(house: House, **given: Any) -> RegistrationEndpoint:
    house.configure(registration="open")
    return RegistrationEndpoint(**{**house._parts(*PARTS), **given})


async def refuse(work: Any) -> OAuthError:
    with pytest.raises(OAuthError) as refused:
        await work
    return refused.value


async def test_registration_of_as_much_as_an_id_can_carry_is_taken_and_of_more_refused(house: House):
    endpoint = build_endpoint(house, entropy=bytes)
    lengths = set()
    for size in range(1280, 1400):
        metadata = msgspec.structs.replace(METADATA, redirect_uris=[f"{REDIRECT_URI}/{'x' * size}"])
        try:
            lengths.add(len((await endpoint.register(metadata, None)).client_id))
        except OAuthError as refused:
            assert refused.code == "invalid_client_metadata"
            assert "too long for a registration" in refused.description
    assert max(lengths) == MAX_REGISTERED_ID_LENGTH, "of so many, one is exactly so long"


async def make_row(house: House, registered: ClientInformation, **given: Any) -> None:
    """The client as a person has connected it."""
    client_id = registered.client_id
    assert registered.client_secret is not None
    secret = house.codec.hash_client_secret(registered.client_secret, house.now)
    values = {"secrets": (secret,), "token_endpoint_auth_method": "client_secret_basic", "organization_id": None}
    await house.client(derive_client_id(client_id), public_id=client_id, **{**values, **given})


async def test_update_of_a_client_that_goes_at_that_moment_is_told_so(house: House, monkeypatch: pytest.MonkeyPatch):
    """RFC 7592 §2.2: as one whose token was never good."""
    endpoint = build_endpoint(house)
    registered = await endpoint.register(METADATA, None)

    async def lose(client: Any) -> Commit:
        return Commit.LOST

    monkeypatch.setattr(house.store, "save_registered_client", lose)
    own = msgspec.structs.replace(METADATA, client_id=registered.client_id)
    gone = await refuse(endpoint.replace(registered.client_id, registered.registration_access_token, own))
    wrong = await refuse(endpoint.replace(registered.client_id, "wrong", own))
    assert (gone.code, gone.status, gone.description) == (wrong.code, wrong.status, wrong.description)
    assert gone.description == "The registration access token is not this client's, or the client is gone."


async def test_update_with_a_secret_counts_while_that_secret_works(house: House):
    endpoint = build_endpoint(house)
    registered = await endpoint.register(METADATA, None)
    assert registered.client_secret is not None
    kept = house.codec.hash_client_secret(registered.client_secret, house.now)
    await make_row(house, registered, secrets=(msgspec.structs.replace(kept, expires_at=house.now + 10),))
    own = msgspec.structs.replace(
        METADATA, client_id=registered.client_id, client_secret=registered.client_secret, client_name="Notes 2"
    )
    arguments = registered.client_id, registered.registration_access_token, own
    house.now += 9
    assert (await endpoint.replace(*arguments)).client_name == "Notes 2"
    house.now += 1
    refused = await refuse(endpoint.replace(*arguments))
    assert (refused.code, refused.description) == (
        "invalid_client_metadata",
        "client_secret is not the one that was issued.",
    )
