"""The contract of `GrantStore`, for every engine (DESIGN §4, §6)."""

import os
from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.ports import AssertionRefusal, Commit, ConsentCommit
from latchstring.authorization_server.records import GrantRecord, PushedRequestRecord, Rebinding
from latchstring.protocol.confirmation import Confirmation
from latchstring.storage.store import MAX_LISTED, SqlStore
from tests.authorization_server.builders import (
    ACORN,
    ANN,
    MAILLOOP,
    NOW,
    build_client,
    build_grant,
    build_organization,
    build_user,
)

APPLIED, LOST = Commit.APPLIED, Commit.LOST
TOKEN_ID = b"\x05" * 12


def fresh_grant(**given: Any) -> GrantRecord:
    values: dict[str, Any] = {"id": os.urandom(16), "row_secret": os.urandom(16)}
    return build_grant(**{**values, **given})


async def insert(store: SqlStore, **given: Any) -> GrantRecord:
    grant = fresh_grant(**given)
    assert await store.commit_consent(grant) is ConsentCommit.CREATED
    return grant


async def redeem(store: SqlStore, grant: GrantRecord, *, generation: int = 1, now: int = NOW) -> Commit:
    return await store.commit_redemption(
        grant.id, generation=generation, now=now, expires_at=now + 1000, absolute_expires_at=now + 9000
    )


async def rotate(store: SqlStore, grant: GrantRecord, generation: int, *, now: int = NOW) -> Commit:
    return await store.commit_rotation(grant.id, generation=generation, now=now, expires_at=now + 1000)


async def active(store: SqlStore, **given: Any) -> GrantRecord:
    grant = await insert(store, **given)
    assert await redeem(store, grant) is APPLIED
    return await find(store, grant)


async def find(store: SqlStore, grant: GrantRecord) -> GrantRecord:
    found = await store.find_grant(grant.id)
    assert found is not None
    return found


# -- consent


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"redirect_uri": "https://app.example/cb?x=1", "code_challenge": "c" * 43},
        {"scope": ("a",), "organization_id": ACORN},
        {"row_secret": bytes(16), "expires_at": None},
        {"row_secret": b"\xff" * 16, "absolute_expires_at": 2**40, "access_revoked_until": 2**40},
        {"resource": ("https://api.example/", "https://b.example/v1")},
        {"generation": 2**31, "retry_count": 2**31},
    ],
    ids=str,
)
async def test_commit_consent_keeps_every_field(peopled: SqlStore, given):
    grant = await insert(peopled, **given)
    assert await find(peopled, grant) == grant


async def test_find_grant_unknown_is_none(peopled: SqlStore):
    await insert(peopled)
    for grant_id in (bytes(16), b"", b"\xff" * 16, b"x" * 40):
        assert await peopled.find_grant(grant_id) is None


async def test_commit_consent_without_membership_makes_nothing(peopled: SqlStore):
    """A25, CVE-2026-33132: in the very write."""
    await peopled.create_organization(build_organization("orga_other"))
    await peopled.create_user(build_user("user_bob", "bob@example.com"))
    for given in ({"organization_id": "orga_other"}, {"user_id": "user_bob"}, {"organization_id": "orga_unknown"}):
        grant = fresh_grant(**given)
        assert await peopled.commit_consent(grant) is ConsentCommit.MEMBERSHIP_ENDED
        assert await peopled.find_grant(grant.id) is None


async def test_commit_consent_after_the_membership_ended_makes_nothing(peopled: SqlStore):
    await peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    grant = fresh_grant()
    assert await peopled.commit_consent(grant) is ConsentCommit.MEMBERSHIP_ENDED
    assert await peopled.find_grant(grant.id) is None
    await peopled.add_membership(user_id=ANN, organization_id=ACORN, role="member", now=NOW)
    assert await peopled.commit_consent(grant) is ConsentCommit.CREATED


