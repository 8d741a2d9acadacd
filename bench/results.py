"""Where results are kept: a file for each run, named for what was measured and when."""

from pathlib import Path
from typing import Final

import msgspec

RESULTS: Final = Path(__file__).parent / "results"


def keep(kind: str, measured_at: str, results: msgspec.Struct) -> Path:
    """Write them down, and say where."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{kind}-{measured_at.replace(':', '')}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    print(f"\nkept in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return path


def find_newest(kind: str, directory: Path = RESULTS) -> Path | None:
    """The newest results of that kind; their names sort by time."""
    found = sorted(directory.glob(f"{kind}-[0-9]*.json"))
    return found[-1] if found else None
