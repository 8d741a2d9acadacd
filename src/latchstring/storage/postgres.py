"""PostgreSQL 15 and newer, for more than one machine: a pool of connections, one statement a hot operation.

Callers that come while a hot statement is under way share the next one (micro-batches): one round trip and one
durable commit for all of them, each with its own row. A batch that fails is done again one by one, so that no caller
fails for a neighbour's sake.

A serialization failure or deadlock has undone everything and is tried again. A connection lost during a write is
not: whether it was committed is unknown, so the caller hears `StoreUnavailable`, and every operation is conditional,
so that asking again is safe.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import asyncpg

from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage.engine import Operation, Outcome, Row
from latchstring.storage.statements.compiled import compile_batches_for_postgres, compile_for_postgres
from latchstring.storage.statements.statement import Parameters, Statement

CONNECT_TIMEOUT: Final = 5.0
STATEMENT_TIMEOUT: Final = 5.0
MAX_CONNECTIONS: Final = 10
MAX_BATCH: Final = 512
_TRIES: Final = 4

_UNDONE: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
# One caller's value that no column holds: it fails the statement, whatever the others in it have asked.
_OWN_FAULT: Final = asyncpg.DataError
FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

Answer = TypeVar("Answer")
_Callers = tuple[Parameters, list["asyncio.Future[Row | None]"]]


class PostgresEngine:
    """One PostgreSQL database (its primary). Belongs to one event loop; connects when first asked."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._sql = compile_for_postgres()
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self._lanes = {
            statement: _Lane(self, statement, sql, names)
            for statement, (sql, names) in compile_batches_for_postgres().items()
        }

    def __repr__(self) -> str:
        return "PostgresEngine(…)"

    async def read(self, statement: Statement, parameters: Parameters) -> Row | None:
        lane = self._lanes.get(statement)
        if lane is not None:
            return await lane.submit(parameters)
        return await self.run_single(statement, parameters, is_read=True)

    async def read_all(self, statement: Statement, parameters: Parameters) -> Sequence[Row]:
        sql, names = self._sql[statement]
        arguments = [parameters[name] for name in names]
        try:
            return await self._try(statement.name, lambda c: c.fetch(sql, *arguments), is_read=True)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, asyncpg.CharacterNotInRepertoireError):
                return []
            raise

    async def write(self, statement: Statement, parameters: Parameters) -> Row | None:
        lane = self._lanes.get(statement)
        if lane is not None:
            return await lane.submit(parameters)
        return await self.run_single(statement, parameters)

    async def run_single(self, statement: Statement, parameters: Parameters, *, is_read: bool = False) -> Row | None:
        """One statement for one caller; its first row. Text with a NUL, which no row has, is read as nothing."""
        sql, names = self._sql[statement]
        arguments = [parameters[name] for name in names]
        row: Row | None = None
        try:
            row = await self._try(statement.name, lambda c: c.fetchrow(sql, *arguments), is_read=is_read)
        except StoreUnavailable as error:
            if not (is_read and isinstance(error.__cause__, asyncpg.CharacterNotInRepertoireError)):
                raise
        return row

    async def run_batch(self, name: str, sql: str, columns: list[list[Any]], *, is_read: bool) -> list[Row]:
        """One statement for many callers; all its rows."""
        rows: list[Row] = await self._try(name, lambda c: c.fetch(sql, *columns), is_read=is_read)
        return rows

    async def commit(self, operation: Operation[Outcome]) -> Outcome:
        async def run(connection: Any) -> Outcome:
            async with connection.transaction():
                steps = operation()
                try:
                    statement, parameters = next(steps)
                    while True:
                        sql, names = self._sql[statement]
                        row = await connection.fetchrow(sql, *[parameters[name] for name in names])
                        statement, parameters = steps.send(row)
                except StopIteration as stop:
                    outcome: Outcome = stop.value
                    return outcome

        return await self._try("operation", run)

    def find_version(self) -> int | None:
        return None

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    async def _try(self, name: str, work: Callable[[Any], Awaitable[Answer]], *, is_read: bool = False) -> Answer:
        """Do the work on one connection; again while nothing of it can have happened."""
        for remaining in reversed(range(_TRIES)):
            try:
                pool = self._pool or await self._open()
                async with pool.acquire(timeout=CONNECT_TIMEOUT) as connection:
                    return await work(connection)
            except FAILURES as error:
                is_lost = isinstance(error, asyncpg.PostgresConnectionError | asyncpg.InterfaceError | OSError)
                if not remaining or not (isinstance(error, _UNDONE) or (is_read and is_lost)):
                    raise StoreUnavailable(f"{name}: {type(error).__name__}") from error
        raise AssertionError("the last try answers or raises")

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=1,
                    max_size=MAX_CONNECTIONS,
                    timeout=CONNECT_TIMEOUT,
                    command_timeout=STATEMENT_TIMEOUT + 1,
                    target_session_attrs="read-write",
                    server_settings={
                        "application_name": "latchstring",
                        "statement_timeout": str(int(STATEMENT_TIMEOUT * 1000)),
                    },
                )
        return self._pool


class _Lane:
    """The callers of one hot statement, in the order in which they came; one batch is under way at a time."""

    def __init__(self, engine: PostgresEngine, statement: Statement, sql: str, names: tuple[str, ...]) -> None:
        assert statement.batch is not None
        self._engine = engine
        self._statement = statement
        self._sql = sql
        self._names = names
        self._key = statement.batch.key
        self._is_read = statement.batch.is_read
        self._waiting: list[tuple[Parameters, asyncio.Future[Row | None]]] = []
        self._worker: asyncio.Task[None] | None = None

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
                _answer_all(batch, error)
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
        except StoreUnavailable as error:
            if isinstance(error.__cause__, (*_UNDONE, _OWN_FAULT)):
                await self._run_singly(batch)
            else:
                _answer_all(batch, error)
            return
        by_key = {row[0]: row for row in rows}
        for key, (_, futures) in batch.items():
            for future in futures:
                if not future.done():
                    future.set_result(by_key.get(key))

    async def _run_singly(self, batch: dict[Any, _Callers]) -> None:
        for parameters, futures in batch.values():
            try:
                row = await self._engine.run_single(self._statement, parameters, is_read=self._is_read)
            except StoreUnavailable as error:
                _answer_all({None: (parameters, futures)}, error)
            else:
                for future in futures:
                    if not future.done():
                        future.set_result(row)


def _answer_all(batch: dict[Any, _Callers], error: Exception) -> None:
    for _, futures in batch.values():
        for future in futures:
            if not future.done():
                # Each gets an error of its own: a raised one collects its raiser's traceback.
                future.set_exception(type(error)(*error.args))


async def find_schema_version(url: str) -> str | None:
    """The revision that the database's schema has, or None for a database without one."""
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT)
    try:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        version: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
        return version
    finally:
        await connection.close()
