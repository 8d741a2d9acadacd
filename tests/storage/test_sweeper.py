"""The store's size is a formula: live grants, those that ended not long ago, what has not expired (DESIGN §4)."""

import asyncio
import os
from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.events import COMMAND_LINE, EventFilter
from latchstring.authorization_server.organization_policy import AppRule
from latchstring.authorization_server.ports import Commit, ConsentCommit
from latchstring.authorization_server.records import ClientRecord, PushedRequestRecord
from latchstring.authorization_server.settings import MAX_REGISTRATION_LIFETIME
from latchstring.storage import operations
from latchstring.storage.engine import Steps
from latchstring.storage.operations import SweepPlan, Swept, consent
from latchstring.storage.statements import clients
from latchstring.storage.store import SqlStore
from latchstring.storage.sweeper import Sweeper
from tests.authorization_server.builders import ACORN, ANN, NOW, build_client, build_device, build_session
from tests.storage.conftest import OpenStore
from tests.storage.test_grant_store import active, fresh_grant, insert
from tests.storage.test_mail_store import sealed
from tests.storage.test_registered_clients import build_notes
from tests.storage.test_webhook_store import build_webhook

DAY = 24 * 3600
RETENTION = 30 * DAY
PLAN = SweepPlan(retention=RETENTION, batch=3)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def sweep_round(sweeper: Sweeper) -> int:
    """Steps until the round is over; how many."""
    for steps in range(1, 500):
        swept = await sweeper.step()
        if swept is Swept.ROUND_ENDED:
            return steps
        assert swept is Swept.GOES_ON
    raise AssertionError("the round does not end")


async def count(store: SqlStore) -> int:
    return len(await store.find_grants(user_id=None, organization_id=None))


async def end(store: SqlStore, grant, at: int) -> None:
    assert await store.end_grant(grant.id, by=ANN, reason="disconnected", now=at) is Commit.APPLIED


async def test_round_deletes_what_ended_before_the_retention_and_nothing_younger(peopled: SqlStore, clock: Clock):
    old, young = await active(peopled), await active(peopled)
    await end(peopled, old, NOW - RETENTION - 1)
    await end(peopled, young, NOW - RETENTION)
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert await peopled.find_grant(old.id) is None
    kept = await peopled.find_grant(young.id)
    assert kept is not None
    assert kept.ended_reason == "disconnected"  # reuse is still told


async def test_round_deletes_codes_that_nobody_redeemed(peopled: SqlStore, clock: Clock):
    dead = await insert(peopled, expires_at=NOW - DAY - 1)
    waiting = await insert(peopled, expires_at=NOW + 60)
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert await peopled.find_grant(dead.id) is None
    assert await peopled.find_grant(waiting.id) is not None


async def test_round_deletes_grants_whose_last_token_expired_before_the_retention(peopled: SqlStore, clock: Clock):
    grant, forever = await active(peopled), await active(peopled)
    assert await peopled.commit_rotation(forever.id, generation=1, now=NOW, expires_at=None) is Commit.APPLIED
    clock.now = NOW + 1000 + RETENTION
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert await peopled.find_grant(grant.id) is not None
    clock.now += DAY
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert await peopled.find_grant(grant.id) is None
    assert await peopled.find_grant(forever.id) is not None


async def test_round_walks_over_all_in_batches(peopled: SqlStore, clock: Clock):
    for number in range(20):
        grant = await active(peopled)
        if number % 2:
            await end(peopled, grant, NOW - RETENTION - 1)
    steps = await sweep_round(peopled.sweeper(clock, PLAN))
    assert steps >= 20 // 3
    assert await count(peopled) == 10


