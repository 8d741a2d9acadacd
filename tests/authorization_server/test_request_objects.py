"""Where a signed request is opened that a browser came with (RFC 9101 §5): nothing is redirected before it is."""

from typing import Any
from urllib.parse import urlencode

import pytest

from latchstring.authorization_server.authorization_endpoint import UnsafeRequest
from latchstring.authorization_server.records import ClientSecurity
from latchstring.protocol.parameters import Parameters, parse_parameters
from tests.authorization_server.conftest import House
from tests.support.signing import key_set, make_key, public_jwk, sign

APP = "oa2client_000000000000000Signing"


def make_request(house: House, **claims: Any) -> str:
    content = {"iss": APP, "aud": house.settings.issuer, "client_id": APP, "exp": house.now + 60, **claims}
    return sign(content, make_key(), typ="oauth-authz-req+jwt", kid="1")


async def find_parameters(house: House, *query: tuple[str, str]) -> Parameters:
    keys = key_set(public_jwk(make_key(), kid="1")).decode()
    if await house.store.find_client(APP) is None:
        await house.client(APP, security=ClientSecurity(jwks=keys))
    objects = house._parts("request_objects")["request_objects"]
    found: Parameters = await objects.find_parameters(parse_parameters(urlencode(query).encode()), house.now)
    return found


async def refuse(house: House, *query: tuple[str, str]) -> UnsafeRequest:
    with pytest.raises(UnsafeRequest) as refused:
        await find_parameters(house, *query)
    return refused.value


async def test_request_object_is_all_that_counts(house: House):
    query = ("client_id", APP), ("request", make_request(house, state="inside")), ("state", "a"), ("state", "b")
    assert dict(await find_parameters(house, *query)) == {"client_id": APP, "state": "inside"}


@pytest.mark.parametrize("name", ["client_id", "request", "request_uri"])
async def test_a8_request_object_beside_a_repeated_name_of_what_is_asked_is_refused(house: House, name: str):
    query = {"client_id": APP, "request": make_request(house)}
    refused = await refuse(house, *query.items(), (name, query.get(name, "x")), (name, query.get(name, "y")))
    assert (refused.key, refused.client) == ("repeated_parameter", None)


@pytest.mark.parametrize("query", [(), (("client_id", ""),), (("client_id", "nobody"),)])
async def test_request_object_of_nobody_is_of_an_unknown_client(house: House, query: tuple[tuple[str, str], ...]):
    assert (await refuse(house, *query, ("request", make_request(house)))).key == "unknown_client"


async def test_request_object_that_does_not_count_tells_the_page_which_app_sent_it_and_what_is_wrong(house: House):
    refused = await refuse(house, ("client_id", APP), ("request", make_request(house, exp=house.now)))
    assert refused.client is not None
    assert refused.error is not None
    assert (refused.key, refused.client.client_id, refused.error.code) == (
        "request_refused",
        APP,
        "invalid_request_object",
    )
