"""Results as an aligned table for the terminal, and the cells that the published page shares."""

from collections.abc import Sequence
from typing import Final

from bench import operations
from bench.measure import MIN_ROUNDS, Figures, Races, Results, Rows
from bench.subjects import registry
from bench.subjects.peers import PEER_SUBJECTS

HEADINGS: Final = (
    "set-up",
    "operation",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "CPU-ms",
    "user",
    "system",
    "best",
    "× floor",
    "§9: CPU-ms",
    "× floor",
    "÷ §9",
    "generator",
    "errors",
)
_PEERS: Final = {subject.name for subject in PEER_SUBJECTS}
FLOOR_TARGET: Final = operations.FLOOR.target or 1.0
GENERATOR_LIMIT: Final = 0.85


def render_cells(figures: Figures) -> tuple[str, ...]:
    """One line of the table, under `HEADINGS`."""
    operation = operations.ALL[figures.operation]
    # The goals are ours.
    wanted = None if figures.subject in _PEERS else operation.target
    wanted_to_floor = wanted / FLOOR_TARGET if wanted else None
    reached = figures.to_floor / wanted_to_floor if figures.to_floor and wanted_to_floor else None
    return (
        registry.find(figures.subject).title,
        operation.title,
        f"{figures.per_second:,.0f}",
        f"{figures.p50:.2f}",
        f"{figures.p99:.2f}",
        f"{figures.processor:.3f}",
        f"{figures.user:.3f}",
        f"{figures.system:.3f}",
        f"{figures.best:.3f}",
        _ratio(figures.to_floor),
        f"{wanted:.3f}" if wanted else "",
        _ratio(wanted_to_floor),
        _ratio(reached) if operation is not operations.FLOOR else "",
        f"{figures.generator_share:.0%}",
        str(figures.errors),
    )


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def render_summary(figures: Sequence[Figures]) -> list[tuple[str, ...]]:
    """CPU-ms by set-up and operation, with the headings; the floor's ratio is left to the long table."""
    measured = [each for each in figures if each.operation != operations.FLOOR.name]
    names = [name for name in operations.ALL if any(each.operation == name for each in measured)]
    cells = {(each.subject, each.operation): f"{each.processor:.3f}" for each in measured}
    subjects = dict.fromkeys(each.subject for each in measured)
    rows = [(registry.find(name).title, *(cells.get((name, each), "") for each in names)) for name in subjects]
    goals = tuple(f"{target:.3f}" if (target := operations.ALL[name].target) else "" for name in names)
    return [("CPU-ms", *(operations.ALL[name].title for name in names)), *rows, ("goal (§9), elsewhere", *goals)]


def render_generator(results: Results) -> str:
    """Whether the generator was in the way."""
    most = max(results.figures, key=lambda figures: figures.generator_share)
    title, operation = registry.find(most.subject).title, operations.ALL[most.operation].title
    return f"the generator used at most {most.generator_share:.0%} of one core ({title}: {operation})"


def group_figures(results: Results) -> list[tuple[int, int, list[Figures]]]:
    """The figures by worker processes and connections, in the order of the plan."""
    return [
        (workers, connections, found)
        for workers in results.plan.workers
        for connections in results.plan.connections
        if (found := [each for each in results.figures if (each.workers, each.connections) == (workers, connections)])
    ]


def render_table(lines: Sequence[Sequence[str]], text_columns: int = 2) -> str:
    """Aligned columns, the first to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rendered = [
        "  ".join(
            cell.ljust(width) if index < text_columns else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join(rendered)


def render_report(results: Results) -> str:
    """All that was found, as text."""
    parts = [render_machine(results), render_doubts(results)]
    for workers, connections, figures in group_figures(results):
        heading = f"{render_workers(workers)}, {render_connections(connections)}"
        parts.append(f"{heading}\n{render_table([HEADINGS, *map(render_cells, figures)])}")
        parts.append(render_table(render_summary(figures), text_columns=1))
    facts = [
        render_generator(results),
        *map(render_rows, results.rows),
        *map(render_race, results.races),
        *render_warnings(results),
    ]
    parts.append("\n".join(facts))
    return "\n\n".join(part for part in parts if part)


def render_machine(results: Results) -> str:
    """Where and with what it was measured."""
    machine = results.machine
    rounds = max((figures.rounds for figures in results.figures), default=0)
    packages = ", ".join(f"{name} {version}" for name, version in {**machine.packages, **results.programs}.items())
    return (
        f"{results.measured_at}, commit {machine.commit}: {machine.processor}, {machine.cores} cores, "
        f"{machine.system}, load {machine.load:.1f} before the run\n"
        f"{machine.python} (a million additions in {machine.python_loop:.0f} ms), SQLite {machine.sqlite}, {packages}\n"
        f"store on {machine.disk.device} ({machine.disk.file_system}), fdatasync of 4 KiB {machine.disk.fsync:.2f} ms; "
        f"medians over {rounds} rounds of {results.plan.requests:,} requests or {results.plan.seconds:g} s"
    )


def render_doubts(results: Results) -> str:
    """Whether the machine was busy with something else, or too little was measured to take medians of; else empty."""
    machine = results.machine
    doubts = []
    if machine.load > machine.cores:
        doubts.append(f"the machine was busy: {machine.load:.0f} other programs wanted its {machine.cores} cores")
    if max((figures.rounds for figures in results.figures), default=0) < MIN_ROUNDS:
        doubts.append("there was one round only")
    if not doubts:
        return ""
    return f"WARNING: {', and '.join(doubts)}. Of these figures orders of magnitude hold; ratios to the floor do not."


def render_workers(workers: int) -> str:
    """`1 worker process`."""
    return "1 worker process" if workers == 1 else f"{workers} worker processes"


def render_connections(connections: int) -> str:
    """`32 connections`."""
    return "1 connection" if connections == 1 else f"{connections} connections"


def render_rows(rows: Rows) -> str:
    """What is left behind after refreshes."""
    return (
        f"{registry.find(rows.subject).title}, {render_workers(rows.workers)}: {rows.refreshes:,} refreshes of "
        f"{rows.grants:,} grants left {rows.rows:,} rows"
    )


def render_race(races: Races) -> str:
    """How many of the parallel uses of one credential succeeded."""
    redemption, refresh = races.redemption, races.refresh
    tokens = "one successor" if refresh.successors == 1 else f"up to {refresh.successors} different successors"
    return (
        f"{registry.find(races.subject).title}, {render_workers(races.workers)}: of {races.parallel} parallel "
        f"redemptions of one code {_range(redemption.fewest, redemption.most)} succeeded, of {races.parallel} parallel "
        f"refreshes of one token {_range(refresh.fewest, refresh.most)}, with {tokens} ({refresh.rounds} rounds)"
    )


def _range(fewest: int, most: int) -> str:
    return str(fewest) if fewest == most else f"{fewest} to {most}"


def render_warnings(results: Results) -> list[str]:
    """What makes a figure doubtful."""
    warnings = []
    for each in results.figures:
        place = f"{each.subject} {each.operation}, {render_workers(each.workers)}"
        if each.errors:
            warnings.append(f"WARNING: {place}: {each.errors} errors, such as {each.error_samples[:1]}")
        if each.generator_share > GENERATOR_LIMIT:
            warnings.append(
                f"WARNING: {place}: the generator used {each.generator_share:.0%} of a core; requests/s are its limit"
            )
    return warnings
