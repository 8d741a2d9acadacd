"""`python -m bench lane`: three ways of committing on SQLite, and two drivers. An experiment kept for its record.

Ways: in the event loop, once per turn (what the server does); the same batches applied by a writer thread; the
statements in the loop and only COMMIT in a thread. Each caller burns some processor time in Python, as parsing
and rendering a request do, then rotates a grant of its own and waits until that is durable.

`--fsync MS` adds folders in memory whose every fsync lasts that long (slow_fsync.c, built with `cc`).
`docs/decisions/0004-sqlite-commit-lane.md` is what came of it.
"""

import argparse
import asyncio
import contextlib
import os
import queue
import random
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import uvloop

from bench.deployment import Deployment
from bench.disk import measure_disk
from bench.stores import SqliteStore
from latchstring.storage.statements import grants
from latchstring.storage.statements.compiled import compile_for_sqlite

GRANTS: Final = 10_000
CONCURRENCY: Final = (1, 32, 256)
BATCHES: Final = (1, 8, 32)
REPEATS: Final = 7
TICK_SECONDS: Final = 0.002

_Parameters = dict[str, Any]
_Waiting = list[tuple[_Parameters, asyncio.Future[bool]]]
_ROTATE: Final = compile_for_sqlite()[grants.ROTATE]


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


class Lane(Protocol):
    """A way of committing. `batches` counts transactions."""

    batches: int

    def submit(self, parameters: _Parameters) -> asyncio.Future[bool]:
        """Rotate; the future is done once that is durable."""

    def close(self) -> None:
        """Let go of the database."""


