"""A member's connections: what is live, and how to end it."""

from collections.abc import Sequence

from latchstring.authorization_server.events import SYSTEM, Origin
from latchstring.authorization_server.identifiers import GRANT, parse_identifier
from latchstring.authorization_server.ports import Clock, Store
from latchstring.authorization_server.records import ConnectionRecord, GrantRecord
from latchstring.authorization_server.refusals import DISCONNECTED


class Connections:
    """Lists and ends a member's own grants."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def find(self, user_id: str) -> Sequence[ConnectionRecord]:
        """The member's live connections, newest first; expired ones are not among them."""
        now = self._clock()
        return [
            connection
            for connection in await self._store.find_connections(user_id)
            if connection.grant.expires_at is None or connection.grant.expires_at > now
        ]

    async def find_ended(self, grant_identifier: str, user_id: str) -> GrantRecord | None:
        """The member's own grant of that name, if it has ended."""
        grant = await self._find_own(grant_identifier, user_id)
        return grant if grant is not None and grant.status == "ended" else None

    async def end(self, grant_identifier: str, user_id: str, *, origin: Origin = SYSTEM) -> GrantRecord | None:
        """End the member's own grant; it is dead when this returns. None if there is no such grant of theirs."""
        grant = await self._find_own(grant_identifier, user_id)
        if grant is None:
            return None
        await self._store.disconnect(grant, by=user_id, reason=DISCONNECTED, now=self._clock(), origin=origin)
        return grant

    async def _find_own(self, grant_identifier: str, user_id: str) -> GrantRecord | None:
        grant_id = parse_identifier(GRANT, grant_identifier)
        grant = None if grant_id is None else await self._store.find_grant(grant_id)
        return None if grant is None or grant.user_id != user_id or grant.status == "pending" else grant
