"""`latchstring connect` and `latchstring token`: connections of the person at the keyboard."""

import sys
from typing import Annotated

import msgspec
import segno
import typer

from latchstring.cli.output import CommandRefused, Json, print_record
from latchstring.cli.saved_connections import SavedConnection, find_saved, open_client, save, verify_name
from latchstring.client import Connection, ConnectionKey, Misconfigured, OAuthClient, ReauthorizeRequired
from latchstring.client.loopback import connect_in_browser

Name = Annotated[str, typer.Argument(help="The connection's name.", show_default=False)]


def connect(
    provider: Annotated[str, typer.Argument(help="An issuer's URL, or a known provider's name.", show_default=False)],
    client_id: Annotated[str, typer.Option(help="The app's client ID.")],
    client_secret_stdin: Annotated[
        bool, typer.Option("--client-secret-stdin", help="Read the app's client secret from standard input.")
    ] = False,
    name: Annotated[str, typer.Option(help="What to call the connection.")] = "default",
    scope: Annotated[str, typer.Option(help="What to ask for.")] = "all.full_access offline_access",
    organization: Annotated[str | None, typer.Option(help="The organization to preselect.")] = None,
    resource: Annotated[str | None, typer.Option(help="The API that the tokens are for (RFC 8707).")] = None,
    place: Annotated[
        list[str] | None, typer.Option(help="What stands in a known provider's address, such as shop=acorn.")
    ] = None,
    device: Annotated[bool, typer.Option("--device", help="Show a code instead of opening a browser.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The listener's port; 0 takes a free one.")] = 0,
    as_json: Json = False,
) -> None:
    """Connect an app to a provider, in the browser or by a code, and keep the connection by name."""
    verify_name(name)
    saved = SavedConnection(
        provider=provider,
        client_id=client_id,
        client_secret=_read_secret() if client_secret_stdin else None,
        scope=scope,
        resource=resource,
        places=_read_places(place or []),
    )
    with open_client(saved) as client:
        connection = _connect_device(client, organization) if device else connect_here(client, organization, port)
    save(name, msgspec.structs.replace(saved, key=connection.key))
    shown = {
        "name": name,
        "issuer": connection.issuer,
        "organization_id": connection.organization_id,
        "user_id": connection.user_id,
        "scope": connection.scope,
    }
    print_record(shown, as_json)


def token(name: Name = "default", as_json: Json = False) -> None:
    """Print an access token that can be used now, refreshed first if need be."""
    saved = find_saved(name)
    if saved.key is None:
        raise CommandRefused(f"{name!r} was never connected")
    with open_client(saved) as client:
        try:
            found = client.token(saved.key)
        except ReauthorizeRequired as error:
            raise CommandRefused(f"connect it again: latchstring connection reconnect {name} ({error})") from None
    if as_json:
        print_record({"access_token": found}, as_json)
    else:
        typer.echo(found)


def _read_secret() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Client secret", hide_input=True, err=True))
    secret = sys.stdin.readline().strip()
    if not secret:
        raise CommandRefused("there is no client secret on standard input")
    return secret


def _read_places(given: list[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    if not all(name and equals for name, equals, _ in pairs):
        raise CommandRefused("--place takes NAME=VALUE, such as shop=acorn")
    return {name: value for name, _, value in pairs}


def connect_here(
    client: OAuthClient, organization: str | None, port: int, reconnects: ConnectionKey | None = None
) -> Connection:
    """In the person's browser; `reconnects` is the connection to renew, and no other."""

    def open_browser(url: str) -> None:
        typer.echo(f"Opening your browser. If it does not come up, go to\n{url}", err=True)
        typer.launch(url)

    try:
        return connect_in_browser(
            client, open_browser=open_browser, organization_id=organization, reconnects=reconnects, port=port
        )
    except OSError as error:
        raise CommandRefused(f"cannot listen on 127.0.0.1: {error.strerror}") from None


def _connect_device(client: OAuthClient, organization: str | None) -> Connection:
    try:
        login = client.begin_device(organization_id=organization)
    except Misconfigured as error:
        if error.code == "device_unsupported":
            raise CommandRefused("the provider offers no connecting of devices; leave out --device") from None
        raise
    typer.echo(f"Open {login.verification_uri} and enter {login.user_code}", err=True)
    if login.verification_uri_complete is not None and sys.stderr.isatty():
        segno.make(login.verification_uri_complete, micro=False).terminal(out=sys.stderr, compact=True)
    return client.complete_device(login)