@pytest.mark.parametrize(
    "owner, is_published, is_member_of_owner, commit",
    [
        pytest.param(ACORN, True, True, ConsentCommit.CREATED, id="own-published"),
        pytest.param(ACORN, False, True, ConsentCommit.CREATED, id="own-private"),
        pytest.param("orga_other", True, False, ConsentCommit.CREATED, id="others-published"),
        pytest.param("orga_other", False, False, ConsentCommit.APP_UNAVAILABLE, id="others-private"),
        pytest.param("orga_other", False, True, ConsentCommit.CREATED, id="private-of-a-second-organization-of-hers"),
        pytest.param("orga_other", False, None, ConsentCommit.APP_UNAVAILABLE, id="private-of-one-she-has-left"),
    ],
)
async def test_commit_consent_reaches_published_apps_and_those_of_ones_own(
    peopled: SqlStore, owner, is_published, is_member_of_owner, commit
):
    await peopled.create_organization(build_organization("orga_other"))
    if is_member_of_owner is not False and owner != ACORN:
        await peopled.add_membership(user_id=ANN, organization_id=owner, role="member", now=NOW)
    if is_member_of_owner is None:
        await peopled.end_membership(user_id=ANN, organization_id=owner, now=NOW)
    await peopled.create_client(
        build_client(client_id="oa2client_its", organization_id=owner, is_published=is_published)
    )
    grant = fresh_grant(client_id="oa2client_its")
    assert await peopled.commit_consent(grant) is commit
    assert (await peopled.find_grant(grant.id) is not None) is (commit is ConsentCommit.CREATED)


async def test_commit_consent_to_an_unknown_app_makes_nothing(peopled: SqlStore):
    grant = fresh_grant(client_id="oa2client_unknown")
    assert await peopled.commit_consent(grant) is ConsentCommit.APP_UNAVAILABLE
    assert await peopled.find_grant(grant.id) is None


async def test_commit_consent_sees_an_app_withdrawn_a_moment_ago(peopled: SqlStore):
    await peopled.create_organization(build_organization("orga_other"))
    client = build_client(client_id="oa2client_its", organization_id="orga_other")
    await peopled.create_client(client)
    assert await peopled.commit_consent(fresh_grant(client_id="oa2client_its")) is ConsentCommit.CREATED
    await peopled.publish_client(client.client_id, is_published=False, now=NOW, origin=COMMAND_LINE)
    assert await peopled.commit_consent(fresh_grant(client_id="oa2client_its")) is ConsentCommit.APP_UNAVAILABLE


# -- pushed requests


def pushed(number: int = 1, expires_at: int = NOW + 90) -> PushedRequestRecord:
    return PushedRequestRecord(
        id=bytes([number]) * 16, client_id=MAILLOOP, parameters="state=%C3%BC&scope=a+b", expires_at=expires_at
    )


async def test_pushed_request_is_kept_and_found(store: SqlStore):
    await store.create_pushed_request(pushed(), now=NOW)
    assert await store.find_pushed_request(pushed().id) == pushed()
    assert await store.find_pushed_request(bytes(16)) is None


async def test_p5_pushed_request_is_used_up_by_a_consent_and_only_once(peopled: SqlStore):
    await peopled.create_pushed_request(pushed(), now=NOW)
    first, second = fresh_grant(), fresh_grant()
    assert await peopled.commit_consent(first, pushed_request_id=pushed().id) is ConsentCommit.CREATED
    assert await peopled.find_pushed_request(pushed().id) is None
    assert await peopled.commit_consent(second, pushed_request_id=pushed().id) is ConsentCommit.REQUEST_USED
    assert await peopled.find_grant(second.id) is None


async def test_pushed_request_is_not_used_up_by_a_consent_that_fails(peopled: SqlStore):
    await peopled.create_pushed_request(pushed(), now=NOW)
    for given, commit in (
        ({"organization_id": "orga_other"}, ConsentCommit.MEMBERSHIP_ENDED),
        ({"client_id": "oa2client_unknown"}, ConsentCommit.APP_UNAVAILABLE),
    ):
        assert await peopled.commit_consent(fresh_grant(**given), pushed_request_id=pushed().id) is commit
    assert await peopled.find_pushed_request(pushed().id) == pushed()


