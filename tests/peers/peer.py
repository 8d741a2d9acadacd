"""The servers that are compared: how each is installed and started, and where its endpoints are."""

import contextlib
import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.peers.results import ROOT
from tests.support.ports import find_free_port

FOLDER: Final = ROOT / ".peers"
SERVERS: Final = Path(__file__).parent / "servers"
_START_LIMIT: Final = 60.0


class Peer(msgspec.Struct, frozen=True):
    """Another server. `paths` has its endpoint for each of ours; what it has not is None."""

    name: str
    version: str
    paths: Mapping[str, str | None]
    server: str
    install: tuple[str, ...]
    command: tuple[str, ...]
    # Rules about what it does not set out to do, or not in that way.
    absent: Mapping[str, str] = {}

    @property
    def folder(self) -> Path:
        """Where it is installed, outside the repository's own files."""
        return FOLDER / self.name


_METADATA: Final = "/.well-known/oauth-authorization-server"
PEERS: Final = (
    Peer(
        name="oidc-provider",
        version="9.13.3",
        paths={
            "/oauth2/authorize": "/auth",
            "/oauth2/token": "/token",
            "/oauth2/introspect": "/token/introspection",
            "/oauth2/revoke": "/token/revocation",
            "/oauth2/par": "/request",
            _METADATA: "/.well-known/openid-configuration",
        },
        server="oidc_provider.mjs",
        install=("npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", ".", "oidc-provider@{version}"),
        command=("node", "oidc_provider.mjs", "{port}"),
        absent={
            "A20": "its pages are the application's own",
            "A23": "a request without a scope asks for nothing there",
            "A25": "it knows no organizations",
        },
    ),
    Peer(
        name="django-oauth-toolkit",
        version="3.4.1",
        paths={
            "/oauth2/authorize": "/o/authorize/",
            "/oauth2/token": "/o/token/",
            "/oauth2/introspect": "/o/introspect/",
            "/oauth2/revoke": "/o/revoke_token/",
            "/oauth2/par": None,
            _METADATA: _METADATA,
        },
        server="django_oauth_toolkit.py",
        install=("venv/bin/python", "-m", "pip", "install", "--quiet", "django-oauth-toolkit=={version}"),
        command=("venv/bin/python", "django_oauth_toolkit.py", "{port}", "db.sqlite3"),
        absent={"A25": "it knows no organizations", "A27": "it knows no resource indicators"},
    ),
)


def install(peer: Peer) -> None:
    """Bring it into its own folder, once for each version."""
    install_into(peer.folder, [word.format(version=peer.version) for word in peer.install])
    shutil.copy(SERVERS / peer.server, peer.folder)


def install_into(folder: Path, command: Sequence[str]) -> None:
    """Run the command there once; one of `venv/bin/` is given a virtual environment first."""
    stamp = folder / f"installed-{hashlib.sha256(repr(command).encode()).hexdigest()[:12]}"
    if stamp.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    print(f"installing {folder.name} …", file=sys.stderr, flush=True)
    if command[0].startswith("venv/"):
        subprocess.run([sys.executable, "-m", "venv", "--clear", "venv"], cwd=folder, check=True)
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    stamp.touch()


@contextlib.contextmanager
def running(peer: Peer) -> Iterator[str]:
    """Its issuer, while it runs on 127.0.0.1."""
    port = find_free_port()
    (peer.folder / "db.sqlite3").unlink(missing_ok=True)
    command = [word.format(port=port) for word in peer.command]
    with (peer.folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=peer.folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _START_LIMIT
        while "ready" not in (peer.folder / "server.log").read_text(errors="replace").split():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"peers: {peer.name} does not start; see {peer.folder / 'server.log'}")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
