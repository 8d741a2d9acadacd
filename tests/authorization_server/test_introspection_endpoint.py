"""The introspection endpoint over a real store (RFC 7662; N1–N9, V8)."""

from typing import Any

import pytest

from latchstring.authorization_server.connection_ports import USE_NOTED_FOR
from latchstring.protocol.errors import OAuthError, StoreUnavailable
from tests.authorization_server.builders import ACORN, ANN, KEY_TWO, MAILLOOP, NOW, build_codec, build_resource_server
from tests.authorization_server.conftest import GUARD_SECRET, SECRET, House
from tests.authorization_server.test_token_endpoint import Failing

INACTIVE = {"active": False}


async def refuse(attempt: Any) -> OAuthError:
    with pytest.raises(OAuthError) as refused:
        await attempt
    return refused.value


async def test_n7_active_token_tells_whose_it_is_and_for_which_organization(house: House):
    house.now += 10
    answer = await house.redeem(await house.grant())
    house.now += 3599
    told = await house.introspect(answer.access_token)
    assert told.pop("jti")
    assert told == {
        "active": True,
        "scope": "all.full_access offline_access",
        "client_id": MAILLOOP,
        "token_type": "Bearer",
        "exp": NOW + 10 + 3600,
        "iat": NOW + 10,
        "sub": ANN,
        "iss": "https://auth.example",
        "organization_id": ACORN,
        "user_id": ANN,
    }


async def test_n2_expired_token_is_inactive_from_that_second_on(house: House):
    """CVE-2025-64708: by the clock, not by a sweeper."""
    answer = await house.redeem(await house.grant())
    house.now += 3600
    assert await house.introspect(answer.access_token) == INACTIVE
    house.now -= 1
    assert (await house.introspect(answer.access_token))["active"] is True


async def test_n9_refresh_token_code_and_secret_are_no_access_tokens(house: House):
    grant = await house.grant()
    code = house.codec.render_code(grant.id, grant.row_secret)
    answer = await house.redeem(grant)
    for token in (answer.refresh_token, code, SECRET, GUARD_SECRET):
        assert await house.introspect(token) == INACTIVE


async def test_n2_n5_malformed_foreign_and_orphaned_tokens_are_inactive(house: House):
    grant = await house.grant()
    token = (await house.redeem(grant)).access_token
    foreign = build_codec(KEY_TWO).render_access_token(
        grant.id, token_id=bytes(12), issued_at=NOW, lifetime=3600, scope=None
    )
    orphan = house.codec.render_access_token(bytes(16), token_id=bytes(12), issued_at=NOW, lifetime=3600, scope=None)
    unknown_client = house.codec.render_client_access_token(
        "oa2client_0000000000000000000000", ACORN, token_id=bytes(12), issued_at=NOW, lifetime=60, scope="a"
    )
    for text in ("", "x", token[:-1], token + "0", token.upper(), " " + token, foreign, orphan, unknown_client, "é"):
        assert await house.introspect(text) == INACTIVE


@pytest.mark.parametrize("status", ["pending", "suspended", "ended"])
async def test_n2_token_of_a_grant_that_is_not_active_is_inactive(house: House, status):
    grant = await house.grant()
    token = house.codec.render_access_token(grant.id, token_id=bytes(12), issued_at=NOW, lifetime=3600, scope=None)
    if status != "pending":
        await house.redeem(grant)
        assert (await house.introspect(token))["active"] is True
    if status == "suspended":
        await house.store.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    if status == "ended":
        await house.store.end_grant(grant.id, by=ANN, reason="disconnected", now=NOW)
    assert (await house.find(grant)).status == status
    assert await house.introspect(token) == INACTIVE


async def test_n2_client_token_is_inactive_when_its_client_belongs_to_another_organization(house: House):
    client_id = "oa2client_000000000000000Machine"
    await house.client(client_id, grant_types=("client_credentials",))
    elsewhere = "orga_00000000000000000Birch"
    for organization_id, is_active in ((ACORN, True), (elsewhere, False)):
        token = house.codec.render_client_access_token(
            client_id, organization_id, token_id=bytes(12), issued_at=NOW, lifetime=60, scope="a.read"
        )
        answer = await house.introspect(token)
        assert (answer["active"], answer.get("scope")) == (is_active, "a.read" if is_active else None)


