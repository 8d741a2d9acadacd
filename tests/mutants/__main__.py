"""Mutation testing of the rules (`make mutants MODULE=rotation`): mutmut, on a copy, beside the locked environment.

python -m tests.mutants [--page] [--again] [--processes 2] [--tests PATH] [PART OF A MODULE'S NAME …]
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.mutants.results import (
    PAGE,
    RESULTS,
    ROOT,
    Mutant,
    Survivor,
    merge,
    merge_again,
    read_not_run,
    read_results,
    read_unchangeable,
    render_page,
    render_results,
)

FOLDER: Final = ROOT / ".artifacts" / "mutants"
PACKAGES: Final = FOLDER / "packages"
WORK: Final = FOLDER / "work"
ROOMS: Final = ("protocol", "authorization_server")
# Those that hold the rules, and those that meet them at the edge, in one process on SQLite.
TESTS: Final = ("tests/protocol", "tests/authorization_server", "tests/outbound", "tests/web", "tests/conformance")
# Some read source code and would read that of the mutants, some are about words, some need a database server.
_LEFT_OUT: Final = (
    "-k=not written_errors and not postgres",
    "--ignore=tests/web/test_locales.py",
    "--ignore=tests/web/test_rendering.py",
    "--ignore=tests/conformance/test_page.py",
)
AGAIN_VARIABLE: Final = "LATCHSTRING_MUTANTS_AGAIN"
_LAUNCH: Final = Path(__file__).parent / "launch.py"


def _install() -> None:
    if (PACKAGES / "mutmut").is_dir():
        return
    options = ["--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    arguments = ["install", *options, "--target", str(PACKAGES), "--group", f"{ROOT / 'pyproject.toml'}:mutants"]
    if subprocess.run([sys.executable, "-m", "pip", *arguments]).returncode:
        raise SystemExit("mutants: mutmut cannot be installed")


def find_modules(parts: list[str]) -> list[str]:
    """The modules of the rules whose names have one of the parts; all for none."""
    source = ROOT / "src" / "latchstring"
    paths = [path.relative_to(source).as_posix() for room in ROOMS for path in sorted((source / room).rglob("*.py"))]
    return [path for path in paths if not parts or any(part in path.removesuffix(".py") for part in parts)]


def find_others(names: Collection[str]) -> list[str]:
    """The modules of the rules that are none of these."""
    found = [path.removesuffix(".py") for path in find_modules([]) if not path.endswith("__init__.py")]
    return [name for name in found if name not in names]


def _prepare(modules: list[str], tests: Sequence[str] = TESTS) -> None:
    """A copy of code and tests, so that nobody's checkout is touched."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, WORK / name, ignore=shutil.ignore_patterns("__pycache__"))
    settings = {
        "source_paths": ["src"],
        "only_mutate": [f"src/latchstring/{module}" for module in modules],
        "pytest_add_cli_args_test_selection": list(tests),
        "timeout_constant": 20.0,  # on a machine that has more to do
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-n0", *_LEFT_OUT],
    }
    lines = [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in settings.items()]
    pyproject = (ROOT / "pyproject.toml").read_text()
    (WORK / "pyproject.toml").write_text("\n".join([pyproject, "[tool.mutmut]", *lines, ""]))


def _run(processes: int, again: list[tuple[str, Survivor]] | None = None) -> list[Mutant]:
    environment = dict(os.environ)
    if again is not None:
        picked = FOLDER / "again.json"
        picked.write_bytes(msgspec.json.encode([(name, s.function, s.removed, s.added) for name, s in again]))
        environment[AGAIN_VARIABLE] = str(picked)
    with (FOLDER / "mutmut.log").open("wb") as log:
        command = [sys.executable, str(_LAUNCH), str(PACKAGES), "run", "--max-children", str(processes)]
        ended = subprocess.run(command, cwd=WORK, stdout=log, stderr=subprocess.STDOUT, env=environment).returncode
    if ended:
        raise SystemExit(f"mutants: mutmut ended with {ended}; see {log.name}")
    return _collect(is_again=again is not None)


def _collect(*, is_again: bool = False) -> list[Mutant]:
    survivors = Path(__file__).parent / "survivors.py"
    command = [sys.executable, str(survivors), str(PACKAGES), *(("again",) if is_again else ())]
    found = subprocess.run(command, cwd=WORK, stdout=subprocess.PIPE, check=True).stdout
    (FOLDER / "mutants.json").write_bytes(found)
    return msgspec.json.decode(found, type=list[Mutant])


def main() -> int:
    """Run, and write down what was found; or write the page of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument(
        "--page", action="store_true", help="list the modules, write docs/explanation/mutants.md, run nothing"
    )
    parser.add_argument("--collect", action="store_true", help="take what a run that was interrupted has found")
    parser.add_argument("--again", action="store_true", help="try those that live without a reason once more")
    parser.add_argument("--processes", type=int, default=2)
    # What nearly every test reaches takes hours otherwise; what lives may still be tried by all of them (--again).
    parser.add_argument("--tests", action="append", metavar="PATH", help="run these tests alone")
    parser.add_argument("module", nargs="*", help="parts of the modules' names")
    given = parser.parse_args()
    merged, unchangeable = read_results(), read_unchangeable()
    if not given.page:
        modules = find_modules(given.module)
        if not modules:
            raise SystemExit(f"mutants: no module is called {' or '.join(given.module)}")
        if not given.collect:
            _install()
        names = {module.removesuffix(".py") for module in modules}
        if given.collect:
            merged = merge(merged, _collect())
        elif given.again:
            again = [(n, s) for n in merged if n in names for s in merged[n].survivor if not s.reason]
            _prepare(sorted({f"{name}.py" for name, _ in again}), given.tests or TESTS)
            merged = merge_again(merged, _run(given.processes, again))
        else:
            _prepare(modules, given.tests or TESTS)
            merged = merge(merged, _run(given.processes))
        unchangeable = sorted(names.union(unchangeable).intersection(find_others(merged)))
    RESULTS.write_text(render_results(merged.values(), unchangeable, find_others({*merged, *unchangeable})))
    results = read_results()
    PAGE.write_text(render_page(results.values(), read_unchangeable(), read_not_run()))
    unexplained = [(name, s) for name, module in results.items() for s in module.survivor if not s.reason]
    for name, survivor in unexplained:
        print(f"\n{name}: {survivor.function}\n- {survivor.removed}\n+ {survivor.added}")
    killed, total = (sum(getattr(m, name) for m in results.values()) for name in ("killed", "mutants"))
    print(f"\n{killed} of {total} are killed; {len(unexplained)} live without a reason")
    return 0


if __name__ == "__main__":
    sys.exit(main())
