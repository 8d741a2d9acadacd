"""Connections in PostgreSQL: for programs on several machines. Needs the extra `client-postgres`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import psycopg
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from latchstring.client.stores.sql import Statements, StatementStore
from latchstring.protocol.errors import StoreUnavailable

# Two first openers at once take turns: CREATE … IF NOT EXISTS alone can fail for one of them.
_SCHEMA: Final = """
SELECT pg_advisory_xact_lock(7811889105116234);
CREATE TABLE IF NOT EXISTS latchstring_connection (
    issuer text NOT NULL,
    organization_id text NOT NULL,
    user_id text NOT NULL,
    generation bigint NOT NULL,
    refreshing_since double precision,
    lease_holder text,
    lease_until double precision NOT NULL DEFAULT 0,
    record bytea NOT NULL,
    PRIMARY KEY (issuer, organization_id, user_id)
);
CREATE TABLE IF NOT EXISTS latchstring_login (
    state_hash bytea PRIMARY KEY,
    browser_hash text NOT NULL,
    expires_at double precision NOT NULL,
    record bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS latchstring_login_expires_at ON latchstring_login (expires_at);
"""
_KEY: Final = "issuer = %(issuer)s AND organization_id = %(organization_id)s AND user_id = %(user_id)s"
_COLUMNS: Final = "record, generation, refreshing_since"
_FIND: Final = f"SELECT {_COLUMNS} FROM latchstring_connection WHERE {_KEY}"  # noqa: S608
_FIND_ALL: Final = f"""
    SELECT {_COLUMNS} FROM latchstring_connection WHERE issuer = %(issuer)s
    ORDER BY organization_id COLLATE "C", user_id COLLATE "C" """  # noqa: S608
_CONNECTED: Final = """
    INSERT INTO latchstring_connection AS c (issuer, organization_id, user_id, generation, record)
    VALUES (%(issuer)s, %(organization_id)s, %(user_id)s, %(generation)s, %(record)s)
    ON CONFLICT (issuer, organization_id, user_id) DO UPDATE SET generation = c.generation + 1,
        record = excluded.record, refreshing_since = NULL, lease_holder = NULL, lease_until = 0
    RETURNING c.record, c.generation, c.refreshing_since"""
_LEASE: Final = f"""
    UPDATE latchstring_connection SET lease_holder = %(holder)s, lease_until = %(until)s,
        refreshing_since = coalesce(refreshing_since, CASE WHEN %(refreshes)s THEN %(now)s::double precision END)
    WHERE {_KEY} AND generation = %(expected)s AND lease_until <= %(now)s
    RETURNING {_COLUMNS}"""  # noqa: S608
_COMMIT: Final = f"""
    UPDATE latchstring_connection SET generation = %(generation)s, refreshing_since = %(refreshing_since)s,
        record = %(record)s,
        lease_until = CASE WHEN lease_holder = %(holder)s THEN 0 ELSE lease_until END,
        lease_holder = CASE WHEN lease_holder = %(holder)s THEN NULL ELSE lease_holder END
    WHERE {_KEY} AND generation = %(expected)s
    RETURNING 1"""  # noqa: S608
_FORGET: Final = f"DELETE FROM latchstring_connection WHERE {_KEY} RETURNING 1"  # noqa: S608
_SWEEP: Final = "DELETE FROM latchstring_login WHERE expires_at <= %(now)s RETURNING 1"
_LOGIN: Final = """
    INSERT INTO latchstring_login VALUES (%(state_hash)s, %(browser_hash)s, %(expires_at)s, %(record)s) RETURNING 1"""
_END_LOGIN: Final = """
    DELETE FROM latchstring_login WHERE state_hash = %(state_hash)s AND browser_hash = %(browser_hash)s
    RETURNING record"""

_STATEMENTS: Final = Statements(
    find=_FIND,
    find_all=_FIND_ALL,
    connected=_CONNECTED,
    lease=_LEASE,
    commit=_COMMIT,
    forget=_FORGET,
    sweep=_SWEEP,
    login=_LOGIN,
    end_login=_END_LOGIN,
)


class PostgresStore(StatementStore):
    """A `ConnectionStore` in two tables of a database, made when first used. Every write is one conditional statement,
    durable when it is answered.

    `url` as libpq takes it; `time_limit` in seconds, for one call. Safe across threads; make one in each process.
    """

    _statements = _STATEMENTS

    def __init__(self, url: str, *, time_limit: float = 10.0, max_connections: int = 4) -> None:
        milliseconds = int(time_limit * 1000)
        self._time_limit = time_limit
        self._is_prepared = False
        self._pool = ConnectionPool(
            url,
            min_size=0,
            max_size=max_connections,
            timeout=time_limit,
            open=False,
            kwargs={
                "autocommit": True,
                "connect_timeout": max(1, int(time_limit)),
                "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}",
            },
        )

    def close(self) -> None:
        """Let go of the database for good."""
        self._pool.close()

    def _run(self, statement: str, terms: dict[str, Any]) -> list[tuple[Any, ...]]:
        with _unavailable():
            self._pool.open()
            with self._pool.connection() as database:
                if not self._is_prepared:
                    with database.transaction():
                        database.execute(_SCHEMA)
                    self._is_prepared = True
                return database.execute(statement, terms).fetchall()

    def __repr__(self) -> str:
        return "PostgresStore(…)"


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, PoolTimeout, PoolClosed, TooManyRequests, OSError, msgspec.DecodeError) as error:
        raise StoreUnavailable(type(error).__name__) from error
