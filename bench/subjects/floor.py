"""The bare floor: the yardstick of every ratio, whatever the machine."""

import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from bench.operations import FLOOR, Operation
from bench.requests import form_head
from bench.subjects.subject import ServerProcess
from bench.workload import Workload


class _FloorServer:
    host = "127.0.0.1"

    def __init__(self, directory: Path, workers: int) -> None:
        self._process = ServerProcess([sys.executable, "-m", "bench.floor_app", str(workers)], directory / "floor.log")
        self.port = urlsplit(self._process.wait_for_line("ready ").split()[1]).port or 0
        self.processes = [self._process.pid]

    def prepare(self, operation: Operation, count: int) -> Workload:
        """The body of a refresh; nothing is consumed."""
        body = "grant_type=refresh_token&client_id=c&client_secret=s&refresh_token="
        return Workload(kind="repeat", head=form_head("/oauth2/token"), prefix=body, items=("r" * 80,))

    def count_rows(self) -> int | None:
        """There is no store."""
        return None

    def stop(self) -> None:
        """End it."""
        self._process.stop()


class Floor:
    """uvicorn and nothing on it."""

    name = "floor"
    title = "bare uvicorn"
    operations = (FLOOR,)
    programs: Mapping[str, str] = {}

    def find_missing(self, workers: int) -> str | None:
        """Nothing."""
        return None

    def start(self, directory: Path, workers: int) -> _FloorServer:
        """Start it."""
        return _FloorServer(directory, workers)
