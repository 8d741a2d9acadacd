"""The contract of `LifeCycleStore`, for every engine: what holds a grant, how many things may at once, and how it comes
back (DESIGN §4; R8, A25; CVE-2024-46999, CVE-2025-64708)."""

import asyncio
import random
from typing import Any

import pytest

from latchstring.authorization_server.events import Action, EventFilter, Origin
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.life_cycle_ports import MembershipChange
from latchstring.authorization_server.ports import Commit, ConsentCommit
from latchstring.authorization_server.records import GrantRecord
from latchstring.storage import life_cycle
from latchstring.storage.operations import SweepPlan
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import (
    ACORN,
    ANN,
    MAILLOOP,
    NOW,
    build_client,
    build_organization,
    build_session,
    build_user,
)
from tests.storage.conftest import OpenStore
from tests.storage.test_grant_store import active, find, fresh_grant, insert, redeem, rotate

APPLIED, LOST = Commit.APPLIED, Commit.LOST
BOB, BIRCH, OWN = "user_bob", "orga_birch", "oa2client_own"
DAY = 24 * 3600
OPERATOR = Origin("operator", "user_operator")
OF_ANN, OF_BOB = Origin("user", ANN), Origin("user", BOB)


async def status(store: SqlStore, grant: GrantRecord) -> tuple[str, str | None]:
    found = await find(store, grant)
    return found.status, found.suspended_reason if found.status == "suspended" else found.ended_reason


@pytest.fixture
async def town(peopled: SqlStore) -> SqlStore:
    """Ann and Bob are members of Acorn and of Birch; Acorn has an app of its own that is private."""
    await peopled.create_organization(build_organization(BIRCH, "Birch & Co"))
    await peopled.create_user(build_user(BOB, "bob@example.com"))
    for user_id, organization_id in ((ANN, BIRCH), (BOB, ACORN), (BOB, BIRCH)):
        await peopled.add_membership(user_id=user_id, organization_id=organization_id, role="member", now=NOW)
    await peopled.create_client(build_client(client_id=OWN, is_published=False))
    return peopled


# -- what holds, alone


def of_ann(organization_id: str = ACORN) -> dict[str, Any]:
    return {"user_id": ANN, "organization_id": organization_id}


async def hold(store: SqlStore, what: str, now: int = NOW) -> Any:
    """Bring one of the things about that hold Ann's grant of Mailloop to Acorn."""
    match what:
        case "membership_ended":
            return await store.end_membership(**of_ann(), now=now)
        case "membership_suspended":
            return await store.suspend_membership(**of_ann(), origin=OF_BOB, now=now)
        case "organization_closed":
            return await store.close_organization(ACORN, origin=OPERATOR, now=now)
        case "user_disabled":
            return await store.disable_user(ANN, origin=OPERATOR, now=now)
        case _:
            return await store.suspend_client(MAILLOOP, origin=OPERATOR, reason="It sends spam.", now=now)


async def release(store: SqlStore, what: str, now: int = NOW) -> Any:
    match what:
        case "membership_ended":
            return await store.add_membership(**of_ann(), role="member", now=now)
        case "membership_suspended":
            return await store.resume_membership(**of_ann(), origin=OF_BOB, now=now)
        case "organization_closed":
            return await store.reopen_organization(ACORN, origin=OPERATOR, now=now)
        case "user_disabled":
            return await store.enable_user(ANN, origin=OPERATOR, now=now)
        case _:
            return await store.reinstate_client(MAILLOOP, origin=OPERATOR, now=now)


HOLDS = ["user_disabled", "organization_closed", "app_suspended", "membership_ended", "membership_suspended"]
DONE = {APPLIED, MembershipChange.APPLIED}


