"""What members ask of an organization's admins: how long it waits, how long it is kept, and how it is listed."""

import os
from base64 import b64decode

import msgspec
import pytest

from latchstring.authorization_server.access_request_ports import AccessRequestRecord
from latchstring.authorization_server.access_requests import AccessRequests, Parked
from latchstring.authorization_server.events import COMMAND_LINE, Origin
from latchstring.authorization_server.identifiers import ACCESS_REQUEST, render_identifier
from latchstring.authorization_server.mail import Post
from latchstring.authorization_server.organization_policy import OrganizationPolicy
from latchstring.authorization_server.ports import Commit
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW, build_client, build_user
from tests.authorization_server.conftest import House

DAY = 24 * 3600
STRICT = OrganizationPolicy(low="approval", medium="approval", high="approval")
APPS = [f"oa2client_000000000000000000App{number}" for number in range(3)]


@pytest.fixture
async def access_requests(house: House) -> AccessRequests:
    """Three apps that need an approval."""
    house.configure(organization_policy=STRICT, access_request_lifetime=14 * DAY)
    for client_id in APPS:
        await house.client(client_id, name=client_id)
    return AccessRequests(
        store=house.store,
        post=Post(codec=house.codec, clock=house.clock, entropy=os.urandom),
        codec=house.codec,
        settings=house.settings,
        clock=house.clock,
        entropy=os.urandom,
    )


async def ask(access_requests: AccessRequests, client_id: str) -> str:
    """The name of the request that waits."""
    outcome = await access_requests.ask(
        build_client(client_id=client_id),
        build_user(),
        ACORN,
        "Acorn Partners",
        asked=("all.full_access",),
        reason="",
        parked=None,
        pushed_request_id=None,
        origin=Origin("user", ANN),
    )
    assert isinstance(outcome, bytes)
    return render_identifier(ACCESS_REQUEST, outcome)


async def find(access_requests: AccessRequests, name: str) -> AccessRequestRecord:
    request = await access_requests.find_in(ACORN, name)
    assert request is not None
    return request


async def decide(access_requests: AccessRequests, name: str) -> None:
    commit = await access_requests.decide(
        await find(access_requests, name),
        "Mailloop",
        "Acorn Partners",
        granted=None,
        is_for_everyone=False,
        word="",
        origin=COMMAND_LINE,
    )
    assert commit is Commit.APPLIED


async def test_request_is_open_for_its_time_and_kept_for_ninety_days_more(
    house: House, access_requests: AccessRequests
) -> None:
    name = await ask(access_requests, APPS[0])
    asked = await find(access_requests, name)
    assert (asked.open_until, asked.expires_at) == (NOW + 14 * DAY, NOW + 104 * DAY)
    house.now = NOW + 3 * DAY
    await decide(access_requests, name)
    decided = await find(access_requests, name)
    assert (decided.open_until, decided.expires_at) == (NOW + 17 * DAY, NOW + 107 * DAY)


async def test_authorization_that_was_parked_before_an_upgrade_goes_on(
    house: House, access_requests: AccessRequests
) -> None:
    """Servers of two versions go on with what either has parked; while the request is open, and for its app alone."""
    sealed = b64decode(
        "AAEAAQIDBAUGBwgJCgvP8n1LJ+o8MfZRt+AFyxdCjKNvpvRYngVy5D1x6YieREpenWAph0i9Otf4zu2uUDzUl9ZyUGhwnCjCSEPqTOX1SA=="
    )
    kept = msgspec.structs.replace(
        await find(access_requests, await ask(access_requests, APPS[0])), client_id=MAILLOOP, parked=sealed
    )
    assert access_requests.open_parked(kept) == Parked("client_id=x&state=s", is_pushed=False, is_signed=True)
    assert access_requests.open_parked(msgspec.structs.replace(kept, client_id=APPS[0])) is None
    assert access_requests.open_parked(msgspec.structs.replace(kept, parked=None)) is None
    house.now = kept.open_until
    assert access_requests.open_parked(kept) is None


async def test_requests_that_wait_are_listed_from_the_oldest_on(house: House, access_requests: AccessRequests) -> None:
    names = []
    for client_id in APPS:
        names.append(await ask(access_requests, client_id))
        house.now += 60

    async def list_after(after: str, at_most: int = 9) -> list[str]:
        found = await access_requests.find_waiting(ACORN, after=after, at_most=at_most)
        return [render_identifier(ACCESS_REQUEST, listed.request.id) for listed in found]

    assert await list_after("", at_most=2) == names[:2]
    assert await list_after(names[1]) == names[2:]
    assert await list_after("no name of a request") == names
    assert await access_requests.find_waiting("orga_other", after="", at_most=9) == []


async def test_requests_that_were_decided_are_listed_from_the_latest_on(
    house: House, access_requests: AccessRequests
) -> None:
    names = [await ask(access_requests, client_id) for client_id in APPS]
    for name in (names[1], names[0]):
        house.now += 60
        await decide(access_requests, name)
    found = await access_requests.find_decided(ACORN, at_most=9)
    assert [render_identifier(ACCESS_REQUEST, listed.request.id) for listed in found] == [names[0], names[1]]
    assert len(await access_requests.find_decided(ACORN, at_most=1)) == 1
