"""The contract of `PeopleStore`, for every engine."""

import asyncio
import os
from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.life_cycle_ports import MembershipChange
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import OrganizationRecord, UserRecord
from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import (
    ACORN,
    ANN,
    NOW,
    build_membership,
    build_organization,
    build_session,
    build_user,
)
from tests.storage.test_grant_store import active, find, insert

APPLIED, LOST = Commit.APPLIED, Commit.LOST
NO_MEMBER = MembershipChange.NO_MEMBER


# -- users


async def test_create_user_keeps_every_field(store: SqlStore):
    user = UserRecord(
        user_id="user_x", email="Ann.Größe@Example.COM", name='Ann "郵便" 🎈', password_hash="$argon2id$x", created_at=0
    )
    assert await store.create_user(user) is APPLIED
    assert await store.find_user("user_x") == user
    assert await store.find_user_by_email("Ann.Größe@Example.COM") == user


@pytest.mark.parametrize("email", ["ann@example.com", "ANN@EXAMPLE.COM", "Ann@Example.com", " ann@example.com "])
async def test_email_is_unique_and_found_without_regard_to_case(store: SqlStore, email):
    ann = build_user(email="Ann@example.com")
    assert await store.create_user(ann) is APPLIED
    assert await store.find_user_by_email(email) == ann
    assert await store.create_user(build_user("user_second", email)) is LOST
    assert await store.find_user("user_second") is None


@pytest.mark.parametrize(
    "one, other", [("straße@example.com", "STRASSE@example.com"), ("ΑΣ@example.com", "ας@example.com")]
)
async def test_email_case_is_not_only_ascii(store: SqlStore, one, other):
    assert await store.create_user(build_user(email=one)) is APPLIED
    assert await store.create_user(build_user("user_second", other)) is LOST


async def test_create_user_with_a_taken_id_is_refused_and_the_first_is_kept(store: SqlStore):
    await store.create_user(build_user())
    with pytest.raises(StoreUnavailable):
        await store.create_user(build_user(email="other@example.com"))
    assert await store.find_user(ANN) == build_user()


@pytest.mark.parametrize("text", ["", "nobody", "%", "' OR 1=1 --", "a\0b", ANN.lower()])
async def test_find_unknown_people_is_none(peopled: SqlStore, text):
    assert await peopled.find_user(text) is None
    assert await peopled.find_user_by_email(text) is None
    assert await peopled.find_organization(text) is None
    assert await peopled.find_membership(text, ACORN) is None
    assert await peopled.find_membership(ANN, text) is None
    assert await peopled.find_memberships(text) == []
    assert await peopled.find_connections(text, now=NOW) == []
    assert await peopled.find_clients_for_user(text) == []


async def test_organization_is_kept_and_its_id_never_taken_twice(store: SqlStore):
    await store.create_organization(build_organization(name="Größe & 郵便"))
    with pytest.raises(StoreUnavailable):
        await store.create_organization(build_organization(name="Impostor"))
    found = await store.find_organization(ACORN)
    assert found == OrganizationRecord(organization_id=ACORN, name="Größe & 郵便", created_at=NOW)


# -- memberships


async def test_add_membership_is_found_with_role_and_organization(peopled: SqlStore):
    assert await peopled.find_membership(ANN, ACORN) == build_membership()
    assert await peopled.find_memberships(ANN) == [build_membership()]


@pytest.mark.parametrize("user_id, organization_id", [("user_nobody", ACORN), (ANN, "orga_nowhere"), ("x", "y")])
async def test_add_membership_of_unknown_user_or_organization_is_lost(peopled: SqlStore, user_id, organization_id):
    commit = await peopled.add_membership(user_id=user_id, organization_id=organization_id, role="admin", now=NOW)
    assert commit is LOST
    assert await peopled.find_membership(user_id, organization_id) is None


async def test_add_membership_again_changes_the_role_and_keeps_the_beginning(peopled: SqlStore):
    commit = await peopled.add_membership(user_id=ANN, organization_id=ACORN, role="admin", now=NOW + 9)
    assert commit is APPLIED
    assert await peopled.find_membership(ANN, ACORN) == build_membership(role="admin")