@pytest.mark.parametrize("what", HOLDS)
async def test_hold_suspends_the_grant_ends_the_code_and_resumes_what_it_held(town: SqlStore, what):
    live, waiting = await active(town), await insert(town)
    assert await hold(town, what, NOW + 5) in DONE
    held = await find(town, live)
    assert (held.status, held.suspended_reason, held.suspended_at) == ("suspended", what, NOW + 5)
    assert await status(town, waiting) == ("ended", what)
    assert await rotate(town, live, 1) is LOST
    assert await redeem(town, waiting) is LOST
    assert await hold(town, what, NOW + 6) not in DONE
    assert await release(town, what, NOW + 7) in DONE
    assert await find(town, live) == live
    assert await status(town, waiting) == ("ended", what)


@pytest.mark.parametrize("what", HOLDS)
async def test_hold_keeps_new_consents_out_until_it_is_over(town: SqlStore, what):
    refused = ConsentCommit.APP_UNAVAILABLE if what == "app_suspended" else ConsentCommit.MEMBERSHIP_ENDED
    await hold(town, what)
    grant = fresh_grant()
    assert await town.commit_consent(grant) is refused
    assert await town.find_grant(grant.id) is None
    await release(town, what)
    assert await town.commit_consent(grant) is ConsentCommit.CREATED


@pytest.mark.parametrize("what", HOLDS)
async def test_hold_leaves_what_it_does_not_concern_alone(town: SqlStore, what):
    others = [await active(town, user_id=BOB, organization_id=BIRCH, client_id=MAILLOOP)]
    if what != "app_suspended":
        # An app of a closed organization reaches nobody: Mailloop is Acorn's.
        await town.create_client(build_client(client_id="oa2client_birch", organization_id=BIRCH))
        others = [await active(town, user_id=BOB, organization_id=BIRCH, client_id="oa2client_birch")]
        if what != "user_disabled":
            others.append(await active(town, organization_id=BIRCH, client_id="oa2client_birch"))
    else:
        others = [await active(town, client_id=OWN)]
    await hold(town, what)
    assert [await find(town, grant) for grant in others] == others


async def test_holds_at_once_resume_the_grant_only_when_the_last_is_over(town: SqlStore):
    """Every subset of them, whichever way they come and go, in a fixed order of chance."""
    grant = await active(town)
    chance = random.Random(5)
    holding: set[str] = set()
    for _ in range(60):
        what = chance.choice(HOLDS)
        # A membership that ended is suspended no longer, and taken back it is whole.
        if {what} | holding >= {"membership_ended", "membership_suspended"} and what not in holding:
            continue
        await (release if what in holding else hold)(town, what)
        holding ^= {what}
        first = next((each for each in HOLDS if each in holding), None)
        assert await status(town, grant) == (("suspended", first) if first else ("active", None))


# -- the membership in the app's owner


async def test_private_apps_grant_elsewhere_is_held_when_the_member_leaves_its_owner(town: SqlStore):
    """A grant of Birch's to an app private to Acorn must not survive its member's leaving Acorn."""
    elsewhere = await active(town, organization_id=BIRCH, client_id=OWN)
    published = await active(town, organization_id=BIRCH)
    await town.end_membership(**of_ann(), now=NOW)
    assert await status(town, elsewhere) == ("suspended", "app_private")
    assert await find(town, published) == published
    await town.add_membership(**of_ann(), role="member", now=NOW)
    assert await find(town, elsewhere) == elsewhere


async def test_withdrawn_publication_holds_the_grants_of_strangers_alone(town: SqlStore):
    await town.create_user(build_user("user_eve", "eve@example.com"))
    await town.add_membership(user_id="user_eve", organization_id=BIRCH, role="member", now=NOW)
    own = await active(town)
    strange = await active(town, user_id="user_eve", organization_id=BIRCH)
    assert await town.publish_client(MAILLOOP, is_published=False, origin=OPERATOR, now=NOW) is APPLIED
    assert await town.publish_client(MAILLOOP, is_published=False, origin=OPERATOR, now=NOW) is LOST
    assert await find(town, own) == own
    assert await status(town, strange) == ("suspended", "app_private")
    assert await town.commit_consent(fresh_grant(user_id="user_eve", organization_id=BIRCH)) is (
        ConsentCommit.APP_UNAVAILABLE
    )
    assert await town.publish_client(MAILLOOP, is_published=True, origin=OPERATOR, now=NOW) is APPLIED
    assert await find(town, strange) == strange


