"""PostgreSQL 15 and newer, for more than one machine: a pool of connections, one statement a hot operation.

Callers that come while a hot statement is under way share the next one (`lanes`): one round trip and one durable commit
for all of them, each with its own row.

A serialization failure or deadlock has undone everything and is tried again. A connection lost during a write leaves
in doubt whether it was committed. A redemption or rotation is then settled (`settling`); of everything else the caller
hears `StoreUnavailable`: its operations are conditional, so that asking again is safe.

A URL may name several hosts. The one that takes writes is the primary; there are no reads from any other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import asyncpg

from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage.engine import Operation, Outcome, Row
from latchstring.storage.hosts import split_hosts
from latchstring.storage.lanes import OperationLane, SharedFailure, StatementLane
from latchstring.storage.settling import InDoubt, settle
from latchstring.storage.statements.compiled import compile_batches_for_postgres, compile_for_postgres
from latchstring.storage.statements.statement import Parameters, Statement

# For each host: one that does not even refuse (its power is off) must not use up the time of the next.
CONNECT_TIMEOUT: Final = 3.0
# For a free connection, beyond the time that connecting takes.
_POOL_TIMEOUT: Final = 2.0
STATEMENT_TIMEOUT: Final = 5.0
MAX_CONNECTIONS: Final = 10
_TRIES: Final = 4
_DURABILITY: Final = ("fsync", "synchronous_commit", "synchronous_standby_names")

_UNDONE: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
# One caller's value that no column holds: it fails the statement, whatever the others in it have asked.
_OWN_FAULT: Final = (asyncpg.DataError, ValueError)
# The driver's own kind is for a server that is no primary.
FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
# The connection is gone or of no use any more; `TimeoutError` is an OSError.
_LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    OSError,
)

Answer = TypeVar("Answer")


class PostgresEngine:
    """One PostgreSQL database (its primary). Belongs to one event loop; connects when first asked."""

    def __init__(self, url: str) -> None:
        self._hosts = split_hosts(url)
        self._sql = compile_for_postgres()
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self._batches = compile_batches_for_postgres()
        self._lanes = {
            statement: StatementLane(self, statement, sql, names) for statement, (sql, names) in self._batches.items()
        }
        self._operation_lanes: dict[str, OperationLane] = {}

    def __repr__(self) -> str:
        return "PostgresEngine(…)"

    async def read(self, statement: Statement, parameters: Parameters) -> Row | None:
        lane = self._lanes.get(statement)
        if lane is not None:
            row: Row | None = await lane.submit(parameters[lane.key], parameters)
            return row
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
            row: Row | None = await lane.submit(parameters[lane.key], parameters)
            return row
        try:
            return await self.run_single(statement, parameters)
        except InDoubt:
            if statement.confirm is None:
                raise
            return await settle(self.run_single, statement, parameters)

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
        """One statement for many callers; all its rows. `SharedFailure` where each of them alone may fare better."""
        try:
            rows: list[Row] = await self._try(name, lambda c: c.fetch(sql, *columns), is_read=is_read)
        except StoreUnavailable as error:
            _raise_shared(error)
            raise
        return rows

    async def commit_together(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Many operations in one transaction, statement by statement, of which each is one round trip for all that ask
        it where it has a form for many; all their outcomes. `SharedFailure` where each alone may fare better."""

        async def run(connection: Any) -> list[Any]:
            async with connection.transaction():
                steps = [operation() for operation in operations]
                outcomes: dict[int, Any] = {}
                given: dict[int, Any] = dict.fromkeys(range(len(steps)))
                while given:
                    asked: dict[Statement, dict[int, Any]] = {}
                    for number, row in given.items():
                        try:
                            statement, parameters = steps[number].send(row)
                        except StopIteration as stop:
                            outcomes[number] = stop.value
                        else:
                            asked.setdefault(statement, {})[number] = parameters
                    given = {}
                    for statement, callers in asked.items():
                        given |= await self._run_step(connection, statement, callers)
                return [outcomes[number] for number in range(len(steps))]

        try:
            return await self._try("operations", run)
        except StoreUnavailable as error:
            _raise_shared(error)
            raise

    async def _run_step(self, connection: Any, statement: Statement, callers: dict[int, Any]) -> dict[int, Any]:
        if statement.batch is None or len(callers) == 1:
            return {number: await self._run_one(connection, statement, each) for number, each in callers.items()}
        sql, names = self._batches[statement]
        columns = [[parameters[name] for parameters in callers.values()] for name in names]
        by_key = {row[0]: row for row in await connection.fetch(sql, *columns)}
        return {number: by_key.get(parameters[statement.batch.key]) for number, parameters in callers.items()}

    async def _run_one(self, connection: Any, statement: Statement, parameters: Any) -> Any:
        """What a step of an operation gets for its statement."""
        sql, names = self._sql[statement]
        if isinstance(parameters, list):
            return await connection.executemany(sql, [[each[name] for name in names] for each in parameters])
        fetch = connection.fetch if statement.gives_all else connection.fetchrow
        return await fetch(sql, *(parameters[name] for name in names))

    async def commit(self, operation: Operation[Outcome]) -> Outcome:
        async def run(connection: Any) -> Outcome:
            async with connection.transaction():
                steps = operation()
                try:
                    statement, parameters = next(steps)
                    while True:
                        statement, parameters = steps.send(await self._run_one(connection, statement, parameters))
                except StopIteration as stop:
                    outcome: Outcome = stop.value
                    return outcome

        return await self._try("operation", run)

    async def commit_shared(self, kind: str, key: bytes, operation: Operation[Outcome]) -> Outcome:
        lane = self._operation_lanes.get(kind)
        if lane is None:
            lane = self._operation_lanes[kind] = OperationLane(self)
        outcome: Outcome = await lane.submit(key, operation)
        return outcome

    def find_version(self) -> int | None:
        return None

    async def close(self) -> None:
        for lane in self._lanes.values():
            lane.close()
        if self._pool is not None:
            await self._pool.close()

    async def _try(self, name: str, work: Callable[[Any], Awaitable[Answer]], *, is_read: bool = False) -> Answer:
        """Do the work on one connection; again while nothing of it can have happened."""
        for remaining in reversed(range(_TRIES)):
            has_begun = False
            try:
                pool = self._pool or await self._open()
                async with pool.acquire(timeout=CONNECT_TIMEOUT * len(self._hosts) + _POOL_TIMEOUT) as connection:
                    has_begun = True
                    return await work(connection)
            except FAILURES as error:
                if isinstance(error, asyncpg.ReadOnlySQLTransactionError) and self._pool is not None:
                    await self._pool.expire_connections()  # what was the primary is none any more
                # A value that the driver cannot send is an `InterfaceError` as well, and nothing is lost by it.
                is_lost = isinstance(error, _LOST) and not isinstance(error, ValueError)
                may_try_again = is_read and is_lost and not isinstance(error, TimeoutError)
                if not remaining or not (isinstance(error, _UNDONE) or may_try_again):
                    kind = InDoubt if has_begun and is_lost and not is_read else StoreUnavailable
                    raise kind(f"{name}: {type(error).__name__}") from error
        raise AssertionError("the last try answers or raises")

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    min_size=0,  # nothing in the background: a connection is made for whoever asks
                    max_size=MAX_CONNECTIONS,
                    connect=self._connect,
                    command_timeout=STATEMENT_TIMEOUT + 1,
                    server_settings={
                        "application_name": "latchstring",
                        "statement_timeout": str(int(STATEMENT_TIMEOUT * 1000)),
                    },
                )
        return self._pool

    async def _connect(self, _: None, **options: Any) -> asyncpg.Connection:
        return await connect(self._hosts, **options)


