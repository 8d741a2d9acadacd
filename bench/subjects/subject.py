"""What a subject is: something that starts a real server and can say what to send it."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from bench.operations import Operation
from bench.workload import Workload

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0


class Server(Protocol):
    """A running server."""

    @property
    def host(self) -> str:
        """Where it listens; this machine only."""

    @property
    def port(self) -> int:
        """Where it listens."""

    @property
    def processes(self) -> Sequence[int]:
        """The roots of all that it costs; a database of its own is one more."""

    def prepare(self, operation: Operation, count: int) -> Workload:
        """Fill the store with what `count` requests consume, and say what to send. Not measured."""

    def count_rows(self) -> int | None:
        """How many rows there are in the store; None where there is no store."""

    def stop(self) -> None:
        """End it and remove what it left."""


class Subject(Protocol):
    """A set-up that can be measured."""

    @property
    def name(self) -> str:
        """One word, for the command line."""

    @property
    def title(self) -> str:
        """For the table."""

    @property
    def operations(self) -> Sequence[Operation]:
        """What it can do."""

    @property
    def programs(self) -> Mapping[str, str]:
        """Which versions of what it is made of."""

    def find_missing(self, workers: int) -> str | None:
        """What keeps it from being measured here with that many processes; may install what is missing."""

    def start(self, directory: Path, workers: int) -> Server:
        """Start it with its state in the empty directory; returns once it accepts connections."""


class ServerProcess:
    """A child process with its log in a file; ended by its id."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: dict[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env={**os.environ, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def wait_for_line(self, start: str) -> str:
        """The first line of its output that begins so; raises if it ends or stays silent."""
        assert self._process.stdout is not None
        selector = selectors.DefaultSelector()
        selector.register(self._process.stdout, selectors.EVENT_READ)
        deadline = time.monotonic() + START_SECONDS
        seen = b""
        while time.monotonic() < deadline:
            if not selector.select(timeout=0.2):
                continue
            more = os.read(self._process.stdout.fileno(), 4096)
            if not more:
                break
            seen += more
            for line in seen.decode().splitlines(keepends=True):
                if line.startswith(start) and line.endswith("\n"):
                    return line.strip()
        self.stop()
        raise RuntimeError(f"{self._process.args!r} did not say {start!r}: {self._log.read_text()[-2000:]}")

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for one that does not go."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(OSError):
            assert self._process.stdout is not None
            self._process.stdout.close()
