"""What the stores on SQL databases have in common: each operation of the contract is one conditional statement."""

from abc import ABC, abstractmethod
from typing import Any

import msgspec

from latchstring.client.connection import Connection, ConnectionKey, PendingLogin
from latchstring.client.stores.records import (
    hash_state,
    parse_connection,
    parse_login,
    render_connection,
    render_key,
    render_login,
)


class Statements(msgspec.Struct, frozen=True, kw_only=True):
    """The statements in a database's own dialect. Each returns rows: a connection's record, generation and
    `refreshing_since`, a login's record, or a 1 for what was written."""

    find: str
    find_all: str
    connected: str
    lease: str
    commit: str
    forget: str
    sweep: str
    login: str
    end_login: str


class StatementStore(ABC):
    """A `ConnectionStore` over `_run`, which runs one statement, atomic by itself and durable when it returns."""

    _statements: Statements

    @abstractmethod
    def _run(self, statement: str, terms: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The statement's rows; raises `StoreUnavailable`."""

    def find_connection(self, key: ConnectionKey) -> Connection | None:
        rows = self._run(self._statements.find, render_key(key))
        return parse_connection(*rows[0]) if rows else None

    def find_connections(self, issuer: str) -> list[Connection]:
        return [parse_connection(*row) for row in self._run(self._statements.find_all, {"issuer": issuer})]

    def commit_connected(self, connection: Connection) -> Connection:
        rows = self._run(self._statements.connected, render_connection(connection))
        return parse_connection(*rows[0])

    def commit_lease(
        self, key: ConnectionKey, *, generation: int, holder: str, now: float, until: float, refreshes: bool
    ) -> Connection | None:
        terms = {"expected": generation, "holder": holder, "now": now, "until": until, "refreshes": refreshes}
        rows = self._run(self._statements.lease, render_key(key) | terms)
        return parse_connection(*rows[0]) if rows else None

    def commit_connection(self, connection: Connection, *, generation: int, holder: str) -> bool:
        terms = {"expected": generation, "holder": holder}
        return bool(self._run(self._statements.commit, render_connection(connection) | terms))

    def end_connection(self, key: ConnectionKey) -> None:
        self._run(self._statements.forget, render_key(key))

    def commit_login(self, login: PendingLogin, *, now: float) -> None:
        self._run(self._statements.sweep, {"now": now})
        self._run(self._statements.login, render_login(login))

    def end_login(self, state: str, *, browser_hash: str) -> PendingLogin | None:
        rows = self._run(self._statements.end_login, {"state_hash": hash_state(state), "browser_hash": browser_hash})
        return parse_login(rows[0][0]) if rows else None
