"""The organization itself."""

from typing import Annotated, Final

import msgspec

from latchstring.authorization_server.administration import is_confirmed
from latchstring.authorization_server.api_scopes import ORGANIZATION_MANAGE, ORGANIZATION_READ
from latchstring.authorization_server.ports import Commit
from latchstring.web.api.operation import Call, Nothing, Operation, refuse_conflict
from latchstring.web.asgi import FieldRefused

_AT: Final = "/organizations/{organization_id}"
_MAX_LEAVER_WAIT: Final = 3650 * 24 * 3600


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """An organization. `leaver_grants_end_after` is after how many seconds the connections of members who leave end;
    null keeps them paused for as long as they last."""

    organization_id: str
    name: str
    created_at: int
    leaver_grants_end_after: int | None


class OrganizationChanged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of an organization its admins can change."""

    leaver_grants_end_after: Annotated[int, msgspec.Meta(ge=0, le=_MAX_LEAVER_WAIT)] | None


class Confirmation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`confirmation` is the name of what is to end, typed out."""

    confirmation: str


async def show_organization(call: Call, asked: Nothing) -> Organization:
    """Read the organization."""
    organization = call.organization
    assert organization is not None
    return Organization(
        organization_id=organization.organization_id,
        name=organization.name,
        created_at=organization.created_at,
        leaver_grants_end_after=organization.leaver_grants_end_after,
    )


async def change_organization(call: Call, asked: OrganizationChanged) -> None:
    """Say what becomes of the connections of members who leave, or have left."""
    await call.services.store.set_leaver_policy(
        call.organization_id,
        end_after=asked.leaver_grants_end_after,
        now=call.services.clock(),
        origin=call.origin,
    )


async def close_organization(call: Call, asked: Confirmation) -> None:
    """Close the organization. No app reaches it any more; an operator can open it again. The token that asks for it is
    dead then, too."""
    assert call.organization is not None
    if not is_confirmed(asked.confirmation, call.organization.name):
        raise FieldRefused("confirmation", "Give the name of the organization, to close it.")
    commit = await call.services.store.close_organization(
        call.organization_id, now=call.services.clock(), origin=call.origin
    )
    if commit is Commit.LOST:
        raise refuse_conflict("The organization is closed already.")


OPERATIONS: Final = (
    Operation("GET", _AT, ORGANIZATION_READ, show_organization),
    Operation("PATCH", _AT, ORGANIZATION_MANAGE, change_organization),
    Operation("POST", f"{_AT}/close", ORGANIZATION_MANAGE, close_organization),
)
