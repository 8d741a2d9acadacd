"""`python -m bench served OPERATION`: in which libraries the processor time of a whole server goes, kernel included.

perf (Debian's `linux-perf`) samples the serving process while the generator loads it over real sockets. What the rules
cost in Python is told apart by `python -m bench profile`, which sees no sockets.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench import operations
from bench.deployment import Deployment
from bench.generator import run_apart
from bench.hot_path import find_operation
from bench.operations import Operation
from bench.processes import find_tree, read_processor_time
from bench.report import render_table
from bench.results import keep
from bench.stores import open_temporary_store
from bench.subjects.latchstring import LatchstringServer
from bench.workload import Load, Outcome

CONNECTIONS: Final = 32
WARM_UP: Final = 2000
# Samples a second; an odd number, so as not to beat with any timer.
FREQUENCY: Final = 3989
_SHARE: Final = re.compile(r"^ *([\d.]+)%  +(\S+)")
# By how the shared object's name begins; the rest is `other`.
LIBRARIES: Final = {
    "[kernel": "kernel: sockets, files, waiting",
    "libpython": "Python itself",
    "python": "Python itself",
    "loop": "event loop (uvloop)",
    "parser": "HTTP parser (httptools)",
    "libsqlite3": "SQLite",
    "_sqlite3": "SQLite",
    "protocol": "PostgreSQL driver (asyncpg)",
    "_rust": "cryptography",
    "libcrypto": "cryptography",
    "_blake2": "hashes",
    "_hashlib": "hashes",
    "libc": "C library (memory, locks)",
    "libm": "C library (memory, locks)",
    "_core": "JSON (msgspec)",
}
OTHER: Final = "other"


class Served(msgspec.Struct, frozen=True):
    """CPU-µs of a request: the whole, of which the database's, and the serving process's by library."""

    measured_at: str
    engine: str
    operation: str
    whole: float
    database: float
    libraries: dict[str, float]


def parse_shares(text: str) -> dict[str, float]:
    """What perf reports by shared object, summed up by `LIBRARIES`; shares of 1."""
    shares = dict.fromkeys([*LIBRARIES.values(), OTHER], 0.0)
    for line in text.splitlines():
        if match := _SHARE.match(line):
            found = (label for start, label in LIBRARIES.items() if match[2].startswith(start))
            shares[next(found, OTHER)] += float(match[1]) / 100
    return shares


def run_served(engine: str, operation: Operation, requests: int) -> Served:
    """Load a server and watch it."""
    measured_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with open_temporary_store(engine) as (folder, store):
        server = LatchstringServer(Deployment(store), folder, workers=1)
        try:
            _load(server, operation, WARM_UP)
            shares = _sample(server, operation, requests, folder / "perf.data")
            tree = find_tree(store.processes)
            before = read_processor_time(tree)
            outcome = _load(server, operation, requests)
            database = read_processor_time(tree).since(before).total / outcome.requests * 1e6
        finally:
            server.stop_serving()
    own = outcome.server.total / outcome.requests * 1e6
    return Served(
        measured_at=measured_at,
        engine=engine,
        operation=operation.name,
        whole=own + database,
        database=database,
        libraries={name: share * own for name, share in shares.items()},
    )


def _load(server: LatchstringServer, operation: Operation, requests: int) -> Outcome:
    workload = server.prepare(operation, requests)
    load = Load(
        host=server.host,
        port=server.port,
        connections=CONNECTIONS,
        requests=requests,
        seconds=60.0,
        workload=workload,
        server_processes=(server.pid,),
    )
    return run_apart(load)


def _sample(server: LatchstringServer, operation: Operation, requests: int, data: Path) -> dict[str, float]:
    command = ("perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "-p", str(server.pid), "-o", str(data))
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as recorder:
        _load(server, operation, requests)
        recorder.terminate()
    report = subprocess.run(
        ["perf", "report", "-q", "-i", str(data), "--sort", "dso"], capture_output=True, text=True, check=True
    )
    return parse_shares(report.stdout)


def render_served_cells(runs: Sequence[Served]) -> list[tuple[str, ...]]:
    """A column for each run; microseconds."""
    lines = [("CPU-µs", *(f"{operations.ALL[run.operation].title} ({run.engine})" for run in runs))]
    lines.append(("the whole", *(f"{run.whole:.0f}" for run in runs)))
    lines.append(("the database's processes", *(f"{run.database:.0f}" if run.database else "" for run in runs)))
    for name in runs[0].libraries:
        lines.append((name, *(f"{run.libraries[name]:.1f}" for run in runs)))  # noqa: PERF401
    return lines


def main(arguments: Sequence[str]) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench served", description=__doc__)
    parser.add_argument("operation", nargs="*", default=["refresh", "introspection"])
    parser.add_argument("--engine", choices=["sqlite", "postgres"], nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--requests", type=int, default=20_000)
    given = parser.parse_args(arguments)
    if shutil.which("perf") is None:
        sys.exit("bench: no perf on this machine: install linux-perf")
    runs = [
        run_served(engine, find_operation(name), given.requests) for engine in given.engine for name in given.operation
    ]
    print(render_table(render_served_cells(runs), text_columns=1))
    for run in runs:
        keep(f"served-{run.engine}-{run.operation}", run.measured_at, run)
