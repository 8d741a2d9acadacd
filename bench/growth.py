"""`python -m bench growth`: whether a store that is a thousand times as large is any slower.

Each size is a database of its own with a server of its own; all of them are measured in turns, so that all meet the
same disturbances. The requests are about grants all over the table, other ones in each round while there are any.
"""

import argparse
import asyncio
import contextlib
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from bench import operations
from bench.deployment import Deployment, Requests
from bench.generator import run_apart
from bench.machine import Machine, describe_machine
from bench.operations import Operation
from bench.population import SWEEPABLE, Population, Sample
from bench.processes import find_tree, read_processor_time
from bench.report import render_table
from bench.results import keep
from bench.stores import GrantStore, open_temporary_store
from bench.subjects.latchstring import LatchstringServer
from bench.workload import Load, Outcome, Workload
from latchstring.authorization_server.settings import Settings
from latchstring.storage.operations import SweepPlan, Swept
from latchstring.storage.sweeper import STEP_PAUSE
from latchstring.storage.url import open_store
from latchstring.wiring import epoch_seconds, load_settings

SIZES: Final = (10_000, 1_000_000, 10_000_000)
SAMPLES: Final = 5000
ROUNDS: Final = 7
# So many rounds' worth of grants; after them it is the first ones' turn again.
DIFFERENT: Final = 8
CONNECTIONS: Final = 32
# Enough for the index of the largest; what a machine with such a database would be given.
POSTGRES_OPTIONS: Final = (
    "-c shared_buffers=2GB -c max_wal_size=8GB -c maintenance_work_mem=1GB -c checkpoint_timeout=15min"
)
OPERATIONS: Final = (operations.EXCHANGE, operations.REFRESH, operations.INTROSPECTION)
# The least that the server takes.
MIN_RETENTION: Final = 24 * 3600
HEADINGS: Final = ("grants", "bytes each", "operation", "p50 ms", "p99 ms", "requests/s", "CPU-ms", "errors")


class OperationFigures(msgspec.Struct, frozen=True):
    """Medians over the rounds: latencies in ms, CPU-ms per request of server and database."""

    operation: str
    p50: float
    p99: float
    per_second: float
    processor: float
    errors: int


class SweepFigures(msgspec.Struct, frozen=True):
    """One round over the whole store without the pauses that the server makes. Seconds; CPU-ms for a step."""

    rows_before: int
    rows_deleted: int
    steps: int
    seconds: float
    longest_step: float
    processor: float


class SizeFigures(msgspec.Struct, frozen=True):
    """A store of one size. `refresh_while_sweeping` is with the server's own sweeper at work."""

    grants: int
    bytes_each: float
    load_seconds: float
    operations: list[OperationFigures]
    refresh_while_sweeping: OperationFigures
    sweep: SweepFigures


class Growth(msgspec.Struct, frozen=True):
    """One run on one engine."""

    measured_at: str
    machine: Machine
    engine: str
    rounds: int
    samples: int
    sizes: list[SizeFigures]


