"""`latchstring resource-server`."""

from typing import Annotated

import typer

from latchstring.authorization_server.records import AccessTokenFormat, ResourceServerRecord
from latchstring.cli.output import (
    DATABASE,
    CommandRefused,
    Database,
    Json,
    KeyringPath,
    print_record,
    run_with_store,
)
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
    access_token_format: Annotated[
        str, typer.Option(help="What tokens for this API alone look like: opaque, or jwt for checks without asking.")
    ] = "opaque",
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Create the credentials with which an API asks about tokens; the secret is printed this once."""
    if access_token_format not in {"opaque", "jwt"}:
        raise CommandRefused("--access-token-format is opaque or jwt")
    checked: AccessTokenFormat = "jwt" if access_token_format == "jwt" else "opaque"
    settings = load_settings(None, issuer="http://127.0.0.1")

    async def work(store: SqlStore, deployment: Deployment) -> tuple[ResourceServerRecord, str]:
        apps = build_apps(store, deployment.codec, settings)
        return await apps.create_resource_server(name, resource, checked)

    created, secret = run_with_store(database, keyring, work)
    print_record(
        {
            "id": created.client_id,
            "client_id": created.client_id,
            "client_secret": secret,
            "name": created.name,
            "resource": created.resource,
            "access_token_format": created.access_token_format,
        },
        as_json,
    )
