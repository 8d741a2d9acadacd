"""Keeps the store's size a formula: one process at a time clears away what can matter no more, a few rows at a time."""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage import life_cycle, operations
from latchstring.storage.engine import Engine
from latchstring.storage.operations import SweepPlan, Swept
from latchstring.storage.statements import life_cycle as life_cycle_statements
from latchstring.storage.statements import sweeping

# Between two steps of a round: a sweep is never in a hurry, and the server always comes first (seconds).
STEP_PAUSE: Final = 0.25
IDLE_PAUSE: Final = 30.0


class SweepState(msgspec.Struct, frozen=True, kw_only=True):
    """The walk's times, in epoch seconds; `round_ended_at` is of the last round that came to its end."""

    round_began_at: int
    round_ended_at: int | None
    next_round_at: int


class Census(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a store by kind. Of the grants, `live` and `kept` (ended or expired within the retention) are the
    formula; `overdue` ones wait for the next round. `oldest` is when the first of a kind was made. `clock_skew` is how
    far the database's clock is ahead of ours (seconds)."""

    grants: dict[str, int]
    oldest: dict[str, int]
    others: dict[str, int]
    clock_skew: int


class Sweeper:
    """Walks through the grants in the order of their ids, so that no index is kept up to date for its sake."""

    def __init__(
        self, engine: Engine, clock: Callable[[], int], plan: SweepPlan, forget: Callable[[str], None]
    ) -> None:
        self._engine = engine
        self._forget = forget
        self._clock = clock
        self._plan = plan
        self._holder = os.urandom(16)

    async def step(self) -> Swept:
        """One transaction's worth of sweeping, if it is this process's turn and due. What a change of a life has left
        to settle comes first: whoever made the change may have died."""
        left = await self._engine.read(life_cycle_statements.FIND_ANY_SETTLEMENT, {})
        if left is not None:
            await self._engine.commit(partial(life_cycle.go_on_settling, left[0], self._clock()))
            return Swept.GOES_ON
        state = await self.find_state()
        if state is not None and state.next_round_at > self._clock():
            return Swept.NOT_DUE  # by a read alone: an idle server writes nothing
        sweep = partial(operations.sweep, self._holder, self._clock(), self._plan, self._forget)
        return await self._engine.commit(sweep)

    async def find_state(self) -> SweepState | None:
        """Where the sweep stands, whichever process does it; None before the first."""
        row = await self._engine.read(sweeping.FIND_SWEEP, {})
        return None if row is None else SweepState(round_began_at=row[4], round_ended_at=row[5], next_round_at=row[6])

    async def count(self) -> Census:
        """All rows, counted one by one: for an operator's question, not for a request."""
        now = self._clock()
        since = operations.sweep_limits(now, self._plan)
        rows = await self._engine.read_all(sweeping.COUNT_GRANTS, {**since, "now": now})
        others = {}
        for name, statement in sweeping.COUNTS.items():
            row = await self._engine.read(statement, {})
            assert row is not None
            others[name] = row[0]
        kinds = ("live", "kept", "overdue")
        grants = dict.fromkeys(kinds, 0) | {row[0]: row[1] for row in rows}
        clock = await self._engine.read(sweeping.DATABASE_CLOCK, {})
        assert clock is not None
        return Census(
            grants=grants,
            oldest={row[0]: row[2] for row in rows},
            others=others,
            clock_skew=clock[0] - self._clock(),
        )

    async def run(self) -> None:
        """Sweep until cancelled. A failing store is tried again later: nothing depends on the sweep."""
        while True:
            try:
                swept = await self.step()
            except StoreUnavailable:
                swept = Swept.BY_ANOTHER
            await asyncio.sleep(STEP_PAUSE if swept is Swept.GOES_ON else IDLE_PAUSE)