async def test_end_membership_is_noted_once(peopled: SqlStore):
    assert await peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW + 5) is MembershipChange.APPLIED
    ended = msgspec.structs.replace(build_membership(), ended_at=NOW + 5)
    assert await peopled.find_membership(ANN, ACORN) == ended
    assert await peopled.find_memberships(ANN) == []
    assert await peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW + 9) is NO_MEMBER
    assert await peopled.find_membership(ANN, ACORN) == ended


async def test_end_membership_that_never_was_is_lost(peopled: SqlStore):
    assert await peopled.end_membership(user_id="user_nobody", organization_id=ACORN, now=NOW) is NO_MEMBER
    assert await peopled.end_membership(user_id=ANN, organization_id="orga_nowhere", now=NOW) is NO_MEMBER


async def test_find_memberships_are_by_organization_name_without_regard_to_case(peopled: SqlStore):
    for organization_id, name in (("orga_1", "birch"), ("orga_2", "Cedar"), ("orga_3", "alder"), ("orga_0", "birch")):
        await peopled.create_organization(build_organization(organization_id, name))
        await peopled.add_membership(user_id=ANN, organization_id=organization_id, role="member", now=NOW)
    found = [membership.organization_id for membership in await peopled.find_memberships(ANN)]
    assert found == [ACORN, "orga_3", "orga_0", "orga_1", "orga_2"]


async def test_end_membership_suspends_active_and_ends_pending_grants_of_that_organization_only(peopled: SqlStore):
    """R8, A25, DESIGN §4: in the transaction that causes it."""
    await peopled.create_organization(build_organization("orga_other"))
    await peopled.create_user(build_user("user_bob", "bob@example.com"))
    for user_id, organization_id in ((ANN, "orga_other"), ("user_bob", ACORN)):
        await peopled.add_membership(user_id=user_id, organization_id=organization_id, role="member", now=NOW)
    live, waiting = await active(peopled), await insert(peopled)
    gone = await active(peopled)
    await peopled.end_grant(gone.id, by=ANN, reason="disconnected", now=NOW)
    gone = await find(peopled, gone)
    untouched = [
        await active(peopled, organization_id="orga_other"),
        await insert(peopled, organization_id="orga_other"),
        await active(peopled, user_id="user_bob"),
        await insert(peopled, user_id="user_bob"),
        gone,
    ]
    await peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW + 5)
    held = {"status": "suspended", "suspended_at": NOW + 5, "suspended_reason": "membership_ended"}
    assert await find(peopled, live) == msgspec.structs.replace(live, **held)
    assert await find(peopled, waiting) == msgspec.structs.replace(
        waiting, status="ended", ended_at=NOW + 5, ended_by=ANN, ended_reason="membership_ended"
    )
    assert [await find(peopled, grant) for grant in untouched] == untouched

    await peopled.add_membership(user_id=ANN, organization_id=ACORN, role="member", now=NOW + 6)
    assert await find(peopled, live) == live
    assert (await find(peopled, waiting)).status == "ended"
    assert [await find(peopled, grant) for grant in untouched] == untouched


async def test_suspended_grant_that_was_ended_does_not_resume(peopled: SqlStore):
    grant = await active(peopled)
    await peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    await peopled.end_grant(grant.id, by=ANN, reason="disconnected", now=NOW)
    await peopled.add_membership(user_id=ANN, organization_id=ACORN, role="member", now=NOW)
    assert (await find(peopled, grant)).status == "ended"


async def test_membership_ending_while_codes_are_redeemed_leaves_no_grant_active(peopled: SqlStore):
    """C13: whichever comes first, afterwards nothing of it is live."""
    for _ in range(5):
        await peopled.add_membership(user_id=ANN, organization_id=ACORN, role="member", now=NOW)
        grants = [await insert(peopled) for _ in range(20)]

        def redeem(grant: Any) -> Any:
            return peopled.commit_redemption(
                grant.id, generation=1, now=NOW, expires_at=NOW + 99, absolute_expires_at=None
            )

        await asyncio.gather(
            *(redeem(grant) for grant in grants[:10]),
            peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW),
            *(redeem(grant) for grant in grants[10:]),
        )
        statuses = {(await find(peopled, grant)).status for grant in grants}
        assert statuses <= {"suspended", "ended"}


