"""One benchmark: every set-up and operation in turn, again and again, so that all meet the same disturbances."""

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench import operations
from bench.generator import run_apart
from bench.machine import Machine, describe_machine
from bench.operations import Operation
from bench.races import PARALLEL, Race, run_race
from bench.subjects.subject import Server, Subject
from bench.workload import Load, Outcome, Workload

MIN_ROUNDS: Final = 2
MIN_REQUESTS: Final = 40


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. A round of an operation ends after `requests` or `seconds`, whichever comes first.

    There are at most `rounds` of them, and no further one once `budget` seconds have passed (None: all of them).
    What is left behind is counted after `refreshes`, or as many as come in `refresh_seconds`.
    """

    operations: tuple[str, ...]
    workers: tuple[int, ...]
    connections: tuple[int, ...]
    rounds: int
    requests: int
    warm_up: int
    seconds: float
    races: int
    refreshes: int
    refresh_seconds: float
    budget: float | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one operation costs on one set-up: medians over the rounds.

    `processor` is CPU-ms per request of the server (and its database), `user` and `system` its parts, `best`
    its least round; `to_floor` the median of each round's ratio to the floor in that round. Latencies in ms.
    """

    subject: str
    operation: str
    workers: int
    connections: int
    rounds: int
    requests: int
    errors: int
    error_samples: list[str]
    per_second: float
    p50: float
    p99: float
    processor: float
    user: float
    system: float
    best: float
    to_floor: float | None
    generator_share: float
    generator_processor: float


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """What a subject's store holds for these grants after that many refreshes of them."""

    subject: str
    workers: int
    grants: int
    refreshes: int
    rows: int


