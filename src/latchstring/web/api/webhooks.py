"""Webhooks of an app, for its developers, and of an organization, for its admins: the same for both."""

from typing import Annotated, Final, Literal

import msgspec

from latchstring.authorization_server.api_scopes import APPS_MANAGE, APPS_READ, ORGANIZATION_MANAGE, ORGANIZATION_READ
from latchstring.authorization_server.apps import AppRefused
from latchstring.authorization_server.events import EVENT
from latchstring.authorization_server.identifiers import parse_identifier, render_identifier
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.webhook_records import ANY, DeliveryRecord, DisabledReason, WebhookRecord
from latchstring.web.api.apps import find_own_app, refuse_problems
from latchstring.web.api.operation import Call, Listed, Nothing, Operation, Paged, refuse_conflict, refuse_unknown
from latchstring.web.asgi import FieldRefused

_ONE: Final = "/{webhook_id}"


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Where events are sent, and which; `*` is all. The secret before the last signs, too, until `previous_until`."""

    webhook_id: str
    url: str
    event_types: list[str]
    is_enabled: bool
    disabled_reason: DisabledReason | None
    failing_since: int | None
    previous_until: int | None
    created_at: int


class WebhookEdited(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where events are sent, and which of them; `*` is all."""

    url: str
    event_types: tuple[str, ...] = (ANY,)


class WebhookSecret(msgspec.Struct, frozen=True, kw_only=True):
    """The secret that signs. No other answer shows it."""

    webhook_id: str
    secret: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to the webhook, and how the last attempt went."""

    event_id: str
    action: str
    created_at: int
    attempts: int
    attempted_at: int | None
    delivered_at: int | None
    due_at: int | None
    status: int | None
    error: str | None
    excerpt: str | None
    payload: str | None


class DeliveryQuery(Paged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Those that have failed, now or for good, or all the others."""

    state: Literal["failed", "other"] = "other"
    limit: Annotated[int, msgspec.Meta(ge=1, le=50)] = 25


class Replayed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event that was on its way to the webhook."""

    event_id: str


class ReplayedSince(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moment of the last 30 days."""

    since: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class _Owner(msgspec.Struct, frozen=True):
    client_id: str | None
    organization_id: str | None


async def list_webhooks(call: Call, asked: Nothing) -> Listed[Webhook]:
    """List the webhooks, the oldest first."""
    owner = await _find_owner(call)
    found = await call.services.webhooks.find_all(client_id=owner.client_id, organization_id=owner.organization_id)
    return Listed(items=[_describe(webhook, call.services.clock()) for webhook in found])


async def create_webhook(call: Call, asked: WebhookEdited) -> WebhookSecret:
    """Add a webhook."""
    owner = await _find_owner(call)
    try:
        webhook, secret = await call.services.webhooks.create(
            asked.url,
            asked.event_types,
            client_id=owner.client_id,
            organization_id=owner.organization_id,
            created_by=call.user.user_id,
            origin=call.origin,
        )
    except AppRefused as refused:
        raise _refuse(refused) from None
    return WebhookSecret(webhook_id=webhook.endpoint_id, secret=secret)


async def show_webhook(call: Call, asked: Nothing) -> Webhook:
    """Read a webhook."""
    return _describe(await _find(call), call.services.clock())


async def save_webhook(call: Call, asked: WebhookEdited) -> None:
    """Say where the webhook is now, and what it is told of."""
    webhook = await _find(call)
    try:
        await call.services.webhooks.update(webhook, asked.url, asked.event_types, origin=call.origin)
    except AppRefused as refused:
        raise _refuse(refused) from None


async def delete_webhook(call: Call, asked: Nothing) -> None:
    """Delete a webhook, and what was on its way to it."""
    if await call.services.webhooks.end(await _find(call), origin=call.origin) is Commit.LOST:
        raise refuse_unknown("webhook")


async def test_webhook(call: Call, asked: Nothing) -> None:
    """Send the webhook a test event."""
    if await call.services.webhooks.test(await _find(call), origin=call.origin) is Commit.LOST:
        raise refuse_conflict("The webhook is disabled, or gone.")


async def enable_webhook(call: Call, asked: Nothing) -> None:
    """Tell the webhook of events again. What it has missed can be replayed."""
    await call.services.webhooks.enable(await _find(call), origin=call.origin)


async def disable_webhook(call: Call, asked: Nothing) -> None:
    """Tell the webhook nothing any more."""
    await call.services.webhooks.disable(await _find(call), origin=call.origin)


async def rotate_webhook_secret(call: Call, asked: Nothing) -> WebhookSecret:
    """Make a new secret. For a day the one before signs beside it."""
    webhook = await _find(call)
    secret = await call.services.webhooks.rotate(webhook, origin=call.origin)
    return WebhookSecret(webhook_id=webhook.endpoint_id, secret=secret)