async def test_end_pushed_request_is_idempotent(store: SqlStore):
    await store.create_pushed_request(pushed(), now=NOW)
    for _ in range(2):
        await store.end_pushed_request(pushed().id)
        assert await store.find_pushed_request(pushed().id) is None


async def test_create_pushed_request_clears_away_those_nobody_can_be_answering(store: SqlStore):
    """The row count stays a formula; a page that is still open keeps its request."""
    day = 24 * 3600
    await store.create_pushed_request(pushed(1, NOW), now=NOW)
    await store.create_pushed_request(pushed(2, NOW + day), now=NOW + day)
    assert await store.find_pushed_request(pushed(1).id) is not None
    await store.create_pushed_request(pushed(3, NOW + 3 * day), now=NOW + 2 * day)
    assert await store.find_pushed_request(pushed(1).id) is None
    assert await store.find_pushed_request(pushed(2).id) is not None


# -- redemption


async def test_commit_redemption_activates_the_grant(peopled: SqlStore):
    grant = await insert(peopled)
    commit = await peopled.commit_redemption(
        grant.id, generation=1, now=NOW + 5, expires_at=NOW + 1000, absolute_expires_at=NOW + 9000
    )
    assert commit is APPLIED
    assert await find(peopled, grant) == msgspec.structs.replace(
        grant,
        status="active",
        generation=1,
        activated_at=NOW + 5,
        expires_at=NOW + 1000,
        absolute_expires_at=NOW + 9000,
    )


async def test_commit_redemption_keeps_forever_as_forever(peopled: SqlStore):
    grant = await insert(peopled)
    await peopled.commit_redemption(grant.id, generation=0, now=NOW, expires_at=None, absolute_expires_at=None)
    kept = await find(peopled, grant)
    assert (kept.generation, kept.expires_at, kept.absolute_expires_at) == (0, None, None)


async def test_c1_commit_redemption_second_is_lost_and_changes_nothing(peopled: SqlStore):
    grant = await active(peopled)
    assert await redeem(peopled, grant, generation=7, now=NOW + 1) is LOST
    assert await find(peopled, grant) == grant


@pytest.mark.parametrize("now, commit", [(NOW - 5, APPLIED), (NOW + 59, APPLIED), (NOW + 60, LOST), (NOW + 61, LOST)])
async def test_c6_commit_redemption_of_an_expired_code_is_lost(peopled: SqlStore, now, commit):
    grant = await insert(peopled, expires_at=NOW + 60)
    assert await redeem(peopled, grant, now=now) is commit
    assert (await find(peopled, grant)).status == ("active" if commit is APPLIED else "pending")


async def test_commit_redemption_of_an_unknown_or_ended_grant_is_lost(peopled: SqlStore):
    grant = await insert(peopled)
    await peopled.end_grant(grant.id, by=ANN, reason="disconnected", now=NOW)
    assert await redeem(peopled, grant) is LOST
    assert await redeem(peopled, fresh_grant()) is LOST
    assert (await find(peopled, grant)).status == "ended"


# -- rotation


async def test_commit_rotation_moves_the_generation_and_nothing_else(peopled: SqlStore):
    grant = await active(peopled)
    commit = await peopled.commit_rotation(grant.id, generation=1, now=NOW + 7, expires_at=NOW + 2000)
    assert commit is APPLIED
    assert await find(peopled, grant) == msgspec.structs.replace(
        grant, generation=2, rotated_at=NOW + 7, expires_at=NOW + 2000
    )


@pytest.mark.parametrize("generation", [0, 1, 3, 2**31])
async def test_commit_rotation_at_another_generation_is_lost_and_changes_nothing(peopled: SqlStore, generation):
    grant = await active(peopled)
    await rotate(peopled, grant, 1)
    before = await find(peopled, grant)
    assert await rotate(peopled, grant, generation, now=NOW + 99) is LOST
    assert await find(peopled, grant) == before


