"""`latchstring resource-server`."""

from typing import Annotated

import typer

from latchstring.authorization_server.records import ResourceServerRecord
from latchstring.cli.output import DATABASE, Database, Json, KeyringPath, print_record, run_with_store
from latchstring.storage.store import SqlStore
from latchstring.wiring import Deployment, build_apps, load_settings

app = typer.Typer(help="Resource servers: the APIs that a guard protects.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("create")
def create(
    name: Annotated[str, typer.Option(help="The API's name.")],
    resource: Annotated[str, typer.Option(help="The API's own URI, by which it is known (RFC 8707).")],
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Create the credentials with which an API asks about tokens; the secret is printed this once."""
    settings = load_settings(None, issuer="http://127.0.0.1")

    async def work(store: SqlStore, deployment: Deployment) -> tuple[ResourceServerRecord, str]:
        return await build_apps(store, deployment.codec, settings).create_resource_server(name, resource)

    created, secret = run_with_store(database, keyring, work)
    print_record(
        {
            "id": created.client_id,
            "client_id": created.client_id,
            "client_secret": secret,
            "name": created.name,
            "resource": created.resource,
        },
        as_json,
    )
