"""`python -m latchstring.demo`: the whole loop on this machine, with nothing to set up."""

import argparse
import os
import sys
from pathlib import Path

from latchstring.demo.launcher import Launcher
from latchstring.demo.places import HOST, Places


def main() -> int:
    """Start the demo on BASE_PORT and the two ports after it, and stay until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m latchstring.demo", description=main.__doc__)
    parser.add_argument("--base-port", type=_base_port, default=8400, help="the first of three ports (8400)")
    parser.add_argument("--directory", type=Path, default=Path(".demo"), help="where its data is kept (.demo)")
    parser.add_argument(
        "--server-host",
        choices=[HOST, "localhost"],
        default=HOST,
        help=f"the server's name for browsers: passkeys need localhost ({HOST})",
    )
    arguments = parser.parse_args()
    os.umask(0o077)
    for name in ("LATCHSTRING_DATABASE", "LATCHSTRING_KEYRING"):
        os.environ.pop(name, None)  # those are of a real deployment; the demo keeps to its own directory
    places = Places(
        base_port=arguments.base_port,
        directory=arguments.directory.absolute(),
        server_host=arguments.server_host,
    )
    return Launcher(places).run()


def _base_port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65533:
        raise argparse.ArgumentTypeError("give a port from 1 to 65533; the demo uses it and the two after it")
    return port


if __name__ == "__main__":
    sys.exit(main())