async def test_closed_owner_holds_its_apps_everywhere(town: SqlStore):
    grant = await active(town, user_id=BOB, organization_id=BIRCH)
    before = await town.find_client(MAILLOOP)
    await town.close_organization(ACORN, origin=OPERATOR, now=NOW + 3)
    assert await status(town, grant) == ("suspended", "app_suspended")
    client = await town.find_client(MAILLOOP)
    assert client is not None
    assert client.is_suspended
    assert client.owner_closed_at == NOW + 3
    assert await town.find_clients_for_user(ANN) == []
    assert [each.organization_id for each in await town.find_memberships(ANN)] == [BIRCH]
    await town.reopen_organization(ACORN, origin=OPERATOR, now=NOW + 4)
    assert await find(town, grant) == grant
    assert await town.find_client(MAILLOOP) == before


async def test_approval_of_a_closed_organization_is_as_good_as_ended(town: SqlStore):
    await town.approve_client(MAILLOOP, BIRCH, scope=("all.full_access",), by="operator", now=NOW)
    await town.close_organization(BIRCH, origin=OPERATOR, now=NOW + 2)
    closed = await town.find_client_approval(MAILLOOP, BIRCH)
    assert closed is not None
    assert closed.ended_at == NOW + 2
    await town.reopen_organization(BIRCH, origin=OPERATOR, now=NOW + 3)
    reopened = await town.find_client_approval(MAILLOOP, BIRCH)
    assert reopened is not None
    assert reopened.ended_at is None


# -- for good


async def test_deleted_app_ends_its_grants_and_cannot_be_reinstated(town: SqlStore):
    grant, waiting, other = await active(town), await insert(town), await active(town, client_id=OWN)
    await town.approve_client(MAILLOOP, BIRCH, scope=("all.full_access",), by="operator", now=NOW)
    assert await town.delete_client(MAILLOOP, origin=OF_ANN, now=NOW + 5, kept_until=NOW + DAY) is APPLIED
    ended = await find(town, grant)
    assert (ended.status, ended.ended_reason, ended.ended_by, ended.ended_at) == ("ended", "app_deleted", ANN, NOW + 5)
    assert await status(town, waiting) == ("ended", "app_deleted")
    assert await find(town, other) == other
    client = await town.find_client(MAILLOOP)
    assert client is not None
    assert (client.ended_at, client.expires_at) == (NOW + 5, NOW + DAY)
    approval = await town.find_client_approval(MAILLOOP, BIRCH)
    assert approval is not None
    assert (approval.ended_at, approval.ended_by) == (NOW + 5, ANN)
    assert [each.client_id for each in await town.find_clients_for_user(ANN)] == [OWN]
    assert await town.delete_client(MAILLOOP, origin=OF_ANN, now=NOW, kept_until=NOW) is LOST
    assert await town.suspend_client(MAILLOOP, origin=OF_ANN, reason="", now=NOW) is LOST
    assert await town.commit_consent(fresh_grant()) is ConsentCommit.APP_UNAVAILABLE


async def test_deleted_user_leaves_an_id_and_nothing_else(town: SqlStore):
    grant, bobs = await active(town), await active(town, user_id=BOB)
    session = build_session()
    await town.create_session(session)
    assert await town.delete_user(ANN, origin=OPERATOR, now=NOW + 5) is APPLIED
    assert await status(town, grant) == ("ended", "user_deleted")
    assert await find(town, bobs) == bobs
    assert await town.find_session(session.session_hash, NOW) is None
    assert await town.find_user_by_email("ann@example.com") is None
    gone = await town.find_user(ANN)
    assert gone is not None
    assert (gone.email, gone.name, gone.password_hash, gone.deleted_at) == (ANN, "", "", NOW + 5)
    assert await town.find_memberships(ANN) == []
    assert await town.enable_user(ANN, origin=OPERATOR, now=NOW) is LOST
    assert await town.delete_user(ANN, origin=OPERATOR, now=NOW) is LOST
    assert await town.create_user(build_user("user_another")) is APPLIED, "the email is free again"
    await town.add_membership(**of_ann(), role="member", now=NOW)
    assert await status(town, grant) == ("ended", "user_deleted")


