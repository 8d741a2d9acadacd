"""The contract of `DeviceStore`, for every engine; and its races (RFC 8628; D3, D4, D5)."""

import asyncio
import os
from collections import Counter
from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.ports import Claim, Commit, ConsentCommit
from latchstring.authorization_server.records import DeviceAuthorizationRecord
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import ACORN, ANN, NOW, build_device, build_grant, build_session
from tests.storage.conftest import OpenStore

APPLIED, LOST = Commit.APPLIED, Commit.LOST
CREATED, REQUEST_USED = ConsentCommit.CREATED, ConsentCommit.REQUEST_USED
SESSION, OTHER = b"\x07" * 32, b"\x08" * 32
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"


def fresh_code() -> str:
    return "".join(LETTERS[byte % 20] for byte in os.urandom(8))


async def waiting(store: SqlStore, **given: Any) -> DeviceAuthorizationRecord:
    """A device's request in the store."""
    values: dict[str, Any] = {"id": os.urandom(16), "row_secret": os.urandom(16), "user_code": fresh_code()}
    device = build_device(**{**values, **given})
    assert await store.create_device_authorization(device, now=NOW) is APPLIED
    return device


async def claim(store: SqlStore, user_code: str, **given: Any) -> DeviceAuthorizationRecord | Claim:
    values: dict[str, Any] = {"user_id": ANN, "session_hash": SESSION, "now": NOW, "window": 600, "max_wrong": 5}
    return await store.claim_device_authorization(user_code, **{**values, **given})


async def claimed(store: SqlStore, session: bytes = SESSION, **given: Any) -> DeviceAuthorizationRecord:
    await store.create_session(build_session(session))
    device = await claim(store, (await waiting(store, **given)).user_code, session_hash=session)
    assert isinstance(device, DeviceAuthorizationRecord)
    return device


async def allow(
    store: SqlStore, device: DeviceAuthorizationRecord, *, session: bytes = SESSION, now: int = NOW, **given: Any
) -> ConsentCommit:
    grant = build_grant(id=device.id, row_secret=device.row_secret, **given)
    return await store.commit_device_consent(grant, session_hash=session, now=now)


# -- the request


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"resource": ("https://a.example/", "https://b.example/"), "organization_id": "orga_é", "polled_at": NOW},
        {"is_denied": True, "session_hash": SESSION, "interval": 60},
    ],
)
async def test_create_device_keeps_every_field(peopled: SqlStore, given):
    device = await waiting(peopled, **given)
    assert await peopled.find_device_authorization(device.id) == device
    assert await peopled.find_device_authorization(os.urandom(16)) is None


async def test_create_device_with_a_taken_user_code_is_lost_and_changes_nothing(peopled: SqlStore):
    device = await waiting(peopled)
    second = msgspec.structs.replace(device, id=os.urandom(16), client_id="other")
    assert await peopled.create_device_authorization(second, now=NOW) is LOST
    assert await peopled.find_device_authorization(second.id) is None
    assert await peopled.find_device_authorization(device.id) == device


async def test_create_device_clears_away_what_has_long_expired(peopled: SqlStore):
    old = await waiting(peopled, expires_at=NOW - 601)
    told = await waiting(peopled, expires_at=NOW - 600)
    await waiting(peopled)
    assert await peopled.find_device_authorization(old.id) is None
    assert await peopled.find_device_authorization(told.id) == told


async def test_poll_is_noted_once_for_what_was_seen(peopled: SqlStore):
    seen = await waiting(peopled)
    assert await peopled.commit_poll(seen, interval=5, now=NOW) is APPLIED
    assert await peopled.commit_poll(seen, interval=5, now=NOW + 5) is LOST
    now_seen = await peopled.find_device_authorization(seen.id)
    assert now_seen is not None
    assert (now_seen.polled_at, now_seen.interval) == (NOW, 5)
    assert await peopled.commit_poll(now_seen, interval=10, now=NOW) is APPLIED
    assert await peopled.commit_poll(now_seen, interval=10, now=NOW) is LOST, "the interval is not the one seen"


# -- the claim


async def test_claim_binds_the_request_to_the_session_and_again_for_it_alone(peopled: SqlStore):
    """D4."""
    device = await claimed(peopled)
    assert device.session_hash == SESSION
    assert await claim(peopled, device.user_code) == device
    assert await claim(peopled, device.user_code, session_hash=OTHER) is Claim.UNKNOWN
    assert await peopled.find_device_authorization(device.id) == device


@pytest.mark.parametrize("case", ["ended", "expired"])
async def test_claim_of_a_session_that_is_over_is_free_again(peopled: SqlStore, case):
    device = await claimed(peopled, expires_at=NOW + 9000)
    now = NOW
    if case == "ended":
        await peopled.end_session(SESSION)
    else:
        now = NOW + 3600
    again = await claim(peopled, device.user_code, session_hash=OTHER, now=now)
    assert isinstance(again, DeviceAuthorizationRecord)
    assert again.session_hash == OTHER
    assert await allow(peopled, device, session=SESSION) is REQUEST_USED


@pytest.mark.parametrize("given", [{"is_denied": True}, {"expires_at": NOW}])
async def test_claim_of_a_request_that_no_longer_waits_is_unknown(peopled: SqlStore, given):
    device = await waiting(peopled, **given)
    assert await claim(peopled, device.user_code) is Claim.UNKNOWN