async def test_round_deletes_what_else_has_expired(peopled: SqlStore, clock: Clock):
    grant = await active(peopled)
    stale, fresh = NOW - DAY - 1, NOW + 60
    for number in range(10):
        await peopled.revoke_access_token(
            grant.id, bytes([number]) * 12, expires_at=stale if number else fresh, now=NOW
        )
        await peopled.create_session(
            build_session(bytes([number]) * 32, created_at=0, expires_at=stale if number else fresh)
        )
        pushed = PushedRequestRecord(
            id=bytes([number]) * 16, client_id="x", parameters="", expires_at=stale if number else fresh
        )
        await peopled.create_pushed_request(pushed, now=0)
        assert await peopled.use_once(bytes([number]) * 32, expires_at=stale if number else fresh, now=0)
        device = build_device(
            id=bytes([number]) * 16, user_code=f"BBBBBBB{number}", expires_at=stale if number else fresh
        )
        assert await peopled.create_device_authorization(device, now=0) is Commit.APPLIED
        await peopled.claim_device_authorization(
            "C" * 8, user_id=f"user_{number}", session_hash=b"", now=0, window=stale if number else fresh, max_wrong=1
        )
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert [await peopled.is_access_token_revoked(bytes([n]) * 12) for n in range(3)] == [True, False, False]
    assert await peopled.find_session(b"\0" * 32, 0) is not None
    assert await peopled.find_session(b"\1" * 32, 0) is None
    assert await peopled.find_pushed_request(b"\0" * 16) is not None
    assert await peopled.find_pushed_request(b"\1" * 16) is None
    assert await peopled.find_device_authorization(b"\0" * 16) is not None
    assert await peopled.find_device_authorization(b"\1" * 16) is None
    rows = (await peopled.sweeper(clock, PLAN).count()).others
    assert (rows["device_authorization"], rows["user_code_guess"]) == (1, 1)
    assert await peopled.use_once(b"\0" * 32, expires_at=fresh, now=0) is Commit.LOST
    assert await peopled.use_once(b"\1" * 32, expires_at=fresh, now=0) is Commit.APPLIED


LAPSED = NOW - MAX_REGISTRATION_LIFETIME - DAY - 1


def registered(name: str, **given: object) -> ClientRecord:
    """One that registered itself so long ago that its id has lapsed, and that somebody has connected since."""
    values = {"client_id": f"oa2client_{name}", "public_id": f"oa2registered_{name}", "created_at": LAPSED}
    return build_notes(**{**values, **given})


async def connect(store: SqlStore, client: ClientRecord, **given: object) -> ConsentCommit:
    """A consent whose code nobody redeems."""
    grant = fresh_grant(client_id=client.client_id, **{"expires_at": NOW - DAY - 1, **given})
    return await store.commit_consent(grant, self_registered=client)


async def test_round_deletes_what_registered_itself_once_no_grant_of_it_is_left(peopled: SqlStore, clock: Clock):
    gone, document = registered("gone"), registered("document", public_id="https://notes.example/client.json")
    young, connected = registered("young", created_at=LAPSED + 1), registered("connected")
    for client in (gone, document, young, connected):
        assert await connect(peopled, client) is ConsentCommit.CREATED
        await peopled.note_secret_uses({(client.client_id, "secret"): NOW})
    assert await connect(peopled, connected, expires_at=NOW - DAY) is ConsentCommit.CREATED
    ours = build_client(client_id="oa2client_ours", created_at=LAPSED)
    await peopled.create_client(ours)
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert [await peopled.find_client(client.client_id) for client in (gone, document)] == [None, None]
    for client in (young, connected):
        assert await peopled.find_client(client.client_id) == msgspec.structs.replace(client, expires_at=None)
        assert await peopled.find_secret_uses(client.client_id) == {"secret": NOW}
    assert await peopled.find_secret_uses(gone.client_id) == {}
    assert await peopled.find_client(ours.client_id) == ours
    clock.now += PLAN.interval
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert [await peopled.find_client(client.client_id) for client in (young, connected)] == [None, None]
    assert await peopled.find_client(ours.client_id) == ours


async def test_client_that_was_swept_has_its_row_again_with_the_next_consent(peopled: SqlStore, clock: Clock):
    client = registered("document", public_id="https://notes.example/client.json")
    assert await connect(peopled, client) is ConsentCommit.CREATED
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert await peopled.find_client(client.client_id) is None
    assert await connect(peopled, client, expires_at=NOW + 60) is ConsentCommit.CREATED
    clock.now += PLAN.interval
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert await peopled.find_client(client.client_id) == msgspec.structs.replace(client, expires_at=None)


