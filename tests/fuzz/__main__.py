"""The same parsers and endpoints, led by coverage: atheris (libFuzzer) for so many seconds each (`make fuzz`).

    python -m tests.fuzz --seconds 30 [PART OF A NAME …]

What it has found interesting stays in .artifacts/fuzz/corpus, so that the next run begins there; input that broke
something is in .artifacts/fuzz/findings, and `--again FILE` runs it once more.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / ".artifacts" / "fuzz"
PACKAGES: Final = FOLDER / "packages"
# Longer input is refused before it is read (web/asgi.py); the searches of the endpoints need far less.
MAX_LENGTH: Final = 8192
_INPUT_TIMEOUT: Final = 10
_until_the_end: Final = ExitStack()


def _install() -> None:
    """Bring atheris, beside the locked environment and not into it."""
    if (PACKAGES / "atheris").is_dir():
        return
    options = ["--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    arguments = ["install", *options, "--target", str(PACKAGES), "--group", f"{ROOT / 'pyproject.toml'}:fuzz"]
    if subprocess.run([sys.executable, "-m", "pip", *arguments]).returncode:
        raise SystemExit("fuzz: there is no atheris for this Python and platform; the tests in tests/fuzz run without")


def _find_targets(folder: Path) -> dict[str, Callable[[bytes], object]]:
    from tests.fuzz.arena import open_arena
    from tests.fuzz.endpoints import build_search, find_endpoints
    from tests.fuzz.parsers import find_parsers

    targets: dict[str, Callable[[bytes], object]] = {parser.name: parser.run for parser in find_parsers()}
    arena = _until_the_end.enter_context(open_arena(folder))
    for endpoint in find_endpoints(arena.deployment.application):
        search: Any = build_search(arena, endpoint, set())
        targets[str(endpoint)] = search.hypothesis.fuzz_one_input
    return targets


def _run_one(name: str, folder: Path, options: list[str]) -> None:
    """In a process of its own: libFuzzer ends it, and cleans nothing up."""
    sys.path.insert(0, str(PACKAGES))
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]  # beside the environment

    with atheris.instrument_imports(include=["latchstring"]):
        target = _find_targets(folder)[name]
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    atheris.Setup([sys.argv[0], *options], target)
    atheris.Fuzz()


def _fuzz(name: str, seconds: int, folder: Path) -> bool:
    from tests.fuzz.inputs import SEEDS

    slug = re.sub(r"\W+", "-", name).strip("-")
    corpus, log = FOLDER / "corpus" / slug, FOLDER / f"{slug}.log"
    corpus.mkdir(parents=True, exist_ok=True)
    # A parser's input is text; an endpoint's is the choices that make up a request, any bytes at all.
    is_endpoint = " " in name
    seeds = [random.Random(number).randbytes(600) for number in range(40)] if is_endpoint else SEEDS
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    (FOLDER / "findings").mkdir(exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_LENGTH}",
        "-len_control=0",
        f"-timeout={_INPUT_TIMEOUT}",
        f"-artifact_prefix={FOLDER / 'findings'}/{slug}-",
        "-print_final_stats=1",
        str(corpus),
    ]
    with log.open("wb") as output:
        command = [sys.executable, "-m", "tests.fuzz", "--one", name, str(folder), *options]
        ended = subprocess.run(command, cwd=ROOT, stdout=output, stderr=output).returncode
    units = re.search(r"number_of_executed_units: (\d+)", log.read_text(errors="replace"))
    verdict = "held" if ended == 0 else f"BROKEN: see {log.relative_to(ROOT)}"
    print(f"{name:90} {units[1] if units else '?':>9} inputs  {verdict}", flush=True)
    return ended == 0


def main() -> int:
    """Fuzz all targets, or those whose name has one of the parts."""
    if sys.argv[1:2] == ["--one"]:
        _run_one(sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=int, default=30, help="for each target")
    parser.add_argument("--again", nargs=2, metavar=("NAME", "FILE"), help="run one input of one target")
    parser.add_argument("only", nargs="*", help="parts of the targets' names")
    given = parser.parse_args()
    from tests.fuzz.arena import in_memory

    with tempfile.TemporaryDirectory(prefix="latchstring-", dir=in_memory()) as name:
        folder = Path(name)
        targets = _find_targets(folder)
        if given.again:
            print(targets[given.again[0]](Path(given.again[1]).read_bytes()))
            return 0
        _install()
        chosen = [name for name in targets if not given.only or any(part in name for part in given.only)]
        if not chosen:
            raise SystemExit(f"fuzz: nothing is called {' or '.join(given.only)}")
        verdicts = [_fuzz(name, given.seconds, folder) for name in chosen]
        return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
