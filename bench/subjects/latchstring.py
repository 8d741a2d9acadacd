"""Latchstring, served by its own command, on each engine."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench import operations
from bench.deployment import Deployment, Requests
from bench.operations import Operation
from bench.stores import PostgresStore, SqliteStore, find_missing_postgres, find_postgres_version
from bench.subjects.subject import ServerProcess
from bench.workload import Workload

_OPERATIONS: Final = tuple(operation for operation in operations.ALL.values() if operation is not operations.FLOOR)


class LatchstringServer:
    """`latchstring serve` and its store."""

    host = "127.0.0.1"

    def __init__(self, deployment: Deployment, directory: Path, workers: int, config: Path | None = None) -> None:
        store = deployment.store
        self._store = store
        self._requests = Requests(deployment)
        command = Path(sys.executable).with_name("latchstring")
        self._process = ServerProcess(
            [
                *(str(command), "serve", "--database", store.url, "--keyring", str(store.keyring)),
                *("--port", "0", "--workers", str(workers)),
                *(() if config is None else ("--config", str(config))),
            ],
            directory / "latchstring.log",
        )
        self.port = urlsplit(self._process.wait_for_line("ready ").split()[1]).port or 0
        self.pid = self._process.pid
        self.processes = [self.pid, *store.processes]

    def prepare(self, operation: Operation, count: int) -> Workload:
        """Insert what the requests consume, directly into the database of the idle server."""
        return self._requests.prepare(operation, count)

    def count_rows(self) -> int | None:
        """Of every table there is."""
        return self._store.count_rows()

    def stop_serving(self) -> None:
        """SIGTERM; the database stays."""
        self._process.stop()

    def stop(self) -> None:
        """The database as well."""
        self.stop_serving()
        self._store.stop()


class LatchstringOnSqlite:
    """One file, `synchronous=FULL`."""

    name = "latchstring-sqlite"
    title = "Latchstring, SQLite"
    operations = _OPERATIONS
    programs: Mapping[str, str] = {}

    def find_missing(self, workers: int) -> str | None:
        """SQLite comes with Python."""
        return None

    def start(self, directory: Path, workers: int) -> LatchstringServer:
        """Make the database, then start."""
        return LatchstringServer(Deployment(SqliteStore(directory)), directory, workers)


class LatchstringOnPostgres:
    """A cluster of its own, fsync on."""

    name = "latchstring-postgres"
    title = "Latchstring, PostgreSQL"
    operations = _OPERATIONS

    @property
    def programs(self) -> Mapping[str, str]:
        """The database's version."""
        return {"PostgreSQL": find_postgres_version()}

    def find_missing(self, workers: int) -> str | None:
        """The server programs of PostgreSQL."""
        return find_missing_postgres()

    def start(self, directory: Path, workers: int) -> LatchstringServer:
        """Make the cluster and the database, then start."""
        return LatchstringServer(Deployment(PostgresStore(directory)), directory, workers)
