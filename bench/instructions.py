"""`python -m bench instructions OPERATION`: how many processor instructions a request takes in the application.

Counted by callgrind (Debian's `valgrind`): fifty times as slow, but within a percent the same number every time,
whatever else the machine does. That is the figure to watch while the hot path is changed. Two runs of different length
are compared, so that starting up does not count. SQLite, 32 callers at a time, no sockets and no uvicorn.
"""

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.deployment import Deployment
from bench.hot_path import build_caller, drive, find_operation
from bench.stores import open_temporary_store

CALLERS: Final = 32
SHORT: Final = 10 * CALLERS
LONG: Final = 40 * CALLERS
_FUNCTION: Final = re.compile(r"^ *([\d,]+) \([ \d.]+%\)  (\S+) \[(.+)\]$")
_SHOWN: Final = 25


def _walk(name: str, requests: int) -> None:
    """What valgrind watches."""
    with open_temporary_store("sqlite") as (_, store), asyncio.Runner() as runner:
        caller = build_caller(runner, Deployment(store), find_operation(name), LONG)
        runner.run(drive(caller, requests, CALLERS))


def _count(name: str, requests: int, folder: Path) -> Counter[tuple[str, str]]:
    """Instructions by library and function, with those of starting up."""
    out = folder / f"{name}-{requests}"
    command = [
        *("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"),
        *(sys.executable, "-m", "bench.instructions", name, "--walk", str(requests)),
    ]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"bench: valgrind failed: {found.stderr[-2000:]}")
    annotated = subprocess.run(
        ["callgrind_annotate", "--threshold=100", str(out)], capture_output=True, text=True, check=True
    )
    return parse_annotated(annotated.stdout)


def parse_annotated(text: str) -> Counter[tuple[str, str]]:
    """The lines of `callgrind_annotate` that name a function and its library."""
    counts: Counter[tuple[str, str]] = Counter()
    for line in text.splitlines():
        if match := _FUNCTION.match(line):
            counts[_name_library(match[3]), match[2].rpartition(":")[2]] += int(match[1].replace(",", ""))
    return counts


def _name_library(path: str) -> str:
    name = Path(path).name.split(".so", maxsplit=1)[0].split(".cpython", maxsplit=1)[0]
    return name.split(".abi3", maxsplit=1)[0]


def count_instructions(name: str) -> Counter[tuple[str, str]]:
    """Instructions of one request, by library and function."""
    with tempfile.TemporaryDirectory(prefix="latchstring-bench-") as folder:
        short, long = (_count(name, requests, Path(folder)) for requests in (SHORT, LONG))
    return Counter({key: (long[key] - short[key]) // (LONG - SHORT) for key in long})


def _print(name: str, counts: Counter[tuple[str, str]]) -> None:
    total = sum(counts.values())
    print(f"{find_operation(name).title}: {total:,} instructions a request")
    libraries: Counter[str] = Counter()
    for (library, _), count in counts.items():
        libraries[library] += count
    for title, lines in (
        ("library", [(library, count) for library, count in libraries.most_common(_SHOWN // 2)]),
        ("function", [(f"{function} ({library})", count) for (library, function), count in counts.most_common(_SHOWN)]),
    ):
        print(f"\n{'a request':>10}  {'%':>5}  {title}")
        for label, count in lines:
            print(f"{count:10,}  {count / total:5.1%}  {label}")


def main(arguments: Sequence[str]) -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(prog="python -m bench instructions", description=__doc__)
    parser.add_argument("operation", nargs="+", help="such as refresh")
    parser.add_argument("--walk", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.walk:
        _walk(given.operation[0], given.walk)
        return
    if shutil.which("valgrind") is None:
        raise SystemExit("bench: no valgrind on this machine: install valgrind")
    for name in given.operation:
        _print(name, count_instructions(name))


if __name__ == "__main__":
    main(sys.argv[1:])