async def list_deliveries(call: Call, asked: DeliveryQuery) -> Listed[Delivery]:
    """List what was sent to the webhook, the newest first."""
    webhook = await _find(call)
    before = parse_identifier(EVENT, asked.after)
    if asked.after and before is None:
        raise FieldRefused("after", "This is no id of an event.")
    found = await call.services.webhooks.find_deliveries(
        webhook, is_failed=asked.state == "failed", before=before, at_most=asked.limit + 1
    )
    shown = found[: asked.limit]
    after = render_identifier(EVENT, shown[-1].event_id) if len(found) > len(shown) else None
    return Listed(
        items=[await _describe_delivery(call, webhook, delivery) for delivery in shown], next=call.render_next(after)
    )


async def replay_delivery(call: Call, asked: Replayed) -> None:
    """Send one event once more, under the same id."""
    webhook = await _find(call)
    event_id = parse_identifier(EVENT, asked.event_id)
    if event_id is None:
        raise FieldRefused("event_id", "This is no id of an event.")
    if await call.services.webhooks.replay(webhook, event_id) is Commit.LOST:
        raise refuse_unknown("event on its way to the webhook, or the webhook is disabled")


async def replay_deliveries(call: Call, asked: ReplayedSince) -> None:
    """Send everything since then once more, of the last 30 days at most."""
    await call.services.webhooks.replay_since(await _find(call), asked.since)


async def _find_owner(call: Call) -> _Owner:
    if "client_id" in call.path:
        return _Owner((await find_own_app(call)).client_id, None)
    return _Owner(None, call.organization_id)


async def _find(call: Call) -> WebhookRecord:
    owner = await _find_owner(call)
    webhook = await call.services.webhooks.find(call.path["webhook_id"])
    if webhook is None or _Owner(webhook.client_id, webhook.organization_id) != owner:
        raise refuse_unknown("webhook")
    return webhook


def _refuse(refused: AppRefused) -> Exception:
    [problem] = refused.problems
    return refuse_conflict(problem.message) if problem.code == "webhooks_too_many" else refuse_problems(refused)


def _describe(webhook: WebhookRecord, now: int) -> Webhook:
    overlap = webhook.previous_until
    return Webhook(
        webhook_id=webhook.endpoint_id,
        url=webhook.url,
        event_types=list(webhook.event_types),
        is_enabled=webhook.is_enabled,
        disabled_reason=webhook.disabled_reason,
        failing_since=webhook.failing_since,
        previous_until=overlap if overlap is not None and overlap > now else None,
        created_at=webhook.created_at,
    )


async def _describe_delivery(call: Call, webhook: WebhookRecord, delivery: DeliveryRecord) -> Delivery:
    return Delivery(
        event_id=render_identifier(EVENT, delivery.event_id),
        action=delivery.action,
        created_at=delivery.created_at,
        attempts=delivery.attempts,
        attempted_at=delivery.attempted_at,
        delivered_at=delivery.delivered_at,
        due_at=delivery.due_at,
        status=delivery.last_status,
        error=delivery.last_error,
        excerpt=delivery.excerpt,
        payload=await call.services.webhooks.find_payload(webhook, delivery),
    )


def _place(at: str, read: str, manage: str, owner: str) -> tuple[Operation, ...]:
    return (
        Operation("GET", at, read, list_webhooks, of=owner),
        Operation("POST", at, manage, create_webhook, status=201, of=owner),
        Operation("GET", at + _ONE, read, show_webhook, of=owner),
        Operation("PUT", at + _ONE, manage, save_webhook, of=owner),
        Operation("DELETE", at + _ONE, manage, delete_webhook, of=owner),
        Operation("POST", f"{at}{_ONE}/test", manage, test_webhook, of=owner),
        Operation("POST", f"{at}{_ONE}/enable", manage, enable_webhook, of=owner),
        Operation("POST", f"{at}{_ONE}/disable", manage, disable_webhook, of=owner),
        Operation("POST", f"{at}{_ONE}/rotate", manage, rotate_webhook_secret, of=owner),
        Operation("GET", f"{at}{_ONE}/deliveries", read, list_deliveries, of=owner),
        Operation("POST", f"{at}{_ONE}/replay", manage, replay_delivery, of=owner),
        Operation("POST", f"{at}{_ONE}/replay-since", manage, replay_deliveries, of=owner),
    )


OPERATIONS: Final = (
    *_place("/organizations/{organization_id}/webhooks", ORGANIZATION_READ, ORGANIZATION_MANAGE, "organization"),
    *_place("/apps/{client_id}/webhooks", APPS_READ, APPS_MANAGE, "app"),
)
