"""What the figures were measured on: without it they say nothing."""

import os
import platform
import sqlite3
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import msgspec

from bench.disk import Disk, measure_disk


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Hardware, versions and the disk.

    `python_loop` is how many milliseconds a million additions take: interpreters of one version differ by a factor
    of 1.6, by how they were built. `load` is the number of runnable programs before the run began.
    """

    processor: str
    cores: int
    system: str
    python: str
    python_loop: float
    sqlite: str
    packages: dict[str, str]
    commit: str
    disk: Disk
    load: float


def describe_machine(directory: Path) -> Machine:
    """This machine, with the disk that the folder lies on."""
    return Machine(
        processor=_find_processor(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        python_loop=_time_python(),
        sqlite=sqlite3.sqlite_version,
        packages={name: version(name) for name in ("uvicorn", "uvloop", "httptools", "starlette", "msgspec")},
        commit=_find_commit(),
        disk=measure_disk(directory),
        load=os.getloadavg()[0],
    )


def _time_python() -> float:
    best = 1.0
    for _ in range(20):
        total, began = 0, time.perf_counter()
        for number in range(100_000):
            total += number
        best = min(best, time.perf_counter() - began)
    return round(best * 10_000, 1)


def _find_processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _find_commit() -> str:
    """The commit, with a plus where the source differs from it."""
    try:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run(["git", "status", "--porcelain", "src"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + ("+" if dirty.stdout.strip() else "")
