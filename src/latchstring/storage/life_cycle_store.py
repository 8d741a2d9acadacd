"""The port `LifeCycleStore` over an engine."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import SYSTEM, Origin
from latchstring.authorization_server.life_cycle_ports import Member, MembershipChange
from latchstring.authorization_server.records import Role
from latchstring.storage import life_cycle
from latchstring.storage.engine import Engine, Outcome, Steps
from latchstring.storage.statements import people

_DONE: Final = (Commit.APPLIED, MembershipChange.APPLIED)


class LifeCycleStore:
    """What begins, pauses and ends; a part of `SqlStore`."""

    _engine: Engine
    _forget: Callable[[str], None]
    _forget_all: Callable[[], None]

    async def _change(self, cause: str, now: int, operation: Callable[[], Steps[Outcome]]) -> Outcome:
        """Make the change, and answer when every grant that it concerns is settled."""
        outcome = await self._engine.commit(operation)
        if outcome in _DONE:
            while not await self._engine.commit(partial(life_cycle.go_on_settling, cause, now)):
                pass
        return outcome

    async def _change_client(self, client_id: str, now: int, operation: Callable[[], Steps[Commit]]) -> Commit:
        def change() -> Steps[Commit]:
            commit = yield from operation()
            self._forget(client_id)
            return commit

        return await self._change(client_id, now, change)

    async def add_membership(
        self, *, user_id: str, organization_id: str, role: Role, now: int, origin: Origin = SYSTEM
    ) -> Commit:
        add = partial(life_cycle.add_membership, user_id, organization_id, role, now, origin)
        return await self._change(user_id, now, add)

    async def find_members(self, organization_id: str, *, after: str, at_most: int) -> Sequence[Member]:
        listed = {"organization_id": organization_id, "after": after, "at_most": at_most}
        return [
            Member(
                user_id=row[0],
                name=row[1],
                email=row[2],
                role=row[3],
                created_at=row[4],
                suspended_at=row[5],
                is_disabled=row[6] is not None,
                key=row[7],
            )
            for row in await self._engine.read_all(people.FIND_MEMBERS, listed)
        ]

    async def end_membership(
        self, *, user_id: str, organization_id: str, now: int, origin: Origin = SYSTEM, keeps_an_admin: bool = False
    ) -> MembershipChange:
        end = partial(life_cycle.end_membership, user_id, organization_id, now, origin, keeps_an_admin)
        return await self._change(user_id, now, end)

    async def suspend_membership(
        self, *, user_id: str, organization_id: str, now: int, origin: Origin, keeps_an_admin: bool = False
    ) -> MembershipChange:
        suspend = partial(life_cycle.suspend_membership, user_id, organization_id, now, origin, keeps_an_admin)
        return await self._change(user_id, now, suspend)

    async def resume_membership(
        self, *, user_id: str, organization_id: str, now: int, origin: Origin
    ) -> MembershipChange:
        return await self._change(
            user_id, now, partial(life_cycle.resume_membership, user_id, organization_id, now, origin)
        )

    async def change_role(
        self, *, user_id: str, organization_id: str, role: Role, now: int, origin: Origin, keeps_an_admin: bool = False
    ) -> MembershipChange:
        change = partial(life_cycle.change_role, user_id, organization_id, role, now, origin, keeps_an_admin)
        return await self._engine.commit(change)

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
        take = partial(
            life_cycle.take_over_grant, grant_id, organization_id, from_user, new_user, " ".join(scope), now, origin
        )
        return await self._change(new_user, now, take)

    async def close_organization(self, organization_id: str, *, now: int, origin: Origin) -> Commit:
        return await self._change_owner(
            organization_id, now, partial(life_cycle.close_organization, organization_id, now, origin)
        )

    async def reopen_organization(self, organization_id: str, *, now: int, origin: Origin) -> Commit:
        return await self._change_owner(
            organization_id, now, partial(life_cycle.reopen_organization, organization_id, now, origin)
        )

    async def _change_owner(self, organization_id: str, now: int, operation: Callable[[], Steps[Commit]]) -> Commit:
        def change() -> Steps[Commit]:
            commit = yield from operation()
            self._forget_all()
            return commit

        return await self._change(organization_id, now, change)

    async def set_leaver_policy(
        self, organization_id: str, *, end_after: int | None, now: int, origin: Origin
    ) -> Commit:
        change = partial(life_cycle.set_leaver_policy, organization_id, end_after, now, origin)
        return await self._change(organization_id, now, change)

    async def disable_user(self, user_id: str, *, now: int, origin: Origin) -> Commit:
        return await self._change(user_id, now, partial(life_cycle.disable_user, user_id, now, origin))

    async def enable_user(self, user_id: str, *, now: int, origin: Origin) -> Commit:
        return await self._change(user_id, now, partial(life_cycle.enable_user, user_id, now, origin))

    async def delete_user(self, user_id: str, *, now: int, origin: Origin) -> Commit:
        return await self._change(user_id, now, partial(life_cycle.delete_user, user_id, now, origin))

    async def suspend_client(self, client_id: str, *, reason: str, now: int, origin: Origin) -> Commit:
        suspend = partial(life_cycle.suspend_client, client_id, reason, now, origin)
        return await self._change_client(client_id, now, suspend)

    async def reinstate_client(self, client_id: str, *, now: int, origin: Origin) -> Commit:
        return await self._change_client(client_id, now, partial(life_cycle.reinstate_client, client_id, now, origin))

    async def delete_client(self, client_id: str, *, now: int, kept_until: int, origin: Origin) -> Commit:
        delete = partial(life_cycle.delete_client, client_id, now, kept_until, origin)
        return await self._change_client(client_id, now, delete)

    async def publish_client(self, client_id: str, *, is_published: bool, now: int, origin: Origin) -> Commit:
        publish = partial(life_cycle.publish_client, client_id, is_published, now, origin)
        return await self._change_client(client_id, now, publish)

    async def end_app_grants(
        self, *, organization_id: str, client_id: str, reason: str, now: int, origin: Origin
    ) -> None:
        end = partial(life_cycle.end_app_grants, organization_id, client_id, reason, now, origin)
        while await self._engine.commit(end):
            pass
