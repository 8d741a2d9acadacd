"""Connections in memory: for tests and for programs of one process that may forget."""

import threading
from dataclasses import dataclass

from latchstring.client.connection import Connection, ConnectionKey, PendingLogin


@dataclass
class _Entry:
    connection: Connection
    lease_holder: str = ""
    lease_until: float = 0.0


class MemoryStore:
    """A `ConnectionStore` that is safe across threads and ends with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[ConnectionKey, _Entry] = {}
        self._logins: dict[str, PendingLogin] = {}

    def find_connection(self, key: ConnectionKey) -> Connection | None:
        with self._lock:
            entry = self._entries.get(key)
            return None if entry is None else entry.connection

    def find_connections(self, issuer: str) -> list[Connection]:
        with self._lock:
            keys = sorted(key for key in self._entries if key.issuer == issuer)
            return [self._entries[key].connection for key in keys]

    def commit_connected(self, connection: Connection) -> Connection:
        with self._lock:
            older = self._entries.get(connection.key)
            if older is not None:
                connection = connection.replace(generation=older.connection.generation + 1)
            self._entries[connection.key] = _Entry(connection)
            return connection

    def commit_lease(
        self, key: ConnectionKey, *, generation: int, holder: str, now: float, until: float, refreshes: bool
    ) -> Connection | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.connection.generation != generation or entry.lease_until > now:
                return None
            entry.lease_holder, entry.lease_until = holder, until
            if refreshes and entry.connection.refreshing_since is None:
                entry.connection = entry.connection.replace(refreshing_since=now)
            return entry.connection

    def commit_connection(self, connection: Connection, *, generation: int, holder: str) -> bool:
        with self._lock:
            entry = self._entries.get(connection.key)
            if entry is None or entry.connection.generation != generation:
                return False
            entry.connection = connection
            if entry.lease_holder == holder:
                entry.lease_holder, entry.lease_until = "", 0.0
            return True

    def end_connection(self, key: ConnectionKey) -> None:
        with self._lock:
            self._entries.pop(key, None)

    def commit_login(self, login: PendingLogin, *, now: float) -> None:
        with self._lock:
            for state in [state for state, kept in self._logins.items() if kept.expires_at <= now]:
                del self._logins[state]
            self._logins[login.state] = login

    def end_login(self, state: str, *, browser_hash: str) -> PendingLogin | None:
        with self._lock:
            login = self._logins.get(state)
            if login is None or login.browser_hash != browser_hash:
                return None
            return self._logins.pop(state)
