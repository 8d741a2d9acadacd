"""Policies and rules in rows: what a consent is held to in its very write, and who may change it (A25)."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from latchstring.authorization_server.events import COMMAND_LINE, EventFilter, Origin
from latchstring.authorization_server.organization_policy import OrganizationPolicy
from latchstring.authorization_server.ports import AssertionRefusal, Commit, ConsentCommit
from latchstring.authorization_server.refusals import BLOCKED_BY_ADMIN
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW, build_organization, build_user
from tests.authorization_server.test_organization_policy import build_rule
from tests.storage.conftest import OpenStore
from tests.storage.test_grant_store import active, asserted, find, fresh_grant

FULL = "all.full_access"
ADA = "user_0000000000000000000Ada"
APPROVAL = OrganizationPolicy(low="approval", medium="approval", high="approval")
ANY = OrganizationPolicy()


def as_(user_id: str) -> Origin:
    return Origin("user", user_id)


async def change(store: SqlStore, policy: OrganizationPolicy, origin: Origin = COMMAND_LINE) -> Commit:
    return await store.save_organization_policy(ACORN, policy, now=NOW, origin=origin)


async def rule(store: SqlStore, origin: Origin = COMMAND_LINE, **given: Any) -> Commit:
    return await store.save_app_rule(build_rule(**given), origin=origin)


async def forget(store: SqlStore, origin: Origin = COMMAND_LINE) -> Commit:
    return await store.end_app_rule(ACORN, MAILLOOP, user_id=None, now=NOW, origin=origin)


@pytest.fixture
async def with_admin(peopled: SqlStore) -> SqlStore:
    """Ada is an admin of Acorn."""
    await peopled.create_user(build_user(ADA, "ada@example.com"))
    await peopled.add_membership(user_id=ADA, organization_id=ACORN, role="admin", now=NOW)
    return peopled


@pytest.mark.parametrize(
    "mode, outcome",
    [
        ("allow", ConsentCommit.CREATED),
        ("listed", ConsentCommit.NEEDS_APPROVAL),
        ("approval", ConsentCommit.NEEDS_APPROVAL),
        ("none", ConsentCommit.BLOCKED),
    ],
)
async def test_consent_is_held_to_the_policy_of_that_moment(peopled: SqlStore, mode: Any, outcome: ConsentCommit):
    await change(peopled, OrganizationPolicy(low=mode, medium=mode, high=mode))
    grant = fresh_grant()
    assert await peopled.commit_consent(grant) is outcome
    assert (await peopled.find_grant(grant.id) is not None) is (outcome is ConsentCommit.CREATED)


async def test_assertion_is_held_to_the_policy_and_to_the_scope_of_its_token(peopled: SqlStore):
    await change(peopled, APPROVAL)
    used: dict[str, Any] = {"digest": b"\1" * 32, "digest_expires_at": NOW + 60, "now": NOW}
    assert await peopled.commit_assertion(asserted(), **used) is AssertionRefusal.NEEDS_APPROVAL
    await rule(peopled, scope=("contacts.read",))
    assert await peopled.commit_assertion(asserted(), **used) is AssertionRefusal.NEEDS_APPROVAL
    assert isinstance(await peopled.commit_assertion(asserted(), **used, scope=("contacts.read",)), bytes)
    await rule(peopled, is_blocked=True)
    used["digest"] = b"\2" * 32
    assert await peopled.commit_assertion(asserted(), **used) is AssertionRefusal.BLOCKED


async def test_approval_lets_through_what_it_names_and_nothing_else(peopled: SqlStore):
    await change(peopled, APPROVAL)
    await rule(peopled, scope=(FULL,))
    assert await peopled.commit_consent(fresh_grant()) is ConsentCommit.CREATED
    more = fresh_grant(scope=(FULL, "contacts.read"))
    assert await peopled.commit_consent(more) is ConsentCommit.NEEDS_APPROVAL
    assert await forget(peopled) is Commit.APPLIED
    assert await peopled.commit_consent(fresh_grant()) is ConsentCommit.NEEDS_APPROVAL
    assert await forget(peopled) is Commit.LOST


async def test_approval_for_another_member_is_worth_nothing_to_this_one(peopled: SqlStore):
    await change(peopled, APPROVAL)
    await rule(peopled, scope=(FULL,), user_id="user_000000000000000000Bob")
    assert await peopled.commit_consent(fresh_grant()) is ConsentCommit.NEEDS_APPROVAL
    await rule(peopled, scope=(FULL,), user_id=ANN)
    assert await peopled.commit_consent(fresh_grant()) is ConsentCommit.CREATED


async def test_what_was_left_out_is_not_granted(peopled: SqlStore):
    await rule(peopled, scope=("contacts.read",), left_out=(FULL,))
    assert await peopled.commit_consent(fresh_grant()) is ConsentCommit.NEEDS_APPROVAL


async def test_policy_of_another_organization_does_not_count(peopled: SqlStore):
    await peopled.create_organization(build_organization("orga_other", "Birch"))
    await peopled.save_organization_policy("orga_other", APPROVAL, now=NOW, origin=COMMAND_LINE)
    await peopled.save_app_rule(build_rule(organization_id="orga_other", is_blocked=True), origin=COMMAND_LINE)
    assert await peopled.commit_consent(fresh_grant()) is ConsentCommit.CREATED


async def test_block_ends_grants_and_approval_there_and_nowhere_else(peopled: SqlStore):
    await peopled.create_organization(build_organization("orga_other", "Birch"))
    await peopled.add_membership(user_id=ANN, organization_id="orga_other", role="member", now=NOW)
    here, elsewhere = await active(peopled), fresh_grant(organization_id="orga_other")
    assert await peopled.commit_consent(elsewhere) is ConsentCommit.CREATED
    await peopled.approve_client(MAILLOOP, ACORN, scope=(FULL,), by=ANN, now=NOW)
    assert await rule(peopled, is_blocked=True, decided_at=NOW + 5) is Commit.APPLIED
    ended = await find(peopled, here)
    assert (ended.status, ended.ended_at, ended.ended_by, ended.ended_reason) == (
        "ended",
        NOW + 5,
        ANN,
        BLOCKED_BY_ADMIN,
    )
    assert (await find(peopled, elsewhere)).status == "pending"
    approval = await peopled.find_client_approval(MAILLOOP, ACORN)
    assert approval is not None
    assert approval.ended_at == NOW + 5


async def test_block_for_one_member_leaves_the_others(with_admin: SqlStore):
    anns = await active(with_admin)
    adas = fresh_grant(user_id=ADA)
    await with_admin.commit_consent(adas)
    await rule(with_admin, is_blocked=True, user_id=ADA)
    assert ((await find(with_admin, anns)).status, (await find(with_admin, adas)).status) == ("active", "ended")


@pytest.mark.parametrize("by, outcome", [(ADA, Commit.APPLIED), (ANN, Commit.LOST), ("user_nobody", Commit.LOST)])
async def test_only_an_admin_of_that_moment_changes_anything(with_admin: SqlStore, by: str, outcome: Commit):
    assert await change(with_admin, APPROVAL, as_(by)) is outcome
    assert await with_admin.find_organization_policy(ACORN) == (APPROVAL if outcome is Commit.APPLIED else None)
    assert await rule(with_admin, as_(by), scope=(FULL,)) is outcome
    assert len(await with_admin.find_app_rules(ACORN)) == (outcome is Commit.APPLIED)
    await rule(with_admin, scope=(FULL,))
    assert await forget(with_admin, as_(by)) is outcome


async def test_admin_who_has_left_changes_nothing(with_admin: SqlStore):
    await with_admin.end_membership(user_id=ADA, organization_id=ACORN, now=NOW)
    assert await change(with_admin, APPROVAL, as_(ADA)) is Commit.LOST
    assert await change(with_admin, APPROVAL) is Commit.APPLIED, "the operator does"


async def test_policy_for_no_organization_is_lost(peopled: SqlStore):
    assert await peopled.save_organization_policy("orga_none", ANY, now=NOW, origin=COMMAND_LINE) is Commit.LOST


async def test_standings_are_of_the_members_organizations_alone(with_admin: SqlStore):
    await with_admin.create_organization(build_organization("orga_other", "Birch"))
    await with_admin.save_organization_policy("orga_other", APPROVAL, now=NOW, origin=COMMAND_LINE)
    await change(with_admin, APPROVAL)
    await rule(with_admin, scope=(FULL,), left_out=("mail.send",))
    [standing] = await with_admin.find_standings(ADA, MAILLOOP)
    assert (standing.organization_id, standing.role, standing.policy) == (ACORN, "admin", APPROVAL)
    assert standing.rules == (build_rule(scope=(FULL,), left_out=("mail.send",)),)
    [listed] = await with_admin.find_app_rules(ACORN)
    assert (listed.rule, listed.client_name, listed.user_name) == (standing.rules[0], "Mailloop", None)


async def test_consents_and_a_change_of_policy_come_one_after_the_other(peopled: SqlStore, open_another: OpenStore):
    """KeeperHub's class of bug: once the change has answered, no consent slips through."""
    stores = [peopled, *(open_another() for _ in range(3))]
    for _ in range(5):
        await change(peopled, ANY)
        seen: list[tuple[str, Any]] = []

        async def consent(number: int, seen: list[tuple[str, Any]] = seen) -> None:
            await asyncio.sleep(number % 5 / 1000)
            started_after_change = any(kind == "changed" for kind, _ in seen)
            outcome = await stores[number % 4].commit_consent(fresh_grant())
            seen.append(("late" if started_after_change else "early", outcome))

        async def forbid(seen: list[tuple[str, Any]] = seen) -> None:
            await asyncio.sleep(0.002)
            assert await change(stores[1], APPROVAL) is Commit.APPLIED
            seen.append(("changed", None))

        await asyncio.gather(forbid(), *(consent(number) for number in range(40)))
        late = Counter(outcome for kind, outcome in seen if kind == "late")
        assert set(late) <= {ConsentCommit.NEEDS_APPROVAL}
        assert {outcome for kind, outcome in seen if kind == "early"} <= {
            ConsentCommit.CREATED,
            ConsentCommit.NEEDS_APPROVAL,
        }


