"""Webhooks of an app, for its developers, and of an organization, for its admins: the same pages for both."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from starlette.responses import Response

from latchstring.authorization_server.apps import AppRefused
from latchstring.authorization_server.events import EVENT
from latchstring.authorization_server.identifiers import parse_identifier, render_identifier
from latchstring.authorization_server.webhook_records import (
    ANY,
    CLIENT_TYPES,
    ORGANIZATION_TYPES,
    DeliveryRecord,
    WebhookRecord,
)
from latchstring.authorization_server.webhooks import REPLAYED_FOR
from latchstring.protocol.parameters import Parameters
from latchstring.web.pages.administration import require_admin
from latchstring.web.pages.apps import find_app
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.rendering.actions import ACTIONS
from latchstring.web.rendering.messages import FIELD_ERRORS, FieldErrorKey, Text, field_error

PAGE_SIZE: Final = 25
_TYPE_PREFIX: Final = "type_"


class _Owner(msgspec.Struct, frozen=True):
    """Whose webhooks these are. `path` is where the owner's pages are; `name` is what people call it."""

    path: str
    name: str
    client_id: str | None
    organization_id: str | None

    @property
    def event_types(self) -> tuple[str, ...]:
        return CLIENT_TYPES if self.organization_id is None else ORGANIZATION_TYPES


async def _find_owner(page: Page) -> _Owner:
    """The app in the path, if it is the reader's to change, or else the organization, if they are an admin of it."""
    if "client_id" in page.request.path_params:
        client = await find_app(page, await page.require_user(), to_edit=True)
        return _Owner(f"/apps/{client.client_id}", client.name, client.client_id, None)
    organization = (await require_admin(page)).organization
    path = f"/organizations/{organization.organization_id}"
    return _Owner(path, organization.name, None, organization.organization_id)


async def _find_webhook(page: Page, owner: _Owner) -> WebhookRecord:
    webhook = await page.services.webhooks.find(page.request.path_params["endpoint_id"])
    if webhook is None or (webhook.client_id, webhook.organization_id) != (owner.client_id, owner.organization_id):
        raise PageRefused("not_found")
    return webhook


# -- all of an owner's


async def show_webhooks(page: Page) -> Response:
    """GET …/webhooks."""
    return await _render_all(page, await _find_owner(page), {"url": "", "event_types": [ANY]}, {})


async def create_webhook(page: Page) -> Response:
    """POST …/webhooks: the answer is the only page that ever shows the secret."""
    owner = await _find_owner(page)
    form = await page.read_form()
    url, types = _read(form, owner)
    user = page.user
    try:
        webhook, secret = await page.services.webhooks.create(
            url,
            types,
            client_id=owner.client_id,
            organization_id=owner.organization_id,
            created_by=None if user is None else user.user_id,
            origin=page.origin,
        )
    except AppRefused as refused:
        asked = {"url": url, "event_types": types}
        return await _render_all(page, owner, asked, _render_problems(refused), status=422)
    return await _render_one(page, owner, webhook, secret=secret)


async def _render_all(
    page: Page, owner: _Owner, form: Mapping[str, object], errors: Mapping[str, Text], status: int = 200
) -> Response:
    webhooks = await page.services.webhooks.find_all(client_id=owner.client_id, organization_id=owner.organization_id)
    context = {
        **_describe_owner(owner),
        "webhooks": [_describe(webhook, page.services.clock()) for webhook in webhooks],
        "form": form,
        "errors": errors,
    }
    return page.render("webhooks.html", context, status)


# -- one


async def show_webhook(page: Page) -> Response:
    """GET …/webhooks/{endpoint_id}."""
    owner = await _find_owner(page)
    webhook = await _find_webhook(page, owner)
    notice = next((kind for kind in _NOTICES if kind in page.request.query_params), None)
    return await _render_one(page, owner, webhook, notice=notice)


async def save_webhook(page: Page) -> Response:
    """POST …/webhooks/{endpoint_id}: where it is, and what it is told of."""
    owner = await _find_owner(page)
    form = await page.read_form()
    webhook = await _find_webhook(page, owner)
    url, types = _read(form, owner)
    try:
        await page.services.webhooks.update(webhook, url, types, origin=page.origin)
    except AppRefused as refused:
        asked = {"url": url, "event_types": types}
        return await _render_one(page, owner, webhook, form=asked, errors=_render_problems(refused), status=422)
    return page.redirect(f"{_path(owner, webhook)}?webhook_saved")


async def change_webhook(page: Page) -> Response:
    """POST …/webhooks/{endpoint_id}/{verb}: test, enable, disable, rotate, delete, replay, replay-since."""
    verb = page.request.path_params["verb"]
    if verb not in _VERBS:
        raise PageRefused("not_found")
    owner = await _find_owner(page)
    form = await page.read_form()
    webhook = await _find_webhook(page, owner)
    return await _VERBS[verb](page, owner, webhook, form)


async def _test(page: Page, owner: _Owner, webhook: WebhookRecord, form: Parameters) -> Response:
    await page.services.webhooks.test(webhook, origin=page.origin)
    return page.redirect(f"{_path(owner, webhook)}?webhook_tested")


async def _enable(page: Page, owner: _Owner, webhook: WebhookRecord, form: Parameters) -> Response:
    await page.services.webhooks.enable(webhook, origin=page.origin)
    return page.redirect(f"{_path(owner, webhook)}?webhook_saved")


