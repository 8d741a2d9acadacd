"""What a client asks of the place where connections are kept. Every store passes tests/client/test_stores.py.

Each method is one atomic step. A store that cannot answer or cannot commit raises
`latchstring.protocol.errors.StoreUnavailable`; nothing is then taken for done.
"""

from typing import Protocol

from latchstring.client.connection import Connection, ConnectionKey, PendingLogin


class ConnectionStore(Protocol):
    """Connections, the lease on each of them, and logins under way. Safe across threads and processes."""

    def find_connection(self, key: ConnectionKey) -> Connection | None:
        """The connection as last committed."""

    def find_connections(self, issuer: str) -> list[Connection]:
        """Every connection with that issuer, by organization and user."""

    def commit_connected(self, connection: Connection) -> Connection:
        """Write a new grant's connection over an older one of the same key, if any.

        Its generation becomes one more than the older one's, so that a refresh of the older grant loses.
        """

    def commit_lease(
        self, key: ConnectionKey, *, generation: int, holder: str, now: float, until: float, refreshes: bool
    ) -> Connection | None:
        """Take the lease if it is free or over and the connection still stands at `generation`, else None.

        With `refreshes` the same write sets `refreshing_since` to `now`, unless it already stands. The
        connection is returned as it is inside the lease.
        """

    def commit_connection(self, connection: Connection, *, generation: int, holder: str) -> bool:
        """Whether the connection still stood at `generation`: then it is written and the lease ended."""

    def end_connection(self, key: ConnectionKey) -> None:
        """Erase the connection and its tokens."""

    def commit_login(self, login: PendingLogin, *, now: float) -> None:
        """Keep a login until it is ended or expires; logins that have expired by `now` are swept."""

    def end_login(self, state: str, *, browser_hash: str) -> PendingLogin | None:
        """Hand out the login once: to the browser that began it, and never again."""
