"""Starts mutmut (python launch.py PACKAGES run …) and leaves sentences for people as they are: what behaves counts.

A mutant's tests are taken from those collected before, those beside its code first. mutmut gives pytest their names as
arguments: a name with a backslash is none there, and pytest's refusal of it would count as a test that failed.
"""

import hashlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest
from _pytest.config import _prepareconfig
from _pytest.main import Session

# By folder, the cheapest and the nearest to the rules first; a mutant that is dead goes to no other.
_STAGES: Final = ("protocol", "authorization_server", "outbound", "web", "conformance")

AGAIN_VARIABLE: Final = "LATCHSTRING_MUTANTS_AGAIN"
"""Names a file of the mutants that are to be tried, where not all are."""

# A literal in which two words stand beside each other.
_PROSE: Final = re.compile(r"""f?["'](?:[^\\]|\\.)*[\w.,;:] \w.*""", re.DOTALL)


def is_prose(literal: str) -> bool:
    """Whether the source text of a string is words for people."""
    return _PROSE.fullmatch(literal) is not None


class Suite:
    """All tests, collected once before the first mutant: to find a test takes longer than most of them run."""

    def __init__(self, arguments: list[str]) -> None:
        self._config = _prepareconfig(["--rootdir=.", "--capture=no", "-qq", *arguments], [self])
        self._config._do_configure()
        session = Session.from_config(self._config)
        self._config.hook.pytest_sessionstart(session=session)
        self._config.hook.pytest_collection(session=session)
        self._items = {item.nodeid: item for item in session.items}
        self._has_failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notice what fails; pytest calls this, as the suite is a plugin of its own."""
        self._has_failed = self._has_failed or report.failed

    def run(self, names: Iterable[str], following: pytest.Item | None = None) -> str | None:
        """The name of the first that fails; no other is run."""
        items = [self._items[name] for name in names]
        for item, after in zip(items, [*items[1:], following], strict=True):
            self._config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self._has_failed:
                return str(item.nodeid)
        return None

    def warm_up(self) -> None:
        """Make what all tests at the edge share, which is no rule's doing: a database file to copy."""
        users = (name for name, item in self._items.items() if "empty_database" in getattr(item, "fixturenames", ()))
        name = next(users, None)
        if name is None:
            return
        elsewhere = next(item for other, item in self._items.items() if stage(other) != stage(name))
        assert self.run([name], elsewhere) is None


class Killers:
    """Which tests have killed a function's mutants: the next one of it most likely falls to the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def _file(self, mutant: str) -> Path:
        return self._folder / hashlib.sha256(mutant.rpartition("__mutmut_")[0].encode()).hexdigest()[:16]

    def note(self, mutant: str, name: str) -> None:
        """One more."""
        with self._file(mutant).open("a") as file:
            file.write(f"{name}\n")

    def sort(self, mutant: str, names: Iterable[str]) -> list[str]:
        """The tests in the order in which to try them; otherwise those of a stage stay as they are."""
        file = self._file(mutant)
        killed = Counter(file.read_text().splitlines() if file.exists() else ())
        return sorted(names, key=lambda name: (-killed[name], stage(name)))


def pick_again(found: list[Any], picked: set[tuple[str, str, str, str]]) -> list[Any]:
    """Of all mutants (their data, name and result) those by module, function and the lines that differ."""
    from mutmut.mutation.diff_apply import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
        get_diff_for_mutant,
    )

    functions = {one[:2] for one in picked}
    kept = []
    for data, name, result in found:
        module = data.path.relative_to("src/latchstring").with_suffix("").as_posix()
        function = name.rpartition(".")[2].partition("__mutmut_")[0]
        if (module, function) in functions:
            diff = get_diff_for_mutant(name, path=data.path).splitlines()
            lines = [line for line in diff if line[:1] in "-+" and line[:3] not in {"---", "+++"}]
            removed, added = ("\n".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
            if (module, function, removed, added) in picked:
                kept.append((data, name, result))
    return kept


def stage(name: str) -> int:
    """When it is a test's turn, by its folder."""
    return _STAGES.index(Path(name).parts[1])


def main() -> None:
    """Run mutmut with the rest of the arguments."""
    from mutmut import __main__ as mutmut  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from mutmut.configuration import config  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from mutmut.mutation import mutators  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from mutmut.runners.harness import PytestRunner  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from mutmut.utils.file_utils import change_cwd  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from mutmut.workers.isolation import ForkRunner  # type: ignore[import-not-found, import-untyped, unused-ignore]

    change = mutators.operator_string

    def change_string(node: Any) -> Iterable[Any]:
        return () if is_prose(getattr(node, "value", "")) else change(node)

    run_all, start_up = PytestRunner.run_tests, ForkRunner.startup
    suites: list[Suite] = []

    def start(runner: Any) -> None:
        with change_cwd("mutants"):
            suites.append(Suite(config().pytest_add_cli_args_test_selection + config().pytest_add_cli_args))
            suites[0].warm_up()
        start_up(runner)

    def run_tests(runner: Any, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        if mutant_name is None:
            return int(run_all(runner, mutant_name=None, tests=[]))
        with change_cwd("mutants"):
            killers = Killers(Path("killers"))
            killer = suites[0].run(killers.sort(mutant_name, tests))
            if killer is not None:
                killers.note(mutant_name, killer)
        return 0 if killer is None else 1

    ForkRunner.startup, PytestRunner.run_tests = start, run_tests
    mutators.mutation_operators[:] = [
        (kind, change_string if operator is change else operator) for kind, operator in mutators.mutation_operators
    ]
    if AGAIN_VARIABLE in os.environ:
        picked = {tuple(one) for one in json.loads(Path(os.environ[AGAIN_VARIABLE]).read_bytes())}
        collect = mutmut.collect_source_file_mutation_data

        def collect_again(**given: Any) -> tuple[list[Any], Any]:
            found, by_path = collect(**given)
            return pick_again(found, picked), by_path

        mutmut.collect_source_file_mutation_data = collect_again
    mutmut.cli()


if __name__ == "__main__":
    sys.path.append(sys.argv.pop(1))
    main()
