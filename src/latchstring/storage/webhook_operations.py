"""What happens to webhooks in one transaction, and the events that tell."""

from collections.abc import Sequence
from typing import Any

from latchstring.authorization_server.events import Action, Event, Facts, Origin
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.webhook_records import Attempt, ChangeWebhook, DeliveryRecord, WebhookRecord
from latchstring.storage.engine import Row, Steps
from latchstring.storage.recording import new_event_id, queue_mail, record_event, write_event
from latchstring.storage.statements import clients, events, webhooks


def create_webhook(webhook: WebhookRecord, origin: Origin) -> Steps[None]:
    """Insert an endpoint."""
    yield webhooks.INSERT_WEBHOOK, write_webhook(webhook)
    now, told = webhook.created_at, _tell(webhook)
    yield from _record(Action.WEBHOOK_CREATED, webhook, origin, now, after=told)


def update_webhook(endpoint_id: str, change: ChangeWebhook, now: int, origin: Origin) -> Steps[Commit]:
    """Change what people choose; give up what waits where it is disabled. Of two changes at once the later one is made
    to what the earlier one left."""
    locked = yield webhooks.LOCK_WEBHOOK, {"of_endpoint": endpoint_id}
    if locked is None:
        return Commit.LOST
    before = read_webhook(locked)
    webhook = change(before)
    row = write_webhook(webhook)
    yield (
        webhooks.UPDATE_WEBHOOK,
        {f"new_{name}": value for name, value in row.items()} | {"of_endpoint": endpoint_id},
    )
    if not webhook.is_enabled:
        yield webhooks.GIVE_UP_DELIVERIES, {"of_endpoint": endpoint_id, "now": now}
    action = Action.WEBHOOK_DISABLED if before.is_enabled and not webhook.is_enabled else Action.WEBHOOK_CHANGED
    yield from _record(action, webhook, origin, now, before=_tell(before), after=_tell(webhook))
    return Commit.APPLIED


def disable_webhook(
    endpoint_id: str, reason: str, mails: Sequence[MailRecord], now: int, origin: Origin
) -> Steps[Commit]:
    """Turn off an endpoint that is on; give up what waits, queue the mails that tell of it."""
    row = yield webhooks.DISABLE_WEBHOOK, {"of_endpoint": endpoint_id, "reason": reason}
    if row is None:
        return Commit.LOST
    yield webhooks.GIVE_UP_DELIVERIES, {"of_endpoint": endpoint_id, "now": now}
    for mail in mails:
        yield from queue_mail(mail)
    webhook = read_webhook(row)
    yield from _record(Action.WEBHOOK_DISABLED, webhook, origin, now, after=_tell(webhook))
    return Commit.APPLIED


def end_webhook(endpoint_id: str, now: int, origin: Origin) -> Steps[Commit]:
    """Delete an endpoint and its deliveries."""
    row = yield webhooks.DELETE_WEBHOOK, {"of_endpoint": endpoint_id}
    if row is None:
        return Commit.LOST
    yield webhooks.DELETE_DELIVERIES, {"of_endpoint": endpoint_id}
    webhook = read_webhook(row)
    yield from _record(Action.WEBHOOK_DELETED, webhook, origin, now, before=_tell(webhook))
    return Commit.APPLIED


def test_webhook(endpoint_id: str, now: int, origin: Origin) -> Steps[Commit]:
    """An event that no other endpoint is told of, and its delivery."""
    row = yield webhooks.FIND_WEBHOOK, {"of_endpoint": endpoint_id}
    if row is None:
        return Commit.LOST
    webhook, event_id = read_webhook(row), new_event_id(now)
    event = yield from _build(Action.WEBHOOK_TESTED, webhook, origin, now)
    yield events.INSERT_EVENTS, write_event(event_id, event)
    delivery = {"endpoint_id": endpoint_id, "event_id": event_id, "action": event.action.value, "at": now}
    yield webhooks.INSERT_DELIVERY, delivery
    return Commit.APPLIED


