"""`latchstring client`."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from latchstring.authorization_server.apps import AppDetails
from latchstring.authorization_server.client_keys import clean_key_set
from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.policy import ALLOWANCES, PROFILES, default_security, must_push_requests
from latchstring.authorization_server.records import ClientRecord, ClientSecurity
from latchstring.authorization_server.settings import Settings
from latchstring.cli import client_approval, client_secret, life_cycle
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
from latchstring.protocol.client_metadata import AUTHENTICATION_METHODS, CLIENT_SECRET_POST, DEFAULT_GRANT_TYPES, NONE
from latchstring.protocol.scope import parse_scope
from latchstring.storage.store import SqlStore
from latchstring.wiring import Deployment, build_apps, build_client_secrets, load_settings

app = typer.Typer(help="Clients: OAuth apps and their secrets.", no_args_is_help=True)
app.add_typer(client_secret.app, name="secret")

Jwks = Annotated[Path | None, typer.Option(help="A file with the app's public keys, a JWK Set.")]
JwksUri = Annotated[str | None, typer.Option(help="The https URL where the app publishes them.")]

ProfileName = Annotated[str | None, typer.Option("--profile", help=f"What the app is held to: {', '.join(PROFILES)}.")]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", help=f"What a legacy app is let off: {', '.join(ALLOWANCES)}; may be repeated."),
]

# Registering needs the scopes of the settings, not the issuer; the command line has no address of its own.
_NO_ISSUER = "http://127.0.0.1"


def _load(config: ConfigPath) -> Settings:
    return load_settings(config, issuer=_NO_ISSUER)


def _read_keys(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return clean_key_set(path.read_bytes())
    except OSError as error:
        raise CommandRefused(f"--jwks {path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise CommandRefused(f"--jwks {path}: {error}") from None


def _choose_profile(security: ClientSecurity, profile: str | None, allow: list[str] | None) -> ClientSecurity:
    """Either option takes the place of all that the client was held to and let off before."""
    if profile is None and allow is None:
        return security
    chosen = next((known for known in PROFILES if known == (profile or security.profile)), None)
    if chosen is None:
        raise CommandRefused(f"--profile: give one of {', '.join(PROFILES)}")
    return msgspec.structs.replace(security, profile=chosen, allowances=tuple(dict.fromkeys(allow or ())))


@app.command("create")
def create(
    organization: Annotated[str, typer.Option(help="The id of the organization that owns the app.")],
    name: Annotated[str, typer.Option(help="The app's name, as members read it.")],
    redirect_uri: Annotated[
        list[str] | None, typer.Option(help="Where the browser returns to; may be repeated.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="The app cannot keep a secret (PKCE required).")] = False,
    token_endpoint_auth_method: Annotated[
        str | None, typer.Option(help=f"How the app proves itself: {', '.join(AUTHENTICATION_METHODS)}.")
    ] = None,
    jwks: Jwks = None,
    jwks_uri: JwksUri = None,
    token_endpoint_auth_signing_alg: Annotated[
        str | None, typer.Option(help="The only algorithm that it signs its assertions with [default: any good one]")
    ] = None,
    tls_client_auth_subject_dn: Annotated[
        str | None, typer.Option(help="The subject of its certificate (RFC 4514), or one of the following names in it.")
    ] = None,
    tls_client_auth_san_dns: Annotated[str | None, typer.Option(help="A host name.")] = None,
    tls_client_auth_san_uri: Annotated[str | None, typer.Option(help="A URI.")] = None,
    tls_client_auth_san_ip: Annotated[str | None, typer.Option(help="An IP address.")] = None,
    tls_client_auth_san_email: Annotated[str | None, typer.Option(help="An email address.")] = None,
    request_object_signing_alg: Annotated[
        str | None, typer.Option(help="The only algorithm that it signs its requests with [default: any good one]")
    ] = None,
    require_pushed_requests: Annotated[
        bool, typer.Option("--require-pushed-requests", help="Only pushed requests count (RFC 9126).")
    ] = False,
    require_signed_requests: Annotated[
        bool, typer.Option("--require-signed-requests", help="Only signed requests count (RFC 9101).")
    ] = False,
    profile: ProfileName = None,
    allow: Allow = None,
    dpop_bound: Annotated[bool, typer.Option("--dpop-bound", help="Only tokens bound to its key (RFC 9449).")] = False,
    certificate_bound: Annotated[
        bool, typer.Option("--certificate-bound", help="Only tokens bound to its certificate (RFC 8705).")
    ] = False,
    authorization_details_type: Annotated[
        list[str] | None, typer.Option(help="A type of authorization details that it may ask for; may be repeated.")
    ] = None,
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
    method = token_endpoint_auth_method or (NONE if public else CLIENT_SECRET_POST)
    if method not in AUTHENTICATION_METHODS or (public and method != NONE):
        raise CommandRefused(f"--token-endpoint-auth-method: give one of {', '.join(AUTHENTICATION_METHODS)}")
    security = msgspec.structs.replace(
        _choose_profile(default_security(method), profile, allow),
        dpop_bound_access_tokens=dpop_bound,
        tls_client_certificate_bound_access_tokens=certificate_bound,
        jwks=_read_keys(jwks),
        jwks_uri=jwks_uri,
        token_endpoint_auth_signing_alg=token_endpoint_auth_signing_alg,
        request_object_signing_alg=request_object_signing_alg,
        requires_pushed_request=require_pushed_requests,
        requires_signed_request=require_signed_requests,
        authorization_details_types=tuple(authorization_details_type or ()),
        tls_client_auth_subject_dn=tls_client_auth_subject_dn,
        tls_client_auth_san_dns=tls_client_auth_san_dns,
        tls_client_auth_san_uri=tls_client_auth_san_uri,
        tls_client_auth_san_ip=tls_client_auth_san_ip,
        tls_client_auth_san_email=tls_client_auth_san_email,
    )

    async def work(store: SqlStore, deployment: Deployment) -> tuple[ClientRecord, str | None]:
        if await store.find_organization(organization) is None:
            raise CommandRefused(f"there is no organization {organization}")
        return await build_apps(store, deployment.codec, settings).create(
            AppDetails(name=name, description=description, redirect_uris=tuple(redirect_uri or ())),
            organization_id=organization,
            created_by=None,
            token_endpoint_auth_method=method,
            security=security,
            is_published=published,
            scope=None if scope is None else parse_scope(scope),
            grant_types=tuple(grant_type) if grant_type else DEFAULT_GRANT_TYPES,
            acts_for_resource=acts_for_resource,
            origin=COMMAND_LINE,
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
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
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
    """Replace all of a client's secrets by one; the old ones fail from now on, tokens live on."""

    async def work(store: SqlStore, deployment: Deployment) -> str:
        found = await store.find_client(client)
        if found is None:
            raise CommandRefused(f"there is no client {client}")
        secret = await build_client_secrets(store, deployment.codec).replace(found, origin=COMMAND_LINE)
        if secret is None:
            raise CommandRefused(f"{client} has no secret: it authenticates by {found.token_endpoint_auth_method}")
        return secret

    secret = run_with_store(database, keyring, work)
    print_record({"client_id": client, "client_secret": secret}, as_json)


