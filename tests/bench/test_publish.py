"""The published page holds whatever was measured, each under its heading."""

import pytest
from msgspec.structs import replace

from bench.disk import Disk
from bench.growth import (
    Growth,
    OperationFigures,
    SizeFigures,
    SweepFigures,
    render_growth_cells,
    render_growth_facts,
)
from bench.guard import Check, GuardRun
from bench.hot_path import Profile, render_profile_cells
from bench.machine import Machine
from bench.measure import Figures, Plan, Results
from bench.memory import Look, Memory
from bench.publish import render_page
from bench.served import LIBRARIES, OTHER, Served

MACHINE = Machine(
    processor="AMD EPYC",
    cores=2,
    system="Linux 6.18",
    python="CPython 3.11.7",
    python_loop=16.0,
    sqlite="3.40.1",
    packages={"uvicorn": "0.54.0"},
    commit="abc1234",
    disk=Disk("/dev/vda", "ext4", 0.2),
    load=0.5,
)
PLAN = Plan(
    operations=("refresh",),
    workers=(1,),
    connections=(32,),
    rounds=3,
    requests=3000,
    warm_up=1000,
    seconds=1.5,
    races=0,
    refreshes=0,
    refresh_seconds=0.0,
    budget=None,
)


def figures(subject: str, operation: str, processor: float, share: float = 0.2) -> Figures:
    return Figures(
        subject=subject,
        operation=operation,
        workers=1,
        connections=32,
        rounds=3,
        requests=9000,
        errors=0,
        error_samples=[],
        per_second=1000.0,
        p50=1.0,
        p99=2.0,
        processor=processor,
        user=processor,
        system=0.0,
        best=processor,
        to_floor=processor / 0.02,
        generator_share=share,
        generator_processor=0.01,
    )


RESULTS = Results(
    measured_at="2026-11-27T18:00:00Z",
    machine=MACHINE,
    programs={"Django": "5.2.19"},
    plan=PLAN,
    figures=[
        figures("floor", "floor", 0.02, 0.4),
        figures("latchstring-sqlite", "refresh", 0.08),
        figures("authlib", "refresh", 2.6),
    ],
    rows=[],
    races=[],
)


def test_page_goals_are_held_against_us_alone() -> None:
    lines = {
        line.split(" | ")[0].removeprefix("| "): line for line in render_page(RESULTS).splitlines() if "×" not in line
    }
    assert lines["Latchstring, SQLite"].endswith("| 0.080 | 4.00 | 0.080 | 4.21 | 0.95 | 20% | 0 |")
    assert lines["Authlib + Flask, PostgreSQL"].endswith("| 2.600 | 130.00 |  |  |  | 20% | 0 |")


def test_page_says_what_the_generator_used() -> None:
    assert "the generator used at most 40% of one core (bare uvicorn: read a body, answer a constant)" in render_page(
        RESULTS
    )


def test_page_has_growth_memory_and_profiles() -> None:
    refresh = OperationFigures("refresh", 1.0, 3.0, 9000.0, 0.09, 0)
    sweep = SweepFigures(1000, 50, 4, 0.1, 0.01, 0.5)
    sizes = [SizeFigures(count, 450.0, 1.0, [refresh], refresh, sweep) for count in (10_000, 10_000_000)]
    growth = Growth(RESULTS.measured_at, MACHINE, "postgres", 7, 5000, sizes)
    memory = Memory(RESULTS.measured_at, "sqlite", 0, [Look(1_000_000, 101.4)])
    served = Served(
        RESULTS.measured_at, "postgres", "refresh", 200.0, 80.0, dict.fromkeys([*LIBRARIES.values(), OTHER], 5.0)
    )
    profile = Profile(RESULTS.measured_at, "sqlite", "refresh", 51.0, 0.0, {"latchstring/web": 3.4})
    page = render_page(RESULTS, [growth], [memory], [served], [profile])
    assert "## Ten million grants: PostgreSQL" in page
    assert "p99 at 10,000,000 grants is 1.00 × that at 10,000" in page
    assert "| sqlite | 101.4 | 0 |" in page
    assert "| the database's processes | 80 |" in page
    assert "| latchstring/web | 3.4 |" in page


def test_page_of_a_busy_machine_says_so() -> None:
    assert "WARNING" not in render_page(RESULTS)
    busy = replace(RESULTS, machine=replace(MACHINE, load=15.1), figures=[replace(RESULTS.figures[0], rounds=1)])
    page = render_page(busy)
    assert (
        "**WARNING: the machine was busy: 15 other programs wanted its 2 cores, and there was one round only." in page
    )


def test_growth_with_errors_has_no_figures() -> None:
    failed = OperationFigures("refresh", 1.0, 3.0, 9000.0, 0.09, 7)
    sweep = SweepFigures(1000, 50, 4, 0.1, 0.01, 0.5)
    growth = Growth("", MACHINE, "sqlite", 7, 5000, [SizeFigures(1000, 450.0, 1.0, [failed], failed, sweep)])
    assert render_growth_cells(growth)[1] == ("1,000", "450", "refresh, rotation", "", "", "", "", "7")
    assert render_growth_facts(growth)[0] == "refresh, rotation: there were errors, so there are no figures"


def test_profile_rooms_below_a_microsecond_are_summed_up() -> None:
    rooms = {"latchstring/web": 3.0, "a": 0.4, "b": 0.5}
    lines = render_profile_cells([Profile("", "sqlite", "refresh", 4.0, 0.0, rooms)])
    assert [line[0] for line in lines[3:]] == ["latchstring/web", "other"]
    assert float(lines[-1][1]) == pytest.approx(0.9)


def guard_run(median: float) -> GuardRun:
    return GuardRun(
        measured_at=RESULTS.measured_at,
        processor="AMD EPYC",
        python="CPython 3.11.7",
        commit="abc1234",
        load=0.5,
        versions={"Authlib": "1.9.10"},
        rounds=9,
        samples=1000,
        checks=[Check("Authlib", "RS256", 0.05, 0.04), Check("bare signature", "RS256", median, 0.015)],
    )


def test_page_has_what_a_check_costs_beside_others_and_the_bare_signature() -> None:
    page = render_page(RESULTS, guards=[guard_run(0.016)])
    assert "| bare signature |  | 0.0160 (0.0150) |  |  |\n| Authlib |  | 0.0500 (0.0400) |  |  |" in page
    assert "| goal | 0.005 | 0.030 | 0.030 | 0.030 |" in page


def test_part_that_nothing_new_is_known_of_stays_as_it_was() -> None:
    memory = Memory(RESULTS.measured_at, "sqlite", 0, [Look(1_000_000, 101.4)])
    page = render_page(RESULTS, memories=[memory], guards=[guard_run(0.016)])
    assert render_page(until_now=page) == page
    assert render_page(guards=[guard_run(0.017)], until_now=page) == page.replace("0.0160", "0.0170")
    grown = replace(memory, looks=[Look(1_000_000, 102.5)])
    assert render_page(memories=[grown], until_now=page) == page.replace("101.4", "102.5")
    without = render_page(RESULTS, guards=[guard_run(0.016)])
    assert render_page(memories=[memory], until_now=without) == page, "a new part comes to its place"