class _Size:
    """A filled store and its server."""

    def __init__(self, count: int, store: GrantStore, samples: int) -> None:
        self.count = count
        self._store = store
        self._deployment = Deployment(store)
        population = Population(self._deployment, count, int(time.time()), samples * DIFFERENT)
        began = time.monotonic()
        store.fill(population)
        self.load_seconds = time.monotonic() - began
        self.size = store.find_size()
        self._samples = population.samples
        self._used = 0
        self._requests = Requests(self._deployment)
        self._server: LatchstringServer | None = None

    def start(self, directory: Path) -> None:
        """Begin to serve."""
        self._server = LatchstringServer(self._deployment, directory, workers=1)

    def start_sweeping(self, directory: Path) -> None:
        """Begin to serve with another round of the sweeper due; those that ended lately now go as well."""
        self._store.let_sweep()
        config = directory / "sweeping.toml"
        config.write_text(f"ended_grant_lifetime = {MIN_RETENTION}\n")
        self._server = LatchstringServer(self._deployment, directory, workers=1, config=config)

    def stop(self) -> None:
        """End serving; the store stays."""
        if self._server is not None:
            self._server.stop_serving()
            self._server = None

    def measure(self, operation: Operation, count: int) -> Outcome:
        """Requests about grants that no earlier ones were about."""
        assert self._server is not None
        workload = self._prepare(operation, count)
        return run_apart(
            Load(
                host=self._server.host,
                port=self._server.port,
                connections=CONNECTIONS,
                requests=len(workload.items),
                seconds=60.0,
                workload=workload,
                server_processes=tuple(self._server.processes),
            )
        )

    def _prepare(self, operation: Operation, count: int) -> Workload:
        if operation is operations.EXCHANGE:
            return self._requests.prepare(operation, count)
        samples = self._take(count)
        codec = self._deployment.codec
        if operation is operations.REFRESH:
            items = [codec.render_refresh_token(each.grant_id, each.generation, each.row_secret) for each in samples]
            for sample in samples:
                sample.generation += 1
            # Each once: the next time round it is the next generation's turn.
            return replace(self._requests.render_refresh(items), kind="once")
        return self._requests.render_introspection([self._deployment.render_access_token(s.grant_id) for s in samples])

    def _take(self, count: int) -> Sequence[Sample]:
        """Other grants each time, until all have had their turn."""
        if self._used + count > len(self._samples):
            self._used = 0
        taken = self._samples[self._used : self._used + count]
        self._used += len(taken)
        return taken

    def sweep(self, settings: Settings) -> SweepFigures:
        """A whole round, step after step."""
        rows_before = self._store.count_grants()
        tree = find_tree(self._store.processes)
        database, own = read_processor_time(tree), time.process_time()
        times = asyncio.run(_sweep(self._store.url, SweepPlan(retention=settings.ended_grant_lifetime)))
        own = time.process_time() - own
        tree = list({*tree, *find_tree(self._store.processes)})
        processor = read_processor_time(tree).since(database).total + own
        return SweepFigures(
            rows_before=rows_before,
            rows_deleted=rows_before - self._store.count_grants(),
            steps=len(times),
            seconds=sum(times),
            longest_step=max(times),
            processor=processor / len(times) * 1000,
        )


async def _sweep(database: str, plan: SweepPlan) -> list[float]:
    """How long each step of a round took."""
    store = open_store(database)
    sweeper = store.sweeper(epoch_seconds, plan)
    times = []
    swept = Swept.GOES_ON
    while swept is Swept.GOES_ON:
        began = time.perf_counter()
        swept = await sweeper.step()
        times.append(time.perf_counter() - began)
    await store.close()
    assert swept is Swept.ROUND_ENDED, swept
    return times


def _summarize(operation: Operation, outcomes: Sequence[Outcome]) -> OperationFigures:
    return OperationFigures(
        operation=operation.name,
        p50=statistics.median(outcome.p50 for outcome in outcomes),
        p99=statistics.median(outcome.p99 for outcome in outcomes),
        per_second=statistics.median(outcome.requests / outcome.seconds for outcome in outcomes),
        processor=statistics.median(outcome.server.total / outcome.requests * 1000 for outcome in outcomes),
        errors=sum(outcome.errors for outcome in outcomes),
    )


