"""Other programs, each installed into .peers/ by itself and served as its documentation says, at its quickest."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import httpx
import msgspec

from bench import operations
from bench.operations import Operation
from bench.requests import form_head, get_head
from bench.stores import EmptyCluster, find_missing_postgres
from bench.subjects.subject import ServerProcess
from bench.workload import Kind, Workload
from tests.peers.peer import FOLDER, PEERS, install_into
from tests.support.ports import find_free_port

PROGRAMS: Final = Path(__file__).parents[1] / "peers"
CHAINS: Final = 1000
_OPERATIONS: Final = (
    operations.METADATA,
    operations.CLIENT_CREDENTIALS,
    operations.EXCHANGE,
    operations.REFRESH,
    operations.INTROSPECTION,
    operations.REVOCATION,
    operations.REVOCATION_ACCESS,
)
_CONSUMING: Final = frozenset(_OPERATIONS) - {operations.METADATA, operations.CLIENT_CREDENTIALS}
# The same three clients everywhere: an app that people use, one that works for itself, and the API that introspects.
_CLIENTS: Final = {
    "client_id": "bench",
    "client_secret": "bench-secret-0123456789abcdef-0123456789",
    "robot_id": "robot",
    "robot_secret": "robot-secret-0123456789abcdef-0123456789",
    "guard_id": "guard",
    "guard_secret": "guard-secret-0123456789abcdef-0123456789",
    "redirect_uri": "https://app.example/callback",
    "verifier": "v" * 43,
}
_VERSIONS: Final = {peer.name: peer.version for peer in PEERS}


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """How a program is installed and started, and where its endpoints are."""

    folder: str
    versions: Mapping[str, str]
    install: tuple[str, ...]
    files: tuple[str, ...]
    command: tuple[str, ...]
    metadata: str
    token: str
    introspect: str
    revoke: str

    def find_folder(self) -> Path:
        """Where it lies once it is installed."""
        return FOLDER / f"bench-{self.folder}"


_NODE: Final = ("npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", ".")
_PYTHON: Final = ("venv/bin/python", "-m", "pip", "install", "--quiet")
_OF_OIDC_PROVIDER: Final = {"oidc-provider": _VERSIONS["oidc-provider"], "pg": "8.23.1"}
_OF_PYTHON: Final = {"psycopg[binary]": "3.3.9", "gunicorn": "27.0.1"}
_OF_DJANGO: Final = {"django-oauth-toolkit": _VERSIONS["django-oauth-toolkit"], "Django": "5.2.19", **_OF_PYTHON}
_OF_AUTHLIB: Final = {"Authlib": "1.9.10", "Flask": "3.1.3", "SQLAlchemy": "2.1.9", **_OF_PYTHON}
OIDC_PROVIDER: Final = Program(
    folder="oidc-provider",
    versions=_OF_OIDC_PROVIDER,
    install=(*_NODE, *(f"{name}@{version}" for name, version in _OF_OIDC_PROVIDER.items())),
    files=("oidc_provider.mjs", "oidc_stores.mjs"),
    command=("node", "oidc_provider.mjs"),
    metadata="/.well-known/openid-configuration",
    token="/token",
    introspect="/token/introspection",
    revoke="/token/revocation",
)
DJANGO_OAUTH_TOOLKIT: Final = Program(
    folder="django-oauth-toolkit",
    versions=_OF_DJANGO,
    install=(*_PYTHON, *(f"{name}=={version}" for name, version in _OF_DJANGO.items())),
    files=("django_oauth_toolkit.py", "serving.py"),
    command=("venv/bin/python", "django_oauth_toolkit.py"),
    metadata="/.well-known/oauth-authorization-server",
    token="/o/token/",
    introspect="/o/introspect/",
    revoke="/o/revoke_token/",
)
AUTHLIB: Final = Program(
    folder="authlib",
    versions=_OF_AUTHLIB,
    install=(*_PYTHON, *(f"{name}=={version}" for name, version in _OF_AUTHLIB.items())),
    files=("authlib_flask.py", "serving.py"),
    command=("venv/bin/python", "authlib_flask.py"),
    metadata="/.well-known/oauth-authorization-server",
    token="/oauth/token",
    introspect="/oauth/introspect",
    revoke="/oauth/revoke",
)


def render_workload(program: Program, operation: Operation, items: Sequence[str]) -> Workload:
    """The requests of an operation about these credentials."""
    if operation is operations.METADATA:
        return Workload(kind="repeat", head=get_head(program.metadata))
    client = f"client_id={_CLIENTS['client_id']}&client_secret={_CLIENTS['client_secret']}"
    kinds: dict[Operation, Kind] = {operations.REFRESH: "chain", operations.CLIENT_CREDENTIALS: "repeat"}
    if operation is operations.INTROSPECTION:
        head = form_head(program.introspect, (_CLIENTS["guard_id"], _CLIENTS["guard_secret"]))
        return Workload(kind="repeat", head=head, prefix="token=", items=tuple(items))
    if operation in {operations.REVOCATION, operations.REVOCATION_ACCESS}:
        return Workload(kind="once", head=form_head(program.revoke), prefix=f"{client}&token=", items=tuple(items))
    prefix = {
        operations.CLIENT_CREDENTIALS: "grant_type=client_credentials"
        f"&client_id={_CLIENTS['robot_id']}&client_secret={_CLIENTS['robot_secret']}",
        operations.EXCHANGE: f"grant_type=authorization_code&{client}&code_verifier={_CLIENTS['verifier']}"
        f"&redirect_uri={quote_plus(_CLIENTS['redirect_uri'])}&code=",
        operations.REFRESH: f"grant_type=refresh_token&{client}&refresh_token=",
    }[operation]
    kind = kinds.get(operation, "once")
    return Workload(kind=kind, head=form_head(program.token), prefix=prefix, items=tuple(items))


class _PeerServer:
    """A running program; what is prepared, and how many rows there are, it is asked itself."""

    host = "127.0.0.1"

    def __init__(self, program: Program, cluster: EmptyCluster | None, directory: Path, workers: int) -> None:
        self._program = program
        self._cluster = cluster
        database = None if cluster is None else cluster.url
        setup = _CLIENTS | {"port": find_free_port(), "workers": workers, "database": database}
        self._process = ServerProcess(
            [*program.command, msgspec.json.encode(setup).decode()],
            directory / "server.log",
            environment={"NODE_ENV": "production"},
            folder=program.find_folder(),
        )
        self.port = urlsplit(self._process.wait_for_line("ready ").split()[1]).port or 0
        self.processes = [self._process.pid, *(() if cluster is None else cluster.processes)]

    def _ask(self, path: str, question: Mapping[str, Any]) -> dict[str, Any]:
        response = httpx.post(f"http://127.0.0.1:{self.port}{path}", json=question, timeout=120)
        if response.status_code != httpx.codes.OK:
            raise RuntimeError(
                f"{self._program.folder}: {path} answered {response.status_code}: {response.text[:2000]}"
            )
        answer: dict[str, Any] = response.json()
        return answer

    def count_rows(self) -> int | None:
        """Rows of grants, codes and tokens of every kind."""
        rows: int = self._ask("/bench/rows", {})["rows"]
        return rows

    def prepare(self, operation: Operation, count: int) -> Workload:
        """Have it make what the requests consume."""
        items: list[str] = [""]
        if operation in _CONSUMING:
            count = CHAINS if operation in {operations.REFRESH, operations.INTROSPECTION} else count
            items = self._ask("/bench/prepare", {"operation": operation.name, "count": count})["items"]
        return render_workload(self._program, operation, items)

    def stop(self) -> None:
        """SIGTERM, then its database."""
        self._process.stop()
        if self._cluster is not None:
            self._cluster.stop()


class PeerSubject:
    """A program in one set-up: on PostgreSQL, or in the memory of its only process."""

    operations = _OPERATIONS

    def __init__(self, name: str, title: str, program: Program, *, is_durable: bool = True) -> None:
        self.name = name
        self.title = title
        self.programs = program.versions
        self._program = program
        self._is_durable = is_durable

    def find_missing(self, workers: int) -> str | None:
        """Installs it, where that can be done."""
        if workers > 1 and not self._is_durable:
            return "processes share no memory"
        if self._is_durable and (missing := find_missing_postgres()):
            return missing
        needed = self._program.install[0]
        if "/" not in needed and shutil.which(needed) is None:
            return f"no {needed} on this machine"
        folder = self._program.find_folder()
        install_into(folder, self._program.install)
        for name in self._program.files:
            shutil.copy(PROGRAMS / name, folder)
        return None

    def start(self, directory: Path, workers: int) -> _PeerServer:
        """With a cluster of its own, if it needs one."""
        cluster = EmptyCluster(directory) if self._is_durable else None
        return _PeerServer(self._program, cluster, directory, workers)


PEER_SUBJECTS: Final = (
    PeerSubject("oidc-provider-memory", "node-oidc-provider, in memory", OIDC_PROVIDER, is_durable=False),
    PeerSubject("oidc-provider-postgres", "node-oidc-provider, PostgreSQL", OIDC_PROVIDER),
    PeerSubject("django-oauth-toolkit", "django-oauth-toolkit, PostgreSQL", DJANGO_OAUTH_TOOLKIT),
    PeerSubject("authlib", "Authlib + Flask, PostgreSQL", AUTHLIB),
)