def _raise_shared(error: StoreUnavailable) -> None:
    if isinstance(error.__cause__, (*_UNDONE, *_OWN_FAULT)):
        raise SharedFailure(*error.args) from error


async def connect(hosts: list[str], **options: Any) -> asyncpg.Connection:
    """A connection to that one of the hosts which takes writes; it stands first from then on."""
    tried = tuple(hosts)  # others that connect at the same time may put another one first
    for host in tried:
        try:
            made = await asyncpg.connect(host, timeout=CONNECT_TIMEOUT, target_session_attrs="read-write", **options)
        except FAILURES:
            if host == tried[-1]:
                raise
        else:
            if host != hosts[0]:
                hosts.remove(host)
                hosts.insert(0, host)
            return made
    raise AssertionError("the last host answers or raises")


async def find_durability(url: str) -> dict[str, str]:
    """The settings of the database that decide what survives a crash of it, or the loss of its primary."""
    connection = await connect(split_hosts(url))
    try:
        return {name: await connection.fetchval(f"SHOW {name}") for name in _DURABILITY}
    finally:
        await connection.close()


async def find_schema_version(url: str) -> str | None:
    """The revision that the database's schema has, or None for a database without one."""
    connection = await connect(split_hosts(url))
    try:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        version: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
        return version
    finally:
        await connection.close()
