"""`python -m bench memory`: whether a server that has answered a million requests needs more memory than before."""

import argparse
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from bench import operations
from bench.deployment import Deployment
from bench.generator import run_apart
from bench.processes import find_tree, read_memory
from bench.report import render_table
from bench.results import keep
from bench.stores import open_temporary_store
from bench.subjects.latchstring import LatchstringServer
from bench.workload import Load

# Cheap ones, in turns; each turn about other grants than the one before.
MIX: Final = (
    operations.INTROSPECTION,
    operations.REFRESH,
    operations.CLIENT_CREDENTIALS,
    operations.METADATA,
)
TURN: Final = 12_500
LOOKS: Final = (50_000, 200_000, 400_000, 600_000, 800_000, 1_000_000)
CONNECTIONS: Final = 32


class Look(msgspec.Struct, frozen=True):
    """Resident memory in MiB after so many requests."""

    requests: int
    memory: float


class Memory(msgspec.Struct, frozen=True):
    """One worker over one run."""

    measured_at: str
    engine: str
    errors: int
    looks: list[Look]


def run_memory(engine: str, looks: Sequence[int], turn: int = TURN) -> Memory:
    """Send the mix and look at the worker now and then."""
    measured_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    found, errors, sent = [], 0, 0
    with open_temporary_store(engine) as (folder, store):
        server = LatchstringServer(Deployment(store), folder, workers=1)
        try:
            for due in looks:
                while sent < due:
                    operation = MIX[sent // turn % len(MIX)]
                    outcome = run_apart(
                        Load(
                            host=server.host,
                            port=server.port,
                            connections=CONNECTIONS,
                            requests=min(turn, due - sent),
                            seconds=120.0,
                            workload=server.prepare(operation, turn),
                        )
                    )
                    sent += outcome.requests
                    errors += outcome.errors
                found.append(Look(sent, read_memory(find_tree([server.pid]))))
                print(f"bench: {engine}: {found[-1].memory:.1f} MiB after {sent:,} requests", flush=True)
        finally:
            server.stop_serving()
    return Memory(measured_at, engine, errors, found)


def render_memory_cells(runs: Sequence[Memory]) -> list[tuple[str, ...]]:
    """A line for each engine."""
    headings = ("MiB after", *(f"{look.requests:,}" for look in runs[0].looks), "errors")
    return [headings, *((run.engine, *(f"{look.memory:.1f}" for look in run.looks), str(run.errors)) for run in runs)]


def main(arguments: Sequence[str]) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench memory", description=__doc__)
    parser.add_argument("--engine", choices=["sqlite", "postgres"], nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--requests", type=int, default=LOOKS[-1], help="no look after so many")
    given = parser.parse_args(arguments)
    for engine in given.engine:
        run = run_memory(engine, [look for look in LOOKS if look <= given.requests] or [given.requests])
        print(render_table(render_memory_cells([run]), text_columns=1))
        keep(f"memory-{engine}", run.measured_at, run)
