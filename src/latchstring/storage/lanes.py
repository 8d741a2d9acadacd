"""Micro-batches: callers that come while a hot statement is under way share the next one.

One round trip and one durable commit for all of them, each with its own row. A batch that fails for a reason of one of
them is done again one by one, so that no caller fails for a neighbour's sake.
"""

import asyncio
from typing import Any, Final, Protocol

from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage.engine import Row
from latchstring.storage.settling import InDoubt, settle
from latchstring.storage.statements.statement import Parameters, Statement

MAX_BATCH: Final = 512

_Callers = tuple[Parameters, list["asyncio.Future[Row | None]"]]


class SharedFailure(StoreUnavailable):
    """A batch failed with nothing done, for what need not concern all of its callers."""


class BatchEngine(Protocol):
    """What a lane runs its statement on."""

    async def run_single(self, statement: Statement, parameters: Parameters, *, is_read: bool = False) -> Row | None:
        """One statement for one caller; its first row."""

    async def run_batch(self, name: str, sql: str, columns: list[list[Any]], *, is_read: bool) -> list[Row]:
        """One statement for many callers; all its rows, or `SharedFailure`."""


class Lane:
    """The callers of one hot statement, in the order in which they came; one batch is under way at a time."""

    def __init__(self, engine: BatchEngine, statement: Statement, sql: str, names: tuple[str, ...]) -> None:
        assert statement.batch is not None
        self._engine = engine
        self._statement = statement
        self._sql = sql
        self._names = names
        self._key = statement.batch.key
        self._is_read = statement.batch.is_read
        self._waiting: list[tuple[Parameters, asyncio.Future[Row | None]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._settling: set[asyncio.Task[None]] = set()

    def submit(self, parameters: Parameters) -> asyncio.Future[Row | None]:
        """The caller's row, once its batch is durable."""
        future: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((parameters, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return future

    async def _work(self) -> None:
        while self._waiting:
            batch = self._take()
            try:
                await (self._run_singly(batch) if len(batch) == 1 else self._run_together(batch))
            except Exception as error:  # noqa: BLE001 -- a defect is told to its callers and never stops the lane
                for callers in batch.values():
                    _refuse(callers, error)
        self._worker = None

    def _take(self) -> dict[Any, _Callers]:
        """The next batch by key, in the order of keys, so that two servers lock rows in the same order.

        Callers who read the same row share it; a second write to a row waits for the next batch.
        """
        batch: dict[Any, _Callers] = {}
        later: list[tuple[Parameters, asyncio.Future[Row | None]]] = []
        for parameters, future in self._waiting:
            key = parameters[self._key]
            if key not in batch and len(batch) < MAX_BATCH:
                batch[key] = (parameters, [future])
            elif key in batch and self._is_read:
                batch[key][1].append(future)
            else:
                later.append((parameters, future))
        self._waiting = later
        return dict(sorted(batch.items()))

    async def _run_together(self, batch: dict[Any, _Callers]) -> None:
        columns = [[parameters[name] for parameters, _ in batch.values()] for name in self._names]
        try:
            rows = await self._engine.run_batch(self._statement.name, self._sql, columns, is_read=self._is_read)
        except SharedFailure:
            await self._run_singly(batch)
            return
        except StoreUnavailable as error:
            for callers in batch.values():
                self._answer_failure(callers, error)
            return
        by_key = {row[0]: row for row in rows}
        for key, callers in batch.items():
            _answer(callers, by_key.get(key))

    async def _run_singly(self, batch: dict[Any, _Callers]) -> None:
        for callers in batch.values():
            try:
                row = await self._engine.run_single(self._statement, callers[0], is_read=self._is_read)
            except StoreUnavailable as error:
                self._answer_failure(callers, error)
            else:
                _answer(callers, row)

    def _answer_failure(self, callers: _Callers, error: Exception) -> None:
        """Tell the callers, or find out first what became of their write; nobody waits for that but they."""
        if isinstance(error, InDoubt) and self._statement.confirm is not None:
            task = asyncio.create_task(self._settle(callers))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)
        else:
            _refuse(callers, error)

    async def _settle(self, callers: _Callers) -> None:
        try:
            row = await settle(self._engine.run_single, self._statement, callers[0])
        except Exception as error:  # noqa: BLE001 -- told to its callers
            _refuse(callers, error)
        else:
            _answer(callers, row)

    def close(self) -> None:
        """Let go of what is still in doubt: whoever asked has been waited for and is gone."""
        for task in self._settling:
            task.cancel()


def _answer(callers: _Callers, row: Row | None) -> None:
    for future in callers[1]:
        if not future.done():
            future.set_result(row)


def _refuse(callers: _Callers, error: Exception) -> None:
    for future in callers[1]:
        if not future.done():
            # Each gets an error of its own: a raised one collects its raiser's traceback.
            future.set_exception(type(error)(*error.args))
