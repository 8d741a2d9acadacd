"""What the server asks of a store about grants as people see them."""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from latchstring.authorization_server.records import ConnectionRecord


class ConnectionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which of an organization's connections are wanted; None is any. `unused_since` is a moment: those that have not
    been used from then on."""

    client_id: str | None = None
    user_id: str | None = None
    has_ended: bool = False
    unused_since: int | None = None


class ConnectionStretch(msgspec.Struct, frozen=True):
    """The connections found in a stretch of keys, and the key to look on from; None at the end."""

    connections: Sequence[ConnectionRecord]
    next_before: bytes | None


class ConnectedApp(msgspec.Struct, frozen=True):
    """An app that has, or lately had, a connection to the organization."""

    client_id: str
    name: str


class AppReach(msgspec.Struct, frozen=True):
    """How many live connections an app has to an organization, and when the last of them was begun or refreshed."""

    organization_id: str
    organization_name: str
    count: int
    last_used_at: int | None


USE_NOTED_FOR: Final = 3600
"""Seconds after which a use is worth a note again."""


class NoteGrantUse(Protocol):
    """Notes when a grant was last used: some time later, now and then, and never waited for."""

    def __call__(self, grant_id: bytes, address: str | None, now: int) -> None:
        """The grant has just been used; by its app, if that came from an address."""


def ignore_use(grant_id: bytes, address: str | None, now: int) -> None:
    """Implements `NoteGrantUse` where nobody wants to know."""


class ConnectionStore(Protocol):
    """Connections, listed."""

    async def find_connections(self, user_id: str, *, now: int) -> Sequence[ConnectionRecord]:
        """The user's live connections, active and suspended ones, newest first."""

    async def find_connections_before(
        self, organization_id: str, wanted: ConnectionFilter, *, before: bytes | None, at_most: int, now: int
    ) -> ConnectionStretch:
        """An organization's connections of a kind, newest first, from the one before that id on. Looks no further than
        a bounded stretch of ids, so that it may find fewer, though there are more."""

    async def find_connected_apps(self, organization_id: str) -> Sequence[ConnectedApp]:
        """The apps with a connection there, live or ended, by name."""

    async def find_app_reach(self, client_id: str, *, now: int) -> Sequence[AppReach]:
        """To which organizations an app has live connections, the most first, at most 1,000."""