async def test_membership_ending_while_consents_are_given_leaves_no_code_alive(peopled: SqlStore):
    """A25."""
    from tests.storage.test_grant_store import fresh_grant

    for _ in range(5):
        await peopled.add_membership(user_id=ANN, organization_id=ACORN, role="member", now=NOW)
        grants = [fresh_grant() for _ in range(20)]
        await asyncio.gather(
            *(peopled.commit_consent(grant) for grant in grants[:10]),
            peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW),
            *(peopled.commit_consent(grant) for grant in grants[10:]),
        )
        found = [await peopled.find_grant(grant.id) for grant in grants]
        assert {grant.status for grant in found if grant is not None} <= {"ended"}


# -- sessions


@pytest.mark.parametrize("acr", [None, "mfa"])
async def test_session_is_found_until_the_second_it_expires(peopled: SqlStore, acr: str | None):
    session = build_session(acr=acr)
    await peopled.create_session(session)
    assert await peopled.find_session(session.session_hash, NOW + 3599) == session
    assert await peopled.find_session(session.session_hash, NOW + 3600) is None
    assert await peopled.find_session(bytes(32), NOW) is None


async def test_create_session_clears_away_the_users_expired_ones_only(peopled: SqlStore):
    await peopled.create_user(build_user("user_bob", "bob@example.com"))
    old, live, bobs = (
        build_session(b"\x01" * 32, expires_at=NOW + 10),
        build_session(b"\x02" * 32, expires_at=NOW + 1000),
        build_session(b"\x03" * 32, expires_at=NOW + 10, user_id="user_bob"),
    )
    for session in (old, live, bobs):
        await peopled.create_session(session)
    await peopled.create_session(build_session(b"\x04" * 32, created_at=NOW + 10))
    assert await peopled.find_session(old.session_hash, 0) is None
    assert await peopled.find_session(live.session_hash, 0) == live
    assert await peopled.find_session(bobs.session_hash, 0) == bobs


async def test_end_session_is_idempotent_and_leaves_others_alone(peopled: SqlStore):
    first, second = build_session(b"\x01" * 32), build_session(b"\x02" * 32)
    for session in (first, second):
        await peopled.create_session(session)
    for _ in range(2):
        await peopled.end_session(first.session_hash)
        assert await peopled.find_session(first.session_hash, NOW) is None
    assert await peopled.find_session(second.session_hash, NOW) == second


async def test_create_session_of_an_unknown_user_is_refused(peopled: SqlStore):
    with pytest.raises(StoreUnavailable):
        await peopled.create_session(build_session(user_id="user_nobody"))
    assert await peopled.find_session(build_session().session_hash, NOW) is None


async def test_work_that_the_database_refuses_does_not_fail_its_neighbours(peopled: SqlStore):
    """A foreign key violation among forty good writes of the same moment."""
    good = [build_session(os.urandom(32)) for _ in range(40)]
    bad = [build_session(os.urandom(32), user_id="user_nobody") for _ in range(3)]
    work = [peopled.create_session(session) for session in (*good[:20], *bad, *good[20:])]
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    assert sum(isinstance(outcome, StoreUnavailable) for outcome in outcomes) == 3
    assert outcomes.count(None) == 40
    for session in good:
        assert await peopled.find_session(session.session_hash, NOW) == session


async def test_work_that_cannot_be_written_does_not_fail_its_neighbours_or_the_store(peopled: SqlStore):
    """A number that no column holds, among good ones: its caller hears of it, nobody else, and work goes on."""
    numbers = [NOW, 2**70, NOW, -(2**70), NOW]
    outcomes = await asyncio.wait_for(
        asyncio.gather(
            *(
                peopled.create_organization(
                    OrganizationRecord(organization_id=f"orga_{n}", name="x", created_at=number)
                )
                for n, number in enumerate(numbers)
            ),
            return_exceptions=True,
        ),
        10,
    )
    assert [outcome is None for outcome in outcomes] == [number == NOW for number in numbers]
    assert await peopled.find_organization("orga_4") is not None
    assert await peopled.find_organization("orga_1") is None