async def _disable(page: Page, owner: _Owner, webhook: WebhookRecord, form: Parameters) -> Response:
    await page.services.webhooks.disable(webhook, origin=page.origin)
    return page.redirect(f"{_path(owner, webhook)}?webhook_saved")


async def _rotate(page: Page, owner: _Owner, webhook: WebhookRecord, form: Parameters) -> Response:
    secret = await page.services.webhooks.rotate(webhook, origin=page.origin)
    return await _render_one(page, owner, await _find_webhook(page, owner), secret=secret)


async def _delete(page: Page, owner: _Owner, webhook: WebhookRecord, form: Parameters) -> Response:
    await page.services.webhooks.end(webhook, origin=page.origin)
    return page.redirect(f"{owner.path}/webhooks")


async def _replay(page: Page, owner: _Owner, webhook: WebhookRecord, form: Parameters) -> Response:
    event_id = parse_identifier(EVENT, form.get("event_id", ""))
    if event_id is None:
        raise PageRefused("unreadable_request")
    await page.services.webhooks.replay(webhook, event_id)
    return page.redirect(f"{_path(owner, webhook)}?webhook_replayed")


async def _replay_since(page: Page, owner: _Owner, webhook: WebhookRecord, form: Parameters) -> Response:
    try:
        day = datetime.strptime(form.get("since", ""), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise PageRefused("unreadable_request") from None
    await page.services.webhooks.replay_since(webhook, int(day.timestamp()))
    return page.redirect(f"{_path(owner, webhook)}?webhook_replayed")


_VERBS: Final[dict[str, Callable[[Page, _Owner, WebhookRecord, Parameters], Awaitable[Response]]]] = {
    "test": _test,
    "enable": _enable,
    "disable": _disable,
    "rotate": _rotate,
    "delete": _delete,
    "replay": _replay,
    "replay-since": _replay_since,
}
_NOTICES: Final = ("webhook_saved", "webhook_tested", "webhook_replayed")


async def _render_one(
    page: Page,
    owner: _Owner,
    webhook: WebhookRecord,
    *,
    secret: str | None = None,
    form: Mapping[str, object] | None = None,
    errors: Mapping[str, Text] | None = None,
    notice: str | None = None,
    status: int = 200,
) -> Response:
    now, webhooks = page.services.clock(), page.services.webhooks
    before = parse_identifier(EVENT, page.request.query_params.get("before", ""))
    failed = await webhooks.find_deliveries(webhook, is_failed=True, before=None, at_most=PAGE_SIZE)
    others = await webhooks.find_deliveries(webhook, is_failed=False, before=before, at_most=PAGE_SIZE + 1)
    context = {
        **_describe_owner(owner),
        "webhook": _describe(webhook, now),
        "secret": secret,
        "form": form or {"url": webhook.url, "event_types": list(webhook.event_types)},
        "errors": errors or {},
        "failed": [await _describe_delivery(page, webhook, delivery) for delivery in failed],
        "others": [await _describe_delivery(page, webhook, delivery) for delivery in others[:PAGE_SIZE]],
        "older": render_identifier(EVENT, others[PAGE_SIZE - 1].event_id) if len(others) > PAGE_SIZE else None,
        "first_day": datetime.fromtimestamp(now - REPLAYED_FOR, UTC).date().isoformat(),
        "notice": None if notice is None else (notice, owner.name),
    }
    return page.render("webhook.html", context, status)


def _path(owner: _Owner, webhook: WebhookRecord) -> str:
    return f"{owner.path}/webhooks/{webhook.endpoint_id}"


def _describe_owner(owner: _Owner) -> dict[str, object]:
    organization = None if owner.organization_id is None else {"id": owner.organization_id, "name": owner.name}
    return {
        "owner": {"path": owner.path, "name": owner.name},
        "organization": organization,
        "types": [(str(action), Text(sentence)) for action, sentence in ACTIONS.items() if action in owner.event_types],
    }


def _describe(webhook: WebhookRecord, now: int) -> dict[str, object]:
    overlap = webhook.previous_until
    return {
        "id": webhook.endpoint_id,
        "url": webhook.url,
        "event_types": list(webhook.event_types),
        "is_enabled": webhook.is_enabled,
        "disabled_reason": webhook.disabled_reason,
        "failing_since": webhook.failing_since,
        "previous_until": overlap if overlap is not None and overlap > now else None,
        "created_at": webhook.created_at,
    }


async def _describe_delivery(page: Page, webhook: WebhookRecord, delivery: DeliveryRecord) -> dict[str, object]:
    return {
        "payload": await page.services.webhooks.find_payload(webhook, delivery),
        "event_id": render_identifier(EVENT, delivery.event_id),
        "action": delivery.action,
        "created_at": delivery.created_at,
        "attempted_at": delivery.attempted_at,
        "delivered_at": delivery.delivered_at,
        "due_at": delivery.due_at,
        "attempts": delivery.attempts,
        "status": delivery.last_status,
        "error": delivery.last_error,
        "excerpt": delivery.excerpt,
    }


def _read(form: Parameters, owner: _Owner) -> tuple[str, list[str]]:
    types = [str(name) for name in owner.event_types if _TYPE_PREFIX + name in form]
    return form.get("url", "").strip(), [ANY] if "type_all" in form else types


def _render_problems(refused: AppRefused) -> dict[str, Text]:
    rendered: dict[str, Text] = {}
    for problem in refused.problems:
        assert problem.code in FIELD_ERRORS
        key: FieldErrorKey = problem.code  # type: ignore[assignment]  # just looked up
        rendered[problem.field] = field_error(key, **problem.values)
    return rendered