async def test_r7_commit_rotation_twice_in_one_second_moves_twice(peopled: SqlStore):
    grant = await active(peopled)
    assert [await rotate(peopled, grant, 1), await rotate(peopled, grant, 2)] == [APPLIED, APPLIED]
    assert await rotate(peopled, grant, 1) is LOST
    assert (await find(peopled, grant)).generation == 3


@pytest.mark.parametrize("state", ["pending", "suspended", "ended", "unknown"])
async def test_commit_rotation_and_retry_of_a_grant_that_is_not_active_are_lost(peopled: SqlStore, state):
    grant = await insert(peopled, generation=1)
    if state != "pending":
        await redeem(peopled, grant)
    if state == "suspended":
        await peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    if state == "ended":
        await peopled.end_grant(grant.id, by=ANN, reason="disconnected", now=NOW)
    before = await find(peopled, grant)
    named = fresh_grant() if state == "unknown" else grant
    assert await rotate(peopled, named, 1) is LOST
    assert await peopled.commit_retry(named.id, generation=1) is LOST
    assert await find(peopled, grant) == before


async def test_commit_retry_counts_and_changes_nothing_else(peopled: SqlStore):
    grant = await active(peopled)
    for count in (1, 2, 3):
        assert await peopled.commit_retry(grant.id, generation=1) is APPLIED
        assert await find(peopled, grant) == msgspec.structs.replace(grant, retry_count=count)


async def test_commit_retry_after_the_successor_was_used_is_lost(peopled: SqlStore):
    """DESIGN §5: the generation is the tie-breaker, in the write itself."""
    grant = await active(peopled)
    await rotate(peopled, grant, 1)
    assert await peopled.commit_retry(grant.id, generation=1) is LOST
    assert await peopled.commit_retry(grant.id, generation=2) is APPLIED


# -- the end


@pytest.mark.parametrize("state", ["pending", "active", "suspended"])
async def test_end_grant_ends_it_from_every_state_with_who_and_why(peopled: SqlStore, state):
    grant = await insert(peopled)
    if state != "pending":
        await redeem(peopled, grant)
    if state == "suspended":
        await peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    before = await find(peopled, grant)
    assert before.status == state
    assert await peopled.end_grant(grant.id, by="operator", reason="ended_by_operator", now=NOW + 3) is APPLIED
    assert await find(peopled, grant) == msgspec.structs.replace(
        before, status="ended", ended_at=NOW + 3, ended_by="operator", ended_reason="ended_by_operator"
    )


async def test_end_grant_twice_is_lost_and_keeps_the_first_reason(peopled: SqlStore):
    grant = await active(peopled)
    await peopled.end_grant(grant.id, by=ANN, reason="disconnected", now=NOW)
    before = await find(peopled, grant)
    assert await peopled.end_grant(grant.id, by="else", reason="refresh_token_reuse", now=NOW + 9) is LOST
    assert await peopled.end_grant(bytes(16), by=ANN, reason="disconnected", now=NOW) is LOST
    assert await find(peopled, grant) == before


# -- single access tokens


async def test_revoke_access_token_names_it_and_marks_the_grant(peopled: SqlStore):
    grant = await active(peopled)
    assert await peopled.is_access_token_revoked(TOKEN_ID) is False
    await peopled.revoke_access_token(grant.id, TOKEN_ID, expires_at=NOW + 3600, now=NOW)
    assert await peopled.is_access_token_revoked(TOKEN_ID) is True
    assert await peopled.is_access_token_revoked(b"\x06" * 12) is False
    assert await find(peopled, grant) == msgspec.structs.replace(grant, access_revoked_until=NOW + 3600)


async def test_revoke_access_token_is_idempotent_and_the_mark_only_grows(peopled: SqlStore):
    grant = await active(peopled)
    for expires_at, mark in ((NOW + 100, 100), (NOW + 50, 100), (NOW + 300, 300), (NOW + 300, 300)):
        await peopled.revoke_access_token(grant.id, TOKEN_ID, expires_at=expires_at, now=NOW)
        assert (await find(peopled, grant)).access_revoked_until == NOW + mark
    assert await peopled.is_access_token_revoked(TOKEN_ID) is True


