"""A PostgreSQL of the tests' own: a throw-away cluster on a Unix socket and a free port, fsync on as in production."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

_SERVICE_USER = "postgres"


def find_binaries() -> Path | None:
    """The newest PostgreSQL's server programs on this machine, if there are any."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return None if initdb is None else Path(initdb).resolve().parent


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Cluster:
    """One running cluster; `create_database` makes a fresh database in it."""

    def __init__(self, binaries: Path, directory: Path) -> None:
        self._binaries = binaries
        self.directory = directory
        self.port = free_port()
        # initdb and postgres refuse to run as root.
        self._user = _SERVICE_USER if os.geteuid() == 0 else None
        self._serial = 0
        if self._user is not None:
            owner = pwd.getpwnam(self._user)
            os.chown(directory, owner.pw_uid, owner.pw_gid)
        self._run(
            "initdb", "-D", str(directory / "data"), "-U", "latchstring", "-A", "trust", "-E", "UTF8", "--no-sync"
        )

    def _run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self._binaries / program), *arguments],
            user=self._user,
            cwd=self.directory,
            check=check,
            capture_output=True,
            text=True,
            timeout=60,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )

    def start(self, more_options: str = "") -> None:
        """Start the server and wait until it answers."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.directory} "
            f"-c fsync=on -c synchronous_commit=on -c max_connections=200 {more_options}"
        )
        log = str(self.directory / "log")
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-l", log, "-o", options, "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; `immediate` is a crash."""
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-m", mode, "-w", "stop", check=False)

    def url(self, database: str) -> str:
        """Where the database is."""
        return f"postgresql://latchstring@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """A fresh, empty database's URL."""
        self._serial += 1
        name = f"test_{os.getpid()}_{self._serial}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "latchstring", name)
        return self.url(name)


@contextlib.contextmanager
def run_cluster(binaries: Path) -> Iterator[Cluster]:
    """A cluster in a temporary folder, gone with everything in it afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="latchstring-pg-"))
    try:
        cluster = Cluster(binaries, directory)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop("immediate")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