async def test_block_leaves_no_grant_behind_whatever_is_consented_meanwhile(peopled: SqlStore, open_another: OpenStore):
    stores = [peopled, *(open_another() for _ in range(3))]
    for _ in range(5):
        grants = [fresh_grant() for _ in range(30)]
        outcomes = await asyncio.gather(
            rule(stores[1], is_blocked=True),
            *(stores[number % 4].commit_consent(grant) for number, grant in enumerate(grants)),
        )
        assert outcomes[0] is Commit.APPLIED
        left = [found for grant in grants if (found := await peopled.find_grant(grant.id)) is not None]
        assert {grant.status for grant in left} <= {"ended"}
        await forget(peopled)


async def test_changes_tell_what_was_and_what_is(with_admin: SqlStore):
    await active(with_admin)
    await change(with_admin, APPROVAL, as_(ADA))
    await change(with_admin, OrganizationPolicy(high="none"), as_(ADA))
    await rule(with_admin, as_(ADA), scope=(FULL,), left_out=("mail.send",))
    await rule(with_admin, as_(ADA), is_blocked=True)
    await forget(with_admin, as_(ADA))
    records = await with_admin.find_events(EventFilter(organization_id=ACORN), before=None, at_most=20)
    told = [record.event for record in reversed(records) if record.event.origin.actor_id == ADA]
    assert [event.action for event in told] == [
        "policy.changed",
        "policy.changed",
        "policy.app_approved",
        "policy.app_blocked",
        "grant.ended",
        "policy.app_forgotten",
    ]
    assert told[1].before == {"low": "approval", "medium": "approval", "high": "approval"}
    assert told[1].after == {"low": "allow", "medium": "allow", "high": "none"}
    assert told[2].after == {"user_id": None, "is_blocked": False, "scope": [FULL], "left_out": ["mail.send"]}
    assert told[5].before == {"user_id": None, "is_blocked": True, "scope": [], "left_out": []}
