"""`python -m bench publish`: the newest results as docs/explanation/benchmarks.md, part by part."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from bench import operations
from bench.growth import (
    CONNECTIONS,
    POSTGRES_OPTIONS,
    Growth,
    render_growth_cells,
    render_growth_facts,
)
from bench.guard import GuardRun, render_guard_cells
from bench.hot_path import Profile, render_profile_cells
from bench.measure import Results
from bench.memory import Memory, render_memory_cells
from bench.population import SWEEPABLE
from bench.report import (
    HEADINGS,
    group_figures,
    render_cells,
    render_connections,
    render_doubts,
    render_generator,
    render_machine,
    render_race,
    render_rows,
    render_summary,
    render_warnings,
    render_workers,
)
from bench.results import find_newest
from bench.served import Served, render_served_cells

PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "benchmarks.md"

Kept = TypeVar("Kept", Results, Growth, Memory, Served, Profile, GuardRun)

_RUN_TITLE: Final = "## What was measured, and where"
_GROWTH_TITLES: Final = {
    "sqlite": "## Ten million grants: SQLite",
    "postgres": "## Ten million grants: PostgreSQL",
}
_MEMORY_TITLE: Final = "## A million requests"
_SERVED_TITLE: Final = "## Where the time goes"
_GUARD_TITLE: Final = "## What a check costs an API"
_TITLES: Final = (_RUN_TITLE, *_GROWTH_TITLES.values(), _MEMORY_TITLE, _SERVED_TITLE, _GUARD_TITLE)

_MEMORY: Final = """\
Resident memory of one worker while it answers introspections, refreshes, client credentials and metadata in turns, each
turn about other grants (`python -m bench memory`)."""
_SERVED: Final = """\
By library, in the serving process, kernel included (`python -m bench served refresh`). Which of our own functions it is
says `make profile OP=refresh`; how many instructions, `python -m bench instructions refresh`. What it comes to, and why
it does not go lower, is in [where the time goes](where-the-time-goes.md)."""
_PROFILES: Final = """\
In the application alone, without sockets and uvicorn, by our own rooms; what a line calls in C is its own
(`make profile OP=refresh`)."""
_GUARD: Final = """\
Processor time of one check by [the guard](../howto/guard-an-api.md) in an API's own process, in ms: the median over
rounds of distinct tokens, the cheapest round in brackets (`python -m bench guard`). All checks ask for one scope. The
guards of Latchstring hear the revocation feed; "seen before" is a token whose signature was verified before, or, for an
opaque one, that was asked about before: everything but that is judged again. Key sets are parsed and kept everywhere;
Authlib's introspection is answered from a dictionary. **The floor** of a token seen for the first time is the bare
signature (`cryptography` alone): no guard can check a new ES256 or EdDSA token below it, and the goal is above it for
RS256 alone. Authlib does not take EdDSA as it comes, and looks neither at an opaque token's expiry nor at its
audience."""
_POSTGRES_GROWTH: Final = f"PostgreSQL is given `{POSTGRES_OPTIONS.replace('-c ', '')}`; otherwise it is as it comes."
_INTRODUCTION: Final = """\
# Benchmarks

<!-- Written by `python -m bench publish` from the newest files in bench/results. Edit bench/publish.py instead. -->

What a request costs, in processor time of the server and its database. Requests per second depend on how many
cores a machine has and on what else it does; processor time per request says what you pay. Measure on your own
machine with `make bench`; nothing below is promised for it.

How to read it:

- **CPU-ms** is user and kernel time of all of the server's processes, divided by the requests answered; the median
  over interleaved rounds. **best** is the cheapest round: neighbours on the machine make everything dearer, never
  cheaper. Kernel threads that write to the disk are not in it.
- **× floor** is the ratio to a bare uvicorn application in the same round that reads the body and answers a
  constant. It holds across machines better than any millisecond does.
- Each set-up is a process (or two) of its own, each PostgreSQL a cluster of its own with `fsync` on; all are sent the
  same requests by the same generator over keep-alive connections, in turns. What only one process can do (a store in
  its memory) is measured with one. The other programs are set up at their quickest: no middleware, connections to the
  database kept open, client secrets not hashed; how is to be read in `bench/peers/`.
- **§9** is the goal of the design (DESIGN.md §9), set on another machine whose floor was 0.019 ms; **÷ §9** compares
  the two ratios to the floor: 1.00 or less is the goal reached.
- **generator** is the share of one core that the load generator used. Near 100 % it would be what is measured.
- How to repeat it: `make bench` (a quarter of an hour), `make growth` (longer), `python -m bench memory`,
  `python -m bench served`, `make profile OP=refresh`, `python -m bench guard`; then `python -m bench publish` writes
  this page.
- Every answer is durable before it is sent: SQLite with `synchronous=FULL`, one `fdatasync` per commit, shared by the
  requests that arrive together.
