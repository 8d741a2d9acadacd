"""An organization lets another one's app act for it: what is refused, and what dies with the approval."""

from collections.abc import Iterable

import pytest

from latchstring.authorization_server.approvals import Approvals
from latchstring.authorization_server.apps import AppRefused
from latchstring.authorization_server.events import Action, EventFilter, Origin
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import ClientRecord
from latchstring.protocol.client_metadata import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE, ExchangeParameters
from latchstring.protocol.token_request import TokenRequest
from tests.authorization_server.builders import ACORN, ANN, NOW, build_client, build_organization
from tests.authorization_server.conftest import SECRET, House

BIRCH = "orga_00000000000000000Birch"
WORKER = "oa2client_0000000000000000Worker"
AGENT = "oa2client_00000000000000000Agent"


@pytest.fixture
async def approvals(house: House) -> Approvals:
    """Birch beside Acorn, whose worker may act on its own."""
    await house.store.create_organization(build_organization(BIRCH, "Birch & Co"))
    await create_worker(house, WORKER)
    return Approvals(store=house.store, clock=house.clock)


async def create_worker(
    house: House, client_id: str, grant_types: Iterable[str] = (CLIENT_CREDENTIALS,), **given: str
) -> ClientRecord:
    secrets = (
        () if given.get("token_endpoint_auth_method") == "none" else (house.codec.hash_client_secret(SECRET, NOW),)
    )
    scope = ("a.read", "b.write", "offline_access")
    client = build_client(client_id=client_id, scope=scope, grant_types=tuple(grant_types), secrets=secrets, **given)
    await house.store.create_client(client)
    return client


async def act(house: House, organization_id: str = BIRCH) -> str:
    request = TokenRequest(grant_type=CLIENT_CREDENTIALS, organization_id=organization_id)
    return str((await house.token(request, WORKER)).access_token)


async def is_alive(house: House, token: str) -> bool:
    return bool((await house.introspect(token))["active"])


async def test_approve_is_kept_and_ended_with_who_and_when(house: House, approvals: Approvals):
    assert await approvals.approve(WORKER, BIRCH, scope=None, by="operator") == ("a.read", "b.write")
    kept = await house.store.find_client_approval(WORKER, BIRCH)
    assert kept is not None
    assert (kept.scope, kept.generation, kept.approved_by, kept.approved_at) == (
        ("a.read", "b.write"),
        1,
        "operator",
        NOW,
    )
    assert (kept.ended_by, kept.ended_at) == (None, None)
    house.now += 60
    assert await approvals.end(WORKER, BIRCH, by="somebody") is Commit.APPLIED
    assert await approvals.end(WORKER, BIRCH, by="somebody") is Commit.LOST
    ended = await house.store.find_client_approval(WORKER, BIRCH)
    assert ended is not None
    assert (ended.ended_by, ended.ended_at, ended.generation) == ("somebody", NOW + 60, 1)


async def test_approval_and_its_end_are_written_down_with_where_they_came_from(house: House, approvals: Approvals):
    by_ann = Origin("user", ANN, "192.0.2.1", "req_1")
    await approvals.approve(WORKER, BIRCH, scope=None, by=ANN, origin=by_ann)
    await approvals.end(WORKER, BIRCH, by=ANN, origin=by_ann)
    for action in (Action.APP_APPROVED, Action.APP_APPROVAL_ENDED):
        (told,) = await house.store.find_events(EventFilter(action=action), before=None, at_most=9)
        assert (told.event.origin, told.event.organization_id) == (by_ann, BIRCH)


@pytest.mark.parametrize(
    "client, organization, scope, field",
    [
        pytest.param("oa2client_nobody", BIRCH, None, "client", id="unknown-client"),
        pytest.param("public", BIRCH, None, "client", id="public-client"),
        pytest.param("member", BIRCH, None, "client", id="no-client-credentials"),
        pytest.param(WORKER, "orga_nobody", None, "organization", id="unknown-organization"),
        pytest.param(WORKER, ACORN, None, "organization", id="owner"),
        pytest.param(WORKER, BIRCH, ("c.read",), "scope", id="wider-scope"),
        pytest.param(WORKER, BIRCH, ("a.read", "offline_access"), "scope", id="offline-access"),
        pytest.param(WORKER, BIRCH, (), "scope", id="no-scope"),
    ],
)
async def test_approve_of_what_cannot_be_is_refused(
    house: House, approvals: Approvals, client, organization, scope, field
):
    await create_worker(house, "public", token_endpoint_auth_method="none")
    await create_worker(house, "member", ("authorization_code",))
    with pytest.raises(AppRefused) as refused:
        await approvals.approve(client, organization, scope=scope, by="operator")
    assert [problem.field for problem in refused.value.problems] == [field]
    (problem,) = refused.value.problems
    code = "approval_owner" if organization == ACORN else f"approval_{field}"
    assert problem.code == code
    if field == "scope":
        assert problem.message == "The client may have: a.read b.write."
    assert await house.store.find_client_approval(client, organization) is None


async def test_unapproved_token_is_dead_at_once_and_never_comes_back(house: House, approvals: Approvals):
    """R6's spirit: what was ended deliberately is not brought back by a later approval within the same second."""
    await approvals.approve(WORKER, BIRCH, scope=None, by="operator")
    first, own = await act(house), await act(house, ACORN)
    assert await is_alive(house, first)
    await approvals.end(WORKER, BIRCH, by="operator")
    assert not await is_alive(house, first)
    await approvals.approve(WORKER, BIRCH, scope=None, by="operator")
    second = await act(house)
    assert (await is_alive(house, first), await is_alive(house, second), await is_alive(house, own)) == (
        False,
        True,
        True,
    )
    await approvals.approve(WORKER, BIRCH, scope=("a.read",), by="operator")
    assert not await is_alive(house, second)


async def test_exchanged_token_dies_with_the_approval(house: House, approvals: Approvals):
    await create_worker(house, AGENT, (TOKEN_EXCHANGE,), acts_for_resource="https://api.example/")
    await approvals.approve(WORKER, BIRCH, scope=None, by="operator")
    exchange = ExchangeParameters(subject_token=await act(house), subject_token_type=ACCESS_TOKEN_TYPE)
    request = TokenRequest(grant_type=TOKEN_EXCHANGE, exchange=exchange)
    exchanged = (await house.token(request, AGENT)).access_token
    seen = await house.introspect(exchanged)
    assert (seen["organization_id"], seen["sub"], seen["client_id"]) == (BIRCH, WORKER, AGENT)
    assert seen["act"] == {"sub": AGENT}
    await approvals.end(WORKER, BIRCH, by="operator")
    assert not await is_alive(house, exchanged)


async def test_lasting_approvals_are_the_organizations_own_and_have_not_ended(house: House, approvals: Approvals):
    await house.store.create_organization(build_organization("orga_cedar", "Cedar"))
    await create_worker(house, AGENT)
    for client_id in (WORKER, AGENT):
        await approvals.approve(client_id, BIRCH, scope=None, by="operator")
    await approvals.approve(WORKER, "orga_cedar", scope=None, by="operator")
    await approvals.end(AGENT, BIRCH, by="operator")
    found = await approvals.find_lasting(BIRCH)
    assert [(approval.organization_id, client.client_id) for approval, client in found] == [(BIRCH, WORKER)]
