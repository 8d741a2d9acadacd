"""Webhooks in the store: who is told of what, in which transaction, whose turn an attempt is."""

import asyncio
from typing import Any

import msgspec

from latchstring.authorization_server.events import Action, EventFilter
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.webhook_records import Attempt, ChangeWebhook, DeliveryRecord, WebhookRecord
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW, build_client, build_grant
from tests.storage.conftest import OpenStore
from tests.storage.test_mail_store import sealed

APP, TENANT = "whep_app", "whep_tenant"
TAKEN = Attempt(status=204, excerpt="")
FAILED = Attempt(status=500, error="answered 500", excerpt="oops")


def build_webhook(**given: Any) -> WebhookRecord:
    values: dict[str, Any] = {
        "endpoint_id": APP,
        "client_id": MAILLOOP,
        "organization_id": None,
        "url": "https://app.test/hook",
        "event_types": ("*",),
        "sealed_secret": b"sealed",
        "created_by": ANN,
        "created_at": NOW,
    }
    return WebhookRecord(**(values | given))


def of_tenant(**given: Any) -> WebhookRecord:
    return build_webhook(endpoint_id=TENANT, client_id=None, organization_id=ACORN, **given)


def turn_off(webhook: WebhookRecord) -> WebhookRecord:
    return msgspec.structs.replace(webhook, is_enabled=False, disabled_reason="by_person")


async def waiting(store: SqlStore, endpoint_id: str) -> list[str]:
    """What waits for the endpoint or was sent to it without failing, the oldest first."""
    found = await store.find_deliveries(endpoint_id, is_failed=False, before=None, at_most=100)
    return [delivery.action for delivery in reversed(found)]


async def claim(store: SqlStore, endpoint_id: str = APP, now: int = NOW) -> DeliveryRecord:
    claimed = await store.claim_delivery(endpoint_id, now=now, lease=60)
    assert claimed is not None
    return claimed[0]


async def test_event_is_delivered_to_its_app_and_its_organization(peopled: SqlStore) -> None:
    await peopled.create_webhook(build_webhook())
    await peopled.create_webhook(of_tenant())
    await peopled.create_webhook(build_webhook(endpoint_id="whep_other", client_id="oa2client_other"))
    await peopled.commit_consent(build_grant())
    assert await waiting(peopled, APP) == ["grant.created"]
    assert (await waiting(peopled, TENANT))[-1] == "grant.created"
    assert await waiting(peopled, "whep_other") == []
    assert set(await peopled.find_due_endpoints(now=NOW)) == {APP, TENANT}


async def test_app_is_told_only_what_an_app_may_know(peopled: SqlStore) -> None:
    await peopled.create_webhook(build_webhook())
    await peopled.create_webhook(of_tenant())
    await peopled.add_membership(user_id=ANN, organization_id=ACORN, role="admin", now=NOW)
    assert await waiting(peopled, APP) == []
    assert (await waiting(peopled, TENANT))[-1] == "membership.changed"


async def test_event_of_a_kind_that_was_not_chosen_is_not_delivered(peopled: SqlStore) -> None:
    await peopled.create_webhook(build_webhook(event_types=("grant.ended", "app.changed")))
    await peopled.commit_consent(build_grant())
    await peopled.end_grant(build_grant().id, by=ANN, reason="disconnected", now=NOW)
    await peopled.update_client_details(build_client(name="Other"), now=NOW)
    assert await waiting(peopled, APP) == ["grant.ended", "app.changed"]


async def test_disabled_webhook_is_told_nothing_and_what_waited_is_given_up(peopled: SqlStore) -> None:
    await peopled.create_webhook(build_webhook())
    await peopled.commit_consent(build_grant())
    assert await peopled.update_webhook(APP, turn_off, now=NOW + 1) is Commit.APPLIED
    await peopled.end_grant(build_grant().id, by=ANN, reason="disconnected", now=NOW + 2)
    assert await waiting(peopled, APP) == ["grant.created"]
    assert await peopled.find_due_endpoints(now=NOW + 9) == []
    assert await peopled.claim_delivery(APP, now=NOW + 9, lease=60) is None