def end_attempt(delivery: DeliveryRecord, attempt: Attempt, due_at: int | None, now: int) -> Steps[Row | None]:
    """Note how an attempt went, if it is still its turn; the endpoint."""
    is_over = attempt.is_delivered or due_at is None
    of_endpoint = {"of_endpoint": delivery.endpoint_id}
    noted = yield (
        webhooks.END_ATTEMPT,
        {
            **of_endpoint,
            "of_event": delivery.event_id,
            "of_attempt": delivery.attempts,
            "new_due_at": None if is_over else due_at,
            "new_delivered_at": now if attempt.is_delivered else None,
            "new_failed_at": now if is_over and not attempt.is_delivered else None,
            "status": attempt.status,
            "error": attempt.error,
            "new_excerpt": attempt.excerpt,
        },
    )
    if noted is None:
        return None
    if attempt.is_delivered:
        yield webhooks.NOTE_SUCCESS, of_endpoint
    else:
        yield webhooks.NOTE_FAILURE, {**of_endpoint, "now": now}
    return (yield webhooks.FIND_WEBHOOK, of_endpoint)


def _record(
    action: Action,
    webhook: WebhookRecord,
    origin: Origin,
    now: int,
    *,
    before: Facts | None = None,
    after: Facts | None = None,
) -> Steps[None]:
    event = yield from _build(action, webhook, origin, now, before=before, after=after)
    yield from record_event(event)


def _build(
    action: Action,
    webhook: WebhookRecord,
    origin: Origin,
    now: int,
    *,
    before: Facts | None = None,
    after: Facts | None = None,
) -> Steps[Event]:
    organization_id = webhook.organization_id
    if webhook.client_id is not None:
        found = yield clients.FIND_CLIENT, {"client_id": webhook.client_id}
        organization_id = None if found is None else found[1]
    return Event(
        action=action,
        at=now,
        origin=origin,
        subject_kind="webhook",
        subject_id=webhook.endpoint_id,
        organization_id=organization_id,
        client_id=webhook.client_id,
        before=before,
        after=after,
    )


def _tell(webhook: WebhookRecord) -> dict[str, Any]:
    return {
        "url": webhook.url,
        "event_types": list(webhook.event_types),
        "is_enabled": webhook.is_enabled,
        "disabled_reason": webhook.disabled_reason,
        "previous_secret_until": webhook.previous_until,
    }


def write_webhook(webhook: WebhookRecord) -> dict[str, Any]:
    """An endpoint's row."""
    return {
        "endpoint_id": webhook.endpoint_id,
        "client_id": webhook.client_id,
        "organization_id": webhook.organization_id,
        "url": webhook.url,
        "event_types": " ".join(webhook.event_types),
        "sealed_secret": webhook.sealed_secret,
        "previous_sealed_secret": webhook.previous_sealed_secret,
        "previous_until": webhook.previous_until,
        "is_enabled": webhook.is_enabled,
        "disabled_reason": webhook.disabled_reason,
        "created_by": webhook.created_by,
        "created_at": webhook.created_at,
        "failing_since": webhook.failing_since,
    }


def read_webhook(row: Row) -> WebhookRecord:
    """An endpoint from its row."""
    return WebhookRecord(
        endpoint_id=row[0],
        client_id=row[1],
        organization_id=row[2],
        url=row[3],
        event_types=tuple(row[4].split(" ")),
        sealed_secret=bytes(row[5]),
        previous_sealed_secret=None if row[6] is None else bytes(row[6]),
        previous_until=row[7],
        is_enabled=bool(row[8]),
        disabled_reason=row[9],
        created_by=row[10],
        created_at=row[11],
        failing_since=row[12],
    )


def read_delivery(row: Row) -> DeliveryRecord:
    """A delivery from its row."""
    return DeliveryRecord(
        endpoint_id=row[0],
        event_id=bytes(row[1]),
        action=row[2],
        created_at=row[3],
        due_at=row[4],
        attempts=row[5],
        attempted_at=row[6],
        delivered_at=row[7],
        failed_at=row[8],
        last_status=row[9],
        last_error=row[10],
        excerpt=row[11],
    )
