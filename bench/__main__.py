"""`python -m bench`: measure. `growth`, `memory`: the same with millions of grants, after a million requests.
`profile`, `instructions`, `served`: where a request's time goes. `guard`: what a check costs an API. `lane`,
`writers`: an experiment again. `publish`: the page."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from bench import operations
from bench.measure import Measurement, Plan, Results
from bench.publish import publish
from bench.report import render_report
from bench.results import keep
from bench.stores import open_to_cluster
from bench.subjects.floor import Floor
from bench.subjects.registry import SUBJECTS
from bench.subjects.subject import Subject

# Everything, in minutes; what was picked, in less than one; `--quick`, in seconds.
_WHOLE: Final = Plan(
    operations=(),
    workers=(1, 2),
    connections=(32,),
    rounds=3,
    requests=3000,
    warm_up=2000,
    seconds=1.5,
    races=20,
    refreshes=100_000,
    refresh_seconds=60.0,
    budget=None,
)
_PICKED: Final = replace(_WHOLE, workers=(1,), rounds=10, races=10, refreshes=10_000, refresh_seconds=5.0, budget=30.0)
_QUICK: Final = replace(_PICKED, rounds=2, requests=600, warm_up=200, races=3, refreshes=1000)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    names = list(_group_subjects()) + [name for name in operations.ALL if name != "floor"]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", choices=names, help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; the figures are rough")
    parser.add_argument("--workers", nargs="+", type=int, metavar="N", help="server processes")
    parser.add_argument("--connections", nargs="+", type=int, metavar="N", help="keep-alive connections")
    parser.add_argument("--rounds", type=int, metavar="N", help="medians are taken over them")
    parser.add_argument("--requests", type=int, metavar="N", help="in each round of each operation")
    parser.add_argument("--refreshes", type=int, metavar="N", help="after which the rows left behind are counted")
    parser.add_argument("--budget", type=float, metavar="S", help="no further round after S seconds")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="where stores lie (default: the temporary one)")
    return parser.parse_args(arguments)


def _group_subjects() -> dict[str, list[Subject]]:
    """The subjects by what names them: each by its own name, and all of one program by its first word."""
    groups: dict[str, list[Subject]] = {}
    for subject in SUBJECTS:
        for name in dict.fromkeys((subject.name.split("-", maxsplit=1)[0], subject.name)):
            groups.setdefault(name, []).append(subject)
    return groups


def choose(only: Sequence[str]) -> tuple[list[Subject], list[str]]:
    """The subjects and operations that are meant. The floor is in every run, for its ratio."""
    groups = _group_subjects()
    meant = [subject for name in only for subject in groups.get(name, [])]
    subjects = [subject for subject in SUBJECTS if subject in meant] or list(SUBJECTS)
    if not any(isinstance(subject, Floor) for subject in subjects):
        subjects.insert(0, Floor())
    chosen = [name for name in operations.ALL if name in only and name != operations.FLOOR.name]
    return subjects, chosen or list(operations.ALL)


def run(arguments: Sequence[str]) -> Results:
    """Measure, print the table, keep the results."""
    given = _parse(arguments)
    subjects, chosen = choose(given.only)
    depth = _QUICK if given.quick else _PICKED if given.only else _WHOLE
    asked = {name: getattr(given, name) for name in ("rounds", "requests", "refreshes", "budget")}
    asked |= {name: tuple(getattr(given, name) or ()) for name in ("workers", "connections")}
    plan = replace(depth, operations=tuple(chosen), **{name: value for name, value in asked.items() if value})
    with tempfile.TemporaryDirectory(prefix="latchstring-bench-", dir=given.directory) as directory:
        open_to_cluster(Path(directory))
        results = Measurement(plan, subjects, Path(directory)).run()
    print(render_report(results))
    keep("run", results.measured_at, results)
    return results


def _profile(arguments: Sequence[str]) -> None:
    from bench.hot_path import find_operation, profile

    parser = argparse.ArgumentParser(prog="python -m bench profile")
    parser.add_argument("operation", nargs="+", help="such as refresh")
    parser.add_argument("--requests", type=int, default=6000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--engine", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--calls", action="store_true", help="also count calls, with cProfile")
    given = parser.parse_args(arguments)
    for name in given.operation:
        profile(
            find_operation(name),
            engine=given.engine,
            requests=given.requests,
            concurrency=given.concurrency,
            with_calls=given.calls,
        )


def main() -> None:
    """Run what the first argument names; without a command, the benchmark itself."""
    command, *rest = sys.argv[1:] or [""]
    if command == "profile":
        _profile(rest)
    elif command == "growth":
        from bench.growth import main as run_growth

        run_growth(rest)
    elif command == "memory":
        from bench.memory import main as run_memory

        run_memory(rest)
    elif command == "instructions":
        from bench.instructions import main as run_instructions

        run_instructions(rest)
    elif command == "served":
        from bench.served import main as run_served

        run_served(rest)
    elif command == "publish":
        publish()
    elif command == "guard":
        from bench.guard import main as run_guard

        run_guard(rest)
    elif command == "lane":
        from bench.lane import main as run_lane

        run_lane(rest)
    elif command == "writers":
        from bench.writers import main as run_writers

        run_writers(rest)
    elif any(figures.errors for figures in run(sys.argv[1:]).figures):
        raise SystemExit("bench: there were errors; the figures above do not count")


if __name__ == "__main__":
    main()
