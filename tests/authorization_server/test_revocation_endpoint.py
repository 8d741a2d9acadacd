"""The revocation endpoint over a real store (RFC 7009; V1–V9, I2)."""

from typing import Any

import pytest

from latchstring.protocol.errors import OAuthError, StoreUnavailable
from tests.authorization_server.builders import MAILLOOP, NOW
from tests.authorization_server.conftest import House
from tests.authorization_server.test_token_endpoint import Failing


async def refuse(attempt: Any) -> OAuthError:
    with pytest.raises(OAuthError) as refused:
        await attempt
    return refused.value


async def test_v1_v7_revoking_a_refresh_token_ends_the_grant_and_its_access_tokens(house: House):
    grant = await house.grant()
    first = await house.redeem(grant)
    second = await house.refresh(first.refresh_token)
    await house.revoke(second.refresh_token)
    kept = await house.find(grant)
    assert (kept.status, kept.ended_reason, kept.ended_by, kept.ended_at) == (
        "ended",
        "revoked_by_client",
        MAILLOOP,
        NOW,
    )
    for answer in (first, second):
        assert await house.introspect(answer.access_token) == {"active": False}
    refused = await refuse(house.refresh(second.refresh_token))
    assert (refused.code, refused.description.split(":")[0]) == ("invalid_grant", "revoked")


async def test_revoking_an_older_refresh_token_ends_the_grant_too(house: House):
    """Whoever holds it was given this grant, and wants it gone."""
    grant = await house.grant()
    first = await house.redeem(grant)
    await house.refresh(first.refresh_token)
    await house.revoke(first.refresh_token)
    assert (await house.find(grant)).ended_reason == "revoked_by_client"


async def test_v2_revoking_twice_is_no_error_and_keeps_the_first_reason(house: House):
    grant = await house.grant()
    token = (await house.redeem(grant)).refresh_token
    await house.revoke(token)
    before = await house.find(grant)
    house.now += 100
    await house.revoke(token)
    assert await house.find(grant) == before


async def test_revoking_an_access_token_kills_that_one_alone(house: House):
    grant = await house.grant()
    first = await house.redeem(grant)
    house.now += 10
    second = await house.refresh(first.refresh_token)
    await house.revoke(first.access_token)
    assert await house.introspect(first.access_token) == {"active": False}
    assert (await house.introspect(second.access_token))["active"] is True
    kept = await house.find(grant)
    assert (kept.status, kept.access_revoked_until) == ("active", NOW + 3600)
    assert (await house.refresh(second.refresh_token)).refresh_token is not None


async def test_revoking_the_only_access_token_of_a_machine_kills_it_at_once(house: House):
    from latchstring.protocol.token_request import TokenRequest

    client_id = "oa2client_000000000000000Machine"
    await house.client(client_id, grant_types=("client_credentials",))
    first, second = [await house.token(TokenRequest(grant_type="client_credentials"), client_id) for _ in range(2)]
    await house.revoke(first.access_token, client_id)
    assert await house.introspect(first.access_token) == {"active": False}
    assert (await house.introspect(second.access_token))["active"] is True


@pytest.mark.parametrize("secret_of", ["confidential", "public"])
async def test_v4_another_clients_token_is_left_alone_without_a_word(house: House, secret_of):
    """CVE-2016-6582, DOT #727."""
    other = "oa2client_other"
    public = {} if secret_of == "confidential" else {"token_endpoint_auth_method": "none"}
    await house.client(other, **public)
    who: dict[str, Any] = {"client_id": other} if not public else {"client_id": other, "secret": None}
    grant = await house.grant()
    answer = await house.redeem(grant)
    before = await house.find(grant)
    await house.revoke(answer.refresh_token, **who)
    await house.revoke(answer.access_token, **who)
    assert await house.find(grant) == before
    assert (await house.introspect(answer.access_token))["active"] is True


async def test_v6_public_client_revokes_by_naming_itself(house: House):
    """CVE-2018-1000211."""
    await house.client("oa2client_public", token_endpoint_auth_method="none")
    grant = await house.grant(client_id="oa2client_public")
    answer = await house.redeem(grant, client_id="oa2client_public", secret=None)
    await house.revoke(answer.refresh_token, "oa2client_public", None)
    assert (await house.find(grant)).status == "ended"


async def test_v2_unknown_expired_and_malformed_tokens_are_answered_like_revoked_ones(house: House):
    grant = await house.grant()
    answer = await house.redeem(grant)
    forged = house.codec.render_refresh_token(grant.id, 1, bytes(16))
    future = house.codec.render_refresh_token(grant.id, 9, grant.row_secret)
    code = house.codec.render_code(grant.id, grant.row_secret)
    for token in ("", "x", "ls_rt_", "ls_at_x", "é", "\0", "a" * 9000, forged, future, code):
        await house.revoke(token)
    assert (await house.find(grant)).status == "active"
    house.now += 3600
    await house.revoke(answer.access_token)
    assert (await house.find(grant)).access_revoked_until == 0


async def test_v5_v12_wrong_secret_and_missing_token_are_refused_in_that_order(house: House):
    assert (await refuse(house.revoke(None, MAILLOOP, "wrong"))).code == "invalid_client"
    assert (await refuse(house.revoke(None))).code == "invalid_request"


@pytest.mark.parametrize("method", ["find_client", "find_grant", "end_grant", "revoke_access_token"])
async def test_v9_revocation_that_was_not_stored_is_never_a_success(house: House, method):
    """CVE-2020-15223."""
    answer = await house.redeem(await house.grant())
    store = house.store
    house.store = Failing(store, method)  # type: ignore[assignment]
    token = answer.access_token if method == "revoke_access_token" else answer.refresh_token
    with pytest.raises(StoreUnavailable):
        await house.revoke(token)
    house.store = store
    assert (await house.introspect(answer.access_token))["active"] is True
