"""What the figures were measured on: without it they say nothing."""

import os
import platform
import sqlite3
import subprocess
import sysconfig
from importlib.metadata import version
from pathlib import Path

import msgspec

from bench.disk import Disk, measure_disk


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Hardware, versions and the disk. `load` is the number of other runnable programs before the run began."""

    processor: str
    cores: int
    system: str
    python: str
    is_optimized_python: bool
    sqlite: str
    packages: dict[str, str]
    commit: str
    disk: Disk
    load: float


def describe_machine(directory: Path) -> Machine:
    """This machine, with the disk that the folder lies on."""
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return Machine(
        processor=_find_processor(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        is_optimized_python="--enable-optimizations" in arguments,
        sqlite=sqlite3.sqlite_version,
        packages={name: version(name) for name in ("uvicorn", "uvloop", "httptools", "starlette", "msgspec")},
        commit=_find_commit(),
        disk=measure_disk(directory),
        load=os.getloadavg()[0],
    )


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
