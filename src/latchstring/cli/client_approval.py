"""`latchstring client approve`, `approvals` and `unapprove`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import ClientApprovalRecord
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
from latchstring.protocol.scope import parse_scope
from latchstring.storage.store import SqlStore
from latchstring.wiring import Deployment, build_approvals

Client = Annotated[str, typer.Option("--client", help="The client id.")]
Organization = Annotated[str, typer.Option("--organization", help="The organization's id.")]


def approve(
    client: Client,
    organization: Organization,
    scope: Annotated[str | None, typer.Option(help="What for, space-delimited; all that the app may have.")] = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Let an app of another organization act for this one, without a member. Replaces an earlier approval."""
    asked = None if scope is None else parse_scope(scope)

    async def work(store: SqlStore, _: Deployment) -> tuple[str, ...]:
        approvals = build_approvals(store)
        return await approvals.approve(client, organization, scope=asked, by="operator", origin=COMMAND_LINE)

    approved = run_with_store(database, keyring, work)
    print_record({"client_id": client, "organization_id": organization, "scope": " ".join(approved)}, as_json)


def unapprove(
    client: Client,
    organization: Organization,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """End an approval; what the app got under it is dead at once."""

    async def work(store: SqlStore, _: Deployment) -> None:
        ended = await build_approvals(store).end(client, organization, by="operator", origin=COMMAND_LINE)
        if ended is Commit.LOST:
            raise CommandRefused(f"{organization} has not approved {client}")

    run_with_store(database, keyring, work)
    print_record({"client_id": client, "organization_id": organization, "ended": True}, as_json)


def list_approvals(
    client: Annotated[str | None, typer.Option(help="Only this client's (id).")] = None,
    organization: Annotated[str | None, typer.Option(help="Only this organization's (id).")] = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """List approvals, those that have ended too, at most 1,000."""

    async def work(store: SqlStore, _: Deployment) -> Sequence[ClientApprovalRecord]:
        return await store.find_client_approvals(client_id=client, organization_id=organization)

    approvals = run_with_store(database, keyring, work)
    records = [
        {
            "client_id": approval.client_id,
            "organization_id": approval.organization_id,
            "scope": " ".join(approval.scope),
            "approved_by": approval.approved_by,
            "approved_at": approval.approved_at,
            "ended_by": approval.ended_by,
            "ended_at": approval.ended_at,
        }
        for approval in approvals
    ]
    print_records(records, as_json, "No organization has approved a client.")