async def test_disabled_user_is_signed_out_everywhere(town: SqlStore):
    session, bobs = build_session(), build_session(b"\x08" * 32, user_id=BOB)
    for each in (session, bobs):
        await town.create_session(each)
    await town.disable_user(ANN, origin=OPERATOR, now=NOW)
    assert await town.find_session(session.session_hash, NOW) is None
    assert await town.find_session(bobs.session_hash, NOW) == bobs
    found = await town.find_user(ANN)
    assert found is not None
    assert found.disabled_at == NOW


# -- members


async def test_change_of_a_role_is_noted_on_the_members_grants_there(town: SqlStore):
    grant, elsewhere = await active(town), await active(town, organization_id=BIRCH)
    assert await town.change_role(**of_ann(), role="admin", now=NOW, origin=OF_BOB) is MembershipChange.APPLIED
    membership = await town.find_membership(ANN, ACORN)
    assert membership is not None
    assert membership.role == "admin"
    assert (await find(town, grant)).member_role == "admin"
    assert await find(town, elsewhere) == elsewhere
    await town.end_membership(**of_ann(), now=NOW)
    await town.add_membership(**of_ann(), role="member", now=NOW)
    assert (await find(town, grant)).member_role == "member"
    assert await town.change_role(
        user_id="user_nobody", organization_id=ACORN, role="admin", now=NOW, origin=OF_BOB
    ) is (MembershipChange.NO_MEMBER)


async def test_last_admin_stays_however_many_leave_at_once(town: SqlStore, open_another: OpenStore):
    stores = [town, open_another()]
    for _ in range(5):
        for user_id in (ANN, BOB):
            await town.add_membership(user_id=user_id, organization_id=ACORN, role="admin", now=NOW)
        outcomes = await asyncio.gather(
            stores[0].end_membership(user_id=ANN, organization_id=ACORN, now=NOW, keeps_an_admin=True),
            stores[1].change_role(
                user_id=BOB, organization_id=ACORN, role="member", now=NOW, origin=OF_BOB, keeps_an_admin=True
            ),
        )
        assert sorted(each.value for each in outcomes) == ["applied", "last_admin"]


async def test_leavers_grants_end_at_once_where_that_is_the_rule(town: SqlStore):
    grant = await active(town)
    assert await town.set_leaver_policy(ACORN, end_after=0, origin=OF_BOB, now=NOW) is APPLIED
    await town.end_membership(**of_ann(), origin=OF_BOB, now=NOW + 5)
    ended = await find(town, grant)
    assert (ended.status, ended.ended_reason, ended.ended_by) == ("ended", "membership_ended", BOB)
    await town.add_membership(**of_ann(), role="member", now=NOW + 6)
    assert (await find(town, grant)).status == "ended"


async def test_rule_for_leavers_counts_for_those_who_have_left_before(town: SqlStore):
    grant = await active(town)
    await town.end_membership(**of_ann(), now=NOW)
    await town.set_leaver_policy(ACORN, end_after=DAY, origin=OF_BOB, now=NOW + DAY - 1)
    assert await status(town, grant) == ("suspended", "membership_ended")
    await town.set_leaver_policy(ACORN, end_after=DAY, origin=OF_BOB, now=NOW + DAY)
    assert await status(town, grant) == ("ended", "membership_ended")


@pytest.mark.parametrize("late, expected", [(-1, "active"), (0, "ended")])
async def test_return_is_in_time_until_the_second_it_is_not(town: SqlStore, late, expected):
    """CVE-2025-64708: the time counts, not whether the sweeper has come by."""
    await town.set_leaver_policy(ACORN, end_after=DAY, origin=OF_BOB, now=NOW)
    grant = await active(town)
    await town.end_membership(**of_ann(), now=NOW)
    await town.add_membership(**of_ann(), role="member", now=NOW + DAY + late)
    assert (await find(town, grant)).status == expected


