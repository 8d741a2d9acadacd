"""`latchstring client secret`."""

from typing import Annotated

import typer

from latchstring.authorization_server.client_secrets import find_live
from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.records import ClientRecord
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
from latchstring.wiring import Deployment, build_client_secrets, epoch_seconds

app = typer.Typer(help="A client's secrets: several at once, to change one without a gap.", no_args_is_help=True)

ClientId = Annotated[str, typer.Option("--client", help="The client id.")]


async def _find(store: SqlStore, client_id: str) -> ClientRecord:
    found = await store.find_client(client_id)
    if found is None:
        raise CommandRefused(f"there is no client {client_id}")
    return found


@app.command("add")
def add(
    client: ClientId,
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Add a secret beside those that there are; prints it this once."""

    async def work(store: SqlStore, deployment: Deployment) -> str:
        secrets = build_client_secrets(store, deployment.codec)
        return await secrets.add(await _find(store, client), name, origin=COMMAND_LINE)

    print_record({"client_id": client, "client_secret": run_with_store(database, keyring, work)}, as_json)


@app.command("list")
def list_secrets(
    client: ClientId, database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False
) -> None:
    """List the secrets that work, the oldest first."""

    async def work(store: SqlStore, _: Deployment) -> list[dict[str, object]]:
        found = await _find(store, client)
        uses = await store.find_secret_uses(client)
        return [
            {
                "id": kept.secret_id,
                "hint": kept.hint,
                "name": kept.name or None,
                "created_at": kept.created_at,
                "expires_at": kept.expires_at,
                "last_used_at": uses.get(kept.secret_id),
            }
            for kept in find_live(found.secrets, epoch_seconds())
        ]

    print_records(run_with_store(database, keyring, work), as_json, "There are no secrets.")


@app.command("retire")
def retire(
    client: ClientId,
    secret: Annotated[str, typer.Option("--secret", help="The secret's id, from `client secret list`.")],
    after: Annotated[int, typer.Option(help="Seconds until it fails.", min=0, max=90 * 24 * 3600)] = 0,
    even_last: Annotated[
        bool, typer.Option("--even-last", help="Even if no other is there to stay: then the app cannot come in.")
    ] = False,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Retire one secret, now or after a while; tokens live on."""

    async def work(store: SqlStore, deployment: Deployment) -> int | None:
        found = await _find(store, client)
        secrets = build_client_secrets(store, deployment.codec)
        changed = await secrets.retire(found, secret, after=after, even_last=even_last, origin=COMMAND_LINE)
        return next((kept.expires_at for kept in changed.secrets if kept.secret_id == secret), epoch_seconds())

    print_record({"client_id": client, "id": secret, "expires_at": run_with_store(database, keyring, work)}, as_json)