async def test_attempt_that_died_is_made_again_with_the_same_event(peopled: SqlStore) -> None:
    await peopled.create_webhook(build_webhook())
    await peopled.commit_consent(build_grant())
    dead = await claim(peopled)
    assert await peopled.claim_delivery(APP, now=NOW + 59, lease=60) is None
    again = await claim(peopled, now=NOW + 60)
    assert (again.event_id, again.attempts) == (dead.event_id, 2)
    assert await peopled.end_attempt(dead, TAKEN, due_at=None, now=NOW + 60) is None
    assert await peopled.end_attempt(again, TAKEN, due_at=None, now=NOW + 61) is not None
    assert await peopled.find_due_endpoints(now=NOW + 10**6) == []


async def test_failed_attempt_is_seen_and_marks_the_endpoint_until_one_is_taken(peopled: SqlStore) -> None:
    await peopled.create_webhook(build_webhook())
    await peopled.commit_consent(build_grant())
    current = await peopled.end_attempt(await claim(peopled), FAILED, due_at=NOW + 5, now=NOW)
    assert current is not None
    assert current.failing_since == NOW
    (failed,) = await peopled.find_deliveries(APP, is_failed=True, before=None, at_most=10)
    assert (failed.last_status, failed.last_error, failed.excerpt, failed.due_at) == (
        500,
        "answered 500",
        "oops",
        NOW + 5,
    )
    current = await peopled.end_attempt(await claim(peopled, now=NOW + 5), FAILED, due_at=None, now=NOW + 5)
    assert current is not None
    assert current.failing_since == NOW
    (failed,) = await peopled.find_deliveries(APP, is_failed=True, before=None, at_most=10)
    assert (failed.due_at, failed.failed_at) == (None, NOW + 5)
    assert await peopled.replay_delivery(APP, failed.event_id, now=NOW + 9) is Commit.APPLIED
    current = await peopled.end_attempt(await claim(peopled, now=NOW + 9), TAKEN, due_at=None, now=NOW + 9)
    assert current is not None
    assert current.failing_since is None
    assert await peopled.find_deliveries(APP, is_failed=True, before=None, at_most=10) == []


async def test_replay_since_sends_what_was_missed_too_and_nothing_that_is_not_the_apps(peopled: SqlStore) -> None:
    await peopled.commit_consent(build_grant())
    await peopled.create_webhook(build_webhook(event_types=("grant.created", "grant.ended")))
    await peopled.end_grant(build_grant().id, by=ANN, reason="disconnected", now=NOW + 5)
    await peopled.end_attempt(await claim(peopled, now=NOW + 5), TAKEN, due_at=None, now=NOW + 5)
    await peopled.replay_since(APP, NOW + 5, now=NOW + 9)
    assert (await claim(peopled, now=NOW + 9)).action == "grant.ended"
    assert await peopled.claim_delivery(APP, now=NOW + 9, lease=60) is None
    await peopled.replay_since(APP, NOW, now=NOW + 10)
    assert sorted([(await claim(peopled, now=NOW + 10)).action, (await claim(peopled, now=NOW + 10)).action]) == [
        "grant.created",
        "grant.ended",
    ]
    assert await peopled.claim_delivery(APP, now=NOW + 10, lease=60) is None
    await peopled.replay_since("whep_nowhere", NOW, now=NOW + 10)


async def test_test_event_goes_to_its_endpoint_alone(peopled: SqlStore) -> None:
    await peopled.create_webhook(build_webhook(event_types=("grant.ended",)))
    await peopled.create_webhook(of_tenant())
    before = await waiting(peopled, TENANT)
    assert await peopled.test_webhook(APP, now=NOW) is Commit.APPLIED
    assert await waiting(peopled, APP) == ["webhook.test"]
    assert await waiting(peopled, TENANT) == before
    assert await peopled.test_webhook("whep_nowhere", now=NOW) is Commit.LOST


