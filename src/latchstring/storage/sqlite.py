"""SQLite, embedded: direct reads, and one commit lane for every write of the process.

Writes that arrive together share one transaction and are answered after its commit, each with its own outcome
(group commit). WAL with `synchronous=FULL`: what was answered survives a power cut. Another process at the same
file is waited for without holding up the event loop.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from latchstring.protocol.errors import ConfigurationError, StoreUnavailable
from latchstring.storage.engine import Operation, Outcome, Row
from latchstring.storage.statements.compiled import compile_for_sqlite
from latchstring.storage.statements.statement import Parameters, Statement

# How long a batch waits for another process's write lock, and how often it asks (seconds).
LOCK_WAIT: Final = 5.0
LOCK_POLL: Final = 0.002
MAX_BATCH: Final = 512

_Work = tuple[Statement, Parameters] | Operation[Any]
_Batch = list[tuple[_Work, asyncio.Future[Any]]]


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode; refuses a file that is no database or cannot be opened."""
    try:
        connection = sqlite3.connect(path, timeout=LOCK_WAIT, isolation_level=None, cached_statements=256)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
    except sqlite3.Error as error:
        raise ConfigurationError(f"database {path}: cannot be opened as SQLite ({error})") from None
    return connection


def find_schema_version(path: Path) -> str | None:
    """The revision that the file's schema has, or None for a file without one."""
    connection = connect(path)
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])
    except sqlite3.OperationalError:
        return None
    except sqlite3.DatabaseError as error:
        raise ConfigurationError(f"database {path}: cannot be read ({error})") from None
    finally:
        connection.close()


class SqliteEngine:
    """One SQLite file. Belongs to one event loop; the commit lane runs in its thread.

    Reads of one turn of the event loop share one read transaction. It is begun after the requests of that turn had
    arrived and ended before those of the next one run, so none of them misses what was acknowledged before it was sent.
    """

    def __init__(self, path: Path) -> None:
        self._sql = compile_for_sqlite()
        # One connection for reads and writes: its page cache stays valid over its own commits.
        self._connection = connect(path)
        self._is_reading = False
        self._version = 0
        self._queue: _Batch = []
        self._is_scheduled = False
        self._waiting_since: float | None = None

    async def read(self, statement: Statement, parameters: Parameters) -> Row | None:
        try:
            if not self._is_reading:
                self._begin_reading()
            row: Row | None = self._connection.execute(self._sql[statement], parameters).fetchone()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{statement.name}: {error}") from error
        return row

    async def read_all(self, statement: Statement, parameters: Parameters) -> Sequence[Row]:
        try:
            if not self._is_reading:
                self._begin_reading()
            return self._connection.execute(self._sql[statement], parameters).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{statement.name}: {error}") from error

    async def write(self, statement: Statement, parameters: Parameters) -> Row | None:
        row: Row | None = await self._submit((statement, parameters))
        return row

    async def commit(self, operation: Operation[Outcome]) -> Outcome:
        outcome: Outcome = await self._submit(operation)
        return outcome

    async def commit_shared(self, kind: str, key: bytes, operation: Operation[Outcome]) -> Outcome:
        return await self.commit(operation)  # as everything here

    def _submit(self, work: _Work) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._queue.append((work, future))
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._flush, loop)
        return future

    async def close(self) -> None:
        while self._queue:
            await asyncio.wait([future for _, future in self._queue])
        self._end_reading()
        self._connection.close()

    def find_version(self) -> int | None:
        try:
            if not self._is_reading:
                self._begin_reading()
        except sqlite3.Error:
            return None
        return self._version

    def _begin_reading(self) -> None:
        self._connection.execute("BEGIN")
        self._is_reading = True
        asyncio.get_running_loop().call_soon(self._end_reading)
        # The first read of the transaction: fixes what it sees, and tells whether another connection has written.
        self._version = self._connection.execute("PRAGMA data_version").fetchone()[0]

    def _end_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                self._roll_back()  # nothing was written; the next one must be able to begin

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Apply what is queued in one transaction, and answer each operation after the commit."""
        self._end_reading()
        try:
            self._take_write_lock()
        except sqlite3.Error as error:
            if self._may_wait(loop, error):
                loop.call_later(LOCK_POLL, self._flush, loop)
            else:
                self._waiting_since = None
                _refuse(self._take(), error)
                self._go_on(loop)
            return
        self._waiting_since = None
        batch = self._take()
        try:
            outcomes = [self._apply(work) for work, _ in batch]
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._roll_back()
            _refuse(batch, error)
        except Exception:  # noqa: BLE001 -- whatever one piece of work raises is told to its own caller
            self._roll_back()
            self._apply_singly(batch)
        else:
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)
        self._go_on(loop)

    def _take_write_lock(self) -> None:
        """Begin the writing transaction, or raise at once: another process is waited for by timer, not by sleeping."""
        self._connection.execute("PRAGMA busy_timeout=0")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        finally:
            self._connection.execute(f"PRAGMA busy_timeout={int(LOCK_WAIT * 1000)}")

    def _apply(self, work: _Work) -> Any:
        execute, sql = self._connection.execute, self._sql
        if isinstance(work, tuple):
            rows = execute(sql[work[0]], work[1]).fetchall()
            return rows[0] if rows else None
        steps = work()
        try:
            statement, parameters = next(steps)
            while True:
                if isinstance(parameters, list):
                    self._connection.executemany(sql[statement], parameters)
                    statement, parameters = steps.send(None)
                    continue
                rows = execute(sql[statement], parameters).fetchall()
                if statement.gives_all:
                    statement, parameters = steps.send(rows)
                else:
                    statement, parameters = steps.send(rows[0] if rows else None)
        except StopIteration as stop:
            return stop.value

    def _apply_singly(self, batch: _Batch) -> None:
        """One transaction each: what the database refuses fails alone, never its neighbours."""
        for work, future in batch:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                outcome = self._apply(work)
                self._connection.execute("COMMIT")
            except Exception as error:  # noqa: BLE001 -- told to its caller
                self._roll_back()
                _refuse([(work, future)], error)
            else:
                if not future.done():
                    future.set_result(outcome)

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")

    def _take(self) -> _Batch:
        batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
        return batch

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_scheduled = bool(self._queue)
        if self._is_scheduled:
            loop.call_soon(self._flush, loop)

    def _may_wait(self, loop: asyncio.AbstractEventLoop, error: sqlite3.Error) -> bool:
        # An error of the driver's own, such as a closed connection, has no code.
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF != sqlite3.SQLITE_BUSY:
            return False
        if self._waiting_since is None:
            self._waiting_since = loop.time()
        return loop.time() - self._waiting_since < LOCK_WAIT


def _refuse(batch: _Batch, error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(StoreUnavailable(str(error)) if isinstance(error, sqlite3.Error) else error)
