"""Whether an access token is good now, and what it stands for (N2, S11, X3)."""

import pytest

from latchstring.authorization_server.access import LiveAccess, find_live_access
from latchstring.authorization_server.tokens import AccessToken, ClientAccessToken, TokenFacts
from latchstring.protocol.confirmation import Confirmation
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW
from tests.authorization_server.conftest import House

KEY = Confirmation(jkt="kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")
TOKEN_ID, ANCESTOR = b"\x01" * 12, b"\x02" * 12
BOUND = TokenFacts(confirmation=KEY, client_id="oa2client_gateway", ancestors=(ANCESTOR,))


async def connect(house: House) -> bytes:
    """The id of an active grant."""
    grant = await house.grant()
    await house.redeem(grant)
    return grant.id


async def test_token_on_a_grant_stands_for_all_that_it_carries(house: House):
    """S11: what it is bound to goes along to whoever asks."""
    token = AccessToken(TOKEN_ID, await connect(house), NOW, NOW + 60, "contacts.read", ("https://a.example/",), BOUND)
    assert await find_live_access(token, house.store, NOW) == LiveAccess(
        "oa2client_gateway", ANN, ANN, ACORN, "contacts.read", ("https://a.example/",), KEY, touched_at=NOW
    )
    assert await find_live_access(token, house.store, NOW + 60) is None


async def test_token_of_a_client_stands_for_all_that_it_carries(house: House):
    token = ClientAccessToken(TOKEN_ID, MAILLOOP, ACORN, NOW, NOW + 60, "a.read", ("https://a.example/",), BOUND)
    assert await find_live_access(token, house.store, NOW) == LiveAccess(
        "oa2client_gateway", MAILLOOP, None, ACORN, "a.read", ("https://a.example/",), KEY
    )


@pytest.mark.parametrize("revoked", [TOKEN_ID, ANCESTOR], ids=["itself", "what it came from"])
async def test_x3_token_dies_with_what_it_came_from(house: House, revoked: bytes):
    grant_id = await connect(house)
    token = AccessToken(TOKEN_ID, grant_id, NOW, NOW + 60, None, (), BOUND)
    assert await find_live_access(token, house.store, NOW) is not None
    await house.store.revoke_access_token(grant_id, revoked, expires_at=NOW + 60, now=NOW)
    assert await find_live_access(token, house.store, NOW) is None