async def test_n3_client_learns_of_its_own_tokens_only(house: House):
    """CVE-2026-37979."""
    await house.client("oa2client_other")
    token = (await house.redeem(await house.grant())).access_token
    assert (await house.introspect(token, MAILLOOP, SECRET))["active"] is True
    assert await house.introspect(token, "oa2client_other", SECRET) == INACTIVE


@pytest.mark.parametrize(
    "caller, secret",
    [
        pytest.param(None, None, id="guard-without-secret"),
        pytest.param(None, "wrong", id="guard-with-wrong-secret"),
        pytest.param(None, SECRET, id="guard-with-a-clients-secret"),
        pytest.param("oa2resource_unknown", GUARD_SECRET, id="unknown-guard"),
        pytest.param(MAILLOOP, None, id="client-without-secret"),
        pytest.param(MAILLOOP, "wrong", id="client-with-wrong-secret"),
        pytest.param(MAILLOOP, GUARD_SECRET, id="client-with-a-guards-secret"),
        pytest.param("nobody", SECRET, id="unknown-client"),
        pytest.param("oa2client_public", None, id="public-client"),
    ],
)
async def test_n1_caller_that_cannot_prove_itself_is_refused(house: House, caller, secret):
    await house.client("oa2client_public", token_endpoint_auth_method="none")
    refused = await refuse(house.introspect("x", caller, secret))
    assert (refused.code, refused.status) == ("invalid_client", 401)


async def test_introspection_without_token_is_invalid_request(house: House):
    assert (await refuse(house.introspect(None))).code == "invalid_request"


async def test_token_for_one_api_is_nothing_at_another(house: House):
    """RFC 8707 §2, RFC 7662 §4; S9, S17."""
    other = "oa2resource_00000000000000000Other"
    await house.store.create_resource_server(
        build_resource_server(
            client_id=other,
            resource="https://other.example/",
            secrets=(house.codec.hash_client_secret(GUARD_SECRET, NOW),),
        )
    )
    both = await house.redeem(await house.grant())
    one = await house.redeem(await house.grant(resource=("https://other.example/",)))
    assert (await house.introspect(both.access_token, other))["active"] is True
    assert (await house.introspect(both.access_token))["active"] is True
    assert (await house.introspect(one.access_token, other))["aud"] == ["https://other.example/"]
    assert await house.introspect(one.access_token) == INACTIVE


@pytest.mark.parametrize("method", ["find_resource_server", "find_grant", "is_access_token_revoked"])
async def test_store_failure_is_no_verdict(house: House, method):
    """I6: an API must not take "I do not know" for "revoked", nor for "active"."""
    answer = await house.redeem(await house.grant())
    await house.revoke(answer.access_token)
    house.store = Failing(house.store, method)  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        await house.introspect(answer.access_token)


async def test_single_revocation_costs_a_second_look_only_while_it_matters(house: House):
    """DESIGN §4: the hot path reads one row."""
    first = await house.redeem(await house.grant())
    await house.revoke(first.access_token)
    house.now += 3600
    later = await house.refresh(first.refresh_token)
    house.store = Failing(house.store, "is_access_token_revoked")  # type: ignore[assignment]
    assert (await house.introspect(later.access_token))["active"] is True


async def test_use_is_noted_once_the_grants_own_row_has_said_nothing_for_an_hour(house: House):
    """By its id and no address: it is the API that asks."""
    grant = await house.grant()
    tokens = await house.redeem(grant)
    house.grant_uses.clear()
    house.now += USE_NOTED_FOR - 1
    await house.introspect(tokens.access_token)
    assert house.grant_uses == []
    later = await house.refresh(tokens.refresh_token)
    house.grant_uses.clear()
    house.now += USE_NOTED_FOR - 1
    await house.introspect(later.access_token)
    assert house.grant_uses == []
    house.configure(access_token_lifetime=2 * USE_NOTED_FOR)
    last = await house.refresh(later.refresh_token)
    house.grant_uses.clear()
    house.now += USE_NOTED_FOR
    await house.introspect(last.access_token)
    assert house.grant_uses == [(grant.id, None, house.now)]
