"""`python -m bench writers`: one process and several at one SQLite file, and how long each waits for the lock.

Every process has an engine of its own and its share of the callers; each caller burns some processor time, rotates a
grant of its own, waits until that is durable, and goes on until time is up.
`docs/decisions/0004-sqlite-commit-lane.md` says what came of it.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import uvloop

from bench.deployment import Deployment
from bench.disk import measure_disk
from bench.lane import calibrate, spin
from bench.stores import SqliteStore
from latchstring.storage import sqlite
from latchstring.storage.statements import grants

CALLERS: Final = 32
REPEATS: Final = 5
_CONTEXT: Final = multiprocessing.get_context("spawn")


async def _write(path: Path, ids: Sequence[bytes], seconds: float, rounds: int) -> list[float]:
    """How long each write took, in seconds."""
    engine = sqlite.SqliteEngine(path)
    latencies: list[float] = []
    deadline = time.perf_counter() + seconds

    async def walk(grant_id: bytes) -> None:
        row = await engine.read(grants.FIND_GRANT, {"grant_id": grant_id})
        assert row is not None
        generation = row[9]
        while time.perf_counter() < deadline:
            spin(rounds)
            began = time.perf_counter()
            rotation = {"grant_id": grant_id, "at_generation": generation, "now": 1, "new_expires_at": 2, "mark": 3}
            assert await engine.write(grants.ROTATE, rotation) is not None
            latencies.append(time.perf_counter() - began)
            generation += 1

    await asyncio.gather(*map(walk, ids))
    await engine.close()
    return latencies


def _run_writer(path: Path, ids: Sequence[bytes], seconds: float, rounds: int, poll: float, pipe: Connection) -> None:
    sqlite.LOCK_POLL = poll  # type: ignore[misc]  # what is compared
    pipe.send("ready")
    pipe.recv()
    used = time.process_time()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        latencies = runner.run(_write(path, ids, seconds, rounds))
    pipe.send((latencies, time.process_time() - used))


def measure(path: Path, ids: Sequence[bytes], processes: int, seconds: float, rounds: int, poll: float) -> list[float]:
    """Writes a second, CPU-µs a write, p50 and p99 in ms, and the slower process's share of the writes."""
    running = []
    for number in range(processes):
        ours, theirs = _CONTEXT.Pipe()
        given = (path, ids[number:CALLERS:processes], seconds, rounds, poll, theirs)
        process = _CONTEXT.Process(target=_run_writer, args=given)
        process.start()
        running.append((process, ours))
    for _, pipe in running:
        assert pipe.recv() == "ready"
    for _, pipe in running:
        pipe.send("go")
    outcomes = [pipe.recv() for _, pipe in running]
    for process, _ in running:
        process.join()
    latencies = sorted(latency for each, _ in outcomes for latency in each)
    done = len(latencies)
    return [
        done / seconds,
        sum(used for _, used in outcomes) / done * 1e6,
        latencies[done // 2] * 1000,
        latencies[done * 99 // 100] * 1000,
        min(len(each) for each, _ in outcomes) / done,
    ]


def main(arguments: Sequence[str]) -> None:
    """Print each number of processes at each pause between two tries for the lock; repeats are interleaved."""
    parser = argparse.ArgumentParser(prog="python -m bench writers")
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--seconds", type=float, default=2.0, help="of each repeat")
    parser.add_argument("--burn", type=float, default=150.0, help="µs of Python before each write")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--poll", type=float, nargs="+", default=[sqlite.LOCK_POLL * 1000], metavar="MS")
    given = parser.parse_args(arguments)
    rounds = calibrate(given.burn)
    with tempfile.TemporaryDirectory(prefix="latchstring-writers-", dir=given.directory) as directory:
        disk = measure_disk(Path(directory))
        print(f"{given.directory} on {disk.device} ({disk.file_system}): fdatasync of 4 KiB {disk.fsync:.3f} ms")
        store = SqliteStore(Path(directory))
        ids = [grant.id for grant in Deployment(store).insert_grants(CALLERS, is_pending=False)]
        found: dict[tuple[int, float], list[list[float]]] = {}
        for _ in range(REPEATS):
            for processes in given.processes:
                for poll in given.poll if processes > 1 else given.poll[:1]:
                    figures = measure(store.path, ids, processes, given.seconds, rounds, poll / 1000)
                    found.setdefault((processes, poll), []).append(figures)
    print("processes  pause ms   writes/s  CPU-µs   p50 ms   p99 ms  least share")
    for (processes, poll), results in found.items():
        rate, cost, p50, p99, share = (statistics.median(column) for column in zip(*results, strict=True))
        print(f"{processes:9}  {poll:8.2f}  {rate:9,.0f}  {cost:6.0f}  {p50:7.2f}  {p99:7.2f}  {share:11.0%}")
