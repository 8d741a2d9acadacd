"""PostgreSQL 15 and newer, for more than one machine: a pool of connections, one statement a hot operation.

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
from latchstring.storage.statements import Parameters, Statement, compile_for_postgres

CONNECT_TIMEOUT: Final = 5.0
STATEMENT_TIMEOUT: Final = 5.0
MAX_CONNECTIONS: Final = 10
_TRIES: Final = 4

_UNDONE: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

Answer = TypeVar("Answer")


class PostgresEngine:
    """One PostgreSQL database (its primary). Belongs to one event loop; connects when first asked."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._sql = compile_for_postgres()
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    def __repr__(self) -> str:
        return "PostgresEngine(…)"

    async def read(self, statement: Statement, parameters: Parameters) -> Row | None:
        sql, names = self._sql[statement]
        arguments = [parameters[name] for name in names]
        row: Row | None = await self._try(statement.name, lambda c: c.fetchrow(sql, *arguments), is_read=True)
        return row

    async def read_all(self, statement: Statement, parameters: Parameters) -> Sequence[Row]:
        sql, names = self._sql[statement]
        arguments = [parameters[name] for name in names]
        return await self._try(statement.name, lambda c: c.fetch(sql, *arguments), is_read=True)

    async def write(self, statement: Statement, parameters: Parameters) -> Row | None:
        sql, names = self._sql[statement]
        arguments = [parameters[name] for name in names]
        row: Row | None = await self._try(statement.name, lambda c: c.fetchrow(sql, *arguments))
        return row

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
