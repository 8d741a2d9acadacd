"""The store's webhooks."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from latchstring.authorization_server.events import SYSTEM, EventRecord, Origin
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.webhook_records import (
    CLIENT_TYPES,
    ORGANIZATION_TYPES,
    Attempt,
    ChangeWebhook,
    DeliveryRecord,
    DisabledReason,
    WebhookRecord,
)
from latchstring.storage import webhook_operations
from latchstring.storage.engine import Engine
from latchstring.storage.event_rows import read_event
from latchstring.storage.recording import first_event_id
from latchstring.storage.statements import webhooks
from latchstring.storage.webhook_operations import read_delivery, read_webhook

_AFTER_ALL: Final = b"\xff" * 16


class WebhookRows:
    """Implements `authorization_server.webhook_records.WebhookStore` on any engine."""

    _engine: Engine

    async def create_webhook(self, webhook: WebhookRecord, *, origin: Origin = SYSTEM) -> None:
        await self._engine.commit(partial(webhook_operations.create_webhook, webhook, origin))

    async def update_webhook(
        self, endpoint_id: str, change: ChangeWebhook, *, now: int, origin: Origin = SYSTEM
    ) -> Commit:
        return await self._engine.commit(partial(webhook_operations.update_webhook, endpoint_id, change, now, origin))

    async def disable_webhook(
        self,
        endpoint_id: str,
        *,
        reason: DisabledReason,
        mails: Sequence[MailRecord],
        now: int,
        origin: Origin = SYSTEM,
    ) -> Commit:
        disable = partial(webhook_operations.disable_webhook, endpoint_id, reason, mails, now, origin)
        return await self._engine.commit(disable)

    async def end_webhook(self, endpoint_id: str, *, now: int, origin: Origin = SYSTEM) -> Commit:
        return await self._engine.commit(partial(webhook_operations.end_webhook, endpoint_id, now, origin))

    async def find_webhook(self, endpoint_id: str) -> WebhookRecord | None:
        row = await self._engine.read(webhooks.FIND_WEBHOOK, {"of_endpoint": endpoint_id})
        return None if row is None else read_webhook(row)

    async def find_webhooks(self, *, client_id: str | None, organization_id: str | None) -> Sequence[WebhookRecord]:
        wanted = {"of_client": client_id, "of_organization": organization_id}
        return [read_webhook(row) for row in await self._engine.read_all(webhooks.FIND_WEBHOOKS, wanted)]

    async def test_webhook(self, endpoint_id: str, *, now: int, origin: Origin = SYSTEM) -> Commit:
        return await self._engine.commit(partial(webhook_operations.test_webhook, endpoint_id, now, origin))

    async def find_deliveries(
        self, endpoint_id: str, *, is_failed: bool, before: bytes | None, at_most: int
    ) -> Sequence[DeliveryRecord]:
        wanted = {
            "of_endpoint": endpoint_id,
            "before_id": before or _AFTER_ALL,
            "has_failed": int(is_failed),
            "at_most": at_most,
        }
        return [read_delivery(row) for row in await self._engine.read_all(webhooks.FIND_DELIVERIES, wanted)]

    async def replay_delivery(self, endpoint_id: str, event_id: bytes, *, now: int) -> Commit:
        replay = {"of_endpoint": endpoint_id, "of_event": event_id, "now": now}
        row = await self._engine.write(webhooks.REPLAY_DELIVERY, replay)
        return Commit.LOST if row is None else Commit.APPLIED

    async def replay_since(self, endpoint_id: str, since: int, *, now: int) -> None:
        webhook = await self.find_webhook(endpoint_id)
        if webhook is None:
            return
        types = ORGANIZATION_TYPES if webhook.client_id is None else CLIENT_TYPES
        replay = {"of_endpoint": endpoint_id, "first_id": first_event_id(since), "now": now}
        await self._engine.write(webhooks.REPLAY_SINCE, {**replay, "allowed": " ".join(types)})

    async def find_event(self, event_id: bytes) -> EventRecord | None:
        row = await self._engine.read(webhooks.FIND_EVENT, {"event_id": event_id})
        return None if row is None else read_event(row)

    async def find_due_endpoints(self, *, now: int) -> Sequence[str]:
        return [row[0] for row in await self._engine.read_all(webhooks.FIND_DUE_ENDPOINTS, {"now": now})]

    async def claim_delivery(
        self, endpoint_id: str, *, now: int, lease: int
    ) -> tuple[DeliveryRecord, WebhookRecord, EventRecord] | None:
        claim = {"of_endpoint": endpoint_id, "now": now, "until": now + lease}
        row = await self._engine.write(webhooks.CLAIM_DELIVERY, claim)
        if row is None:
            return None
        delivery = read_delivery(row)
        webhook = await self.find_webhook(endpoint_id)
        event = await self.find_event(delivery.event_id)
        if webhook is None or event is None:
            await self.end_attempt(delivery, Attempt(error="the event is not kept any more"), due_at=None, now=now)
            return None
        return delivery, webhook, event

    async def end_attempt(
        self, delivery: DeliveryRecord, attempt: Attempt, *, due_at: int | None, now: int
    ) -> WebhookRecord | None:
        row = await self._engine.commit(partial(webhook_operations.end_attempt, delivery, attempt, due_at, now))
        return None if row is None else read_webhook(row)
