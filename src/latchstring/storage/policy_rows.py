"""The port `PolicyStore` over an engine."""

from collections.abc import Sequence
from functools import partial

from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.organization_policy import AppRule, OrganizationPolicy, Standing
from latchstring.authorization_server.policy_ports import ListedRule
from latchstring.authorization_server.ports import Commit
from latchstring.storage import policy_operations
from latchstring.storage.engine import Engine
from latchstring.storage.statements import policy
from latchstring.storage.statements.policy import EVERYONE

_MAX_LISTED = 1000


class PolicyRows:
    """What organizations say about apps, in rows."""

    _engine: Engine

    async def find_standings(self, user_id: str, client_id: str) -> Sequence[Standing]:
        of_member = {"user_id": user_id, "client_id": client_id, "everyone": EVERYONE}
        rows = await self._engine.read_all(policy.FIND_STANDINGS, of_member)
        return [policy_operations.read_standing(row) for row in rows]

    async def find_organization_policy(self, organization_id: str) -> OrganizationPolicy | None:
        row = await self._engine.read(policy.FIND_POLICY, {"organization_id": organization_id})
        return None if row is None else policy_operations.read_policy(row[1:4])

    async def save_organization_policy(
        self, organization_id: str, changed: OrganizationPolicy, *, now: int, origin: Origin
    ) -> Commit:
        return await self._engine.commit(partial(policy_operations.save_policy, organization_id, changed, now, origin))

    async def find_app_rules(self, organization_id: str) -> Sequence[ListedRule]:
        listed = {"organization_id": organization_id, "at_most": _MAX_LISTED}
        rows = await self._engine.read_all(policy.FIND_RULES, listed)
        return [
            ListedRule(
                rule=policy_operations.read_rule(row[:8]),
                client_name=row[8],
                client_public_id=row[9],
                user_name=row[10] or None,
            )
            for row in rows
        ]

    async def save_app_rule(self, rule: AppRule, *, adds: bool = False, origin: Origin) -> Commit:
        return await self._engine.commit(partial(policy_operations.save_rule, rule, adds, origin))

    async def end_app_rule(
        self, organization_id: str, client_id: str, *, user_id: str | None, now: int, origin: Origin
    ) -> Commit:
        end = partial(policy_operations.end_rule, organization_id, client_id, user_id, now, origin)
        return await self._engine.commit(end)
