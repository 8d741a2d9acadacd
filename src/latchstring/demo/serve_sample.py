"""Serves the sample API or the sample app: `python -m latchstring.demo.serve_sample api --base-port 8400`."""

import argparse
import logging
import socket
from pathlib import Path
from typing import Any

import uvicorn

from latchstring.demo.places import HOST, Places
from latchstring.demo.sample_crm import Organization
from latchstring.demo.state import find_state
from latchstring.protocol.errors import ConfigurationError


class _Server(uvicorn.Server):
    """Says when it accepts connections, as the authorization server does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(f"ready http://{self.config.host}:{self.config.port}", flush=True)


def make_app(part: str, places: Places) -> Any:
    """The sample API or the sample app, with what was registered for it."""
    state = find_state(places.directory)
    registration = None if state is None else state.registrations.get(str(places.base_port))
    if state is None or registration is None:
        problem = f"{places.directory} has no demo for port {places.base_port}"
        raise ConfigurationError(f"{problem}: start it with make run")
    if part == "api":
        from latchstring.demo.sample_api import create_app as create_api

        return create_api(
            issuer=places.issuer,
            introspection_endpoint=places.introspection_endpoint,
            resource=places.api,
            client_id=registration.sample_api.client_id,
            client_secret=registration.sample_api.client_secret,
            organizations=[
                Organization(id=found.organization_id, name=found.name, user_ids=frozenset(found.user_ids))
                for found in state.organizations
            ],
        )
    from latchstring.demo.sample_app import create_app

    return create_app(
        issuer=places.issuer,
        client_id=registration.sample_app.client_id,
        client_secret=registration.sample_app.client_secret,
        redirect_uri=places.redirect_uri,
        api_base_url=places.api,
        store_path=places.app_store_path,
    )


def main() -> None:
    """Serve until SIGTERM. No access log: a callback's address carries a code."""
    parser = argparse.ArgumentParser(prog="python -m latchstring.demo.serve_sample")
    parser.add_argument("part", choices=["api", "app"])
    parser.add_argument("--base-port", type=int, default=8400)
    parser.add_argument("--directory", type=Path, default=Path(".demo"))
    parser.add_argument("--server-host", default=HOST)
    arguments = parser.parse_args()
    places = Places(base_port=arguments.base_port, directory=arguments.directory, server_host=arguments.server_host)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    config = uvicorn.Config(
        make_app(arguments.part, places),
        host=HOST,
        port=places.base_port + (1 if arguments.part == "api" else 2),
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=3,
    )
    _Server(config).run()


if __name__ == "__main__":
    main()
