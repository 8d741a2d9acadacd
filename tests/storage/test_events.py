"""The audit log: each change leaves its event in the same transaction, and nothing changes an event afterwards."""

import asyncio

import msgspec
import pytest
from sqlalchemy.dialects import sqlite

from latchstring.authorization_server.events import COMMAND_LINE, Action, EventFilter, EventRecord, Origin
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import SecretHash
from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage import recording
from latchstring.storage.statements.statement import ALL
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW, build_client, build_grant

FROM = Origin("user", ANN, "192.0.2.7", "req_1")


async def events_of(store: SqlStore, **wanted: str) -> list[EventRecord]:
    """The events, the oldest first."""
    found = await store.find_events(msgspec.convert(wanted, EventFilter), before=None, at_most=1000)
    return list(reversed(found))


async def actions_of(store: SqlStore, **wanted: str) -> list[str]:
    return [str(record.event.action) for record in await events_of(store, **wanted)]


async def test_consent_allowed_leaves_its_event(peopled: SqlStore) -> None:
    grant = build_grant(redirect_uri="https://app.example/callback")
    await peopled.commit_consent(grant, origin=FROM)
    (record,) = await events_of(peopled, action="grant.created")
    assert record.event.origin == FROM
    assert record.event.at == NOW
    assert (record.event.organization_id, record.event.client_id, record.event.user_id) == (ACORN, MAILLOOP, ANN)
    assert record.event.subject_id == render_identifier(GRANT, grant.id)
    assert record.event.after == {
        "scope": "all.full_access offline_access",
        "redirect_uri": "https://app.example/callback",
    }


async def test_consent_refused_leaves_no_event(peopled: SqlStore) -> None:
    await peopled.commit_consent(build_grant(user_id="user_nobody"), origin=FROM)
    assert "grant.created" not in await actions_of(peopled)


async def test_grant_ended_twice_leaves_one_event(peopled: SqlStore) -> None:
    grant = build_grant()
    await peopled.commit_consent(grant)
    for expected in (Commit.APPLIED, Commit.LOST):
        assert await peopled.end_grant(grant.id, by=ANN, reason="disconnected", now=NOW, origin=FROM) is expected
    (record,) = await events_of(peopled, action="grant.ended")
    assert record.event.after == {"reason": "disconnected"}


async def test_grant_ended_for_reuse_says_so_first(peopled: SqlStore) -> None:
    grant = build_grant()
    await peopled.commit_consent(grant)
    await peopled.end_grant(grant.id, by=MAILLOOP, reason="refresh_token_reuse", now=NOW + 1, origin=FROM)
    assert (await actions_of(peopled, client_id=MAILLOOP))[-2:] == ["grant.reuse_detected", "grant.ended"]


async def test_refresh_and_redemption_leave_no_event(peopled: SqlStore) -> None:
    grant = build_grant()
    await peopled.commit_consent(grant)
    before = await actions_of(peopled)
    await peopled.commit_redemption(grant.id, generation=1, now=NOW, expires_at=None, absolute_expires_at=None)
    await peopled.commit_rotation(grant.id, generation=1, now=NOW, expires_at=None)
    await peopled.commit_retry(grant.id, generation=2)
    assert await actions_of(peopled) == before


async def test_membership_ended_tells_of_each_grant(peopled: SqlStore) -> None:
    active, pending = build_grant(id=b"\x01" * 16), build_grant(id=b"\x02" * 16)
    for grant in (active, pending):
        await peopled.commit_consent(grant)
    await peopled.commit_redemption(active.id, generation=1, now=NOW, expires_at=None, absolute_expires_at=None)
    count = len(await actions_of(peopled))
    await peopled.end_membership(user_id=ANN, organization_id=ACORN, now=NOW + 1, origin=COMMAND_LINE)
    told = (await events_of(peopled))[count:]
    assert [str(record.event.action) for record in told] == ["membership.ended", "grant.ended", "grant.suspended"]
    assert {record.event.origin for record in told} == {COMMAND_LINE}
    await peopled.add_membership(user_id=ANN, organization_id=ACORN, role="admin", now=NOW + 2)
    assert (await actions_of(peopled))[-2:] == ["membership.added", "grant.resumed"]


