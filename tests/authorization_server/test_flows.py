"""What the flows do around their grants' rules: which reads they make, which token a refusal is about, who lost."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.events import SYSTEM, Action, EventFilter, Origin
from latchstring.authorization_server.records import ClientSecurity
from latchstring.authorization_server.refusals import DISCONNECTED
from latchstring.authorization_server.settings import ScopeDefinition
from latchstring.authorization_server.tokens import AccessToken
from latchstring.protocol.client_metadata import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE, ExchangeParameters
from latchstring.protocol.token_request import TokenRequest
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW, build_active_grant
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


# -- codes and refresh tokens

SOURCE = Origin("system", address="203.0.113.9", request_id="req_1")
READ, PAY = {"type": "read"}, {"type": "pay", "to": ["x", "y"]}
DETAILS = msgspec.json.encode([READ, PAY]).decode()


async def find_origin(house: House, action: Action) -> Origin:
    [told] = await house.store.find_events(EventFilter(action=action), before=None, at_most=9)
    return told.event.origin


@pytest.mark.parametrize("credential", ["code", "refresh_token"])
async def test_credential_used_again_is_written_down_with_who_sent_it_and_from_where(house: House, credential: str):
    grant = await house.grant()
    first = await house.redeem(grant)
    await house.refresh(first.refresh_token)
    house.now += 60
    with pytest.raises(OAuthError, match="superseded"):
        if credential == "code":
            await house.redeem(grant, source=SOURCE)
        else:
            await house.refresh(first.refresh_token, source=SOURCE)
    for action in (Action.GRANT_REUSE_DETECTED, Action.GRANT_ENDED):
        assert await find_origin(house, action) == Origin("client", MAILLOOP, "203.0.113.9", "req_1")


async def test_code_used_again_while_the_member_disconnects_is_told_what_came_first(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    grant = await house.grant()
    await house.redeem(grant)
    end = house.store.end_grant

    async def come_second(grant_id: bytes, **given: Any) -> Any:
        await end(grant_id, by=ANN, reason=DISCONNECTED, now=NOW)
        return await end(grant_id, **given)

    monkeypatch.setattr(house.store, "end_grant", come_second)
    with pytest.raises(OAuthError, match="revoked: a person disconnected the app"):
        await house.redeem(grant)


async def test_code_is_redeemed_for_some_of_the_granted_details_and_the_grant_keeps_all(house: House):
    """RFC 9396 §6."""
    grant = await house.grant(authorization_details=DETAILS)
    answer = await house.redeem(grant, authorization_details=msgspec.json.encode([READ]).decode())
    assert answer.authorization_details == [READ]
    assert (await house.introspect(answer.access_token))["authorization_details"] == [READ]
    whole = await house.refresh(answer.refresh_token)
    assert whole.authorization_details == [READ, PAY]
    assert (await house.introspect(whole.access_token))["authorization_details"] == [READ, PAY]


async def test_code_asked_for_more_details_than_were_granted_is_refused_and_not_used_up(house: House):
    grant = await house.grant(authorization_details=DETAILS)
    with pytest.raises(OAuthError) as refused:
        await house.redeem(grant, authorization_details='[{"type":"other"}]')
    assert refused.value.code == "invalid_authorization_details"
    assert await house.find(grant) == grant


async def test_details_asked_for_beside_a_scope_must_both_fit_into_the_token(house: House):
    many = tuple(f"{number:03}.{'x' * 96}" for number in range(10))
    house.configure(scopes={name: ScopeDefinition(title="Read") for name in many})
    long = msgspec.json.encode([{"type": "read", "text": '"' * 1000}]).decode()
    grant = await house.grant(scope=(*many, "offline_access"), authorization_details=long)
    first = await house.redeem(grant)
    with pytest.raises(OAuthError, match="too long together"):
        await house.refresh(first.refresh_token, authorization_details=long, scope=" ".join(many))
    assert (await house.refresh(first.refresh_token, authorization_details=long)).authorization_details is not None


async def test_grant_without_a_refresh_token_is_told_no_end_but_its_access_token_s(house: House):
    house.configure(refresh_token_absolute_lifetime=86400)
    grant = await house.grant(scope=("all.full_access",))
    await house.redeem(grant)
    kept = await house.find(grant)
    assert (kept.expires_at, kept.absolute_expires_at) == (NOW + 3600, None)


async def test_code_ends_the_grant_that_it_replaces_as_the_client_that_asked(house: House):
    old = await house.grant()
    await house.redeem(old)
    await house.redeem(await house.grant(replaces=old.id), source=SOURCE)
    assert (await house.find(old)).ended_reason == "replaced"
    assert await find_origin(house, Action.GRANT_ENDED) == Origin("client", MAILLOOP, "203.0.113.9", "req_1")


async def test_code_that_replaces_nothing_ends_nothing_and_looks_up_nobody(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    """The hot path: one write, and the address of a request only where there is something to tell of it."""
    given: dict[str, Any] = {}
    commit = house.store.commit_redemption

    async def note(grant_id: bytes, **redemption: Any) -> Any:
        given.update(redemption)
        return await commit(grant_id, **redemption)

    monkeypatch.setattr(house.store, "commit_redemption", note)
    await house.redeem(await house.grant(), source=SOURCE)
    assert (given["replacing"], given["origin"]) == (None, SYSTEM)


PART = "https://api.example/of/{organization_id}"


@pytest.mark.parametrize("flow", ["code", "refresh", "client", "exchange"])
async def test_resource_of_one_organization_s_part_counts_for_that_organization_alone(house: House, flow: str):
    """A27."""
    house.configure(organization_resources={PART: API})
    await house.client(
        EXCHANGER, grant_types=("authorization_code", "refresh_token", CLIENT_CREDENTIALS, TOKEN_EXCHANGE)
    )
    own, of_another = ((PART.format(organization_id=name),) for name in (ACORN, "orga_00000000000000000Birch"))
    grant = await house.grant(client_id=EXCHANGER)
    if flow == "code":

        async def ask(resource: tuple[str, ...]) -> Any:
            return await house.redeem(grant, client_id=EXCHANGER, resource=resource)
    else:
        first = await house.redeem(grant, client_id=EXCHANGER)

        async def ask(resource: tuple[str, ...]) -> Any:
            if flow == "refresh":
                return await house.refresh(first.refresh_token, client_id=EXCHANGER, resource=resource)
            request = TokenRequest(grant_type=CLIENT_CREDENTIALS, resource=resource)
            return await house.token(
                request if flow == "client" else exchange(first.access_token, resource=resource), EXCHANGER
            )

    with pytest.raises(OAuthError) as refused:
        await ask(of_another)
    assert refused.value.code == "invalid_target"
    assert (await house.introspect((await ask(own)).access_token))["aud"] == [API]


@pytest.mark.parametrize("profile, generation", [("oauth2.1", 2), ("fapi2", 1)])
async def test_refresh_token_follows_its_client_to_another_key_and_ends_with_its_grant(
    house: House, profile: Any, generation: int
):
    """RFC 9449 §5; FAPI 2.0 §5.3.2.1: it does not rotate."""
    client = await house.client("oa2client_0000000000000000Moving", security=ClientSecurity(profile=profile))
    old, new = Confirmation(jkt="old"), Confirmation(jkt="new")
    grant = build_active_grant(client_id=client.client_id, confirmation=old, absolute_expires_at=NOW + 500)
    await house.store.commit_consent(grant)
    token = house.codec.render_refresh_token(grant.id, 1, grant.row_secret)
    request = TokenRequest(grant_type="refresh_token", refresh_token=token)
    answer = await house.flows["refresh_token"].answer(request, client, new)
    assert answer.refresh_token == house.codec.render_refresh_token(grant.id, generation, grant.row_secret)
    kept = await house.find(grant)
    assert (kept.confirmation, kept.expires_at, kept.generation) == (new, NOW + 500, generation)
