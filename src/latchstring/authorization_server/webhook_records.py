"""Webhooks as they are kept, and what they are told: endpoints of an app's developer or of an organization."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol

import msgspec

from latchstring.authorization_server.events import SYSTEM, Action, EventRecord, Origin
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.ports import Commit

ANY: Final = "*"
DisabledReason = Literal["by_person", "failing", "gone"]

CLIENT_TYPES: Final = (
    Action.GRANT_CREATED,
    Action.GRANT_ENDED,
    Action.GRANT_SUSPENDED,
    Action.GRANT_RESUMED,
    Action.GRANT_TAKEN_OVER,
    Action.GRANT_REUSE_DETECTED,
    Action.APP_CHANGED,
    Action.APP_PUBLISHED,
    Action.APP_WITHDRAWN,
    Action.APP_SUSPENDED,
    Action.APP_REINSTATED,
    Action.APP_SECRETS_CHANGED,
    Action.APP_APPROVED,
    Action.APP_APPROVAL_ENDED,
)
"""What an app's developer may be told of: of other people's organizations no more than what happens to its grants."""
_NOT_TOLD: Final = frozenset(
    {
        Action.WEBHOOK_TESTED,
        Action.TOKEN_REVOKED,
        Action.USER_CREATED,
        Action.USER_PASSWORD_CHANGED,
        Action.USER_SECOND_FACTOR_ADDED,
        Action.USER_SECOND_FACTOR_REMOVED,
        Action.USER_RECOVERY_CODES_REPLACED,
        Action.USER_RECOVERY_CODE_USED,
        Action.USER_SIGNED_OUT,
        Action.USER_DISABLED,
        Action.USER_ENABLED,
        Action.USER_DELETED,
        Action.DATABASE_RESTORED,
        Action.KEY_RETIRED,
        Action.OPERATOR_ADDED,
        Action.OPERATOR_REMOVED,
    }
)
ORGANIZATION_TYPES: Final = tuple(action for action in Action if action not in _NOT_TOLD)
"""What an organization may be told of: whatever its admins may read."""


class WebhookRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Where events are sent: of an app (`client_id`), or of an organization. `event_types` is those that were chosen,
    or `*`. The previous secret signs too until `previous_until`. `failing_since` is when the first of the attempts was
    that have all failed since."""

    endpoint_id: str
    client_id: str | None
    organization_id: str | None
    url: str
    event_types: tuple[str, ...]
    sealed_secret: bytes
    previous_sealed_secret: bytes | None = None
    previous_until: int | None = None
    is_enabled: bool = True
    disabled_reason: DisabledReason | None = None
    created_by: str | None = None
    created_at: int
    failing_since: int | None = None

    def __repr__(self) -> str:
        return f"WebhookRecord(endpoint_id={self.endpoint_id!r})"


class DeliveryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one endpoint. `attempts` counts those begun; it also tells whose turn this one is.
    Neither delivered nor failed, it waits until `due_at`."""

    endpoint_id: str
    event_id: bytes
    action: str
    created_at: int
    due_at: int | None
    attempts: int
    attempted_at: int | None = None
    delivered_at: int | None = None
    failed_at: int | None = None
    last_status: int | None = None
    last_error: str | None = None
    excerpt: str | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt went: the endpoint's status and the beginning of its answer, or why there was none."""

    status: int | None = None
    error: str | None = None
    excerpt: str | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether the endpoint has taken it: any 2xx."""
        return self.status is not None and 200 <= self.status < 300


class Posted(msgspec.Struct, frozen=True):
    """Another host's answer to a post: its status, and the beginning of its body as text."""

    status: int
    excerpt: str


