"""Connections: a member's own, and for an admin an organization's; what is live, what has ended, and how to end it."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from latchstring.authorization_server.connection_ports import ConnectionFilter
from latchstring.authorization_server.events import SYSTEM, Origin
from latchstring.authorization_server.identifiers import GRANT, parse_identifier
from latchstring.authorization_server.organization_policy import Risk
from latchstring.authorization_server.ports import Clock, Commit, Store
from latchstring.authorization_server.records import ConnectionRecord, GrantRecord
from latchstring.authorization_server.refusals import DISCONNECTED, DISCONNECTED_BY_ADMIN, MEMBERSHIP_ENDED
from latchstring.authorization_server.settings import Settings

PAGE_SIZE: Final = 50
_DAY: Final = 24 * 3600
_MAX_STRETCHES: Final = 4
_AT_MOST: Final = 200
_EXPORTED_AT_ONCE: Final = 500


class ConnectionPage(msgspec.Struct, frozen=True):
    """Connections, newest first, and the id to look on from. There may be more beyond it even where the page is not
    full: a page looks at so many and no further."""

    connections: Sequence[ConnectionRecord]
    next_before: bytes | None


class Connections:
    """Lists and ends a member's own grants."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def find(self, user_id: str) -> Sequence[ConnectionRecord]:
        """The member's live connections, newest first; expired ones are not among them."""
        return await self._store.find_connections(user_id, now=self._clock())

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

    async def end_app(self, client_id: str, user_id: str, *, origin: Origin = SYSTEM) -> Sequence[ConnectionRecord]:
        """End all of the member's own grants of an app; which they were."""
        own = [each for each in await self.find(user_id) if each.grant.client_id == client_id]
        for each in own:
            await self._store.disconnect(each.grant, by=user_id, reason=DISCONNECTED, now=self._clock(), origin=origin)
        return own

    async def _find_own(self, grant_identifier: str, user_id: str) -> GrantRecord | None:
        grant_id = parse_identifier(GRANT, grant_identifier)
        grant = None if grant_id is None else await self._store.find_grant(grant_id)
        return None if grant is None or grant.user_id != user_id or grant.status == "pending" else grant


class OrganizationConnections:
    """Lists and ends what reaches an organization, for one of its admins: the caller has made sure of that."""

    def __init__(self, *, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    async def find_filter(
        self, *, client_id: str, person: str, unused_days: int | None, has_ended: bool
    ) -> ConnectionFilter | None:
        """What is asked of the store; None where the person, who goes by email, is nobody: then nothing is theirs."""
        user_id = None
        if person:
            user = await self._store.find_user_by_email(person)
            if user is None:
                return None
            user_id = user.user_id
        return ConnectionFilter(
            client_id=client_id or None,
            user_id=user_id,
            has_ended=has_ended,
            unused_since=None if unused_days is None else self._clock() - unused_days * _DAY,
        )

    async def find(
        self,
        organization_id: str,
        wanted: ConnectionFilter,
        *,
        risk: Risk | None = None,
        before: bytes | None = None,
        page_size: int = PAGE_SIZE,
    ) -> ConnectionPage:
        """A page of them; with a `risk`, those alone that reach something of it."""
        found: list[ConnectionRecord] = []
        at_most = page_size if risk is None else _AT_MOST
        for _ in range(_MAX_STRETCHES):
            stretch = await self._store.find_connections_before(
                organization_id, wanted, before=before, at_most=at_most, now=self._clock()
            )
            for connection in stretch.connections:
                if risk is None or self._reaches(connection, risk):
                    found.append(connection)
                if len(found) == page_size:
                    return ConnectionPage(found, connection.grant.id)
            before = stretch.next_before
            if before is None:
                break
        return ConnectionPage(found, before)

    async def export(
        self, organization_id: str, wanted: ConnectionFilter, *, risk: Risk | None = None
    ) -> AsyncIterator[ConnectionRecord]:
        """All of them, a stretch at a time."""
        before: bytes | None = None
        while True:
            stretch = await self._store.find_connections_before(
                organization_id, wanted, before=before, at_most=_EXPORTED_AT_ONCE, now=self._clock()
            )
            for connection in stretch.connections:
                if risk is None or self._reaches(connection, risk):
                    yield connection
            before = stretch.next_before
            if before is None:
                return

    def _reaches(self, connection: ConnectionRecord, risk: Risk) -> bool:
        scopes = self._settings.scopes
        return any(name in scopes and scopes[name].risk == risk for name in connection.grant.scope)

    async def end(self, organization_id: str, grant_identifiers: Sequence[str], *, by: str, origin: Origin) -> int:
        """End those of the organization's grants; they are dead when this returns. How many there were to end."""
        count = 0
        for name in grant_identifiers:
            grant = await self._find_of(organization_id, name)
            if grant is not None:
                ended = await self._store.disconnect(
                    grant, by=by, reason=DISCONNECTED_BY_ADMIN, now=self._clock(), origin=origin
                )
                count += ended is Commit.APPLIED
        return count

    async def end_app(self, organization_id: str, client_id: str, *, origin: Origin) -> None:
        """End all that an app has in the organization; it is dead when this returns."""
        await self._store.end_app_grants(
            organization_id=organization_id,
            client_id=client_id,
            reason=DISCONNECTED_BY_ADMIN,
            now=self._clock(),
            origin=origin,
        )

    async def find_left(self, organization_id: str, grant_identifier: str) -> GrantRecord | None:
        """The grant of that name, if it waits for a member who has left."""
        grant = await self._find_of(organization_id, grant_identifier)
        is_left = grant is not None and grant.status == "suspended" and grant.suspended_reason == MEMBERSHIP_ENDED
        return grant if is_left else None

    async def take_over(
        self, organization_id: str, grant_identifier: str, user_id: str, *, origin: Origin
    ) -> GrantRecord | None:
        """Let such a grant stand for the admin who asks, within the scope that it has (`docs/decisions/0023`)."""
        grant = await self.find_left(organization_id, grant_identifier)
        if grant is None:
            return None
        taken = await self._store.take_over_grant(
            grant.id,
            organization_id=organization_id,
            from_user=grant.user_id,
            new_user=user_id,
            scope=grant.scope,
            now=self._clock(),
            origin=origin,
        )
        return grant if taken is Commit.APPLIED else None

    async def _find_of(self, organization_id: str, grant_identifier: str) -> GrantRecord | None:
        grant_id = parse_identifier(GRANT, grant_identifier)
        grant = None if grant_id is None else await self._store.find_grant(grant_id)
        is_theirs = grant is not None and grant.organization_id == organization_id and grant.status != "pending"
        return grant if is_theirs else None