async def test_webhook_that_is_turned_off_by_many_at_once_sends_one_mail(peopled: SqlStore) -> None:
    await peopled.create_webhook(build_webhook())
    await peopled.commit_consent(build_grant())
    off = (peopled.disable_webhook(APP, reason="failing", mails=[sealed()], now=NOW) for _ in range(10))
    assert sorted(str(commit) for commit in await asyncio.gather(*off)).count("Commit.APPLIED") == 1
    assert (await peopled.count_mail())[0] == 1
    webhook = await peopled.find_webhook(APP)
    assert webhook is not None
    assert (webhook.is_enabled, webhook.disabled_reason) == (False, "failing")
    (event, *_) = await peopled.find_events(EventFilter(client_id=MAILLOOP), before=None, at_most=1)
    assert event.event.action is Action.WEBHOOK_DISABLED
    assert event.event.organization_id == build_client().organization_id


async def test_webhook_deleted_takes_its_deliveries_along(peopled: SqlStore) -> None:
    await peopled.create_webhook(build_webhook())
    await peopled.commit_consent(build_grant())
    assert await peopled.end_webhook(APP, now=NOW) is Commit.APPLIED
    assert await peopled.end_webhook(APP, now=NOW) is Commit.LOST
    assert await waiting(peopled, APP) == []
    assert await peopled.find_webhooks(client_id=MAILLOOP, organization_id=None) == []
    assert await peopled.update_webhook(APP, turn_off, now=NOW) is Commit.LOST


async def test_changes_at_once_are_each_made_to_what_the_other_left(peopled: SqlStore, open_another: OpenStore) -> None:
    """A secret that was shown once is never taken back by somebody who changes the URL meanwhile."""
    await peopled.create_webhook(build_webhook())
    names = ("url", "sealed_secret", "previous_sealed_secret", "disabled_reason")
    stores = [peopled, *(open_another() for _ in names[1:])]

    def change(name: str) -> ChangeWebhook:
        value = b"changed" if "secret" in name else "gone"
        return lambda current: msgspec.structs.replace(current, **{name: value})

    changes = zip(stores, names, strict=True)
    outcomes = await asyncio.gather(*(store.update_webhook(APP, change(name), now=NOW) for store, name in changes))
    assert set(outcomes) == {Commit.APPLIED}
    kept = await peopled.find_webhook(APP)
    assert kept is not None
    assert [getattr(kept, name) for name in names] == ["gone", b"changed", b"changed", "gone"]


async def test_deliveries_are_claimed_by_one_of_many_servers(peopled: SqlStore, open_another: OpenStore) -> None:
    await peopled.create_webhook(build_webhook())
    for number in range(20):
        await peopled.update_client_details(build_client(name=f"Name {number}"), now=NOW)
    stores = [peopled, *(open_another() for _ in range(3))]
    seen: list[bytes] = []

    async def take_all(one: SqlStore) -> None:
        idle = 0
        while idle < 3:
            claimed = await one.claim_delivery(APP, now=NOW, lease=60)
            if claimed is None:
                idle += 1
                await asyncio.sleep(0.01)
                continue
            seen.append(claimed[0].event_id)
            assert await one.end_attempt(claimed[0], TAKEN, due_at=None, now=NOW) is not None

    await asyncio.gather(*(take_all(one) for one in stores))
    assert len(seen) == len(set(seen)) == 20


async def test_secret_is_in_no_event_and_no_repr(peopled: SqlStore) -> None:
    webhook = build_webhook(sealed_secret=b"SEALED-BYTES")
    await peopled.create_webhook(webhook)
    events = await peopled.find_events(EventFilter(), before=None, at_most=100)
    assert "SEALED" not in str(events) + repr(webhook)