class LoopLane:
    """Statements and COMMIT in the event loop, once per turn."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._connection, self._loop = _connect(path), loop
        self._waiting: _Waiting = []
        self.batches = 0

    def submit(self, parameters: _Parameters) -> asyncio.Future[bool]:
        future = self._loop.create_future()
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append((parameters, future))
        return future

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        outcomes = _apply(self._connection, batch)
        self._connection.execute("COMMIT")
        self.batches += 1
        _answer(batch, outcomes)

    def close(self) -> None:
        self._connection.close()


class ThreadLane:
    """A writer thread takes all that waits, applies and commits it, and hands the outcomes back at once."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._connection, self._loop = _connect(path), loop
        self._waiting: queue.SimpleQueue[tuple[_Parameters, asyncio.Future[bool]] | None] = queue.SimpleQueue()
        self.batches = 0
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def submit(self, parameters: _Parameters) -> asyncio.Future[bool]:
        future = self._loop.create_future()
        self._waiting.put((parameters, future))
        return future

    def _write(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            with contextlib.suppress(queue.Empty):
                while (more := self._waiting.get_nowait()) is not None:
                    batch.append(more)
            outcomes = _apply(self._connection, batch)
            self._connection.execute("COMMIT")
            self.batches += 1
            self._loop.call_soon_threadsafe(_answer, batch, outcomes)

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()
        self._connection.close()


class CommitThreadLane:
    """Statements in the event loop, COMMIT alone in a thread; what arrives meanwhile is the next batch."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._connection, self._loop = _connect(path), loop
        self._waiting: _Waiting = []
        self._is_busy = False
        self._executor = ThreadPoolExecutor(1)
        self.batches = 0

    def submit(self, parameters: _Parameters) -> asyncio.Future[bool]:
        future = self._loop.create_future()
        self._waiting.append((parameters, future))
        if not self._is_busy:
            self._is_busy = True
            self._loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        outcomes = _apply(self._connection, batch)
        self.batches += 1
        self._executor.submit(self._commit, batch, outcomes)

    def _commit(self, batch: _Waiting, outcomes: list[bool]) -> None:
        self._connection.execute("COMMIT")
        self._loop.call_soon_threadsafe(self._go_on, batch, outcomes)

    def _go_on(self, batch: _Waiting, outcomes: list[bool]) -> None:
        _answer(batch, outcomes)
        if self._waiting:
            self._loop.call_soon(self._flush)
        else:
            self._is_busy = False

    def close(self) -> None:
        self._executor.shutdown()
        self._connection.close()


def _apply(connection: sqlite3.Connection, batch: _Waiting) -> list[bool]:
    execute = connection.execute
    execute("BEGIN IMMEDIATE")
    return [bool(execute(_ROTATE, parameters).fetchall()) for parameters, _ in batch]


def _answer(batch: _Waiting, outcomes: list[bool]) -> None:
    for (_, future), outcome in zip(batch, outcomes, strict=True):
        future.set_result(outcome)


WAYS: Final[dict[str, Callable[[Path, asyncio.AbstractEventLoop], Lane]]] = {
    "in the loop": LoopLane,
    "writer thread": ThreadLane,
    "COMMIT in a thread": CommitThreadLane,
}


def spin(rounds: int) -> int:
    """Use processor time, as parsing and rendering a request do."""
    total = 0
    for number in range(rounds):
        total += number
    return total


def calibrate(microseconds: float) -> int:
    """How many rounds of `spin` take that long at best."""
    best = min(_time(lambda: spin(10_000)) for _ in range(50))
    return max(1, int(10_000 * microseconds / 1e6 / best))


def _time(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def _run(way: str, path: Path, ids: Sequence[bytes], concurrency: int, count: int, rounds: int) -> list[float]:
    """Writes per second, CPU-µs per write, p50 and p99 in ms, writes per transaction, and how late the loop is for
    other work (p50 and p99 in ms): an introspection waits that long."""
    lane = WAYS[way](path, asyncio.get_running_loop())
    latencies: list[float] = []
    delays: list[float] = []

    async def watch() -> None:
        while True:
            due = time.perf_counter() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            delays.append(time.perf_counter() - due)

    async def walk(grant_id: bytes) -> None:
        generation = _GENERATIONS[grant_id]
        for _ in range(count // concurrency):
            spin(rounds)
            began = time.perf_counter()
            parameters = {"grant_id": grant_id, "at_generation": generation, "now": 1, "new_expires_at": 2, "mark": 3}
            assert await lane.submit(parameters)
            latencies.append(time.perf_counter() - began)
            generation += 1
        _GENERATIONS[grant_id] = generation

    watcher = asyncio.ensure_future(watch())
    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*map(walk, ids[:concurrency]))
    seconds, used = time.perf_counter() - began, time.process_time() - used
    watcher.cancel()
    lane.close()
    latencies.sort()
    delays.sort()
    done = len(latencies)
    return [
        done / seconds,
        used / done * 1e6,
        latencies[done // 2] * 1000,
        latencies[done * 99 // 100] * 1000,
        done / lane.batches,
        delays[len(delays) // 2] * 1000,
        delays[len(delays) * 99 // 100] * 1000,
    ]


_GENERATIONS: dict[bytes, int] = {}


def compare_ways(directory: Path, count: int, burn: float) -> None:
    """Print the three ways at each concurrency; repeats are interleaved, medians shown."""
    rounds = calibrate(burn)
    path, ids = _seed(directory)
    print(
        f"{'':20}  {'callers':>7}  {'writes/s':>9}  {'CPU-µs':>7}  {'p50 ms':>7}  {'p99 ms':>7}  {'batch':>6}"
        f"  {'late p50':>8}  {'late p99':>8}"
    )
    for concurrency in CONCURRENCY:
        found: dict[str, list[list[float]]] = {way: [] for way in WAYS}
        for _ in range(REPEATS):
            for way in WAYS:
                number = count if concurrency > 1 else count // 4
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    found[way].append(runner.run(_run(way, path, ids, concurrency, number, rounds)))
        for way, results in found.items():
            rate, cost, p50, p99, batch, *late = (statistics.median(column) for column in zip(*results, strict=True))
            print(
                f"{way:20}  {concurrency:7}  {rate:9,.0f}  {cost:7.1f}  {p50:7.2f}  {p99:7.2f}  {batch:6.1f}"
                f"  {late[0]:8.2f}  {late[1]:8.2f}"
            )


def _seed(directory: Path) -> tuple[Path, list[bytes]]:
    store = SqliteStore(directory)
    deployment = Deployment(store)
    ids = [grant.id for grant in deployment.insert_grants(GRANTS, is_pending=False)]
    _GENERATIONS.update(dict.fromkeys(ids, 1))
    return store.path, ids


class Driver(NamedTuple):
    """A connection of its own to a database of its own, and how it is given parameters."""

    connection: Any
    is_named: bool
    ids: list[bytes]


def _find_drivers(directory: Path) -> dict[str, Driver]:
    connectors: dict[str, Callable[[Path], Any]] = {f"sqlite3 {sqlite3.sqlite_version}": _connect}
    try:
        import apsw  # type: ignore[import-not-found]  # only where someone wants to compare
    except ImportError:
        print("apsw is not installed here; only sqlite3 is measured")
    else:

        def connect_apsw(path: Path) -> Any:
            connection = apsw.Connection(str(path))
            connection.execute("PRAGMA synchronous=FULL")
            return connection

        connectors[f"apsw {apsw.sqlite_lib_version()}"] = connect_apsw
    drivers = {}
    for name, connector in connectors.items():
        for style in ("named", "positional"):
            folder = directory / f"{name} {style}"
            folder.mkdir(parents=True)
            path, ids = _seed(folder)
            drivers[f"{name}, {style}"] = Driver(connector(path), style == "named", ids)
    return drivers


def compare_drivers(directory: Path) -> None:
    """Print what one rotation costs in sqlite3 and, where it is installed, in apsw, alone and in batches."""
    names, positional = re.findall(r":(\w+)", _ROTATE), re.sub(r":\w+", "?", _ROTATE)
    drivers = _find_drivers(directory)
    print(f"{'':26}  {'batch':>5}  {'CPU-µs per rotation: median':>27}  {'best':>6}")
    for batch in BATCHES:
        found: dict[str, list[float]] = {name: [] for name in drivers}
        for turn in range(max(40, 1600 // batch)):
            for name, driver in random.sample(list(drivers.items()), len(drivers)):
                start = turn * batch % (GRANTS - batch)
                ids = driver.ids[start : start + batch]
                chosen = [
                    {
                        "grant_id": each,
                        "at_generation": _GENERATIONS[each],
                        "now": 1,
                        "new_expires_at": 2,
                        "mark": 3,
                    }
                    for each in ids
                ]
                lines = chosen if driver.is_named else [tuple(each[key] for key in names) for each in chosen]
                sql = _ROTATE if driver.is_named else positional
                execute = driver.connection.execute
                began = time.process_time()
                execute("BEGIN IMMEDIATE")
                outcomes = [execute(sql, line).fetchall() for line in lines]
                execute("COMMIT")
                found[name].append((time.process_time() - began) / batch * 1e6)
                assert all(outcomes)
                for each in ids:
                    _GENERATIONS[each] += 1
        for name, costs in found.items():
            print(f"{name:26}  {batch:5}  {statistics.median(costs):27.1f}  {min(costs):6.1f}")


def _compare(parent: Path, count: int, burn: float) -> None:
    with tempfile.TemporaryDirectory(prefix="latchstring-lane-", dir=parent) as directory:
        disk = measure_disk(Path(directory))
        print(
            f"\n{parent} on {disk.device} ({disk.file_system}): fdatasync of 4 KiB {disk.fsync:.3f} ms; "
            f"{sys.version.split()[0]}; {burn:.0f} µs of Python before each write, {REPEATS} repeats"
        )
        for name in ("ways", "drivers"):
            (Path(directory) / name).mkdir()
        compare_ways(Path(directory) / "ways", count, burn)
        print()
        compare_drivers(Path(directory) / "drivers")


def _compare_slowly(milliseconds: float, count: int, burn: float) -> None:
    """The same in memory, in a process whose every fsync lasts that long."""
    with tempfile.TemporaryDirectory() as directory:
        library = Path(directory) / "slow_fsync.so"
        source = Path(__file__).with_name("slow_fsync.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        slow = {"LD_PRELOAD": str(library), "SLOW_FSYNC_US": str(round(milliseconds * 1000))}
        command = [sys.executable, "-m", "bench", "lane", "--directory", "/dev/shm", "--count", str(count)]
        subprocess.run([*command, "--burn", str(burn)], env={**os.environ, **slow}, check=True)


def main(arguments: Sequence[str]) -> None:
    """Run both comparisons in each of the folders."""
    parser = argparse.ArgumentParser(prog="python -m bench lane")
    parser.add_argument("--directory", type=Path, nargs="+", default=[Path(tempfile.gettempdir())])
    parser.add_argument("--count", type=int, default=4000, help="writes in each repeat")
    parser.add_argument("--burn", type=float, default=60.0, help="µs of Python before each write")
    parser.add_argument("--fsync", type=float, nargs="+", default=[], metavar="MS", help="imitate such disks")
    given = parser.parse_args(arguments)
    for parent in given.directory:
        _compare(parent, given.count, given.burn)
    sys.stdout.flush()
    for milliseconds in given.fsync:
        _compare_slowly(milliseconds, given.count, given.burn)
