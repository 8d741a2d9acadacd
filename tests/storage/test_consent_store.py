"""The contract of remembered consents, for every engine (ADR 0020)."""

import asyncio
import os
from typing import Any

import pytest

from latchstring.authorization_server.ports import Commit, ConsentCommit
from latchstring.authorization_server.records import ConsentRecord, GrantRecord
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW, build_grant, build_organization
from tests.storage.conftest import OpenStore

CREATED, NOT_REMEMBERED = ConsentCommit.CREATED, ConsentCommit.NOT_REMEMBERED


def fresh_grant(**given: Any) -> GrantRecord:
    return build_grant(**{"id": os.urandom(16), "row_secret": os.urandom(16), **given})


def consent_of(grant: GrantRecord, **given: Any) -> ConsentRecord:
    values: dict[str, Any] = {
        "client_id": grant.client_id,
        "user_id": grant.user_id,
        "organization_id": grant.organization_id,
        "scope": ("a", "b"),
        "declined_scope": ("c",),
        "resource": ("https://api.example/",),
        "details_digest": b"\x07" * 16,
        "app_name": "Mailloop",
        "publisher": "orga_acorn",
        "redirect_host": "app.example",
        "grant_id": grant.id,
        "given_at": NOW,
        "last_at": NOW,
        "expires_at": None,
    }
    return ConsentRecord(**{**values, **given})


async def remember(store: SqlStore, **given: Any) -> ConsentRecord:
    grant = fresh_grant()
    consent = consent_of(grant, **given)
    assert await store.commit_consent(grant, consent=consent) is CREATED
    return consent


async def recall(store: SqlStore, consent: ConsentRecord, *, now: int = NOW + 5) -> tuple[GrantRecord, ConsentCommit]:
    grant = fresh_grant(created_at=now)
    return grant, await store.commit_consent(grant, recalled=consent.grant_id)


@pytest.mark.parametrize(
    "given", [{}, {"scope": (), "declined_scope": (), "resource": (), "details_digest": None}, {"expires_at": 2**40}]
)
async def test_commit_consent_remembers_every_field(peopled: SqlStore, given):
    consent = await remember(peopled, **given)
    assert await peopled.find_remembered_consents(MAILLOOP, ANN) == [consent]
    assert await peopled.find_remembered_consents(MAILLOOP, "user_bob") == []
    assert await peopled.find_remembered_consents("oa2client_other", ANN) == []


async def test_commit_consent_again_replaces_what_is_remembered(peopled: SqlStore):
    await remember(peopled)
    later = await remember(peopled, scope=("z",), given_at=NOW + 9, app_name="Mailloop 2", expires_at=NOW + 99)
    assert await peopled.find_remembered_consents(MAILLOOP, ANN) == [later]


async def test_commit_consent_refused_remembers_nothing(peopled: SqlStore):
    """In one transaction with the grant, or not at all."""
    await peopled.create_organization(build_organization("orga_other"))
    grant = fresh_grant(organization_id="orga_other")
    commit = await peopled.commit_consent(grant, consent=consent_of(grant))
    assert commit is ConsentCommit.MEMBERSHIP_ENDED
    assert await peopled.find_remembered_consents(MAILLOOP, ANN) == []


async def test_commit_consent_recalled_makes_the_grant_and_notes_when(peopled: SqlStore):
    consent = await remember(peopled)
    grant, commit = await recall(peopled, consent)
    assert commit is CREATED
    assert await peopled.find_grant(grant.id) == grant
    (noted,) = await peopled.find_remembered_consents(MAILLOOP, ANN)
    assert (noted.last_at, noted.given_at, noted.grant_id) == (NOW + 5, NOW, consent.grant_id)


@pytest.mark.parametrize("how", ["replaced", "expired", "disconnected", "membership ended and begun again"])
async def test_commit_consent_recalled_after_it_stopped_counting_makes_nothing(peopled: SqlStore, how):
    """What was read of it a moment before does not count; the write looks itself."""
    consent = await remember(peopled, expires_at=NOW + 5 if how == "expired" else None)
    if how == "replaced":
        await remember(peopled)
    elif how == "disconnected":
        made = await peopled.find_grant(consent.grant_id)
        assert made is not None
        assert await peopled.disconnect(made, by=ANN, reason="disconnected", now=NOW) is Commit.APPLIED
    elif how != "expired":
        await peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
        await peopled.add_membership(user_id=ANN, organization_id=ACORN, role="member", now=NOW)
    grant, commit = await recall(peopled, consent)
    assert commit is NOT_REMEMBERED
    assert await peopled.find_grant(grant.id) is None


async def test_commit_consent_recalled_without_membership_makes_nothing(peopled: SqlStore):
    """A25: a consent is no membership."""
    consent = await remember(peopled)
    await peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    grant, commit = await recall(peopled, consent)
    assert commit is ConsentCommit.MEMBERSHIP_ENDED
    assert await peopled.find_grant(grant.id) is None


async def test_disconnect_ends_the_grant_and_forgets_the_consent_of_that_organization_alone(peopled: SqlStore):
    await peopled.create_organization(build_organization("orga_birch"))
    await peopled.add_membership(user_id=ANN, organization_id="orga_birch", role="member", now=NOW)
    await remember(peopled)
    other = fresh_grant(organization_id="orga_birch")
    await peopled.commit_consent(other, consent=consent_of(other))
    (of_acorn, of_birch) = await peopled.find_remembered_consents(MAILLOOP, ANN)
    made = await peopled.find_grant(of_acorn.grant_id)
    assert made is not None
    assert await peopled.disconnect(made, by=ANN, reason="disconnected", now=NOW) is Commit.APPLIED
    assert await peopled.disconnect(made, by=ANN, reason="disconnected", now=NOW) is Commit.LOST
    assert await peopled.find_remembered_consents(MAILLOOP, ANN) == [of_birch]
    ended = await peopled.find_grant(made.id)
    assert ended is not None
    assert (ended.status, ended.ended_by, ended.ended_reason, ended.ended_at) == ("ended", ANN, "disconnected", NOW)


