"""Tells webhooks what has happened: at least once each, signed, none of them waiting for another."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime
from typing import Final

import structlog
from standardwebhooks.webhooks import Webhook

from latchstring.authorization_server.events import EVENT, EventRecord
from latchstring.authorization_server.identifiers import render_identifier
from latchstring.authorization_server.ports import Clock, FetchRefused
from latchstring.authorization_server.tokens import KeyNotOpened
from latchstring.authorization_server.webhook_records import (
    Attempt,
    DeliveryRecord,
    PostEvent,
    WebhookRecord,
    WebhookStore,
    render_payload,
)
from latchstring.authorization_server.webhooks import Webhooks, find_next_delivery, must_disable
from latchstring.outbound.poster import DEADLINE
from latchstring.protocol.errors import StoreUnavailable

log = structlog.get_logger("latchstring.webhooks")

LEASE: Final = int(4 * DEADLINE)
"""Seconds that an attempt has; longer than its deadline."""
MAX_AT_ONCE: Final = 32
MAX_AT_ONCE_TO_ENDPOINT: Final = 2
IDLE_PAUSE: Final = 2.0
_BUSY_PAUSE: Final = 0.05


class WebhookSender:
    """Belongs to one event loop. Of what is due, each endpoint has few attempts at a time, so that a slow one keeps
    nobody waiting but itself. An attempt that dies with its process is made again by another after the lease, with the
    same `webhook-id`."""

    def __init__(self, store: WebhookStore, webhooks: Webhooks, *, post: PostEvent, clock: Clock) -> None:
        self._store = store
        self._webhooks = webhooks
        self._post = post
        self._clock = clock
        self._by_endpoint: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def step(self) -> bool:
        """Begin attempts for what is due, as many as may be under way; whether any was begun."""
        has_begun = False
        for endpoint_id in await self._store.find_due_endpoints(now=self._clock()):
            while len(self._tasks) < MAX_AT_ONCE and self._by_endpoint[endpoint_id] < MAX_AT_ONCE_TO_ENDPOINT:
                claimed = await self._store.claim_delivery(endpoint_id, now=self._clock(), lease=LEASE)
                if claimed is None:
                    break
                has_begun = True
                self._begin(*claimed)
        return has_begun

    def _begin(self, delivery: DeliveryRecord, webhook: WebhookRecord, event: EventRecord) -> None:
        self._by_endpoint[delivery.endpoint_id] += 1
        task = asyncio.create_task(self._attempt(delivery, webhook, event))
        self._tasks.add(task)

        def end(ended: asyncio.Task[None]) -> None:
            self._tasks.discard(ended)
            self._by_endpoint[delivery.endpoint_id] -= 1
            if not self._by_endpoint[delivery.endpoint_id]:
                del self._by_endpoint[delivery.endpoint_id]
            if not ended.cancelled() and (error := ended.exception()) is not None:
                log.warning("webhook_attempt_lost", endpoint=delivery.endpoint_id, reason=type(error).__name__)

        task.add_done_callback(end)

    async def settle(self) -> None:
        """Wait for the attempts that are under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _attempt(self, delivery: DeliveryRecord, webhook: WebhookRecord, event: EventRecord) -> None:
        attempt = await self._send(webhook, event)
        now = self._clock()
        due_at = None
        if not attempt.is_delivered:
            due_at = find_next_delivery(delivery.attempts, now, random.random())  # noqa: S311 -- no secret
            told = {"endpoint": delivery.endpoint_id, "attempt": delivery.attempts, "reason": attempt.error}
            log.info("webhook_given_up" if due_at is None else "webhook_delayed", **told)
        current = await self._store.end_attempt(delivery, attempt, due_at=due_at, now=now)
        if current is None or attempt.is_delivered or not must_disable(current, attempt.status, now):
            return
        await self._webhooks.give_up(current, "gone" if attempt.status == 410 else "failing")

    async def _send(self, webhook: WebhookRecord, event: EventRecord) -> Attempt:
        body = render_payload(event, is_for_client=webhook.client_id is not None)
        message_id = render_identifier(EVENT, event.id)
        try:
            headers = sign(body, message_id, self._clock(), self._webhooks.open_secrets(webhook))
            answer = await self._post(webhook.url, body=body, headers=headers)
        except (FetchRefused, KeyNotOpened) as error:
            return Attempt(error=str(error)[:128])
        wrong = None if 200 <= answer.status < 300 else f"answered {answer.status}"
        return Attempt(status=answer.status, error=wrong, excerpt=answer.excerpt)

    async def run(self) -> None:
        """Send until cancelled; what is under way then is made again by another process. A failing store is asked again
        later."""
        try:
            while True:
                try:
                    has_begun = await self.step()
                except StoreUnavailable:
                    has_begun = False
                is_busy = has_begun or len(self._tasks) > 0
                await asyncio.sleep(_BUSY_PAUSE if is_busy else IDLE_PAUSE)
        finally:
            for task in self._tasks:
                task.cancel()


def sign(body: bytes, message_id: str, now: int, secrets: list[bytes]) -> dict[str, str]:
    """The headers that prove where the body comes from: signed by each secret, over these very bytes."""
    at, text = datetime.fromtimestamp(now, UTC), body.decode()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, at, text) for secret in secrets),
    }
