"""Which disk a store lies on, and what a durable write costs there."""

import os
import statistics
import time
from pathlib import Path

import msgspec


class Disk(msgspec.Struct, frozen=True):
    """The file system under a folder; `fsync` is the median milliseconds of 4 KiB appended and made durable."""

    device: str
    file_system: str
    fsync: float


def measure_disk(directory: Path, writes: int = 200) -> Disk:
    """Append to a file and `fdatasync` it, as a write-ahead log does."""
    path = directory / "fsync-probe"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    times = []
    try:
        for _ in range(writes):
            os.write(descriptor, bytes(4096))
            began = time.perf_counter()
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    device, file_system = _find_mount(directory.resolve())
    return Disk(device, file_system, round(statistics.median(times) * 1000, 3))


def _find_mount(directory: Path) -> tuple[str, str]:
    found = ("?", "?", "")
    for line in Path("/proc/mounts").read_text().splitlines():
        device, mount_point, file_system, *_ = line.split(" ")
        inside = directory.is_relative_to(mount_point)
        if inside and len(mount_point) >= len(found[2]):
            found = (device, file_system, mount_point)
    return found[0], found[1]
