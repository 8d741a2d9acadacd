"""`latchstring client`."""

from typing import Annotated

import typer

from latchstring.authorization_server.apps import AppDetails
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.settings import Settings
from latchstring.cli.output import (
    DATABASE,
    CommandRefused,
    ConfigPath,
    Database,
    Json,
    KeyringPath,
    print_record,
    run_with_store,
)
from latchstring.protocol.client_metadata import DEFAULT_GRANT_TYPES
from latchstring.protocol.scope import parse_scope
from latchstring.storage.store import SqlStore
from latchstring.wiring import Deployment, build_apps, load_settings

app = typer.Typer(help="Clients: OAuth apps and their secrets.", no_args_is_help=True)

# Registering needs the scopes of the settings, not the issuer; the command line has no address of its own.
_NO_ISSUER = "http://127.0.0.1"


def _load(config: ConfigPath) -> Settings:
    return load_settings(config, issuer=_NO_ISSUER)


@app.command("create")
def create(
    organization: Annotated[str, typer.Option(help="The id of the organization that owns the app.")],
    name: Annotated[str, typer.Option(help="The app's name, as members read it.")],
    redirect_uri: Annotated[
        list[str] | None, typer.Option(help="Where the browser returns to; may be repeated.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="The app cannot keep a secret (PKCE required).")] = False,
    scope: Annotated[str | None, typer.Option(help="What the app may ask for, space-delimited.")] = None,
    grant_type: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Members of every organization may connect it.")
    ] = False,
    acts_for_resource: Annotated[
        str | None, typer.Option(help="The API (its URI) whose callers' tokens it may exchange.")
    ] = None,
    description: Annotated[str, typer.Option(help="One or two sentences for members.")] = "",
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    config: ConfigPath = None,
    as_json: Json = False,
) -> None:
    """Create an OAuth app; prints the client id and, this once, the client secret."""
    settings = _load(config)

    async def work(store: SqlStore, deployment: Deployment) -> tuple[ClientRecord, str | None]:
        if await store.find_organization(organization) is None:
            raise CommandRefused(f"there is no organization {organization}")
        return await build_apps(store, deployment.codec, settings).create(
            AppDetails(name=name, description=description, redirect_uris=tuple(redirect_uri or ())),
            organization_id=organization,
            created_by=None,
            is_public=public,
            is_published=published,
            scope=None if scope is None else parse_scope(scope),
            grant_types=tuple(grant_type) if grant_type else DEFAULT_GRANT_TYPES,
            acts_for_resource=acts_for_resource,
        )

    client, secret = run_with_store(database, keyring, work)
    record = {
        "id": client.client_id,
        "client_id": client.client_id,
        "client_secret": secret,
        "organization_id": client.organization_id,
        "name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "scope": " ".join(client.scope),
        "grant_types": list(client.grant_types),
        "published": client.is_published,
    }
    if client.acts_for_resource is not None:
        record["acts_for_resource"] = client.acts_for_resource
    if secret is None:
        del record["client_secret"]
    print_record(record, as_json)


@app.command("rotate-secret")
def rotate_secret(
    client: Annotated[str, typer.Option("--client", help="The client id.")],
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Replace a client's secret; the old one fails from now on, tokens live on."""

    async def work(store: SqlStore, deployment: Deployment) -> str:
        found = await store.find_client(client)
        if found is None:
            raise CommandRefused(f"there is no client {client}")
        secret = await build_apps(store, deployment.codec, _load(None)).replace_secret(found)
        if secret is None:
            raise CommandRefused(f"{client} is a public client: it has no secret")
        return secret

    secret = run_with_store(database, keyring, work)
    print_record({"client_id": client, "client_secret": secret}, as_json)
