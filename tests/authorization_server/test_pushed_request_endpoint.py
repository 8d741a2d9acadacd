"""Pushed requests over a real store (RFC 9126): what is kept, what is refused, and what the log says of it."""

import os
from urllib.parse import urlencode

import pytest

from latchstring.authorization_server.authorization_endpoint import UnsafeRequest
from latchstring.authorization_server.identifiers import derive_client_id
from latchstring.authorization_server.pushed_request_endpoint import (
    PushedRequest,
    PushedRequestEndpoint,
    find_pushed_parameters,
)
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import parse_parameters
from latchstring.protocol.token_request import ClientCredentials
from tests.authorization_server.builders import MAILLOOP
from tests.authorization_server.conftest import SECRET, House

PARTS = ("authenticator", "proofs", "clients", "request_objects", "store", "codec", "settings", "clock", "entropy")


async def push(house: House, client_id: str = MAILLOOP, **parameters: str) -> PushedRequest:
    endpoint = PushedRequestEndpoint(**house._parts(*PARTS))
    body = parse_parameters(urlencode({"response_type": "code", **parameters}).encode())
    return await endpoint.answer(body, ClientCredentials(client_id, SECRET, "client_secret_post"))


@pytest.mark.parametrize(
    "redirect_uri, uris, description, reason",
    [
        (
            "https://evil.example/",
            ("https://app.example/a",),
            "redirect_uri is not registered for this client.",
            "redirect_uri_mismatch",
        ),
        (
            "",
            ("https://app.example/a", "https://app.example/b"),
            "redirect_uri is missing: the client has registered more than one.",
            "redirect_uri_missing",
        ),
    ],
)
async def test_push_without_a_redirect_uri_of_the_client_s_is_told_and_logged_as_that(
    house: House, redirect_uri: str, uris: tuple[str, ...], description: str, reason: str
):
    await house.client("oa2client_several", redirect_uris=uris)
    with pytest.raises(OAuthError) as refused:
        await push(house, "oa2client_several", redirect_uri=redirect_uri)
    assert (refused.value.code, refused.value.description, refused.value.reason) == (
        "invalid_request",
        description,
        reason,
    )


async def test_push_by_another_id_than_the_client_goes_by_is_not_valid(house: House):
    """Nobody could be asked about it: the page knows such a client by its own id alone."""
    await house.client(derive_client_id("https://app.example/id"), public_id="https://app.example/id")
    with pytest.raises(OAuthError) as refused:
        await push(house, derive_client_id("https://app.example/id"))
    assert (refused.value.code, refused.value.description, refused.value.reason) == (
        "invalid_request",
        "The request is not valid.",
        "unknown_client",
    )


async def test_pushed_request_is_found_by_its_own_client_while_it_lasts(house: House):
    """P5."""
    pushed = await push(house, state="x")
    query = {"client_id": MAILLOOP, "request_uri": pushed.request_uri}
    last = house.now + pushed.expires_in - 1
    kept, request_id = await find_pushed_parameters(parse_parameters(urlencode(query).encode()), house.store, last)
    assert dict(kept) == {"client_id": MAILLOOP, "response_type": "code", "state": "x"}
    assert len(request_id) == 16
    for changed, at in (
        ({}, last + 1),
        ({"client_id": "oa2client_other"}, last),
        ({"client_id": ""}, last),
        ({"request_uri": pushed.request_uri[:-22] + os.urandom(8).hex() + "AAAAAA"}, last),
    ):
        with pytest.raises(UnsafeRequest) as refused:
            other = parse_parameters(urlencode({**query, **changed}).encode())
            await find_pushed_parameters(other, house.store, at)
        assert refused.value.error is not None
        assert refused.value.error.code == "invalid_request_uri"