async def test_sweeper_ends_the_grants_of_leavers_when_their_time_is_over(town: SqlStore):
    await town.set_leaver_policy(ACORN, end_after=DAY, origin=OF_BOB, now=NOW)
    left, elsewhere, bobs = (
        await active(town),
        await active(town, organization_id=BIRCH),
        await active(town, user_id=BOB),
    )
    await town.end_membership(**of_ann(), now=NOW)
    clock = [NOW + DAY - 1]
    sweeper = town.sweeper(lambda: clock[0], SweepPlan(retention=30 * DAY, interval=1))
    for _ in range(4):
        await sweeper.step()
    assert await status(town, left) == ("suspended", "membership_ended")
    clock[0] = NOW + DAY + 10
    for _ in range(4):
        await sweeper.step()
    ended = await find(town, left)
    assert (ended.status, ended.ended_reason, ended.ended_by) == ("ended", "membership_ended", ACORN)
    assert [await find(town, each) for each in (elsewhere, bobs)] == [elsewhere, bobs]


# -- taking over


async def take_over(store: SqlStore, grant: GrantRecord, **given: Any) -> Commit:
    taking = {
        "organization_id": ACORN,
        "from_user": ANN,
        "new_user": BOB,
        "scope": grant.scope,
        "now": NOW + 9,
        "origin": OF_BOB,
    }
    return await store.take_over_grant(grant.id, **{**taking, **given})


async def test_grant_of_a_leaver_is_taken_over_once_and_works_for_the_new_member(town: SqlStore):
    grant = await active(town, authenticated_at=NOW, acr="phr")
    assert await take_over(town, grant) is LOST, "its member is still there"
    await town.end_membership(**of_ann(), now=NOW)
    outcomes = await asyncio.gather(*(take_over(town, grant) for _ in range(5)))
    assert sorted(each.value for each in outcomes) == ["applied"] + ["lost"] * 4
    taken = await find(town, grant)
    assert (taken.user_id, taken.status, taken.taken_over_from, taken.taken_over_at) == (BOB, "active", ANN, NOW + 9)
    assert (taken.authenticated_at, taken.acr) == (None, None), "it was not the new member who had signed in"
    await town.add_membership(**of_ann(), role="member", now=NOW + 10)
    assert (await find(town, grant)).user_id == BOB
    await town.end_membership(user_id=BOB, organization_id=ACORN, now=NOW + 11)
    assert await status(town, grant) == ("suspended", "membership_ended")


@pytest.mark.parametrize(
    "given", [{"organization_id": BIRCH}, {"from_user": BOB}, {"new_user": "user_nobody"}, {"now": NOW + 1000}], ids=str
)
async def test_takeover_of_anything_else_is_lost(town: SqlStore, given):
    grant = await active(town)
    await town.end_membership(**of_ann(), now=NOW)
    held = await find(town, grant)
    assert await take_over(town, grant, **given) is LOST
    assert await find(town, grant) == held


# -- many grants


