"""`latchstring serve`."""

import ipaddress
import socket
from typing import Annotated

import typer

from latchstring.cli.output import DATABASE, ConfigPath, Database, KeyringPath, run_with_store
from latchstring.protocol.errors import ConfigurationError
from latchstring.storage.store import SqlStore
from latchstring.wiring import Deployment, build_signing_keys, load_settings


def serve(
    database: Database = DATABASE,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.", min=0, max=65535)] = 8400,
    issuer: Annotated[str | None, typer.Option(help="The URL under which browsers reach the server.")] = None,
    workers: Annotated[int, typer.Option(help="Server processes.", min=1, max=64)] = 1,
    config: ConfigPath = None,
    keyring: KeyringPath = None,
) -> None:
    """Serve. Prints `ready http://H:PORT` once it accepts connections; SIGTERM drains and exits 0."""
    from latchstring.cli.workers import ServerPlan, serve_workers  # the whole web: not for every command

    async def verify_keyring(store: SqlStore, deployment: Deployment) -> None:
        await build_signing_keys(store, deployment.codec, settings).verify_keyring()

    listener = _bind(host, port)
    bound_port = listener.getsockname()[1]
    shown_host = f"[{host}]" if ":" in host else host
    own_url = f"http://{_find_reachable(shown_host)}:{bound_port}"
    settings = load_settings(config, default_issuer=own_url, issuer=issuer)
    run_with_store(database, keyring, verify_keyring)
    plan = ServerPlan(settings=settings, database=database, keyring=keyring, host=host, port=bound_port)

    def announce() -> None:
        typer.echo(f"ready http://{shown_host}:{bound_port}")

    raise typer.Exit(serve_workers(plan, listener, workers, announce))


def _find_reachable(host: str) -> str:
    """The host under which this machine itself reaches the server: all addresses are no address to go to."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "[::1]"


def _bind(host: str, port: int) -> socket.socket:
    """A bound socket; each worker listens on one of its own at the same address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"--port {port}: {host}:{port} cannot be used ({error.strerror})") from None
    return listener