async def test_revoke_access_token_leaves_other_grants_alone(peopled: SqlStore):
    grant, other = await active(peopled), await active(peopled)
    await peopled.revoke_access_token(grant.id, TOKEN_ID, expires_at=NOW + 3600, now=NOW)
    assert await find(peopled, other) == other


async def test_revoke_client_access_token_names_it_and_marks_the_client(peopled: SqlStore):
    other = build_client(client_id="oa2client_other")
    await peopled.create_client(other)
    before = await peopled.find_client(MAILLOOP)
    assert before == build_client()
    for expires_at, mark in ((NOW + 100, 100), (NOW + 50, 100), (NOW + 300, 300)):
        await peopled.revoke_client_access_token(
            MAILLOOP, TOKEN_ID, organization_id=ACORN, expires_at=expires_at, now=NOW
        )
        client = await peopled.find_client(MAILLOOP)
        assert client == msgspec.structs.replace(build_client(), access_revoked_until=NOW + mark)
    assert await peopled.is_access_token_revoked(TOKEN_ID) is True
    assert await peopled.find_client(other.client_id) == other


# -- lists


async def test_use_once_is_applied_once_and_remembered_past_its_end(peopled: SqlStore):
    digest, other = os.urandom(32), os.urandom(32)
    assert await peopled.use_once(digest, expires_at=NOW + 60, now=NOW) is APPLIED
    assert await peopled.use_once(digest, expires_at=NOW + 60, now=NOW) is LOST
    assert await peopled.use_once(other, expires_at=NOW + 600, now=NOW + 600) is APPLIED
    assert await peopled.use_once(digest, expires_at=NOW + 60, now=NOW + 600) is LOST


async def test_use_once_clears_away_what_has_long_expired(peopled: SqlStore):
    digest = os.urandom(32)
    assert await peopled.use_once(digest, expires_at=NOW, now=NOW) is APPLIED
    assert await peopled.use_once(os.urandom(32), expires_at=NOW + 9000, now=NOW + 9000) is APPLIED
    assert await peopled.use_once(digest, expires_at=NOW + 9000, now=NOW + 9000) is APPLIED


async def test_find_connections_are_the_users_active_and_suspended_ones_newest_first(peopled: SqlStore):
    await peopled.create_organization(build_organization("orga_other", "Other & Sons"))
    await peopled.create_client(build_client(client_id="oa2client_its", organization_id="orga_other", name="Its"))
    await peopled.create_user(build_user("user_bob", "bob@example.com"))
    for user_id, organization_id in ((ANN, "orga_other"), ("user_bob", ACORN)):
        await peopled.add_membership(user_id=user_id, organization_id=organization_id, role="member", now=NOW)
    first = await active(peopled, id=b"\x01" * 16)
    second = await active(peopled, id=b"\x02" * 16, client_id="oa2client_its", organization_id="orga_other")
    await insert(peopled, id=b"\x03" * 16)
    ended = await active(peopled, id=b"\x04" * 16)
    await peopled.end_grant(ended.id, by=ANN, reason="disconnected", now=NOW)
    bobs = await active(peopled, id=b"\x05" * 16, user_id="user_bob")
    await peopled.end_membership(user_id=ANN, organization_id="orga_other", now=NOW)

    found = await peopled.find_connections(ANN, now=NOW)
    assert [connection.grant.id for connection in found] == [second.id, first.id]
    assert [connection.grant.status for connection in found] == ["suspended", "active"]
    assert found[1].grant == first
    assert [(c.client_name, c.publisher_name, c.organization_name) for c in found] == [
        ("Its", "Other & Sons", "Other & Sons"),
        ("Mailloop", "Acorn Partners", "Acorn Partners"),
    ]
    assert [connection.grant.id for connection in await peopled.find_connections("user_bob", now=NOW)] == [bobs.id]
    assert await peopled.find_connections("user_nobody", now=NOW) == []