"""


def _load(kind: str, type_: type[Kept]) -> list[Kept]:
    """The newest results of that kind, where there are any."""
    path = find_newest(kind)
    return [] if path is None else [msgspec.json.decode(path.read_bytes(), type=type_)]


def render_page(
    results: Results | None = None,
    growths: Sequence[Growth] = (),
    memories: Sequence[Memory] = (),
    served: Sequence[Served] = (),
    profiles: Sequence[Profile] = (),
    guards: Sequence[GuardRun] = (),
    *,
    until_now: str = "",
) -> str:
    """The whole page. A part that nothing new is known of stays as the page until now has it."""
    parts = _split(until_now)
    if results is not None:
        parts[_RUN_TITLE] = _render_run(results)
    for growth in growths:
        parts[_GROWTH_TITLES[growth.engine]] = _render_growth(growth)
    if memories:
        parts[_MEMORY_TITLE] = _join([_MEMORY, render_markdown(render_memory_cells(memories), text_columns=1)])
    if served or profiles:
        parts[_SERVED_TITLE] = _render_served(served, profiles)
    for run in guards:
        parts[_GUARD_TITLE] = _render_guard(run)
    return _join([_INTRODUCTION, *(f"{title}\n\n{parts[title]}" for title in _TITLES if title in parts)]) + "\n"


def _split(page: str) -> dict[str, str]:
    """The page's parts by their titles, without these."""
    parts: dict[str, list[str]] = {}
    lines: list[str] = []  # of the introduction: they are written anew
    for line in page.splitlines():
        if line in _TITLES:
            lines = parts[line] = []
        else:
            lines.append(line)
    return {title: "\n".join(lines).strip() for title, lines in parts.items()}


def _join(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip() for part in parts)


def _render_run(results: Results) -> str:
    parts = [render_machine(results).replace("\n", "\\\n")]
    if doubts := render_doubts(results):
        parts.append(f"**{doubts}**")
    for workers, connections, figures in group_figures(results):
        parts.append(f"## {render_workers(workers)}, {render_connections(connections)}")
        parts.append(render_markdown(render_summary(figures), text_columns=1))
        parts.append(render_markdown([HEADINGS, *map(render_cells, figures)]))
    facts = [
        render_generator(results),
        *map(render_rows, results.rows),
        *map(render_race, results.races),
        *render_warnings(results),
    ]
    if facts:
        parts += ["## What is left behind, and what a race yields", "\n".join(f"- {fact}" for fact in facts)]
    return _join(parts)


def _render_served(served: Sequence[Served], profiles: Sequence[Profile]) -> str:
    parts: list[str] = []
    if served:
        parts += [_SERVED, render_markdown(render_served_cells(served), text_columns=1)]
    if profiles:
        parts += [_PROFILES, render_markdown(render_profile_cells(profiles), text_columns=1)]
    return _join(parts)


def _render_guard(run: GuardRun) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    about = (
        f"{run.measured_at}, commit {run.commit}, {run.processor}, {run.python}, load {run.load:.1f} before the run, "
        f"{packages}; {run.rounds} rounds of {run.samples:,} tokens of each kind."
    )
    table = render_markdown(render_guard_cells(run), text_columns=1)
    return _join([_GUARD, about, table])


def _render_growth(growth: Growth) -> str:
    about = (
        f"{growth.measured_at}, commit {growth.machine.commit}, load {growth.machine.load:.1f}. Medians over "
        f"{growth.rounds} rounds of {growth.samples:,} requests at {CONNECTIONS} connections, each about another grant "
        f"anywhere in the table; the sizes in turns. One worker. {SWEEPABLE:.0%} of the grants may be swept away."
    )
    return _join(
        [
            about + (f" {_POSTGRES_GROWTH}" if growth.engine == "postgres" else ""),
            render_markdown(render_growth_cells(growth), text_columns=3),
            "\n".join(f"- {fact}" for fact in render_growth_facts(growth)),
        ]
    )


def render_markdown(lines: Sequence[Sequence[str]], text_columns: int = 2) -> str:
    heading, *rest = lines
    rule = ["---" if index < text_columns else "--:" for index in range(len(heading))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heading, rule, *rest))


def publish() -> None:
    """Write the page."""
    engines = ("sqlite", "postgres")
    growths = [growth for engine in engines for growth in _load(f"growth-{engine}", Growth)]
    memories = [memory for engine in engines for memory in _load(f"memory-{engine}", Memory)]
    kinds = [f"{engine}-{operation}" for engine in engines for operation in operations.ALL]
    served = [run for kind in kinds for run in _load(f"served-{kind}", Served)]
    profiles = [run for kind in kinds for run in _load(f"profile-{kind}", Profile)]
    results, guards = _load("run", Results), _load("guard", GuardRun)
    found = [*results, *growths, *memories, *served, *profiles, *guards]
    if not found:
        raise SystemExit("bench: there are no results to publish; run `make bench` first")
    until_now = PAGE.read_text() if PAGE.exists() else ""
    result = results[0] if results else None
    page = render_page(result, growths, memories, served, profiles, guards, until_now=until_now)
    PAGE.write_text(page)
    print(f"bench: wrote {PAGE}: {len(found)} results; what was not measured stays as it was")