async def test_many_grants_are_settled_in_stretches_before_the_answer(town: SqlStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(life_cycle, "STRETCH", 3)
    monkeypatch.setattr(life_cycle, "_AT_ONCE", 2)
    grants = [await active(town, user_id=user_id) for user_id in (ANN, BOB) for _ in range(10)]
    await town.close_organization(ACORN, origin=OPERATOR, now=NOW)
    assert {await status(town, grant) for grant in grants} == {("suspended", "organization_closed")}
    await town.reopen_organization(ACORN, origin=OPERATOR, now=NOW)
    assert [await find(town, grant) for grant in grants] == grants
    await town.delete_client(MAILLOOP, origin=OF_ANN, now=NOW, kept_until=NOW)
    assert {await status(town, grant) for grant in grants} == {("ended", "app_deleted")}


async def test_settlement_that_was_cut_short_is_finished_by_the_sweeper(
    town: SqlStore, monkeypatch: pytest.MonkeyPatch
):
    """The server died between two stretches."""
    monkeypatch.setattr(life_cycle, "STRETCH", 3)
    monkeypatch.setattr(life_cycle, "_AT_ONCE", 1)
    grants = [await active(town) for _ in range(10)]
    await town._engine.commit(lambda: life_cycle.close_organization(ACORN, NOW, OPERATOR))
    assert len({await status(town, grant) for grant in grants}) == 2
    sweeper = town.sweeper(lambda: NOW, SweepPlan(retention=30 * DAY))
    for _ in range(8):
        await sweeper.step()
    assert {await status(town, grant) for grant in grants} == {("suspended", "organization_closed")}


async def test_end_of_an_app_in_an_organization_ends_that_alone(town: SqlStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(life_cycle, "STRETCH", 3)
    ending = [await active(town, user_id=user_id) for user_id in (ANN, BOB) for _ in range(5)]
    others = [await active(town, organization_id=BIRCH), await active(town, client_id=OWN)]
    await town.end_app_grants(organization_id=ACORN, client_id=MAILLOOP, origin=OF_BOB, reason="disconnected", now=NOW)
    assert {await status(town, grant) for grant in ending} == {("ended", "disconnected")}
    assert [await find(town, grant) for grant in others] == others


# -- at once


@pytest.mark.parametrize("what", HOLDS)
async def test_hold_while_consents_are_given_and_codes_redeemed_leaves_nothing_live(
    town: SqlStore, open_another: OpenStore, what
):
    """A25, C13: whichever comes first, over several servers."""
    stores = [town, open_another(), open_another()]
    for _ in range(3):
        codes = [await insert(town) for _ in range(10)]
        fresh = [fresh_grant() for _ in range(20)]
        work: list[Any] = [stores[n % 3].commit_consent(grant) for n, grant in enumerate(fresh)]
        work += [redeem(stores[n % 3], grant) for n, grant in enumerate(codes)]
        work.insert(15, hold(town, what))
        await asyncio.gather(*work)
        found = [await town.find_grant(grant.id) for grant in (*codes, *fresh)]
        assert {grant.status for grant in found if grant is not None} <= {"suspended", "ended"}
        await release(town, what)


async def test_holds_that_come_and_go_at_once_agree_in_the_end(town: SqlStore, open_another: OpenStore):
    """Two servers: each change settles by what the other has done, or the other way round."""
    stores = [town, open_another(), open_another()]
    grants = [await active(town) for _ in range(5)]
    for _ in range(6):
        await asyncio.gather(
            hold(stores[0], "organization_closed"), hold(stores[1], "user_disabled"), hold(stores[2], "app_suspended")
        )
        await asyncio.gather(
            release(stores[0], "user_disabled"),
            release(stores[1], "app_suspended"),
            release(stores[2], "organization_closed"),
        )
        assert [await find(town, grant) for grant in grants] == grants


async def test_events_tell_of_every_grant_that_was_settled_and_why(town: SqlStore):
    live, waiting = await active(town), await insert(town)
    await town.close_organization(ACORN, now=NOW + 5, origin=OPERATOR)
    await town.reopen_organization(ACORN, now=NOW + 6, origin=OPERATOR)
    wanted = EventFilter(organization_id=ACORN)
    found = [record.event for record in await town.find_events(wanted, before=None, at_most=100)]
    told = [(event.action, event.subject_id, event.after) for event in found if event.origin == OPERATOR]
    names = {grant.id: render_identifier(GRANT, grant.id) for grant in (live, waiting)}
    reason = {"reason": "organization_closed"}
    assert told == [
        (Action.GRANT_RESUMED, names[live.id], None),
        (Action.ORGANIZATION_REOPENED, ACORN, None),
        (Action.GRANT_SUSPENDED, names[live.id], reason),
        (Action.GRANT_ENDED, names[waiting.id], reason),
        (Action.ORGANIZATION_CLOSED, ACORN, None),
    ]