async def test_find_grants_are_filtered_and_newest_first(peopled: SqlStore):
    await peopled.create_organization(build_organization("orga_other"))
    await peopled.add_membership(user_id=ANN, organization_id="orga_other", role="member", now=NOW)
    here = await insert(peopled, id=b"\x01" * 16)
    there = await insert(peopled, id=b"\x02" * 16, organization_id="orga_other")
    assert await peopled.find_grants(user_id=None, organization_id=None) == [there, here]
    assert await peopled.find_grants(user_id=ANN, organization_id=None) == [there, here]
    assert await peopled.find_grants(user_id=ANN, organization_id=ACORN) == [here]
    assert await peopled.find_grants(user_id=None, organization_id="orga_other") == [there]
    assert await peopled.find_grants(user_id="user_bob", organization_id=None) == []


async def test_find_grants_lists_no_more_than_its_limit(peopled: SqlStore, monkeypatch):
    assert MAX_LISTED == 1000
    monkeypatch.setattr("latchstring.storage.store.MAX_LISTED", 3)
    grants = [await insert(peopled, id=bytes([number]) * 16) for number in range(1, 6)]
    assert await peopled.find_grants(user_id=ANN, organization_id=None) == grants[:1:-1]


# -- what a grant is bound to

KEY = Confirmation(jkt="a" * 43)
BOTH = Confirmation(jkt="b" * 43, x5t_s256="c" * 43)


async def test_consent_bound_to_a_key_is_kept_by_plain_writes(peopled: SqlStore):
    grant = await active(peopled, confirmation=KEY)
    assert grant.confirmation == KEY
    assert await rotate(peopled, grant, 1) is APPLIED
    assert (await find(peopled, grant)).confirmation == KEY


@pytest.mark.parametrize("confirmation", [KEY, BOTH, None])
async def test_redemption_and_rotation_bind_the_grant_anew(peopled: SqlStore, confirmation: Confirmation | None):
    rebinding = Rebinding(confirmation)
    grant = await insert(peopled, confirmation=Confirmation(jkt="old"))
    redeemed = await peopled.commit_redemption(
        grant.id, generation=1, now=NOW, expires_at=NOW + 9, absolute_expires_at=None, rebinding=rebinding
    )
    assert redeemed is APPLIED
    found = await find(peopled, grant)
    assert (found.status, found.generation, found.expires_at, found.confirmation) == (
        "active",
        1,
        NOW + 9,
        confirmation,
    )
    other = Rebinding(KEY if confirmation is None else None)
    rotated = await peopled.commit_rotation(grant.id, generation=1, now=NOW, expires_at=NOW + 10, rebinding=other)
    assert rotated is APPLIED
    found = await find(peopled, grant)
    assert (found.generation, found.rotated_at, found.confirmation) == (2, NOW, other.confirmation)


async def test_rebinding_writes_lose_as_the_plain_ones_do(peopled: SqlStore):
    rebinding = Rebinding(KEY)
    grant = await active(peopled)
    again = await peopled.commit_redemption(
        grant.id, generation=1, now=NOW, expires_at=None, absolute_expires_at=None, rebinding=rebinding
    )
    stale = await peopled.commit_rotation(grant.id, generation=7, now=NOW, expires_at=None, rebinding=rebinding)
    renewed = await peopled.commit_renewal(grant.id, generation=7, expires_at=None, rebinding=rebinding)
    assert (again, stale, renewed) == (LOST, LOST, LOST)
    assert await find(peopled, grant) == grant


async def test_renewal_moves_the_expiry_and_nothing_else(peopled: SqlStore):
    """F5: what a refresh does where refresh tokens do not rotate."""
    grant = await active(peopled)
    assert await peopled.commit_renewal(grant.id, generation=1, expires_at=NOW + 5000) is APPLIED
    assert await find(peopled, grant) == msgspec.structs.replace(grant, expires_at=NOW + 5000)
    bound = await peopled.commit_renewal(grant.id, generation=1, expires_at=NOW + 6000, rebinding=Rebinding(KEY))
    assert bound is APPLIED
    expected = msgspec.structs.replace(grant, expires_at=NOW + 6000, confirmation=KEY)
    assert await find(peopled, grant) == expected


