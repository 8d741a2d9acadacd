"""What the last runs have found: one committed file, in which a person says why a mutant that lives may live."""

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parents[2]
RESULTS: Final = Path(__file__).parent / "results.toml"
PAGE: Final = ROOT / "docs" / "explanation" / "mutants.md"
_INTRODUCTION: Final = """\
# Mutants

<!-- Written by `python -m tests.mutants --page` from tests/mutants/results.toml. -->

How much would go wrong unnoticed? [mutmut](https://mutmut.readthedocs.io/) changes one thing in a function (a
comparison, a number, a name, an argument) and runs the tests that reach it; a mutant that no test fails for is alive.
`make mutants MODULE=rotation` does that for the modules whose names have that part, and `.artifacts/mutants/` has what
it found. Sentences for people are left as they are: what counts is what behaves.

A mutant may live if it cannot be told from the code by anything that the module promises. Why that is so is said below,
for each that somebody has looked at. "Not tried" are those that the last run did not come to: `make mutants
MODULE=…` of that module tries them all, and `make mutants AGAIN=1` those that live without a reason.
"""


class Survivor(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A mutant that no test fails for; `reason` says why it may live, and is empty until somebody has looked."""

    function: str
    removed: str
    added: str
    reason: str = ""


class Module(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One module's last run; `untried` are the mutants that it did not come to."""

    name: str
    killed: int
    survivor: list[Survivor] = []
    untried: int = 0

    @property
    def mutants(self) -> int:
        """Those that count."""
        return self.killed + len(self.survivor)


class Mutant(msgspec.Struct):
    """One mutant as it was met."""

    module: str
    function: str
    is_killed: bool
    removed: str
    added: str
    is_tried: bool = True


def read_results() -> dict[str, Module]:
    """Every module's last run."""
    if not RESULTS.exists():
        return {}
    return {
        module.name: module for module in msgspec.convert(tomllib.loads(RESULTS.read_text())["module"], list[Module])
    }


def read_not_run() -> list[str]:
    """The modules that no run has changed yet."""
    return msgspec.convert(tomllib.loads(RESULTS.read_text())["not_run"], list[str])


def read_unchangeable() -> list[str]:
    """The modules in which a run has found nothing that could be changed."""
    return msgspec.convert(tomllib.loads(RESULTS.read_text())["unchangeable"], list[str])


def merge(known: dict[str, Module], mutants: Iterable[Mutant]) -> dict[str, Module]:
    """The runs with these in place of older ones; a survivor that was known keeps its reason."""
    met: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        met.setdefault(mutant.module, []).append(mutant)
    merged = dict(known)
    for name, found in met.items():
        old = known[name].survivor if name in known else []
        reasons = {(survivor.function, survivor.removed, survivor.added): survivor.reason for survivor in old}
        killed = sum(mutant.is_killed for mutant in found)
        living = [mutant for mutant in found if mutant.is_tried and not mutant.is_killed]
        survivors = [
            Survivor(m.function, m.removed, m.added, reasons.get((m.function, m.removed, m.added), "")) for m in living
        ]
        merged[name] = Module(name, killed, survivors, len(found) - killed - len(living))
    return dict(sorted(merged.items()))


def merge_again(known: dict[str, Module], mutants: Iterable[Mutant]) -> dict[str, Module]:
    """The runs after their survivors without a reason were tried once more: those that have been killed are killed, and
    those of code that has changed since are no more; what stands in their place was not tried."""
    is_killed = {(m.module, m.function, m.removed, m.added): m.is_killed for m in mutants}
    merged = dict(known)
    for name in {module for module, *_ in is_killed}:
        module = known[name]
        outcomes = [
            False if survivor.reason else is_killed.get((name, survivor.function, survivor.removed, survivor.added))
            for survivor in module.survivor
        ]
        living = [s for s, killed in zip(module.survivor, outcomes, strict=True) if killed is False]
        killed, untried = outcomes.count(True), outcomes.count(None)
        merged[name] = Module(name, module.killed + killed, living, module.untried + untried)
    return merged


def render_results(modules: Iterable[Module], unchangeable: Iterable[str], not_run: Iterable[str]) -> str:
    """The file, so that people can write in it."""
    lines = ["# Written by `make mutants`; the reasons are written by hand and kept."]
    for key, names in (("unchangeable", unchangeable), ("not_run", not_run)):
        lines += [f"{key} = [", *(f"    {_quote(name)}," for name in names), "]"]
    for module in modules:
        lines += ["", "[[module]]", f"name = {_quote(module.name)}"]
        lines.append(f"killed = {module.killed}")
        lines += [f"untried = {module.untried}"] if module.untried else []
        for survivor in module.survivor:
            lines += ["", "[[module.survivor]]"]
            lines += [f"{name} = {_quote(getattr(survivor, name))}" for name in survivor.__struct_fields__]
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def render_page(modules: Iterable[Module], unchangeable: Iterable[str], not_run: Iterable[str]) -> str:
    """The page."""
    modules = list(modules)
    lines = [_INTRODUCTION, "| module | tried | killed | alive | not tried |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {m.name} | {m.mutants} | {_share(m.killed, m.mutants)} | {len(m.survivor)} | {m.untried or ''} |"
        for m in modules
    ]
    mutants, killed = sum(module.mutants for module in modules), sum(module.killed for module in modules)
    untried = sum(module.untried for module in modules)
    lines.append(f"| **together** | {mutants} | {_share(killed, mutants)} | {mutants - killed} | {untried or ''} |")
    for words, names in (
        ("Without a function that could be changed (records, ports, constants)", unchangeable),
        ("Not run", not_run),
    ):
        listed = ", ".join(f"`{name}`" for name in names)
        lines += ["", f"{words}: {listed}."] if listed else []
    for module in modules:
        if module.survivor:
            lines += ["", f"## {module.name}", "", "| in | instead of | it says | why it may live |"]
            lines.append("| --- | --- | --- | --- |")
        for survivor in module.survivor:
            cells = (_code(_readable(survivor.function)), _code(survivor.removed), _code(survivor.added))
            lines.append("| " + " | ".join((*cells, survivor.reason or "**nobody has said yet**")) + " |")
    return "\n".join(lines) + "\n"


def _share(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.1f} %)" if whole else "–"


def _readable(function: str) -> str:
    """mutmut's `x_name` and `xǁClassǁname` as Python writes them."""
    return function.removeprefix("xǁ").replace("ǁ", ".") if "ǁ" in function else function.removeprefix("x_")


def _code(text: str) -> str:
    return "<br>".join(f"`{line}`".replace("|", "\\|") for line in text.split("\n"))
