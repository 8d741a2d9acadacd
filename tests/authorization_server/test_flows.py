"""What the flows do around their grants' rules: which reads they make, which token a refusal is about, who lost."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.tokens import AccessToken
from latchstring.protocol.client_metadata import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE, ExchangeParameters
from latchstring.protocol.token_request import TokenRequest
from tests.authorization_server.builders import ACORN, NOW
from tests.authorization_server.conftest import House

WORKER = "oa2client_0000000000000000Worker"
EXCHANGER = "oa2client_0000000000000Exchanger"
API, OTHER_API = "https://api.example/", "https://other.example/"


@pytest.mark.parametrize("organization_id", [None, ACORN])
async def test_client_credentials_for_the_owner_ask_for_no_approval(
    house: House, organization_id: str | None, monkeypatch: pytest.MonkeyPatch
):
    """The hot path: a token without a read and without a write."""
    await house.client(WORKER, grant_types=(CLIENT_CREDENTIALS,))
    monkeypatch.setattr(house.store, "find_client_approval", None)
    request = TokenRequest(grant_type=CLIENT_CREDENTIALS, organization_id=organization_id)
    answer = await house.token(request, WORKER)
    assert (answer.organization_id, answer.refresh_token) == (ACORN, None)


def exchange(subject_token: str | None, **given: Any) -> TokenRequest:
    request = {name: given.pop(name) for name in ("scope", "resource") if name in given}
    if "actor_token" in given:
        given["actor_token_type"] = ACCESS_TOKEN_TYPE
    parameters = ExchangeParameters(subject_token=subject_token, subject_token_type=ACCESS_TOKEN_TYPE, **given)
    return TokenRequest(grant_type=TOKEN_EXCHANGE, exchange=parameters, **request)


@pytest.fixture
async def access_token(house: House) -> str:
    """Of the exchanger's own, for both APIs."""
    await house.client(EXCHANGER, grant_types=("authorization_code", TOKEN_EXCHANGE))
    for name, resource in (("oa2resource_1", API), ("oa2resource_2", OTHER_API)):
        [known] = [await house.store.find_resource_server("oa2resource_0000000000000000000API")]
        assert known is not None
        await house.store.create_resource_server(msgspec.structs.replace(known, client_id=name, resource=resource))
    grant = await house.grant(client_id=EXCHANGER, resource=(API, OTHER_API))
    return (await house.redeem(grant, client_id=EXCHANGER)).access_token


@pytest.mark.parametrize("bad", ["x", ""])
async def test_exchange_of_a_dead_token_says_which_one(house: House, access_token: str, bad: str):
    for tokens, name in (
        ({"subject_token": bad}, "subject_token"),
        ({"subject_token": access_token, "actor_token": bad}, "actor_token"),
    ):
        with pytest.raises(OAuthError) as refused:
            await house.token(exchange(**tokens), EXCHANGER)
        assert refused.value.code == "invalid_request"
        assert refused.value.description == f"{name} is expired, revoked or unknown."


@pytest.mark.parametrize(
    "asked, granted",
    [((), (API, OTHER_API)), ((API,), (API,)), ((API, OTHER_API), (API, OTHER_API)), ((OTHER_API,), (OTHER_API,))],
)
async def test_exchange_is_for_the_apis_asked_for_within_the_token_s(
    house: House, access_token: str, asked: tuple[str, ...], granted: tuple[str, ...]
):
    answer = await house.token(exchange(access_token, resource=asked), EXCHANGER)
    token = house.codec.parse_access_token(answer.access_token)
    assert isinstance(token, AccessToken)
    assert (token.resource, token.expires_at) == (granted, NOW + 3600)


async def test_exchange_for_an_api_that_the_token_is_not_for_is_refused(house: House, access_token: str):
    narrow = await house.token(exchange(access_token, resource=(API,)), EXCHANGER)
    with pytest.raises(OAuthError, match="not for that resource") as refused:
        await house.token(exchange(narrow.access_token, resource=(OTHER_API,)), EXCHANGER)
    assert refused.value.code == "invalid_target"
