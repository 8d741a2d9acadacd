"""Starts mutmut (python launch.py PACKAGES run …) and leaves sentences for people as they are: what behaves counts.

A mutant's tests are chosen by a plugin, those beside its code first. mutmut gives pytest their names as arguments: a
name with a backslash is none there, and pytest's refusal of it would count as a test that failed.
"""

import re
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, Final

# By folder, the cheapest and the nearest to the rules first; a mutant that is dead goes to no other.
_STAGES: Final = ("protocol", "authorization_server", "conformance", "web")

# A literal in which two words stand beside each other.
_PROSE: Final = re.compile(r"""f?["'](?:[^\\]|\\.)*[\w.,;:] \w.*""", re.DOTALL)


def is_prose(literal: str) -> bool:
    """Whether the source text of a string is words for people."""
    return _PROSE.fullmatch(literal) is not None


class Chosen:
    """A pytest plugin: these tests alone, in this order."""

    def __init__(self, names: Iterable[str]) -> None:
        self._places = {name: place for place, name in enumerate(names)}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave the others out."""
        items[:] = sorted(
            (item for item in items if item.nodeid in self._places), key=lambda item: self._places[item.nodeid]
        )


def group_by_stage(names: Iterable[str]) -> list[list[str]]:
    """The tests of each folder, in the order in which they are given."""

    def stage(name: str) -> int:
        return _STAGES.index(Path(name).parts[1])

    return [list(group) for _, group in groupby(sorted(names, key=stage), stage)]


def run_chosen(runner: Any, names: Iterable[str]) -> int:
    """Pytest's exit code for the first stage that does not pass, or 0."""
    for chosen in group_by_stage(names):
        files = sorted({name.partition("::")[0] for name in chosen})
        ended: int = runner.execute_pytest(["-x", "-q", *files], plugins=[Chosen(chosen)])
        if ended:
            return ended
    return 0


def main() -> None:
    """Run mutmut with the rest of the arguments."""
    from mutmut.__main__ import cli  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from mutmut.mutation import mutators  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from mutmut.runners.harness import PytestRunner  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from mutmut.utils.file_utils import change_cwd  # type: ignore[import-not-found, import-untyped, unused-ignore]

    change = mutators.operator_string

    def change_string(node: Any) -> Iterable[Any]:
        return () if is_prose(getattr(node, "value", "")) else change(node)

    run_all = PytestRunner.run_tests

    def run_tests(runner: Any, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        names = list(tests)
        if not names:
            return int(run_all(runner, mutant_name=mutant_name, tests=names))
        with change_cwd("mutants"):
            return run_chosen(runner, names)

    PytestRunner.run_tests = run_tests
    mutators.mutation_operators[:] = [
        (kind, change_string if operator is change else operator) for kind, operator in mutators.mutation_operators
    ]
    cli()


if __name__ == "__main__":
    sys.path.append(sys.argv.pop(1))
    main()
