"""A PostgreSQL of the tests' own: a throw-away cluster on a Unix socket and a free port, fsync on as in production."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.ports import find_free_port

_SERVICE_USER = "postgres"


def find_binaries() -> Path | None:
    """The newest PostgreSQL's server programs on this machine, if there are any."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return None if initdb is None else Path(initdb).resolve().parent


class Cluster:
    """One running cluster; `create_database` makes a fresh database in it."""

    def __init__(
        self, binaries: Path, directory: Path, primary: "Cluster | None" = None, host: str = "127.0.0.1"
    ) -> None:
        self._binaries = binaries
        self.host = host
        self.directory = directory
        self.port = find_free_port()
        # initdb and postgres refuse to run as root.
        self._user = _SERVICE_USER if os.geteuid() == 0 else None
        self._serial = 0
        if self._user is not None:
            owner = pwd.getpwnam(self._user)
            os.chown(directory, owner.pw_uid, owner.pw_gid)
        data = ("-D", str(directory / "data"), "-U", "latchstring", "--no-sync")
        if primary is None:
            self._run("initdb", *data, "-A", "trust", "-E", "UTF8")
            if host != "127.0.0.1":
                # The address is one of this machine's own, at the other end of which is a network namespace.
                with (directory / "data" / "pg_hba.conf").open("a") as rules:
                    rules.write("host all all samenet trust\n")
        else:
            self._run(
                "pg_basebackup", *data, "-h", primary.host, "-p", str(primary.port), "-R", "-X", "stream", "-c", "fast"
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
            f"-p {self.port} -c listen_addresses={self.host} -c unix_socket_directories={self.directory} "
            f"-c fsync=on -c synchronous_commit=on -c max_connections=200 {more_options}"
        )
        log = str(self.directory / "log")
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-l", log, "-o", options, "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; `immediate` is a crash."""
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-m", mode, "-w", "stop", check=False)

    def kill(self) -> None:
        """SIGKILL to every process of it at once, as when the power goes."""
        os.killpg(int((self.directory / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def require_standby(self) -> None:
        """Nothing is acknowledged from now on that is not on a standby's disk, too."""
        self.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.ask("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make a standby the primary; returns once it is."""
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-w", "promote")

    def ask(self, sql: str, database: str = "postgres") -> str:
        """What `psql` prints, bare."""
        options = ("-h", self.host, "-p", str(self.port), "-U", "latchstring", "-XAtc")
        return self._run("psql", *options, sql, database).stdout.strip()

    def url(self, database: str) -> str:
        """Where the database is."""
        return f"postgresql://latchstring@{self.host}:{self.port}/{database}"

    def create_database(self, template: str = "template1") -> str:
        """The URL of a fresh database: empty, or a copy of another."""
        self._serial += 1
        name = f"test_{os.getpid()}_{self._serial}"
        at = ("-h", self.host, "-p", str(self.port), "-U", "latchstring")
        self._run("createdb", *at, "-T", template, name)
        return self.url(name)


@contextlib.contextmanager
def run_cluster(binaries: Path, primary: Cluster | None = None, *, host: str = "127.0.0.1") -> Iterator[Cluster]:
    """A cluster in a temporary folder, gone with everything in it afterwards; a standby, if of a primary."""
    directory = Path(tempfile.mkdtemp(prefix="latchstring-pg-"))
    try:
        cluster = Cluster(binaries, directory, primary, host)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop("immediate")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