@app.command("set-keys")
def set_keys(
    client: Annotated[str, typer.Option("--client", help="The client id.")],
    jwks: Jwks = None,
    jwks_uri: JwksUri = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Replace the public keys by which a client signs; the old ones fail from now on, tokens live on."""
    keys = _read_keys(jwks)

    async def work(store: SqlStore, deployment: Deployment) -> ClientRecord:
        found = await store.find_client(client)
        if found is None:
            raise CommandRefused(f"there is no client {client}")
        apps = build_apps(store, deployment.codec, _load(None))
        return await apps.replace_keys(found, jwks=keys, jwks_uri=jwks_uri, origin=COMMAND_LINE)

    changed = run_with_store(database, keyring, work)
    record = {"client_id": client, "jwks_uri": changed.security.jwks_uri, "by_value": changed.security.jwks is not None}
    print_record(record, as_json)


Client = Annotated[str, typer.Option("--client", help="The client id.")]


def _describe(client: ClientRecord) -> dict[str, object]:
    security = client.security
    return {
        "id": client.client_id,
        "client_id": client.client_id,
        "organization_id": client.organization_id,
        "name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "scope": " ".join(client.scope),
        "grant_types": list(client.grant_types),
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "published": client.is_published,
        "profile": security.profile,
        "allowances": list(security.allowances),
        "dpop_bound_access_tokens": security.dpop_bound_access_tokens,
        "tls_client_certificate_bound_access_tokens": security.tls_client_certificate_bound_access_tokens,
        "require_pushed_authorization_requests": must_push_requests(client),
        "require_signed_request_object": security.requires_signed_request,
    }


@app.command("show")
def show(client: Client, database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False) -> None:
    """Show a client, and what it is held to."""

    async def work(store: SqlStore, _: Deployment) -> ClientRecord:
        found = await store.find_client(client)
        if found is None:
            raise CommandRefused(f"there is no client {client}")
        return found

    print_record(_describe(run_with_store(database, keyring, work)), as_json)


@app.command("update")
def update(
    client: Client,
    profile: ProfileName = None,
    allow: Allow = None,
    dpop_bound: Annotated[
        bool | None, typer.Option("--dpop-bound/--no-dpop-bound", help="Only tokens bound to its key (RFC 9449).")
    ] = None,
    certificate_bound: Annotated[
        bool | None,
        typer.Option(
            "--certificate-bound/--no-certificate-bound", help="Only tokens bound to its certificate (RFC 8705)."
        ),
    ] = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Change what a client is held to, from its next request on."""

    async def work(store: SqlStore, deployment: Deployment) -> ClientRecord:
        found = await store.find_client(client)
        if found is None:
            raise CommandRefused(f"there is no client {client}")
        security = _choose_profile(found.security, profile, allow)
        if dpop_bound is not None:
            security = msgspec.structs.replace(security, dpop_bound_access_tokens=dpop_bound)
        if certificate_bound is not None:
            security = msgspec.structs.replace(security, tls_client_certificate_bound_access_tokens=certificate_bound)
        apps = build_apps(store, deployment.codec, _load(None))
        return await apps.update_security(found, security, origin=COMMAND_LINE)

    print_record(_describe(run_with_store(database, keyring, work)), as_json)


app.command("approve")(client_approval.approve)
app.command("unapprove")(client_approval.unapprove)
app.command("approvals")(client_approval.list_approvals)
app.command("suspend")(life_cycle.suspend_client)
app.command("reinstate")(life_cycle.reinstate_client)
app.command("delete")(life_cycle.delete_client)