class Races(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the parallel uses of one credential succeeded."""

    subject: str
    workers: int
    parallel: int
    redemption: Race
    refresh: Race


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as it is kept in bench/results."""

    measured_at: str
    machine: Machine
    programs: dict[str, str]
    plan: Plan
    figures: list[Figures]
    rows: list[Rows]
    races: list[Races]


class _Setup(msgspec.Struct, frozen=True):
    """A running server under its name."""

    subject: Subject
    workers: int
    server: Server


_Key = tuple[str, str, int, int]


class Measurement:
    """Runs a plan over some subjects; `run` once."""

    def __init__(self, plan: Plan, subjects: Sequence[Subject], directory: Path) -> None:
        self._plan = plan
        self._subjects = subjects
        self._directory = directory
        self._outcomes: dict[_Key, list[Outcome]] = {}
        self._programs: dict[str, str] = {}
        # Requests a second as seen when warming up, by set-up and operation.
        self._rates: dict[tuple[str, int, str], float] = {}

    def run(self) -> Results:
        """Start all servers, measure in rounds, stop all."""
        machine = describe_machine(self._directory)
        measured_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        setups: list[_Setup] = []
        try:
            for subject in self._subjects:
                for workers in self._plan.workers:
                    missing = subject.find_missing(workers)
                    if missing is not None:
                        _say(f"without {subject.title}, {_processes(workers)}: {missing}")
                        continue
                    self._programs |= subject.programs
                    directory = self._directory / f"{subject.name}-{workers}"
                    directory.mkdir()
                    _say(f"starting {subject.title}, {_processes(workers)}")
                    setups.append(_Setup(subject, workers, subject.start(directory, workers)))
            self._warm_up(setups)
            began = time.monotonic()
            for number in range(1, self._plan.rounds + 1):
                _say(f"round {number} of {self._plan.rounds}")
                self._run_round(setups)
                if self._is_over_budget(number, time.monotonic() - began):
                    break
            rows = [row for setup in setups if (row := self._refresh_and_count(setup))]
            races = [race for setup in setups if (race := self._race(setup))]
        finally:
            for setup in setups:
                setup.server.stop()
        return Results(
            measured_at=measured_at,
            machine=machine,
            programs=self._programs,
            plan=self._plan,
            figures=self._summarize(),
            rows=rows,
            races=races,
        )

    def _is_over_budget(self, rounds: int, seconds: float) -> bool:
        """Whether one more round, as long as those so far, would pass the budget."""
        budget = self._plan.budget
        return budget is not None and rounds >= MIN_ROUNDS and seconds * (rounds + 1) / rounds > budget

    def _chosen(self, subject: Subject) -> list[Operation]:
        return [each for each in subject.operations if each is operations.FLOOR or each.name in self._plan.operations]

    def _warm_up(self, setups: Sequence[_Setup]) -> None:
        _say("warming up")
        for setup in setups:
            for operation in self._chosen(setup.subject):
                workload = setup.server.prepare(operation, self._plan.warm_up)
                outcome = self._load(setup, workload, max(self._plan.connections), self._plan.warm_up)
                key = (setup.subject.name, setup.workers, operation.name)
                self._rates[key] = outcome.requests / outcome.seconds

    def _run_round(self, setups: Sequence[_Setup]) -> None:
        for setup in setups:
            for operation in self._chosen(setup.subject):
                for connections in self._plan.connections:
                    count = self._estimate(setup, operation)
                    workload = setup.server.prepare(operation, count)
                    outcome = self._load(setup, workload, connections, count)
                    key = (setup.subject.name, operation.name, setup.workers, connections)
                    self._outcomes.setdefault(key, []).append(outcome)

    def _estimate(self, setup: _Setup, operation: Operation) -> int:
        """As many requests as it can answer in a round: nothing is prepared in vain."""
        rate = self._rates[setup.subject.name, setup.workers, operation.name]
        return min(self._plan.requests, max(MIN_REQUESTS, int(rate * self._plan.seconds)))

    def _load(
        self, setup: _Setup, workload: Workload, connections: int, requests: int, seconds: float | None = None
    ) -> Outcome:
        load = Load(
            host=setup.server.host,
            port=setup.server.port,
            connections=connections,
            requests=requests,
            seconds=seconds or self._plan.seconds,
            workload=workload,
            server_processes=tuple(setup.server.processes),
        )
        return run_apart(load)

    def _refresh_and_count(self, setup: _Setup) -> Rows | None:
        """Refresh the same grants again and again; what was not there before is left behind."""
        is_first = setup.workers == self._plan.workers[0]
        if not is_first or operations.REFRESH not in setup.subject.operations or not self._plan.refreshes:
            return None
        _say(f"refreshes on {setup.subject.title}, {_processes(setup.workers)}")
        before = setup.server.count_rows()
        workload = setup.server.prepare(operations.REFRESH, self._plan.refreshes)
        connections = max(self._plan.connections)
        outcome = self._load(setup, workload, connections, self._plan.refreshes, self._plan.refresh_seconds)
        after = setup.server.count_rows()
        assert before is not None
        assert after is not None
        return Rows(
            subject=setup.subject.name,
            workers=setup.workers,
            grants=len(workload.items),
            refreshes=outcome.requests - outcome.errors,
            rows=after - before,
        )

    def _race(self, setup: _Setup) -> Races | None:
        can_race = {operations.EXCHANGE, operations.REFRESH} <= set(setup.subject.operations)
        if not can_race or not self._plan.races:
            return None
        _say(f"races on {setup.subject.title}, {_processes(setup.workers)}")
        return Races(
            subject=setup.subject.name,
            workers=setup.workers,
            parallel=PARALLEL,
            redemption=self._race_for(setup.server, operations.EXCHANGE),
            refresh=self._race_for(setup.server, operations.REFRESH),
        )

    def _race_for(self, server: Server, operation: Operation) -> Race:
        rounds = self._plan.races
        return run_race(server.host, server.port, server.prepare(operation, rounds), rounds)

    # -- figures

    def _summarize(self) -> list[Figures]:
        return [self._summarize_one(key, outcomes) for key, outcomes in self._outcomes.items()]

    def _summarize_one(self, key: _Key, outcomes: list[Outcome]) -> Figures:
        subject, operation, workers, connections = key
        costs = [_cost(outcome) for outcome in outcomes]
        floors = self._outcomes.get((operations.FLOOR.name, operations.FLOOR.name, workers, connections), [])
        ratios = [cost / _cost(floor) for cost, floor in zip(costs, floors, strict=False)]
        # Ticks of 10 ms divide a short round badly, but all rounds together well enough.
        ticks = sum(outcome.server.user + outcome.server.system for outcome in outcomes)
        user_share = sum(outcome.server.user for outcome in outcomes) / ticks if ticks else 0.0
        processor = statistics.median(costs)
        return Figures(
            subject=subject,
            operation=operation,
            workers=workers,
            connections=connections,
            rounds=len(outcomes),
            requests=sum(outcome.requests for outcome in outcomes),
            errors=sum(outcome.errors for outcome in outcomes),
            error_samples=[sample for outcome in outcomes for sample in outcome.error_samples][:3],
            per_second=statistics.median(outcome.requests / outcome.seconds for outcome in outcomes),
            p50=statistics.median(outcome.p50 for outcome in outcomes),
            p99=statistics.median(outcome.p99 for outcome in outcomes),
            processor=processor,
            user=processor * user_share,
            system=processor * (1 - user_share),
            best=min(costs),
            to_floor=statistics.median(ratios) if ratios else None,
            generator_share=statistics.median(outcome.generator.total / outcome.seconds for outcome in outcomes),
            generator_processor=statistics.median(
                outcome.generator.total / max(1, outcome.requests) * 1000 for outcome in outcomes
            ),
        )


def _cost(outcome: Outcome) -> float:
    """CPU-ms per request."""
    return outcome.server.total / max(1, outcome.requests) * 1000


def _processes(workers: int) -> str:
    return "1 process" if workers == 1 else f"{workers} processes"


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
