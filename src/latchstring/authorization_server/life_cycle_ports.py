"""What the server asks of a store about what begins, pauses and ends. Every method answers when all that follows from
the change is done: what it shuts is shut everywhere."""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

import msgspec

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import SYSTEM, Origin
from latchstring.authorization_server.records import Role


class MembershipChange(Enum):
    """How a change of a membership ended: `LAST_ADMIN` would have left the organization without one."""

    APPLIED = "applied"
    NO_MEMBER = "no_member"
    LAST_ADMIN = "last_admin"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A membership that lasts, as an admin sees it; `key` is what a page of them goes on from."""

    user_id: str
    name: str
    email: str
    role: Role
    created_at: int
    suspended_at: int | None
    is_disabled: bool
    key: str


class LifeCycleStore(Protocol):
    """Memberships, organizations, users and apps as they come and go; `origin` is who did it."""

    async def add_membership(
        self, *, user_id: str, organization_id: str, role: Role, now: int, origin: Origin = SYSTEM
    ) -> Commit:
        """Begin or resume a membership, and resume the grants that its end suspended, unless the organization's rule
        has ended them by now; `LOST` if the user or the organization does not exist."""

    async def find_members(self, organization_id: str, *, after: str, at_most: int) -> Sequence[Member]:
        """The organization's members by name, from the one after that key on."""

    async def end_membership(
        self, *, user_id: str, organization_id: str, now: int, origin: Origin = SYSTEM, keeps_an_admin: bool = False
    ) -> MembershipChange:
        """End a membership; its codes end, and its grants are suspended or, by the organization's rule, ended."""

    async def suspend_membership(
        self, *, user_id: str, organization_id: str, now: int, origin: Origin, keeps_an_admin: bool = False
    ) -> MembershipChange:
        """Suspend a membership that lasts, and its grants."""

    async def resume_membership(
        self, *, user_id: str, organization_id: str, now: int, origin: Origin
    ) -> MembershipChange:
        """Resume a suspended membership and the grants that nothing else holds."""

    async def change_role(
        self, *, user_id: str, organization_id: str, role: Role, now: int, origin: Origin, keeps_an_admin: bool = False
    ) -> MembershipChange:
        """Give a member another role, noted on their grants."""

    async def take_over_grant(
        self,
        grant_id: bytes,
        *,
        organization_id: str,
        from_user: str,
        new_user: str,
        scope: tuple[str, ...],
        now: int,
        origin: Origin,
    ) -> Commit:
        """Let a suspended grant of one who has left stand for a member, within that scope."""

    async def close_organization(self, organization_id: str, *, now: int, origin: Origin) -> Commit:
        """Close an organization, suspend its grants and those of its apps; `LOST` if it is closed."""

    async def reopen_organization(self, organization_id: str, *, now: int, origin: Origin) -> Commit:
        """Open it again and resume what nothing else holds."""

    async def set_leaver_policy(
        self, organization_id: str, *, end_after: int | None, now: int, origin: Origin
    ) -> Commit:
        """After how many seconds the grants of members who have left end; None keeps them."""

    async def disable_user(self, user_id: str, *, now: int, origin: Origin) -> Commit:
        """Disable a user, end their sessions, suspend their grants."""

    async def enable_user(self, user_id: str, *, now: int, origin: Origin) -> Commit:
        """Enable a user again and resume what nothing else holds."""

    async def delete_user(self, user_id: str, *, now: int, origin: Origin) -> Commit:
        """End all that the user has, and forget who it was."""

    async def suspend_client(self, client_id: str, *, reason: str, now: int, origin: Origin) -> Commit:
        """Suspend an app and its grants; `LOST` if it is suspended, deleted or unknown."""

    async def reinstate_client(self, client_id: str, *, now: int, origin: Origin) -> Commit:
        """End the suspension and resume what nothing else holds."""

    async def delete_client(self, client_id: str, *, now: int, kept_until: int, origin: Origin) -> Commit:
        """End an app for good; its row can be read until `kept_until`."""

    async def publish_client(self, client_id: str, *, is_published: bool, now: int, origin: Origin) -> Commit:
        """Publish an app, or withdraw that and suspend the grants of strangers; `LOST` if nothing changes."""

    async def end_app_grants(
        self, *, organization_id: str, client_id: str, reason: str, now: int, origin: Origin
    ) -> None:
        """End every live grant that an app has in an organization."""
