"""What the server asks of the store about an organization's word on apps; each method is atomic, as in `ports`."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.organization_policy import AppRule, OrganizationPolicy, Standing
from latchstring.authorization_server.ports import Commit


class ListedRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with the names that people know: of the app, and of the member whom it is for."""

    rule: AppRule
    client_name: str
    client_public_id: str | None
    user_name: str | None


class PolicyStore(Protocol):
    """Organizations' policies, and their rules for single apps."""

    async def find_standings(self, user_id: str, client_id: str) -> Sequence[Standing]:
        """How the app stands with each organization that the user is a member of."""

    async def find_organization_policy(self, organization_id: str) -> OrganizationPolicy | None:
        """The organization's own policy; None where the deployment's counts."""

    async def save_organization_policy(
        self, organization_id: str, changed: OrganizationPolicy, *, now: int, origin: Origin
    ) -> Commit:
        """Put a policy in place of the one before; consents after this follow it. `LOST` if there is no such
        organization, or who asks is no admin of it."""

    async def find_app_rules(self, organization_id: str) -> Sequence[ListedRule]:
        """The organization's rules by app, at most 1,000."""

    async def save_app_rule(self, rule: AppRule, *, adds: bool = False, origin: Origin) -> Commit:
        """Put a rule in place of the one before, for the same app and member; an approval may add to the one before.
        A block ends the app's grants there, and its approval to act without a member, in the same transaction. `LOST`
        if there is no such organization, or who asks is no admin of it."""

    async def end_app_rule(
        self, organization_id: str, client_id: str, *, user_id: str | None, now: int, origin: Origin
    ) -> Commit:
        """Delete a rule; `LOST` if there is none, or nobody to decide."""
