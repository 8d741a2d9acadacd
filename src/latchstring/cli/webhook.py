"""`latchstring webhook`."""

from typing import Annotated

import typer

from latchstring.authorization_server.events import EVENT
from latchstring.authorization_server.identifiers import parse_identifier, render_identifier
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.webhook_records import DeliveryRecord, WebhookRecord
from latchstring.cli.output import (
    DATABASE,
    CommandRefused,
    Database,
    Json,
    KeyringPath,
    print_record,
    print_records,
    run_with_store,
)
from latchstring.storage.store import SqlStore
from latchstring.wiring import Deployment, build_webhooks, load_settings

app = typer.Typer(help="Webhooks: who is told of events, and what was sent.", no_args_is_help=True)

Endpoint = Annotated[str, typer.Argument(help="The webhook's id.")]
_MAX_LISTED = 1000


@app.command("list")
def list_webhooks(
    client: Annotated[str | None, typer.Option(help="Only this app's (id).")] = None,
    organization: Annotated[str | None, typer.Option(help="Only this organization's (id).")] = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """List webhooks, the oldest first, at most 1,000."""

    async def work(store: SqlStore, _: Deployment) -> list[dict[str, object]]:
        return [
            {
                "id": webhook.endpoint_id,
                "client_id": webhook.client_id,
                "organization_id": webhook.organization_id,
                "url": webhook.url,
                "event_types": " ".join(webhook.event_types),
                "enabled": webhook.is_enabled,
                "disabled_reason": webhook.disabled_reason,
                "failing_since": webhook.failing_since,
            }
            for webhook in await store.find_webhooks(client_id=client, organization_id=organization)
        ]

    print_records(run_with_store(database, keyring, work), as_json, "There are no webhooks.")


@app.command("deliveries")
def deliveries(
    endpoint: Endpoint, database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False
) -> None:
    """List what was sent to one webhook, those that failed first, at most 1,000 of each."""

    async def work(store: SqlStore, _: Deployment) -> list[dict[str, object]]:
        await _find(store, endpoint)
        found: list[DeliveryRecord] = []
        for is_failed in (True, False):
            found += await store.find_deliveries(endpoint, is_failed=is_failed, before=None, at_most=_MAX_LISTED)
        return [
            {
                "event_id": render_identifier(EVENT, delivery.event_id),
                "action": delivery.action,
                "attempts": delivery.attempts,
                "status": delivery.last_status,
                "error": delivery.last_error,
                "delivered_at": delivery.delivered_at,
                "due_at": delivery.due_at,
            }
            for delivery in found
        ]

    print_records(run_with_store(database, keyring, work), as_json, "Nothing was sent to it yet.")


@app.command("replay")
def replay(
    endpoint: Endpoint,
    event: Annotated[str | None, typer.Option(help="This event (id).")] = None,
    since: Annotated[int | None, typer.Option(help="Everything since then (epoch seconds).", min=0)] = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Send one event once more, or all since a time; the running server sends them, under the same ids."""
    if (event is None) == (since is None):
        raise CommandRefused("give either --event or --since")

    async def work(store: SqlStore, deployment: Deployment) -> None:
        webhook = await _find(store, endpoint)
        webhooks = build_webhooks(store, deployment.codec, load_settings(None, issuer="http://127.0.0.1"))
        if since is not None:
            await webhooks.replay_since(webhook, since)
            return
        event_id = parse_identifier(EVENT, event or "")
        if event_id is None or await webhooks.replay(webhook, event_id) is Commit.LOST:
            raise CommandRefused(f"{event} was never on its way to {endpoint}")

    run_with_store(database, keyring, work)
    print_record({"id": endpoint, "replayed": event or since}, as_json)


async def _find(store: SqlStore, endpoint: str) -> WebhookRecord:
    webhook = await store.find_webhook(endpoint)
    if webhook is None:
        raise CommandRefused(f"there is no webhook {endpoint}")
    return webhook
