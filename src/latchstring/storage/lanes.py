"""Micro-batches: callers that come while their like is under way share what comes next.

One round trip and one durable commit for all of them, each with its own outcome. A batch that fails for a reason of one
of them is done again one by one, so that no caller fails for a neighbour's sake.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage.engine import Operation, Row
from latchstring.storage.settling import InDoubt, settle
from latchstring.storage.statements.statement import Parameters, Statement

MAX_BATCH: Final = 512

Work = TypeVar("Work")
Callers = tuple[Work, list["asyncio.Future[Any]"]]
"""What is to be done, and who waits for its outcome."""


class SharedFailure(StoreUnavailable):
    """A batch failed with nothing done, for what need not concern all of its callers."""


class BatchEngine(Protocol):
    """What the lanes run their work on."""

    async def run_single(self, statement: Statement, parameters: Parameters, *, is_read: bool = False) -> Row | None:
        """One statement for one caller; its first row."""

    async def run_batch(self, name: str, sql: str, columns: list[list[Any]], *, is_read: bool) -> list[Row]:
        """One statement for many callers; all its rows, or `SharedFailure`."""

    async def commit(self, operation: Operation[Any]) -> Any:
        """One operation in a transaction of its own; its outcome."""

    async def commit_together(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Many operations in one transaction; all their outcomes, or `SharedFailure`."""


class _Lane(ABC, Generic[Work]):
    """Callers in the order in which they came; one batch is under way at a time."""

    may_share_key = False

    def __init__(self, engine: BatchEngine) -> None:
        self._engine = engine
        self._waiting: list[tuple[Any, Work, asyncio.Future[Any]]] = []
        self._worker: asyncio.Task[None] | None = None

    def submit(self, key: Any, work: Work) -> "asyncio.Future[Any]":
        """The caller's outcome, once its batch is durable."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, work, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return future

    @abstractmethod
    async def run_together(self, batch: dict[Any, Callers[Work]]) -> list[Any]:
        """The outcomes of all that work, done at once."""

    @abstractmethod
    async def run_alone(self, work: Work) -> Any:
        """The outcome of that work."""

    def answer_failure(self, callers: Callers[Work], error: Exception) -> None:
        """Tell the callers that the store has failed them."""
        refuse(callers, error)

    async def _work(self) -> None:
        while self._waiting:
            batch = self._take()
            try:
                await self._run(batch)
            except Exception as error:  # noqa: BLE001 -- a defect is told to its callers and never stops the lane
                for callers in batch.values():
                    refuse(callers, error)
        self._worker = None

    async def _run(self, batch: dict[Any, Callers[Work]]) -> None:
        if len(batch) > 1:
            try:
                outcomes = await self.run_together(batch)
            except SharedFailure:
                pass
            except StoreUnavailable as error:
                for callers in batch.values():
                    self.answer_failure(callers, error)
                return
            else:
                for callers, outcome in zip(batch.values(), outcomes, strict=True):
                    answer(callers, outcome)
                return
        for callers in batch.values():
            try:
                answer(callers, await self.run_alone(callers[0]))
            except StoreUnavailable as error:
                self.answer_failure(callers, error)

    def _take(self) -> dict[Any, Callers[Work]]:
        """The next batch by key, in the order of keys, so that two servers lock rows in the same order.

        Callers who read the same row share it; a second write to a row waits for the next batch.
        """
        batch: dict[Any, Callers[Work]] = {}
        later: list[tuple[Any, Work, asyncio.Future[Any]]] = []
        for key, work, future in self._waiting:
            if key not in batch and len(batch) < MAX_BATCH:
                batch[key] = (work, [future])
            elif key in batch and self.may_share_key:
                batch[key][1].append(future)
            else:
                later.append((key, work, future))
        self._waiting = later
        return dict(sorted(batch.items()))


class StatementLane(_Lane[Parameters]):
    """The callers of one hot statement."""

    def __init__(self, engine: BatchEngine, statement: Statement, sql: str, names: tuple[str, ...]) -> None:
        super().__init__(engine)
        assert statement.batch is not None
        self._statement = statement
        self._sql = sql
        self._names = names
        self.key = statement.batch.key
        self.may_share_key = statement.batch.is_read
        self._settling: set[asyncio.Task[None]] = set()

    async def run_together(self, batch: dict[Any, Callers[Parameters]]) -> list[Row | None]:
        columns = [[parameters[name] for parameters, _ in batch.values()] for name in self._names]
        rows = await self._engine.run_batch(self._statement.name, self._sql, columns, is_read=self.may_share_key)
        by_key = {row[0]: row for row in rows}
        return [by_key.get(key) for key in batch]

    async def run_alone(self, work: Parameters) -> Row | None:
        return await self._engine.run_single(self._statement, work, is_read=self.may_share_key)

    def answer_failure(self, callers: Callers[Parameters], error: Exception) -> None:
        """Tell the callers, or find out first what became of their write; nobody waits for that but they."""
        if isinstance(error, InDoubt) and self._statement.confirm is not None:
            task = asyncio.create_task(self._settle(callers))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)
        else:
            refuse(callers, error)

    async def _settle(self, callers: Callers[Parameters]) -> None:
        try:
            row = await settle(self._engine.run_single, self._statement, callers[0])
        except Exception as error:  # noqa: BLE001 -- told to its callers
            refuse(callers, error)
        else:
            answer(callers, row)

    def close(self) -> None:
        """Let go of what is still in doubt: whoever asked has been waited for and is gone."""
        for task in self._settling:
            task.cancel()


class OperationLane(_Lane[Operation[Any]]):
    """The callers of one kind of operation."""

    async def run_together(self, batch: dict[Any, Callers[Operation[Any]]]) -> list[Any]:
        return await self._engine.commit_together([operation for operation, _ in batch.values()])

    async def run_alone(self, work: Operation[Any]) -> Any:
        return await self._engine.commit(work)


def answer(callers: Callers[Any], outcome: Any) -> None:
    """Give them the outcome; some may have gone away."""
    for future in callers[1]:
        if not future.done():
            future.set_result(outcome)


def refuse(callers: Callers[Any], error: Exception) -> None:
    """Give them the error."""
    for future in callers[1]:
        if not future.done():
            # Each gets an error of its own: a raised one collects its raiser's traceback.
            future.set_exception(type(error)(*error.args))
