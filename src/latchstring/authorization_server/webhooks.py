"""Webhooks: who is told of events, where, by which secret; made, changed and replayed by people."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from latchstring.authorization_server.apps import AppRefused, Problem
from latchstring.authorization_server.events import SYSTEM, Origin
from latchstring.authorization_server.identifiers import ID_ENTROPY_SIZE, render_identifier
from latchstring.authorization_server.mail import Mail, Post
from latchstring.authorization_server.ports import Clock, Commit, Entropy, Store
from latchstring.authorization_server.sealing import NONCE_SIZE, Sealer
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.authorization_server.webhook_records import (
    ANY,
    CLIENT_TYPES,
    ORGANIZATION_TYPES,
    DeliveryRecord,
    DisabledReason,
    WebhookRecord,
    WebhookStore,
    render_payload,
)
from latchstring.protocol.https_url import parse_https_url

WEBHOOK: Final = "whep"
MAX_WEBHOOKS: Final = 10
OVERLAP: Final = 24 * 3600
"""How long the secret before the last still signs, in seconds."""
MAX_URL_LENGTH: Final = 2000
REPLAYED_FOR: Final = 30 * 24 * 3600
"""How far back events can be sent once more, in seconds."""
_SECRET_SIZE: Final = 32
_DAY: Final = 24 * 3600
_DISABLED_AFTER: Final = 5 * _DAY
# After the first attempt, the second, …: three days in all.
_BACK_OFF: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 72_000)


def find_next_delivery(attempts: int, now: int, jitter: float) -> int | None:
    """When to try again after that many attempts; None after about three days. `jitter` is 0 to 1."""
    if attempts > len(_BACK_OFF):
        return None
    pause = _BACK_OFF[attempts - 1]
    return now + pause + int(pause * jitter / 5)


def must_disable(webhook: WebhookRecord, status: int | None, now: int) -> bool:
    """Whether an endpoint that has just failed is turned off: it says that it is gone (410), or has failed for days."""
    failing_since = now if webhook.failing_since is None else webhook.failing_since
    return status == 410 or now - failing_since >= _DISABLED_AFTER


def _refuse(field: str, code: str, message: str, **values: str) -> AppRefused:
    return AppRefused(Problem(field, code, message, values))


class _Store(Store, WebhookStore, Protocol):
    pass


class Webhooks:
    """Makes and changes endpoints. A secret is shown once, to whoever made it, and kept sealed."""

    def __init__(
        self,
        *,
        store: _Store,
        codec: TokenCodec,
        settings: Settings,
        post: Post,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._settings = settings
        self._post = post
        self._sealer = Sealer(codec, b"webhook-seal")
        self._clock = clock
        self._entropy = entropy

    async def create(
        self,
        url: str,
        event_types: Sequence[str],
        *,
        client_id: str | None = None,
        organization_id: str | None = None,
        created_by: str | None = None,
        origin: Origin = SYSTEM,
    ) -> tuple[WebhookRecord, str]:
        """The endpoint of an app, or else of an organization, and its secret; `AppRefused` names what must change."""
        url, types = _verify(url, event_types, is_of_client=client_id is not None)
        others = await self._store.find_webhooks(client_id=client_id, organization_id=organization_id)
        if len(others) >= MAX_WEBHOOKS:
            limit = str(MAX_WEBHOOKS)
            raise _refuse("url", "webhooks_too_many", f"There are {limit} webhooks already.", limit=limit)
        endpoint_id = render_identifier(WEBHOOK, self._entropy(ID_ENTROPY_SIZE))
        sealed, secret = self._make_secret(endpoint_id)
        webhook = WebhookRecord(
            endpoint_id=endpoint_id,
            client_id=client_id,
            organization_id=organization_id,
            url=url,
            event_types=types,
            sealed_secret=sealed,
            created_by=created_by,
            created_at=self._clock(),
        )
        await self._store.create_webhook(webhook, origin=origin)
        return webhook, secret

    async def update(
        self, webhook: WebhookRecord, url: str, event_types: Sequence[str], *, origin: Origin = SYSTEM
    ) -> None:
        """Send elsewhere, or other events; `AppRefused` names what must change."""
        url, types = _verify(url, event_types, is_of_client=webhook.client_id is not None)
        await self._change(webhook, origin, url=url, event_types=types)

    async def enable(self, webhook: WebhookRecord, *, origin: Origin = SYSTEM) -> None:
        """Tell it of events again, from now on; what it has missed can be replayed."""
        await self._change(webhook, origin, is_enabled=True, disabled_reason=None, failing_since=None)

    async def disable(self, webhook: WebhookRecord, *, origin: Origin = SYSTEM) -> None:
        """Tell it nothing any more."""
        await self._change(webhook, origin, is_enabled=False, disabled_reason="by_person")

    async def _change(self, webhook: WebhookRecord, origin: Origin, **changed: Any) -> None:
        """Nothing but that of the endpoint: the rest stays as it is by then."""
        await self._store.update_webhook(
            webhook.endpoint_id,
            lambda current: msgspec.structs.replace(current, **changed),
            now=self._clock(),
            origin=origin,
        )

    async def give_up(self, webhook: WebhookRecord, reason: DisabledReason) -> Commit:
        """Turn off an endpoint that does not answer, and tell who made it; `LOST` if it was turned off already."""
        user = None if webhook.created_by is None else await self._store.find_user(webhook.created_by)
        mails = []
        if user is not None:
            page = (
                f"/organizations/{webhook.organization_id}"
                if webhook.client_id is None
                else f"/apps/{webhook.client_id}"
            )
            values = {"url": webhook.url, "link": f"{self._settings.issuer}{page}/webhooks/{webhook.endpoint_id}"}
            mails.append(self._post.seal(Mail(to=user.email, template="webhook_disabled", values=values)))
        return await self._store.disable_webhook(webhook.endpoint_id, reason=reason, mails=mails, now=self._clock())

    async def find(self, endpoint_id: str) -> WebhookRecord | None:
        """The endpoint of that id."""
        return await self._store.find_webhook(endpoint_id)

    async def find_all(self, *, client_id: str | None, organization_id: str | None) -> Sequence[WebhookRecord]:
        """The endpoints of an app, or of an organization, the oldest first."""
        return await self._store.find_webhooks(client_id=client_id, organization_id=organization_id)

    async def find_deliveries(
        self, webhook: WebhookRecord, *, is_failed: bool, before: bytes | None, at_most: int
    ) -> Sequence[DeliveryRecord]:
        """Those that have failed, or all the others; the newest first."""
        return await self._store.find_deliveries(
            webhook.endpoint_id, is_failed=is_failed, before=before, at_most=at_most
        )

    async def find_payload(self, webhook: WebhookRecord, delivery: DeliveryRecord) -> str | None:
        """What is or was sent with that delivery, if its event is still kept."""
        event = await self._store.find_event(delivery.event_id)
        return None if event is None else render_payload(event, is_for_client=webhook.client_id is not None).decode()

    async def replay(self, webhook: WebhookRecord, event_id: bytes) -> Commit:
        """Send one event once more, under the same id; `LOST` if it was never on its way to the endpoint."""
        return await self._store.replay_delivery(webhook.endpoint_id, event_id, now=self._clock())

    async def replay_since(self, webhook: WebhookRecord, since: int) -> None:
        """Send everything since then once more, of the last 30 days at most."""
        now = self._clock()
        await self._store.replay_since(webhook.endpoint_id, max(since, now - REPLAYED_FOR), now=now)

    async def rotate(self, webhook: WebhookRecord, *, origin: Origin = SYSTEM) -> str:
        """A new secret; for a day the one before signs beside it."""
        sealed, secret = self._make_secret(webhook.endpoint_id)
        now = self._clock()

        def change(current: WebhookRecord) -> WebhookRecord:
            return msgspec.structs.replace(
                current,
                sealed_secret=sealed,
                previous_sealed_secret=current.sealed_secret,
                previous_until=now + OVERLAP,
            )

        await self._store.update_webhook(webhook.endpoint_id, change, now=now, origin=origin)
        return secret

    async def end(self, webhook: WebhookRecord, *, origin: Origin = SYSTEM) -> Commit:
        """The endpoint is gone, and what was on its way to it."""
        return await self._store.end_webhook(webhook.endpoint_id, now=self._clock(), origin=origin)

    async def test(self, webhook: WebhookRecord, *, origin: Origin = SYSTEM) -> Commit:
        """Send it a test event."""
        return await self._store.test_webhook(webhook.endpoint_id, now=self._clock(), origin=origin)

    def open_secrets(self, webhook: WebhookRecord) -> list[bytes]:
        """The secrets that sign now, the newest first; `KeyNotOpened` where the keyring is another."""
        sealed = [webhook.sealed_secret]
        if webhook.previous_sealed_secret is not None and (webhook.previous_until or 0) > self._clock():
            sealed.append(webhook.previous_sealed_secret)
        return [self._sealer.open(webhook.endpoint_id.encode(), one) for one in sealed]

    def _make_secret(self, endpoint_id: str) -> tuple[bytes, str]:
        secret = self._entropy(_SECRET_SIZE)
        sealed = self._sealer.seal(endpoint_id.encode(), secret, self._entropy(NONCE_SIZE))
        return sealed, f"whsec_{b64encode(secret).decode('ascii')}"


def _verify(url: str, event_types: Sequence[str], *, is_of_client: bool) -> tuple[str, tuple[str, ...]]:
    url = url.strip()
    try:
        if len(url) > MAX_URL_LENGTH:
            raise ValueError("it is too long")
        parse_https_url(url)
    except ValueError as error:
        raise _refuse("url", "webhook_url_unusable", f"Give an https address of a public host: {error}.") from None
    allowed = {str(action) for action in (CLIENT_TYPES if is_of_client else ORGANIZATION_TYPES)} | {ANY}
    types = tuple(dict.fromkeys(event_types))
    if not types or not set(types) <= allowed:
        raise _refuse("event_types", "webhook_types_missing", "Choose at least one kind of event.")
    return url, ((ANY,) if ANY in types else types)