async def test_round_keeps_what_registered_itself_while_an_organization_has_a_rule_about_it(
    peopled: SqlStore, clock: Clock
):
    client = registered("blocked")
    await connect(peopled, client)
    rule = AppRule(
        organization_id=ACORN,
        client_id=client.client_id,
        user_id=None,
        is_blocked=True,
        scope=(),
        left_out=(),
        decided_by=ANN,
        decided_at=LAPSED,
    )
    assert await peopled.save_app_rule(rule, origin=COMMAND_LINE) is Commit.APPLIED
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert await peopled.find_client(client.client_id) is not None
    await peopled.end_app_rule(ACORN, client.client_id, user_id=None, now=NOW, origin=COMMAND_LINE)
    clock.now += PLAN.interval
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert await peopled.find_client(client.client_id) is None


async def test_round_walks_over_clients_in_batches(peopled: SqlStore, clock: Clock):
    for number in range(20):
        expires_at = NOW - DAY - 1 if number % 2 else NOW + 60
        await connect(peopled, registered(f"{number:02}"), expires_at=expires_at)
    assert await sweep_round(peopled.sweeper(clock, PLAN)) >= 2 * 20 // 3
    assert (await peopled.sweeper(clock, PLAN).count()).others["client"] == 1 + 10


def consent_slowly(*given: Any, **options: Any) -> Steps[ConsentCommit]:
    """A consent that takes its time between its statements."""
    steps = consent(*given, **options)
    try:
        step = next(steps)
        while True:
            row = yield step
            for _ in range(20):
                yield clients.FIND_CLIENT, {"client_id": "unknown"}
            step = steps.send(row)
    except StopIteration as stop:
        outcome: ConsentCommit = stop.value
        return outcome


