"""What an operator does to people, organizations and apps: pause, end, bring back."""

from enum import Enum
from typing import Final, Literal

from latchstring.authorization_server.apps import Apps
from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.ports import Clock, Commit, Store

UserChange = Literal["disable", "enable", "delete"]
OrganizationChange = Literal["close", "reopen"]
AppChange = Literal["suspend", "reinstate", "delete"]
MAX_REASON_LENGTH: Final = 300


class Overseen(Enum):
    """How a change ended: `STALE` where there was nothing of the kind to change, `YOURSELF` where an operator would
    shut themselves out."""

    APPLIED = "applied"
    STALE = "stale"
    YOURSELF = "yourself"


class Oversight:
    """Changes them; the caller has made sure that an operator asks."""

    def __init__(self, *, store: Store, apps: Apps, clock: Clock) -> None:
        self._store = store
        self._apps = apps
        self._clock = clock

    async def change_user(self, user_id: str, change: UserChange, *, origin: Origin) -> Overseen:
        """Disable, enable or delete an account; an operator's own is another operator's to change."""
        if user_id == origin.actor_id:
            return Overseen.YOURSELF
        store = self._store
        changes = {"disable": store.disable_user, "enable": store.enable_user, "delete": store.delete_user}
        return _tell(await changes[change](user_id, now=self._clock(), origin=origin))

    async def change_organization(
        self, organization_id: str, change: OrganizationChange, *, origin: Origin
    ) -> Overseen:
        """Close an organization or open it again."""
        changes = {"close": self._store.close_organization, "reopen": self._store.reopen_organization}
        return _tell(await changes[change](organization_id, now=self._clock(), origin=origin))

    async def change_app(self, client_id: str, change: AppChange, *, reason: str, origin: Origin) -> Overseen:
        """Suspend an app, with a reason for its developer; reinstate or delete it."""
        if change == "delete":
            return _tell(await self._apps.end(client_id, origin=origin))
        if change == "reinstate":
            return _tell(await self._store.reinstate_client(client_id, now=self._clock(), origin=origin))
        reason = reason.strip()[:MAX_REASON_LENGTH]
        return _tell(await self._store.suspend_client(client_id, reason=reason, now=self._clock(), origin=origin))


def _tell(commit: Commit) -> Overseen:
    return Overseen.STALE if commit is Commit.LOST else Overseen.APPLIED