async def test_recalls_racing_a_disconnect_leave_no_grant_that_came_after_it(
    peopled: SqlStore, open_another: OpenStore
):
    """Single use is not the matter here, but order: what is recalled was remembered when it was written."""
    consent = await remember(peopled)
    made = await peopled.find_grant(consent.grant_id)
    assert made is not None
    other = open_another()
    recalled = [recall((peopled, other)[number % 2], consent) for number in range(20)]
    outcomes = await asyncio.gather(
        *recalled[:10], other.disconnect(made, by=ANN, reason="disconnected", now=NOW), *recalled[10:]
    )
    assert {outcome[1] for outcome in outcomes if isinstance(outcome, tuple)} <= {CREATED, NOT_REMEMBERED}
    assert (await recall(peopled, consent))[1] is NOT_REMEMBERED
    assert await peopled.find_remembered_consents(MAILLOOP, ANN) == []


@pytest.mark.parametrize("role, commit", [(None, CREATED), ("member", CREATED), ("admin", ConsentCommit.ROLE_CHANGED)])
async def test_commit_consent_for_a_role_that_is_no_longer_makes_nothing(peopled: SqlStore, role, commit):
    """A25: in the very write, for whatever asks."""
    grant = fresh_grant()
    assert await peopled.commit_consent(grant, consent=consent_of(grant), role=role) is commit
    assert (await peopled.find_grant(grant.id) is None) is (commit is not CREATED)
    assert bool(await peopled.find_remembered_consents(MAILLOOP, ANN)) is (commit is CREATED)


async def redeem(store: SqlStore, grant: GrantRecord) -> Commit:
    return await store.commit_redemption(
        grant.id,
        generation=1,
        now=NOW + 1,
        expires_at=NOW + 1000,
        absolute_expires_at=None,
        replacing=None if grant.replaces is None else grant,
    )


async def test_redemption_that_replaces_ends_the_other_grant_once_and_together(
    peopled: SqlStore, open_another: OpenStore
):
    old = fresh_grant()
    await peopled.commit_consent(old)
    assert await redeem(peopled, old) is Commit.APPLIED
    new = fresh_grant(replaces=old.id)
    await peopled.commit_consent(new)
    assert (await peopled.find_grant(new.id)) == new
    stores = (peopled, open_another())
    outcomes = await asyncio.gather(*(redeem(stores[number % 2], new) for number in range(12)))
    assert outcomes.count(Commit.APPLIED) == 1
    replaced, active = await peopled.find_grant(old.id), await peopled.find_grant(new.id)
    assert replaced is not None
    assert active is not None
    assert (replaced.status, replaced.ended_by, replaced.ended_reason) == ("ended", ANN, "replaced")
    assert active.status == "active"


async def test_redemption_that_comes_too_late_ends_nothing(peopled: SqlStore):
    old = fresh_grant()
    await peopled.commit_consent(old)
    await redeem(peopled, old)
    new = fresh_grant(replaces=old.id, expires_at=NOW)
    await peopled.commit_consent(new)
    assert await redeem(peopled, new) is Commit.LOST
    kept = await peopled.find_grant(old.id)
    assert kept is not None
    assert kept.status == "active"


async def test_issue_codes_are_of_the_users_own_waiting_grants_alone(peopled: SqlStore):
    """ADR 0021: what has expired, ended, been redeemed or is another's has no code."""
    waiting, expired, ended, redeemed = (
        fresh_grant(expires_at=NOW + 3600),
        fresh_grant(expires_at=NOW),
        fresh_grant(expires_at=NOW + 3600),
        fresh_grant(expires_at=NOW + 3600),
    )
    for grant in (waiting, expired, ended, redeemed):
        assert await peopled.commit_consent(grant) is CREATED
    await peopled.end_grant(ended.id, by=ANN, reason="disconnected", now=NOW)
    await redeem(peopled, redeemed)
    grant_ids = [grant.id for grant in (expired, ended, redeemed, waiting)] + [bytes(16)]
    of_bob = await peopled.issue_codes(grant_ids, user_id="user_bob", now=NOW, expires_at=NOW + 60)
    assert list(of_bob) == []
    issued = await peopled.issue_codes(grant_ids, user_id=ANN, now=NOW, expires_at=NOW + 60)
    assert list(issued) == [(waiting.id, waiting.row_secret)]
    found = await peopled.find_grant(waiting.id)
    assert found is not None
    assert found.expires_at == NOW + 60
    again = await peopled.issue_codes([waiting.id], user_id=ANN, now=NOW + 60, expires_at=NOW + 120)
    assert list(again) == [], "no code is brought back to life"


async def test_receipt_is_kept_with_the_grant_and_not_without(peopled: SqlStore):
    grant, refused = fresh_grant(), fresh_grant(organization_id="orga_unknown")
    assert await peopled.commit_consent(grant, receipt='{"a":1}') is CREATED
    assert await peopled.find_receipt(grant.id) == '{"a":1}'
    assert await peopled.commit_consent(refused, receipt="{}") is ConsentCommit.MEMBERSHIP_ENDED
    assert await peopled.find_receipt(refused.id) is None