def run_growth(engine: str, sizes: Sequence[int], directory: Path | None, samples: int, rounds: int) -> Growth:
    """Fill all sizes, then measure them in turns."""
    settings = load_settings(None, issuer="http://127.0.0.1")
    measured_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with contextlib.ExitStack() as stack:
        filled = []
        for count in sizes:
            print(f"bench: filling {engine} with {count:,} grants", flush=True)
            folder, store = stack.enter_context(open_temporary_store(engine, directory, POSTGRES_OPTIONS))
            size = _Size(count, store, samples)
            print(f"bench: {size.load_seconds:.0f} s, {size.size / count:.0f} bytes each", flush=True)
            stack.callback(size.stop)
            filled.append((size, folder))
        machine = describe_machine(filled[0][1])
        sweeps = []
        for size, _ in filled:
            print(f"bench: sweeping {size.count:,} grants", flush=True)
            sweeps.append(size.sweep(settings))
        for size, folder in filled:
            size.start(folder)
        outcomes: dict[tuple[int, str], list[Outcome]] = {}
        for number in range(1 + rounds):
            print(f"bench: round {number} of {rounds}" if number else "bench: warming up", flush=True)
            for operation in OPERATIONS:
                for size, _ in filled:
                    outcome = size.measure(operation, samples)
                    if number:
                        outcomes.setdefault((size.count, operation.name), []).append(outcome)
        sweeping = []
        for size, folder in filled:
            size.stop()
            size.start_sweeping(folder)
            size.measure(operations.REFRESH, samples)  # warming up
            sweeping.append(size.measure(operations.REFRESH, samples))
        return Growth(
            measured_at=measured_at,
            machine=machine,
            engine=engine,
            rounds=rounds,
            samples=samples,
            sizes=[
                SizeFigures(
                    grants=size.count,
                    bytes_each=size.size / size.count,
                    load_seconds=size.load_seconds,
                    operations=[_summarize(each, outcomes[size.count, each.name]) for each in OPERATIONS],
                    refresh_while_sweeping=_summarize(operations.REFRESH, [while_sweeping]),
                    sweep=sweep,
                )
                for (size, _), while_sweeping, sweep in zip(filled, sweeping, sweeps, strict=True)
            ],
        )


def render_growth_cells(growth: Growth) -> list[tuple[str, ...]]:
    """A line for each size and operation, under `HEADINGS`; what had errors does not count."""
    lines: list[tuple[str, ...]] = [HEADINGS]
    for size in growth.sizes:
        about = (f"{size.grants:,}", f"{size.bytes_each:.0f}")
        lines += [
            (*about, operations.ALL[figures.operation].title, *_render_figures(figures)) for figures in size.operations
        ]
        lines.append((*about, "refresh while it is swept", *_render_figures(size.refresh_while_sweeping)))
    return lines


def _render_figures(figures: OperationFigures) -> tuple[str, ...]:
    if figures.errors:
        return ("", "", "", "", f"{figures.errors:,}")
    cells = f"{figures.p50:.2f}", f"{figures.p99:.2f}", f"{figures.per_second:,.0f}", f"{figures.processor:.3f}"
    return (*cells, str(figures.errors))


def render_growth_facts(growth: Growth) -> list[str]:
    """The ratios that matter, and what sweeping costs."""
    least, most = growth.sizes[0], growth.sizes[-1]
    facts = []
    for small, large in zip(least.operations, most.operations, strict=True):
        title = operations.ALL[small.operation].title
        if small.errors or large.errors:
            facts.append(f"{title}: there were errors, so there are no figures")
            continue
        facts.append(
            f"{title}: p99 at {most.grants:,} grants is {large.p99 / small.p99:.2f} × that at {least.grants:,}, "
            f"p50 {large.p50 / small.p50:.2f} ×, CPU {large.processor / small.processor:.2f} ×"
        )
    for size in growth.sizes:
        sweep = size.sweep
        paused = sweep.steps * STEP_PAUSE
        facts.append(
            f"sweeping {sweep.rows_before:,} grants, {sweep.rows_deleted / sweep.rows_before:.1%} of which go: "
            f"{sweep.steps:,} steps, {sweep.seconds:.1f} s at one go, the longest step {sweep.longest_step * 1000:.0f} "
            f"ms, {sweep.processor:.2f} CPU-ms a step; the server takes {paused / 60:,.0f} min over it"
        )
    return facts


def main(arguments: Sequence[str]) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench growth", description=__doc__)
    parser.add_argument("--engine", choices=["sqlite", "postgres"], nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, metavar="GRANTS")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--requests", type=int, default=SAMPLES, help="in each round, each about another grant")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="where stores lie (default: the temporary one)")
    given = parser.parse_args(arguments)
    for engine in given.engine:
        growth = run_growth(engine, given.sizes, given.directory, given.requests, given.rounds)
        print(f"{engine}, {CONNECTIONS} connections, {SWEEPABLE:.0%} of the grants may be swept away")
        print(render_table(render_growth_cells(growth), text_columns=3))
        print("\n".join(render_growth_facts(growth)))
        keep(f"growth-{engine}", growth.measured_at, growth)
