"""Prints what mutmut has found in its working folder as JSON; run by `python -m tests.mutants`, in that folder."""

import sys
from pathlib import Path

import msgspec

KILLED = frozenset({"killed", "timeout", "suspicious", "segfault", "caught by type check"})


def main() -> None:
    """One object for each mutant: module, function, status, and the lines that differ (of those that live; of all after
    `again`)."""
    from mutmut.__main__ import status_by_exit_code  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from mutmut.mutation.diff_apply import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
        get_diff_for_mutant,
    )

    found, is_again = [], sys.argv[2:] == ["again"]
    for meta in sorted(Path("mutants/src").rglob("*.py.meta")):
        path = Path("src") / meta.relative_to("mutants/src").with_suffix("")
        for name, code in msgspec.json.decode(meta.read_bytes())["exit_code_by_key"].items():
            status = status_by_exit_code[code]
            is_shown = code is not None and (status not in KILLED or is_again)
            diff = get_diff_for_mutant(name, path=path) if is_shown else ""
            lines = [line for line in diff.splitlines() if line[:1] in "-+" and line[:3] not in {"---", "+++"}]
            found.append(
                {
                    "module": path.relative_to("src/latchstring").with_suffix("").as_posix(),
                    "function": name.rpartition(".")[2].partition("__mutmut_")[0],
                    "is_killed": status in KILLED,
                    "is_tried": code is not None,
                    "removed": "\n".join(line[1:].strip() for line in lines if line[0] == "-"),
                    "added": "\n".join(line[1:].strip() for line in lines if line[0] == "+"),
                }
            )
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    sys.path.append(sys.argv[1])
    main()