class PostEvent(Protocol):
    """Posts to a public https URL: no redirect is followed, no special-use address connected to, size and time are
    bounded."""

    async def __call__(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Posted:
        """The answer, whatever its status; `FetchRefused` where there is none."""


ChangeWebhook = Callable[[WebhookRecord], WebhookRecord]
"""The endpoint as it is to be, of what it is."""


class WebhookStore(Protocol):
    """Endpoints and deliveries. Deliveries are made with the events, in the transaction of what they tell of."""

    async def create_webhook(self, webhook: WebhookRecord, *, origin: Origin = SYSTEM) -> None:
        """Insert an endpoint with a new id."""

    async def update_webhook(
        self, endpoint_id: str, change: ChangeWebhook, *, now: int, origin: Origin = SYSTEM
    ) -> Commit:
        """Change what people choose (URL, types, secrets, whether it is enabled) of the endpoint as it is in that very
        transaction; `LOST` if it is gone. What waits is given up where it is not enabled."""

    async def disable_webhook(
        self,
        endpoint_id: str,
        *,
        reason: DisabledReason,
        mails: Sequence[MailRecord],
        now: int,
        origin: Origin = SYSTEM,
    ) -> Commit:
        """Turn off an endpoint, give up what waits, queue the mails; `LOST` if it is off already."""

    async def end_webhook(self, endpoint_id: str, *, now: int, origin: Origin = SYSTEM) -> Commit:
        """Delete an endpoint and its deliveries."""

    async def find_webhook(self, endpoint_id: str) -> WebhookRecord | None:
        """The endpoint."""

    async def find_webhooks(self, *, client_id: str | None, organization_id: str | None) -> Sequence[WebhookRecord]:
        """The endpoints of an app, or of an organization, or all, at most 1,000."""

    async def test_webhook(self, endpoint_id: str, *, now: int, origin: Origin = SYSTEM) -> Commit:
        """Make an event for this endpoint alone, and its delivery."""

    async def find_deliveries(
        self, endpoint_id: str, *, is_failed: bool, before: bytes | None, at_most: int
    ) -> Sequence[DeliveryRecord]:
        """Those that have failed, now or for good, or all the others; the newest first."""

    async def replay_delivery(self, endpoint_id: str, event_id: bytes, *, now: int) -> Commit:
        """Send it once more, whether or not it was taken; the same id."""

    async def replay_since(self, endpoint_id: str, since: int, *, now: int) -> None:
        """Send everything since then once more, and what was not sent while the endpoint was not there, or disabled."""

    async def find_event(self, event_id: bytes) -> EventRecord | None:
        """The event, if it is still kept."""

    async def find_due_endpoints(self, *, now: int) -> Sequence[str]:
        """Which enabled endpoints have something due."""

    async def claim_delivery(
        self, endpoint_id: str, *, now: int, lease: int
    ) -> tuple[DeliveryRecord, WebhookRecord, EventRecord] | None:
        """The next of that endpoint that is due, for the next `lease` seconds."""

    async def end_attempt(
        self, delivery: DeliveryRecord, attempt: Attempt, *, due_at: int | None, now: int
    ) -> WebhookRecord | None:
        """Note how it went; try again at `due_at`. The endpoint as it is now; None if the turn has passed to another
        attempt, or the endpoint is gone."""


def _build_data(record: EventRecord, *, is_for_client: bool) -> dict[str, Any]:
    """What an event's payload tells: ids, and no token. An organization reads what its admins may; an app, what happens
    to itself."""
    event = record.event
    ids = {"organization_id": event.organization_id, "client_id": event.client_id, "user_id": event.user_id}
    data: dict[str, Any] = {name: value for name, value in ids.items() if value is not None}
    if event.subject_kind == "grant":
        data["grant_id"] = event.subject_id
    told = event.after or {}
    data |= {name: told[name] for name in ("scope", "reason") if name in told}
    if not is_for_client:
        data["actor"] = {"kind": event.origin.actor_kind, "id": event.origin.actor_id}
        data["subject"] = {"kind": event.subject_kind, "id": event.subject_id}
    return data


def render_payload(record: EventRecord, *, is_for_client: bool) -> bytes:
    """The body of a message: type, time, and ids (Standard Webhooks, "Payload structure"). The same bytes each time."""
    at = datetime.fromtimestamp(record.event.at, UTC).isoformat().replace("+00:00", "Z")
    data = _build_data(record, is_for_client=is_for_client)
    return msgspec.json.encode({"type": record.event.action.value, "timestamp": at, "data": data})