async def test_client_consented_to_while_it_is_swept_is_there(
    peopled: SqlStore, open_another: OpenStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """Whichever comes first: the consent finds the row, or makes it anew."""
    documented = [registered(f"{number:02}", public_id=f"https://{number}.example/") for number in range(12)]
    for client in documented:
        await connect(peopled, client)
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert (await peopled.sweeper(clock, PLAN).count()).others["client"] == 1  # all could be swept
    for client in documented:
        await connect(peopled, client)
    clock.now += PLAN.interval
    monkeypatch.setattr(operations, "consent", consent_slowly)
    others = [open_another() for _ in range(3)]
    consents = (connect(others[number % 3], client, expires_at=NOW + 60) for number, client in enumerate(documented))
    _, *outcomes = await asyncio.gather(sweep_round(peopled.sweeper(clock, PLAN)), *consents)
    assert set(outcomes) == {ConsentCommit.CREATED}
    assert None not in [await peopled.find_client(client.client_id) for client in documented]


async def test_sweep_is_one_processes_at_a_time(peopled: SqlStore, open_another: OpenStore, clock: Clock):
    for _ in range(10):
        await insert(peopled, expires_at=NOW - DAY - 1)
    sweepers = [peopled.sweeper(clock, PLAN), *(open_another().sweeper(clock, PLAN) for _ in range(3))]
    outcomes = await asyncio.gather(*(sweeper.step() for sweeper in sweepers))
    assert sorted(swept.name for swept in outcomes) == ["BY_ANOTHER", "BY_ANOTHER", "BY_ANOTHER", "GOES_ON"]


async def test_sweep_of_a_process_that_died_is_taken_over_where_it_stood(
    peopled: SqlStore, open_another: OpenStore, clock: Clock
):
    for _ in range(7):
        await insert(peopled, expires_at=NOW - DAY - 1)
    assert await peopled.sweeper(clock, PLAN).step() is Swept.GOES_ON
    assert await count(peopled) == 4
    heir = open_another().sweeper(clock, PLAN)
    assert await heir.step() is Swept.BY_ANOTHER
    clock.now += PLAN.lease
    assert await heir.step() is Swept.GOES_ON
    assert await count(peopled) == 1


async def test_next_round_is_not_due_before_its_time_and_writes_nothing(
    peopled: SqlStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    sweeper = peopled.sweeper(clock, PLAN)
    await sweep_round(sweeper)
    with monkeypatch.context() as patch:
        patch.setattr(operations, "sweep", None)
        assert await sweeper.step() is Swept.NOT_DUE
    state = await sweeper.find_state()
    assert state is not None
    assert (state.round_ended_at, state.next_round_at) == (NOW, NOW + PLAN.interval)
    clock.now += PLAN.interval
    assert await sweeper.step() is Swept.GOES_ON


async def test_run_goes_on_after_the_store_failed(peopled: SqlStore, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    await insert(peopled, expires_at=NOW - DAY - 1)
    sweeper = peopled.sweeper(clock, PLAN)
    monkeypatch.setattr("latchstring.storage.sweeper.STEP_PAUSE", 0.001)
    monkeypatch.setattr("latchstring.storage.sweeper.IDLE_PAUSE", 0.001)
    commit = peopled._engine.commit
    failures = iter([True, True])

    async def fail_first(operation):
        if next(failures, False):
            from latchstring.protocol.errors import StoreUnavailable

            raise StoreUnavailable("for the test")
        return await commit(operation)

    monkeypatch.setattr(peopled._engine, "commit", fail_first)
    task = asyncio.create_task(sweeper.run())
    async with asyncio.timeout(10):
        while await count(peopled):
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task])


async def test_count_tells_live_kept_and_overdue_apart(peopled: SqlStore, clock: Clock):
    live, kept, overdue = [await active(peopled) for _ in range(3)]
    await insert(peopled, expires_at=NOW + 60)
    await insert(peopled, expires_at=NOW - 1)
    await end(peopled, kept, NOW - 1)
    await end(peopled, overdue, NOW - RETENTION - 1)
    census = await peopled.sweeper(clock, PLAN).count()
    assert census.grants == {"live": 2, "kept": 2, "overdue": 1}
    assert census.others["client"] == 1
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert (await peopled.sweeper(clock, PLAN).count()).grants == {"live": 2, "kept": 2, "overdue": 0}
    assert await peopled.find_grant(live.id) is not None


async def test_grant_swept_while_it_is_consented_to_again_is_another_grant(peopled: SqlStore, clock: Clock):
    """A sweep never touches what is new: ids begin with the time, and every condition looks at the row itself."""
    grant = fresh_grant(id=b"\0" * 4 + os.urandom(12))
    assert await peopled.commit_consent(grant) is ConsentCommit.CREATED
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert await peopled.find_grant(grant.id) is not None


async def test_sweep_takes_a_receipt_with_its_grant(peopled: SqlStore, clock: Clock):
    """Rows stay a formula: a receipt for each grant that is kept, and none beside."""
    for number, expires_at in enumerate((NOW - 2 * DAY, NOW + DAY)):
        grant = fresh_grant(id=bytes([number + 1]) * 16, expires_at=expires_at)
        assert await peopled.commit_consent(grant, receipt="{}") is ConsentCommit.CREATED
    await sweep_round(peopled.sweeper(clock, PLAN))
    assert await peopled.find_receipt(b"\x01" * 16) is None
    assert await peopled.find_receipt(b"\x02" * 16) == "{}"


async def test_round_deletes_events_deliveries_and_mail_that_are_old_and_no_others(peopled: SqlStore, clock: Clock):
    plan = SweepPlan(retention=RETENTION, event_retention=90 * DAY, batch=3)
    await peopled.create_webhook(build_webhook())
    for number in range(7):
        await peopled.update_client_details(build_client(name=f"Old {number}"), now=clock.now)
    await peopled.queue_mail(sealed(clock.now))
    mail = await peopled.claim_mail(now=clock.now, lease=60)
    assert mail is not None
    await peopled.delay_mail(mail, due_at=None, error="refused", now=clock.now)
    clock.now += 31 * DAY
    await peopled.update_client_details(build_client(name="Young"), now=clock.now)
    await sweep_round(peopled.sweeper(clock, plan))
    rows = (await peopled.sweeper(clock, plan).count()).others
    assert (rows["webhook_delivery"], rows["mail"]) == (1, 0)
    assert rows["audit_event"] >= 8
    clock.now += 60 * DAY
    await sweep_round(peopled.sweeper(clock, plan))
    (kept,) = await peopled.find_events(EventFilter(), before=None, at_most=100)
    assert kept.event.after == {"name": "Young"}
