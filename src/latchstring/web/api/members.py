"""An organization's members."""

from typing import Annotated, Final

import msgspec

from latchstring.authorization_server.api_scopes import ORGANIZATION_MANAGE, ORGANIZATION_READ
from latchstring.authorization_server.life_cycle_ports import MembershipChange
from latchstring.authorization_server.members import Adding, Change
from latchstring.authorization_server.records import Role
from latchstring.web.api.operation import Call, Listed, Nothing, Operation, Paged, refuse_conflict, refuse_unknown
from latchstring.web.asgi import FieldRefused

_AT: Final = "/organizations/{organization_id}/members"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member. `suspended_at` is since when the membership does not count; `is_disabled` is the account."""

    user_id: str
    name: str
    email: str
    role: Role
    created_at: int
    suspended_at: int | None
    is_disabled: bool


class NewMember(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who has an account, by its email address."""

    email: Annotated[str, msgspec.Meta(max_length=320)]
    role: Role = "member"


class NewRole(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a member may do."""

    role: Role


async def list_members(call: Call, asked: Paged) -> Listed[Member]:
    """List the members, by name."""
    found = await call.services.store.find_members(call.organization_id, after=asked.after, at_most=asked.limit + 1)
    shown = found[: asked.limit]
    return Listed(
        items=[
            Member(
                user_id=member.user_id,
                name=member.name,
                email=member.email,
                role=member.role,
                created_at=member.created_at,
                suspended_at=member.suspended_at,
                is_disabled=member.is_disabled,
            )
            for member in shown
        ],
        next=call.render_next(shown[-1].key if len(found) > len(shown) else None),
    )


async def add_member(call: Call, asked: NewMember) -> None:
    """Add a member, or bring one back. What only their absence paused goes on."""
    added = await call.services.members.add(call.organization_id, asked.email, asked.role, origin=call.origin)
    if added is Adding.NO_ACCOUNT:
        raise FieldRefused("email", "Nobody here has that email address.")
    if added is Adding.NO_ORGANIZATION:
        raise refuse_unknown("organization")


async def change_role(call: Call, asked: NewRole) -> None:
    """Give a member another role. It counts at once, for tokens too."""
    await _change(call, asked.role)


async def suspend_member(call: Call, asked: Nothing) -> None:
    """Suspend a membership. The member's connections pause at once."""
    await _change(call, "suspend")


async def resume_member(call: Call, asked: Nothing) -> None:
    """Resume a suspended membership, and the connections that only this paused."""
    await _change(call, "resume")


async def end_member(call: Call, asked: Nothing) -> None:
    """End a membership. The member's connections pause or end, as the organization has it."""
    await _change(call, "end")


async def _change(call: Call, change: Change) -> None:
    outcome = await call.services.members.change(call.organization_id, call.path["user_id"], change, origin=call.origin)
    if outcome is MembershipChange.NO_MEMBER:
        raise refuse_unknown("member, or nothing to change about them")
    if outcome is MembershipChange.LAST_ADMIN:
        raise refuse_conflict("This is the last admin: make somebody else an admin first.")


OPERATIONS: Final = (
    Operation("GET", _AT, ORGANIZATION_READ, list_members),
    Operation("POST", _AT, ORGANIZATION_MANAGE, add_member),
    Operation("PATCH", f"{_AT}/{{user_id}}", ORGANIZATION_MANAGE, change_role),
    Operation("DELETE", f"{_AT}/{{user_id}}", ORGANIZATION_MANAGE, end_member),
    Operation("POST", f"{_AT}/{{user_id}}/suspend", ORGANIZATION_MANAGE, suspend_member),
    Operation("POST", f"{_AT}/{{user_id}}/resume", ORGANIZATION_MANAGE, resume_member),
)
