"""What a server costs, read from /proc: the processor time of a process and all its descendants (Linux only)."""

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class ProcessorTime(msgspec.Struct, frozen=True):
    """Seconds, and how many of them in user and in kernel mode."""

    total: float
    user: float
    system: float

    def since(self, earlier: "ProcessorTime") -> "ProcessorTime":
        """What was spent after the earlier reading."""
        return ProcessorTime(self.total - earlier.total, self.user - earlier.user, self.system - earlier.system)


def _read_stat(pid: int) -> list[bytes] | None:
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field, the command, is in brackets and may itself hold spaces and brackets.
    return content[content.rindex(b")") + 2 :].split()


def find_tree(roots: Sequence[int]) -> list[int]:
    """The processes and all their living descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _read_stat(int(entry.name))) is not None:
            children[int(fields[1])].append(int(entry.name))
    found, waiting = [], list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children[pid]
    return found


def read_processor_time(pids: Iterable[int]) -> ProcessorTime:
    """What these processes, and those of their children that have ended, have used so far.

    The sum is exact to the nanosecond; how it divides into user and kernel mode, and what ended children used,
    comes in steps of 10 ms.
    """
    total = user = system = 0.0
    for pid in pids:
        fields = _read_stat(pid)
        if fields is None:
            continue
        user += int(fields[11]) / _TICKS
        system += int(fields[12]) / _TICKS
        total += _read_clock(pid) + (int(fields[13]) + int(fields[14])) / _TICKS
    return ProcessorTime(total, user, system)


def _read_clock(pid: int) -> float:
    # clock_getcpuclockid(3): the clock of a whole process, with threads that have ended.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def read_memory(pids: Iterable[int]) -> float:
    """Resident memory of the processes together, in MiB."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
