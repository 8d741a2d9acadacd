"""An organization's word that an app of another one may act for it, without a member (RFC 6749 §4.4)."""

from collections.abc import Sequence

from latchstring.authorization_server.apps import AppRefused, Problem
from latchstring.authorization_server.events import SYSTEM, Origin
from latchstring.authorization_server.ports import Clock, Commit, Store
from latchstring.authorization_server.records import ClientApprovalRecord, ClientRecord
from latchstring.protocol.client_metadata import CLIENT_CREDENTIALS
from latchstring.protocol.scope import OFFLINE_ACCESS


class Approvals:
    """Gives and ends approvals."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def approve(
        self,
        client_id: str,
        organization_id: str,
        *,
        scope: tuple[str, ...] | None,
        by: str,
        origin: Origin = SYSTEM,
    ) -> tuple[str, ...]:
        """What is approved: all that the client is registered for, unless told otherwise. Replaces the approval before:
        what the client got under that one is dead when this returns. `AppRefused` names what must change."""
        client = await self._store.find_client(client_id)
        if client is None or client.is_public or CLIENT_CREDENTIALS not in client.grant_types:
            why = "Give a confidential client that is registered for client_credentials."
            raise AppRefused(Problem("client", "approval_client", why))
        if client.organization_id == organization_id:
            raise AppRefused(Problem("organization", "approval_owner", "It owns the client, which needs no approval."))
        allowed = tuple(value for value in client.scope if value != OFFLINE_ACCESS)
        scope = allowed if scope is None else scope
        if not scope or not set(scope) <= set(allowed):
            raise AppRefused(Problem("scope", "approval_scope", f"The client may have: {' '.join(allowed)}."))
        commit = await self._store.approve_client(
            client_id, organization_id, scope=scope, by=by, now=self._clock(), origin=origin
        )
        if commit is Commit.LOST:
            raise AppRefused(Problem("organization", "approval_organization", "There is no such organization."))
        return scope

    async def find_lasting(self, organization_id: str) -> Sequence[tuple[ClientApprovalRecord, ClientRecord]]:
        """The organization's approvals that last, each with its client."""
        found = []
        for approval in await self._store.find_client_approvals(client_id=None, organization_id=organization_id):
            client = None if approval.ended_at is not None else await self._store.find_client(approval.client_id)
            if client is not None:
                found.append((approval, client))
        return found

    async def end(self, client_id: str, organization_id: str, *, by: str, origin: Origin = SYSTEM) -> Commit:
        """End the approval; what the client got under it is dead when this returns. `LOST` if there is none."""
        return await self._store.end_client_approval(
            client_id, organization_id, by=by, now=self._clock(), origin=origin
        )
