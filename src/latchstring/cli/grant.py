"""`latchstring grant`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.identifiers import GRANT, parse_identifier, render_identifier
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import GrantRecord
from latchstring.authorization_server.refusals import ENDED_BY_OPERATOR
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
from latchstring.wiring import Deployment, epoch_seconds

app = typer.Typer(help="Grants: which app may reach which organization, through whom.", no_args_is_help=True)


def _render(grant: GrantRecord) -> dict[str, object]:
    return {
        "id": render_identifier(GRANT, grant.id),
        "client_id": grant.client_id,
        "user_id": grant.user_id,
        "organization_id": grant.organization_id,
        "scope": " ".join(grant.scope),
        "status": grant.status,
        "generation": grant.generation,
        "retry_count": grant.retry_count,
        "created_at": grant.created_at,
        "expires_at": grant.expires_at,
        "ended_at": grant.ended_at,
        "ended_by": grant.ended_by,
        "ended_reason": grant.ended_reason,
        "suspended_at": grant.suspended_at,
        "suspended_reason": grant.suspended_reason,
        "asserted_by": grant.asserted_by,
    }


@app.command("list")
def list_grants(
    user: Annotated[str | None, typer.Option(help="Only this user's (id).")] = None,
    organization: Annotated[str | None, typer.Option(help="Only this organization's (id).")] = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """List grants, the newest first, at most 1,000."""

    async def work(store: SqlStore, _: Deployment) -> Sequence[GrantRecord]:
        return await store.find_grants(user_id=user, organization_id=organization)

    grants = [_render(grant) for grant in run_with_store(database, keyring, work)]
    if as_json:
        print_records(grants, True, "")
        return
    shown = ("id", "client_id", "user_id", "organization_id", "status", "generation", "ended_reason")
    print_records([{name: grant[name] for name in shown} for grant in grants], False, "There are no grants.")


@app.command("end")
def end(
    grant: Annotated[str, typer.Argument(help="The grant's id.")],
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """End a grant; its tokens are dead at once."""
    grant_id = parse_identifier(GRANT, grant)

    async def work(store: SqlStore, _: Deployment) -> None:
        if grant_id is None or await store.find_grant(grant_id) is None:
            raise CommandRefused(f"there is no grant {grant}")
        commit = await store.end_grant(
            grant_id, by="operator", reason=ENDED_BY_OPERATOR, now=epoch_seconds(), origin=COMMAND_LINE
        )
        if commit is Commit.LOST:
            raise CommandRefused(f"{grant} has ended already")

    run_with_store(database, keyring, work)
    print_record({"id": grant, "status": "ended"}, as_json)