async def test_membership_with_the_same_role_again_leaves_no_event(peopled: SqlStore) -> None:
    count = len(await actions_of(peopled))
    await peopled.add_membership(user_id=ANN, organization_id=ACORN, role="member", now=NOW + 2)
    assert len(await actions_of(peopled)) == count
    await peopled.add_membership(user_id=ANN, organization_id=ACORN, role="admin", now=NOW + 3)
    changed = (await events_of(peopled))[-1].event
    assert (changed.action, changed.before, changed.after) == (
        Action.MEMBERSHIP_CHANGED,
        {"role": "member"},
        {"role": "admin"},
    )


async def test_app_changed_tells_what_of_it_changed(peopled: SqlStore) -> None:
    await peopled.update_client_details(build_client(name="Mailloop 2"), now=NOW + 1, origin=FROM)
    changed = (await events_of(peopled))[-1].event
    assert (changed.action, changed.after) == (Action.APP_CHANGED, {"name": "Mailloop 2"})
    assert changed.before == {"name": build_client().name}
    count = len(await actions_of(peopled))
    await peopled.update_client_details(build_client(name="Mailloop 2"), now=NOW + 2, origin=FROM)
    assert len(await actions_of(peopled)) == count


async def test_secrets_changed_tells_no_hash(peopled: SqlStore) -> None:
    secret = SecretHash(b"\x07" * 32, 1, "ls_cs_abcd", NOW)
    await peopled.replace_client_secrets(MAILLOOP, (secret,), now=NOW + 1, origin=FROM)
    changed = (await events_of(peopled))[-1].event
    assert changed.action is Action.APP_SECRETS_CHANGED
    assert changed.after == {"secrets": [{"hint": "ls_cs_abcd", "name": "", "expires_at": None}]}


async def test_operator_added_and_removed_leaves_events(peopled: SqlStore) -> None:
    assert await peopled.set_operator(ANN, is_operator=True, now=NOW) is Commit.APPLIED
    assert await peopled.set_operator(ANN, is_operator=True, now=NOW) is Commit.LOST
    assert [user.user_id for user in await peopled.find_operators()] == [ANN]
    assert await peopled.set_operator(ANN, is_operator=False, now=NOW) is Commit.APPLIED
    assert await peopled.find_operators() == []
    assert (await actions_of(peopled, user_id=ANN))[-2:] == ["operator.added", "operator.removed"]


async def test_event_of_a_change_undone_is_undone_with_it(peopled: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the database refuses of the event undoes the change: there is never one without the other."""
    grant = build_grant()
    await peopled.commit_consent(grant)
    taken = (await events_of(peopled))[-1].id
    monkeypatch.setattr(recording, "new_event_id", lambda now: taken)
    with pytest.raises(StoreUnavailable):
        await peopled.end_grant(grant.id, by=ANN, reason="disconnected", now=NOW)
    kept = await peopled.find_grant(grant.id)
    assert kept is not None
    assert kept.status == "pending"


async def test_events_come_newest_first_and_page_by_key(peopled: SqlStore) -> None:
    for number in range(5):
        await peopled.update_client_details(build_client(name=f"Name {number}"), now=NOW + number)
    newest = await peopled.find_events(EventFilter(client_id=MAILLOOP), before=None, at_most=2)
    older = await peopled.find_events(EventFilter(client_id=MAILLOOP), before=newest[-1].id, at_most=2)
    names = [record.event.after["name"] for record in (*newest, *older) if record.event.after]
    assert names == ["Name 4", "Name 3", "Name 2", "Name 1"]


async def test_grant_ended_by_many_at_once_leaves_one_event(peopled: SqlStore) -> None:
    grant = build_grant()
    await peopled.commit_consent(grant)
    ends = (peopled.end_grant(grant.id, by=ANN, reason="disconnected", now=NOW, origin=FROM) for _ in range(20))
    assert sorted(await asyncio.gather(*ends), key=str).count(Commit.APPLIED) == 1
    assert (await actions_of(peopled)).count("grant.ended") == 1


def test_event_ids_sort_by_time_and_within_a_process_by_order() -> None:
    ids = [recording.new_event_id(NOW) for _ in range(1000)]
    assert ids == sorted(ids)
    assert len({len(one) for one in ids}) == 1
    assert max(ids) < recording.new_event_id(NOW + 1)


def test_audit_log_is_only_ever_inserted_to() -> None:
    """No statement updates an event, and only the sweeper's deletes one."""
    for statement in ALL:
        text = str(statement.build(sqlite.insert)).strip()
        assert not text.startswith("UPDATE audit_event")
        assert not (text.startswith("DELETE FROM audit_event") and statement.name != "sweep_audit_event")
        assert not (text.startswith("INSERT INTO audit_event") and "DO UPDATE" in text)
