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


@pytest.mark.parametrize("method, has_secret", [("client_secret_basic", True), ("none", False)])
async def test_registration_is_answered_with_what_was_registered_and_a_secret_that_is_shown_once(
    house: House, method: str, has_secret: bool
):
    """RFC 7591 §3.2.1, RFC 7592 §3; `client_id_expires_at` is ours."""
    endpoint = build_endpoint(house)
    told = await endpoint.register(msgspec.structs.replace(METADATA, token_endpoint_auth_method=method), None)
    lapses_at = house.now + house.settings.registration_lifetime
    assert (told.client_id_issued_at, told.client_id_expires_at) == (house.now, lapses_at)
    assert (told.client_secret is not None, told.client_secret_expires_at) == (has_secret, 0 if has_secret else None)
    assert told.registration_client_uri == f"https://auth.example/oauth2/register/{told.client_id}"
    house.now += 5
    again = await endpoint.find(told.client_id, told.registration_access_token)
    assert again == msgspec.structs.replace(told, client_secret=None, client_secret_expires_at=None)


async def test_update_that_is_none_of_the_client_s_is_told_why(house: House):
    """RFC 7592 §2.2."""
    endpoint = build_endpoint(house)
    told = await endpoint.register(METADATA, None)
    own = msgspec.structs.replace(METADATA, client_id=told.client_id)
    for changed, why in (
        ({"client_id": "other"}, "client_id is not the one that was issued."),
        ({"token_endpoint_auth_method": "none"}, "token_endpoint_auth_method stays as it was registered."),
        ({"client_secret": "wrong"}, "client_secret is not the one that was issued."),
    ):
        update = msgspec.structs.replace(own, **changed)
        refused = await refuse(endpoint.replace(told.client_id, told.registration_access_token, update))
        assert (refused.code, refused.description) == ("invalid_client_metadata", why)
    missing = await refuse(endpoint.find(told.client_id, None))
    assert (missing.code, missing.description) == (
        "invalid_token",
        "This endpoint needs the registration access token (RFC 7592 section 2).",
    )


async def test_deleted_registration_is_gone_with_its_grants_which_say_why(house: House):
    endpoint = build_endpoint(house)
    told = await endpoint.register(METADATA, None)
    await make_row(house, told)
    grant = await house.grant(client_id=derive_client_id(told.client_id))
    await endpoint.end(told.client_id, told.registration_access_token)
    kept = await house.find(grant)
    assert (kept.status, kept.ended_reason) == ("ended", "registration_deleted")
    assert (await refuse(endpoint.find(told.client_id, told.registration_access_token))).code == "invalid_token"


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
