"""`python -m bench publish`: the newest results as docs/explanation/benchmarks.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.measure import Results
from bench.report import (
    HEADINGS,
    group_figures,
    render_cells,
    render_connections,
    render_generator,
    render_machine,
    render_race,
    render_rows,
    render_summary,
    render_warnings,
    render_workers,
)
from bench.results import find_newest

PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "benchmarks.md"

_INTRODUCTION: Final = """\
# Benchmarks

<!-- Written by `python -m bench publish` from the newest file in bench/results. Edit bench/publish.py instead. -->

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
- Every answer is durable before it is sent: SQLite with `synchronous=FULL`, one `fdatasync` per commit, shared by the
  requests that arrive together.
"""


def load_results(path: Path) -> Results:
    """Results as a run wrote them."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def render_page(results: Results) -> str:
    """The whole page."""
    parts = [_INTRODUCTION, "## What was measured, and where", render_machine(results).replace("\n", "\\\n")]
    for workers, connections, figures in group_figures(results):
        parts.append(f"## {render_workers(workers)}, {render_connections(connections)}")
        parts.append(_render_markdown(render_summary(figures), text_columns=1))
        parts.append(_render_markdown([HEADINGS, *map(render_cells, figures)]))
    facts = [
        render_generator(results),
        *map(render_rows, results.rows),
        *map(render_race, results.races),
        *render_warnings(results),
    ]
    if facts:
        parts += ["## What is left behind, and what a race yields", "\n".join(f"- {fact}" for fact in facts)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _render_markdown(lines: Sequence[Sequence[str]], text_columns: int = 2) -> str:
    heading, *rest = lines
    rule = ["---" if index < text_columns else "--:" for index in range(len(heading))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heading, rule, *rest))


def publish() -> None:
    """Write the page."""
    newest = find_newest("run")
    if newest is None:
        raise SystemExit("bench: there are no results to publish; run `make bench` first")
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render_page(load_results(newest)))
    print(f"bench: wrote {PAGE} from {newest.name}")
