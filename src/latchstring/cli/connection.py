"""`latchstring connection`: how the connections of the person at the keyboard fare, and their end."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from latchstring.cli.connect import Name, connect_here
from latchstring.cli.output import CommandRefused, Json, print_record, print_records
from latchstring.cli.saved_connections import SavedConnection, find_names, find_saved, forget, open_client
from latchstring.client import Health, Misconfigured

app = typer.Typer(help="Your own connections, made by `latchstring connect`.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("list")
def list_connections(as_json: Json = False) -> None:
    """List them with how they fare; no request is made."""
    rows = [_show(name, find_saved(name)) for name in find_names()]
    print_records(rows, as_json, "No connections. Make one: latchstring connect PROVIDER --client-id …")


@app.command("reconnect")
def reconnect(
    name: Name = "default",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The listener's port; 0 takes a free one.")] = 0,
    as_json: Json = False,
) -> None:
    """Connect it again in the browser: in its organization and by its user, or not at all."""
    saved = find_saved(name)
    if saved.key is None:
        raise CommandRefused(f"{name!r} was never connected")
    with open_client(saved) as client:
        connection = connect_here(client, None, port, saved.key)
    shown = {"name": name, "organization_id": connection.organization_id, "user_id": connection.user_id}
    print_record({**shown, "scope": connection.scope}, as_json)


@app.command("disconnect")
def disconnect(name: Name = "default", as_json: Json = False) -> None:
    """Revoke at the provider, then forget it here. Unless the provider confirms, everything stays."""
    saved = find_saved(name)
    if saved.key is not None:
        with open_client(saved) as client:
            try:
                client.disconnect(saved.key)
            except Misconfigured as error:
                if error.code != "revocation_unsupported":
                    raise
                why = "disconnect the app in your account there, then: latchstring connection forget"
                raise CommandRefused(f"the provider takes no revocation: {why} {name}") from None
            client.forget(saved.key)
    forget(name)
    print_record({"name": name, "disconnected": True}, as_json)


@app.command("forget")
def forget_connection(name: Name = "default", as_json: Json = False) -> None:
    """Erase it here without a word to the provider, where its grant lives on."""
    saved = find_saved(name)
    if saved.key is not None:
        with open_client(saved) as client:
            client.forget(saved.key)
    forget(name)
    print_record({"name": name, "forgotten": True}, as_json)


def _show(name: str, saved: SavedConnection) -> dict[str, str | None]:
    with open_client(saved) as client:
        health = next((each for each in client.health() if each.key == saved.key), None)
    key = saved.key
    return {
        "name": name,
        "provider": saved.provider,
        "organization_id": None if key is None else key.organization_id,
        "user_id": None if key is None else key.user_id,
        "verdict": None if health is None else health.verdict.value,
        "refreshed_at": None if health is None else _render_time(health),
        "reason": None if health is None or health.code is None else f"{health.code}: {health.reason}",
    }


def _render_time(health: Health) -> str:
    return datetime.fromtimestamp(health.refreshed_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