async def test_renewal_of_an_ended_grant_is_lost(peopled: SqlStore):
    grant = await active(peopled)
    await peopled.end_grant(grant.id, by="x", reason="disconnected", now=NOW)
    assert await peopled.commit_renewal(grant.id, generation=1, expires_at=None) is LOST


# -- assertions


def asserted(**given: Any) -> GrantRecord:
    now_active = {
        "status": "active",
        "activated_at": NOW,
        "expires_at": NOW + 3600,
        "asserted_by": "https://idp.example",
    }
    return fresh_grant(**{**now_active, **given})


async def commit(store: SqlStore, grant: GrantRecord, digest: bytes) -> bytes | AssertionRefusal:
    return await store.commit_assertion(grant, digest=digest, digest_expires_at=NOW + 60, now=NOW)


async def test_commit_assertion_keeps_the_grant_and_prolongs_it_the_next_time(peopled: SqlStore):
    first = asserted()
    assert await commit(peopled, first, b"\1" * 32) == first.id
    assert await find(peopled, first) == first
    assert await commit(peopled, asserted(expires_at=NOW + 9999), b"\2" * 32) == first.id
    assert await find(peopled, first) == msgspec.structs.replace(first, expires_at=NOW + 9999)


@pytest.mark.parametrize("given", [{"asserted_by": "https://other.example"}, {"scope": ("a.read",)}])
async def test_commit_assertion_of_another_issuer_or_scope_is_another_grant(peopled: SqlStore, given):
    first, second = asserted(), asserted(**given)
    assert await commit(peopled, first, b"\1" * 32) == first.id
    assert await commit(peopled, second, b"\2" * 32) == second.id


async def test_commit_assertion_never_revives_an_ended_grant_nor_takes_a_consented_one(peopled: SqlStore):
    """CVE-2026-55670: tokens of the ended one stay dead."""
    consented, first, second = await active(peopled, scope=asserted().scope), asserted(), asserted()
    assert await commit(peopled, first, b"\1" * 32) == first.id
    await peopled.end_grant(first.id, by=ANN, reason="disconnected", now=NOW)
    assert await commit(peopled, second, b"\2" * 32) == second.id
    assert ((await find(peopled, first)).status, (await find(peopled, consented)).asserted_by) == ("ended", None)


async def test_commit_assertion_used_before_changes_nothing(peopled: SqlStore):
    """J4."""
    first, second = asserted(), asserted(expires_at=NOW + 9999)
    assert await commit(peopled, first, b"\1" * 32) == first.id
    assert await commit(peopled, second, b"\1" * 32) is AssertionRefusal.USED
    assert await find(peopled, first) == first
    assert await peopled.find_grant(second.id) is None


@pytest.mark.parametrize(
    "refusal, given",
    [
        (AssertionRefusal.MEMBERSHIP_ENDED, {"user_id": "user_nobody"}),
        (AssertionRefusal.MEMBERSHIP_ENDED, {"organization_id": "orga_nobody"}),
        (AssertionRefusal.APP_UNAVAILABLE, {"client_id": "oa2client_nobody"}),
        (AssertionRefusal.APP_UNAVAILABLE, {"client_id": "oa2client_private"}),
    ],
)
async def test_commit_assertion_that_is_refused_is_not_used_up(peopled: SqlStore, refusal, given):
    await peopled.create_client(build_client(client_id="oa2client_private", is_published=False, organization_id=None))
    grant = asserted(**given)
    assert await commit(peopled, grant, b"\1" * 32) is refusal
    assert await peopled.find_grant(grant.id) is None
    good = asserted()
    assert await commit(peopled, good, b"\1" * 32) == good.id


async def test_commit_assertion_of_a_former_member_is_refused(peopled: SqlStore):
    first = asserted()
    await commit(peopled, first, b"\1" * 32)
    await peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    assert await commit(peopled, asserted(), b"\2" * 32) is AssertionRefusal.MEMBERSHIP_ENDED
    assert (await find(peopled, first)).status == "suspended"
