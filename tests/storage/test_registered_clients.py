"""The contract of the store for clients that registered themselves, for every engine."""

import asyncio
from collections import Counter

import msgspec
import pytest

from latchstring.authorization_server.ports import Commit, ConsentCommit
from latchstring.authorization_server.records import ClientRecord, RegistrationTokenRecord
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import ACORN, NOW, build_active_grant, build_client, build_grant
from tests.storage.conftest import OpenStore

NOTES = "oa2client_0000000000000000000Notes"
TOKEN = RegistrationTokenRecord(
    token_hash=b"\x05" * 32, hint="ls_ia_abcdefgh", note="", remaining=3, created_at=NOW, expires_at=NOW + 60
)


def build_notes(**given: object) -> ClientRecord:
    values = {"client_id": NOTES, "organization_id": None, "public_id": "oa2registered_Notes", "expires_at": NOW + 100}
    return build_client(**{**values, **given})


def grant_of(number: int, **given: object):
    return build_grant(id=number.to_bytes(16, "big"), client_id=NOTES, **given)


async def test_consent_keeps_the_row_once_and_for_good(peopled: SqlStore):
    for number in range(2):
        outcome = await peopled.commit_consent(grant_of(number), self_registered=build_notes())
        assert outcome is ConsentCommit.CREATED
        assert await peopled.find_client(NOTES) == build_notes(expires_at=None)


async def test_consent_without_a_membership_keeps_no_row(peopled: SqlStore):
    grant = grant_of(1, organization_id="orga_other")
    assert await peopled.commit_consent(grant, self_registered=build_notes()) is ConsentCommit.MEMBERSHIP_ENDED
    assert await peopled.find_client(NOTES) is None


async def test_consent_to_a_changed_registration_keeps_the_change(peopled: SqlStore):
    assert await peopled.save_registered_client(build_notes(name="Notes 2")) is Commit.APPLIED
    assert await peopled.commit_consent(grant_of(1), self_registered=build_notes()) is ConsentCommit.CREATED
    assert await peopled.find_client(NOTES) == build_notes(name="Notes 2", expires_at=None)


async def test_save_of_a_client_with_consents_leaves_what_is_not_its_own(peopled: SqlStore):
    await peopled.commit_consent(grant_of(1), self_registered=build_notes())
    changed = {"name": "Notes 2", "redirect_uris": ("https://b.example/",), "scope": ("contacts.read",)}
    saved = build_notes(**changed, secrets=(), created_at=0, access_revoked_until=7)
    assert await peopled.save_registered_client(saved) is Commit.APPLIED
    assert await peopled.find_client(NOTES) == build_notes(**changed, expires_at=None)


async def test_end_ends_every_grant_of_that_client_and_no_other(peopled: SqlStore):
    await peopled.commit_consent(grant_of(1), self_registered=build_notes())
    await peopled.commit_consent(grant_of(2), self_registered=build_notes())
    await peopled.commit_redemption(
        grant_of(2).id, generation=1, now=NOW, expires_at=NOW + 1000, absolute_expires_at=None
    )
    other = build_active_grant(id=b"\x07" * 16)
    await peopled.commit_consent(other)
    await peopled.end_registered_client(build_notes(), reason="registration_deleted", now=NOW)
    ended = [await peopled.find_grant(grant_of(number).id) for number in (1, 2)]
    assert [(grant.status, grant.ended_reason, grant.ended_by) for grant in ended if grant is not None] == [
        ("ended", "registration_deleted", NOTES)
    ] * 2
    found = await peopled.find_grant(other.id)
    assert found is not None
    assert found.status == "active"
    row = await peopled.find_client(NOTES)
    assert row is not None
    assert (row.ended_at, row.expires_at) == (NOW, NOW + 100)


async def test_ended_client_is_ended_for_good(peopled: SqlStore):
    await peopled.end_registered_client(build_notes(), reason="registration_deleted", now=NOW)
    await peopled.end_registered_client(build_notes(), reason="registration_deleted", now=NOW + 1)
    assert await peopled.save_registered_client(build_notes(name="Notes 2")) is Commit.LOST
    assert await peopled.commit_consent(grant_of(1), self_registered=build_notes()) is ConsentCommit.APP_UNAVAILABLE
    assert await peopled.commit_consent(grant_of(2)) is ConsentCommit.APP_UNAVAILABLE
    row = await peopled.find_client(NOTES)
    assert row == build_notes(ended_at=NOW)


async def test_first_consents_over_four_connections_make_one_row(peopled: SqlStore, open_another: OpenStore):
    stores = [peopled, *(open_another() for _ in range(3))]
    outcomes = await asyncio.gather(
        *(stores[number % 4].commit_consent(grant_of(number), self_registered=build_notes()) for number in range(40))
    )
    assert Counter(outcomes) == {ConsentCommit.CREATED: 40}
    assert await peopled.find_client(NOTES) == build_notes(expires_at=None)


async def test_end_and_consents_over_four_connections_leave_no_live_grant(peopled: SqlStore, open_another: OpenStore):
    stores = [peopled, *(open_another() for _ in range(3))]
    for attempt in range(5):
        client_id, public_id = f"{NOTES[:-1]}{attempt}", f"oa2registered_{attempt}"
        notes = build_notes(client_id=client_id, public_id=public_id)
        grants = [msgspec.structs.replace(grant_of(100 * attempt + n), client_id=client_id) for n in range(20)]
        work = [stores[n % 4].commit_consent(grant, self_registered=notes) for n, grant in enumerate(grants)]
        ending = stores[1].end_registered_client(notes, reason="registration_deleted", now=NOW)
        *outcomes, _ = await asyncio.gather(*work[:10], ending, *work[10:], asyncio.sleep(0))
        assert set(outcomes) <= {ConsentCommit.CREATED, ConsentCommit.APP_UNAVAILABLE, None}
        found = await peopled.find_grants(user_id=None, organization_id=ACORN)
        assert {grant.status for grant in found if grant.client_id == client_id} <= {"ended"}


@pytest.mark.parametrize("after", [0, 59])
async def test_registration_token_is_used_as_often_as_it_may(peopled: SqlStore, open_another: OpenStore, after: int):
    await peopled.create_registration_token(TOKEN)
    stores = [peopled, *(open_another() for _ in range(3))]
    outcomes = await asyncio.gather(
        *(stores[n % 4].use_registration_token(TOKEN.token_hash, now=NOW + after) for n in range(40))
    )
    assert Counter(outcomes) == {Commit.APPLIED: 3, Commit.LOST: 37}
    assert not await peopled.has_registration_token(TOKEN.token_hash, now=NOW + after)
    assert await peopled.find_registration_tokens() == [msgspec.structs.replace(TOKEN, remaining=0)]


async def test_registration_token_is_nothing_once_it_has_expired_or_ended(peopled: SqlStore):
    await peopled.create_registration_token(TOKEN)
    assert await peopled.has_registration_token(TOKEN.token_hash, now=NOW + 59)
    assert not await peopled.has_registration_token(TOKEN.token_hash, now=NOW + 60)
    assert await peopled.use_registration_token(TOKEN.token_hash, now=NOW + 60) is Commit.LOST
    assert await peopled.use_registration_token(b"\x06" * 32, now=NOW) is Commit.LOST
    assert await peopled.end_registration_token(TOKEN.hint) is Commit.APPLIED
    assert await peopled.end_registration_token(TOKEN.hint) is Commit.LOST
    assert not await peopled.has_registration_token(TOKEN.token_hash, now=NOW)
