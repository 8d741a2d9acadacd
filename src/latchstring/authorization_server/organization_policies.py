"""What an organization's admins decide about apps, and what that means for a member who is about to connect one."""

from collections.abc import Collection, Mapping, Sequence

from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.organization_policy import (
    AppRule,
    Decision,
    OrganizationPolicy,
    decide,
    list_all,
)
from latchstring.authorization_server.policy_ports import ListedRule, PolicyStore
from latchstring.authorization_server.ports import Clock, Commit
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.settings import Settings


class OrganizationPolicies:
    """Reads and changes policies and rules. Whoever changes one must be an admin there in that very transaction: it is
    `LOST` otherwise."""

    def __init__(self, *, store: PolicyStore, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    async def decide(self, client_id: str, user_id: str, asked: Sequence[str]) -> Mapping[str, Decision]:
        """For each of the user's organizations, whether they may connect the app for what it asks."""
        standings = await self._store.find_standings(user_id, client_id)
        rulebook = self._settings.rulebook
        return {standing.organization_id: decide(asked, standing, rulebook) for standing in standings}

    async def find_left_out(
        self, client_id: str, user_id: str, organization_id: str, asked: Sequence[str]
    ) -> tuple[str, ...]:
        """What of that the organization's admins approved the app without."""
        decision = (await self.decide(client_id, user_id, asked)).get(organization_id)
        return () if decision is None else decision.left_out

    async def find_policy(self, organization_id: str) -> tuple[OrganizationPolicy, bool]:
        """The policy that counts there, and whether it is the organization's own."""
        own = await self._store.find_organization_policy(organization_id)
        return (self._settings.organization_policy, False) if own is None else (own, True)

    async def change_policy(self, organization_id: str, changed: OrganizationPolicy, *, origin: Origin) -> Commit:
        """The organization's policy from now on. Connections that there are stay."""
        return await self._store.save_organization_policy(organization_id, changed, now=self._clock(), origin=origin)

    async def find_rules(self, organization_id: str) -> Sequence[ListedRule]:
        """The rules for single apps."""
        return await self._store.find_app_rules(organization_id)

    async def approve(
        self,
        organization_id: str,
        client_id: str,
        *,
        scope: tuple[str, ...],
        left_out: tuple[str, ...] = (),
        user_id: str | None = None,
        adds: bool = False,
        origin: Origin,
    ) -> Commit:
        """Let a member, or everyone without one, connect the app for that; what is `left_out` it never gets there. The
        approval takes the place of the one before, or `adds` to it."""
        return await self._store.save_app_rule(
            AppRule(
                organization_id=organization_id,
                client_id=client_id,
                user_id=user_id,
                is_blocked=False,
                scope=scope,
                left_out=left_out,
                decided_by=origin.decider,
                decided_at=self._clock(),
            ),
            adds=adds,
            origin=origin,
        )

    async def approve_parts(
        self, organization_id: str, client: ClientRecord, chosen: Collection[str], *, origin: Origin
    ) -> Commit:
        """Let everyone connect the app for what is chosen of all that it may ask for; the rest it never gets there."""
        items = list_all(client)
        return await self.approve(
            organization_id,
            client.client_id,
            scope=tuple(item for item in items if item in chosen),
            left_out=tuple(item for item in items if item not in chosen),
            origin=origin,
        )

    async def block(
        self, organization_id: str, client_id: str, *, user_id: str | None = None, origin: Origin
    ) -> Commit:
        """Block the app for a member, or for everyone without one. What it could do there is dead when this returns."""
        return await self._store.save_app_rule(
            AppRule(
                organization_id=organization_id,
                client_id=client_id,
                user_id=user_id,
                is_blocked=True,
                scope=(),
                left_out=(),
                decided_by=origin.decider,
                decided_at=self._clock(),
            ),
            origin=origin,
        )

    async def end_rule(
        self, organization_id: str, client_id: str, *, user_id: str | None = None, origin: Origin
    ) -> Commit:
        """Forget a rule: the policy decides again. `LOST` if there is none."""
        return await self._store.end_app_rule(
            organization_id, client_id, user_id=user_id, now=self._clock(), origin=origin
        )
