"""An organization's members, as its admins change them."""

from enum import Enum
from typing import Literal

from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.life_cycle_ports import MembershipChange
from latchstring.authorization_server.ports import Clock, Commit, Store
from latchstring.authorization_server.records import Role

Change = Literal["admin", "member", "suspend", "resume", "end"]


class Adding(Enum):
    """How the adding of a member ended."""

    ADDED = "added"
    NO_ACCOUNT = "no_account"
    NO_ORGANIZATION = "no_organization"


class Members:
    """Adds and changes members; the caller has made sure that an admin asks. The last admin stays."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(self, organization_id: str, email: str, role: Role, *, origin: Origin) -> Adding:
        """Make somebody who has an account a member."""
        user = await self._store.find_user_by_email(email.strip())
        if user is None:
            return Adding.NO_ACCOUNT
        commit = await self._store.add_membership(
            user_id=user.user_id, organization_id=organization_id, role=role, now=self._clock(), origin=origin
        )
        return Adding.NO_ORGANIZATION if commit is Commit.LOST else Adding.ADDED

    async def change(self, organization_id: str, user_id: str, change: Change, *, origin: Origin) -> MembershipChange:
        """Give a member that role, or suspend, resume or end the membership."""
        store, now = self._store, self._clock()
        match change:
            case "suspend":
                return await store.suspend_membership(
                    user_id=user_id, organization_id=organization_id, now=now, origin=origin, keeps_an_admin=True
                )
            case "resume":
                return await store.resume_membership(
                    user_id=user_id, organization_id=organization_id, now=now, origin=origin
                )
            case "end":
                return await store.end_membership(
                    user_id=user_id, organization_id=organization_id, now=now, origin=origin, keeps_an_admin=True
                )
        return await store.change_role(
            user_id=user_id,
            organization_id=organization_id,
            role=change,
            now=now,
            origin=origin,
            keeps_an_admin=True,
        )