async def test_wrong_codes_are_counted_by_user_and_window_and_right_ones_are_not(peopled: SqlStore):
    """D3."""
    device = await waiting(peopled, expires_at=NOW + 9000)
    for _ in range(4):
        assert await claim(peopled, "B" * 8) is Claim.UNKNOWN
    for _ in range(3):
        assert await claim(peopled, device.user_code) != Claim.TOO_MANY
    assert await claim(peopled, "B" * 8) is Claim.UNKNOWN
    assert await claim(peopled, device.user_code) is Claim.TOO_MANY
    assert await claim(peopled, device.user_code, now=NOW + 599) is Claim.TOO_MANY
    assert await claim(peopled, "B" * 8, user_id="user_other") is Claim.UNKNOWN
    assert await claim(peopled, device.user_code, now=NOW + 600) != Claim.TOO_MANY


async def test_guesses_at_once_over_four_connections_count_each(peopled: SqlStore, open_another: OpenStore):
    """D3: nobody slips past the count by being quick."""
    stores = [peopled, *(open_another() for _ in range(3))]
    outcomes = await asyncio.gather(*(claim(stores[n % 4], "B" * 8) for n in range(60)))
    assert Counter(outcomes) == {Claim.UNKNOWN: 5, Claim.TOO_MANY: 55}


async def test_claims_at_once_by_many_sessions_have_one_owner(peopled: SqlStore, open_another: OpenStore):
    """D4."""
    stores = [peopled, *(open_another() for _ in range(3))]
    device = await waiting(peopled)
    sessions = [bytes([number]) * 32 for number in range(20)]
    for session in sessions:
        await peopled.create_session(build_session(session))
    outcomes = await asyncio.gather(
        *(
            claim(stores[n % 4], device.user_code, session_hash=session, user_id=f"user_{n}")
            for n, session in enumerate(sessions)
        )
    )
    owners = [outcome.session_hash for outcome in outcomes if isinstance(outcome, DeviceAuthorizationRecord)]
    assert len(owners) == 1
    kept = await peopled.find_device_authorization(device.id)
    assert kept is not None
    assert kept.session_hash == owners[0]


# -- the answer


async def test_allow_puts_the_pending_grant_in_place_of_the_request(peopled: SqlStore):
    device = await claimed(peopled)
    assert await allow(peopled, device) is CREATED
    assert await peopled.find_device_authorization(device.id) is None
    grant = await peopled.find_grant(device.id)
    assert grant is not None
    assert (grant.status, grant.row_secret) == ("pending", device.row_secret)
    assert await allow(peopled, device) is REQUEST_USED


@pytest.mark.parametrize("case", ["another session", "expired", "denied", "not claimed"])
async def test_allow_or_deny_by_who_may_not_changes_nothing(peopled: SqlStore, case):
    """D4."""
    device = await (waiting(peopled) if case == "not claimed" else claimed(peopled))
    now = NOW + 600 if case == "expired" else NOW
    if case == "denied":
        assert await peopled.deny_device_authorization(device.id, session_hash=SESSION, now=NOW) is APPLIED
    session = OTHER if case == "another session" else SESSION
    before = await peopled.find_device_authorization(device.id)
    assert await allow(peopled, device, session=session, now=now) is REQUEST_USED
    assert await peopled.deny_device_authorization(device.id, session_hash=session, now=now) is LOST
    assert await peopled.find_device_authorization(device.id) == before
    assert await peopled.find_grant(device.id) is None


async def test_allow_without_membership_leaves_the_request_waiting(peopled: SqlStore):
    """A25."""
    device = await claimed(peopled)
    assert await allow(peopled, device, organization_id="orga_other") is ConsentCommit.MEMBERSHIP_ENDED
    await peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    assert await allow(peopled, device) is ConsentCommit.MEMBERSHIP_ENDED
    assert await peopled.find_device_authorization(device.id) == device
    assert await peopled.find_grant(device.id) is None


async def test_allow_of_a_foreign_private_app_leaves_the_request_waiting(peopled: SqlStore):
    device = await claimed(peopled)
    assert await allow(peopled, device, client_id="oa2client_nobody") is ConsentCommit.APP_UNAVAILABLE
    assert await peopled.find_device_authorization(device.id) == device


async def test_answers_at_once_over_four_connections_have_one_winner(peopled: SqlStore, open_another: OpenStore):
    """Allow and Decline of one request: one counts, whichever it is."""
    stores = [peopled, *(open_another() for _ in range(3))]
    for number in range(5):
        device = await claimed(peopled, session=bytes([number + 20]) * 32)
        session = bytes([number + 20]) * 32
        outcomes = await asyncio.gather(
            *(
                allow(stores[n % 4], device, session=session)
                if n % 2
                else stores[n % 4].deny_device_authorization(device.id, session_hash=session, now=NOW)
                for n in range(40)
            )
        )
        counts = Counter(outcomes)
        assert (counts[CREATED], counts[APPLIED]) in {(1, 0), (0, 1)}
        assert counts[CREATED] + counts[APPLIED] + counts[REQUEST_USED] + counts[LOST] == 40
        kept, grant = await peopled.find_device_authorization(device.id), await peopled.find_grant(device.id)
        assert (kept is None, grant is None) in {(True, False), (False, True)}
