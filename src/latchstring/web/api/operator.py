"""What operators do: find people, organizations and apps, and pause, end or bring them back."""

from typing import Annotated, Final

import msgspec

from latchstring.authorization_server.api_scopes import OPERATOR_MANAGE, OPERATOR_READ
from latchstring.authorization_server.oversight import (
    MAX_REASON_LENGTH,
    AppChange,
    OrganizationChange,
    Overseen,
    UserChange,
)
from latchstring.authorization_server.records import Role, UserRecord
from latchstring.web.api.operation import Call, Listed, Nothing, Operation, refuse_conflict, refuse_unknown

_USERS: Final = "/operator/users"
_USER: Final = f"{_USERS}/{{user_id}}"
_ORGANIZATION: Final = "/operator/organizations/{organization_id}"
_APP: Final = "/operator/apps/{client_id}"


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """A person's place in an organization."""

    organization_id: str
    organization_name: str
    role: Role


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person who can sign in, unless `disabled_at`. Of one who was deleted only the id is left."""

    user_id: str
    email: str
    name: str
    is_operator: bool
    created_at: int
    disabled_at: int | None
    deleted_at: int | None
    memberships: list[Membership]


class UserQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An email address, without regard to case."""

    email: Annotated[str, msgspec.Meta(max_length=320)]


class OverseenOrganization(msgspec.Struct, frozen=True, kw_only=True):
    """An organization as operators see it."""

    organization_id: str
    name: str
    created_at: int
    closed_at: int | None


class OverseenApp(msgspec.Struct, frozen=True, kw_only=True):
    """An app as operators see it, and how far it reaches."""

    client_id: str
    name: str
    organization_id: str | None
    is_published: bool
    created_at: int
    suspended_at: int | None
    suspended_reason: str | None
    owner_closed_at: int | None
    organizations: int
    connections: int


class Suspension(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why, for the app's developer."""

    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON_LENGTH)] = ""


async def find_users(call: Call, asked: UserQuery) -> Listed[User]:
    """Find a person by email address."""
    user = await call.services.store.find_user_by_email(asked.email.strip())
    return Listed(items=[] if user is None else [await _describe_user(call, user)])


async def show_user(call: Call, asked: Nothing) -> User:
    """Read a person."""
    user = await call.services.store.find_user(call.path["user_id"])
    if user is None:
        raise refuse_unknown("user")
    return await _describe_user(call, user)


async def disable_user(call: Call, asked: Nothing) -> None:
    """Disable an account. The person is signed out everywhere, and their connections pause at once."""
    await _change_user(call, "disable")


async def enable_user(call: Call, asked: Nothing) -> None:
    """Enable an account again. What only that paused goes on."""
    await _change_user(call, "enable")


async def delete_user(call: Call, asked: Nothing) -> None:
    """Delete an account. Connections and memberships end at once, name and email are forgotten, for good."""
    await _change_user(call, "delete")


async def show_overseen_organization(call: Call, asked: Nothing) -> OverseenOrganization:
    """Read an organization."""
    organization = await call.services.store.find_organization(call.path["organization_id"])
    if organization is None:
        raise refuse_unknown("organization")
    return OverseenOrganization(
        organization_id=organization.organization_id,
        name=organization.name,
        created_at=organization.created_at,
        closed_at=organization.closed_at,
    )


async def close_overseen_organization(call: Call, asked: Nothing) -> None:
    """Close an organization. No app reaches it any more, and its own apps stop working for everyone."""
    await _change_organization(call, "close")


async def reopen_overseen_organization(call: Call, asked: Nothing) -> None:
    """Open an organization again. What only that paused goes on."""
    await _change_organization(call, "reopen")


async def show_overseen_app(call: Call, asked: Nothing) -> OverseenApp:
    """Read an app."""
    store = call.services.store
    client = await store.find_client(call.path["client_id"])
    if client is None or client.ended_at is not None:
        raise refuse_unknown("app")
    reach = await store.find_app_reach(client.client_id, now=call.services.clock())
    return OverseenApp(
        client_id=client.client_id,
        name=client.name,
        organization_id=client.organization_id,
        is_published=client.is_published,
        created_at=client.created_at,
        suspended_at=client.suspended_at,
        suspended_reason=client.suspended_reason,
        owner_closed_at=client.owner_closed_at,
        organizations=len(reach),
        connections=sum(each.count for each in reach),
    )


async def suspend_app(call: Call, asked: Suspension) -> None:
    """Suspend an app. It gets nothing more, and its connections pause at once, in every organization."""
    await _change_app(call, "suspend", asked.reason)


async def reinstate_app(call: Call, asked: Nothing) -> None:
    """End the suspension of an app. What only that paused goes on."""
    await _change_app(call, "reinstate")


async def delete_overseen_app(call: Call, asked: Nothing) -> None:
    """Delete an app. Its connections end at once, in every organization, for good."""
    await _change_app(call, "delete")


async def _describe_user(call: Call, user: UserRecord) -> User:
    memberships = await call.services.store.find_memberships(user.user_id)
    return User(
        user_id=user.user_id,
        email=user.email,
        name=user.name,
        is_operator=user.is_operator,
        created_at=user.created_at,
        disabled_at=user.disabled_at,
        deleted_at=user.deleted_at,
        memberships=[
            Membership(organization_id=each.organization_id, organization_name=each.organization_name, role=each.role)
            for each in memberships
        ],
    )


async def _change_user(call: Call, change: UserChange) -> None:
    user_id = call.path["user_id"]
    if await call.services.store.find_user(user_id) is None:
        raise refuse_unknown("user")
    _tell(await call.services.oversight.change_user(user_id, change, origin=call.origin))


async def _change_organization(call: Call, change: OrganizationChange) -> None:
    organization_id = call.path["organization_id"]
    if await call.services.store.find_organization(organization_id) is None:
        raise refuse_unknown("organization")
    _tell(await call.services.oversight.change_organization(organization_id, change, origin=call.origin))


async def _change_app(call: Call, change: AppChange, reason: str = "") -> None:
    client_id = call.path["client_id"]
    client = await call.services.store.find_client(client_id)
    if client is None or client.ended_at is not None:
        raise refuse_unknown("app")
    _tell(await call.services.oversight.change_app(client_id, change, reason=reason, origin=call.origin))


def _tell(outcome: Overseen) -> None:
    if outcome is Overseen.YOURSELF:
        raise refuse_conflict("An operator's own account is another operator's to change.")
    if outcome is Overseen.STALE:
        raise refuse_conflict("It stands like that already, or cannot any more.")


OPERATIONS: Final = (
    Operation("GET", _USERS, OPERATOR_READ, find_users),
    Operation("GET", _USER, OPERATOR_READ, show_user),
    Operation("POST", f"{_USER}/disable", OPERATOR_MANAGE, disable_user),
    Operation("POST", f"{_USER}/enable", OPERATOR_MANAGE, enable_user),
    Operation("DELETE", _USER, OPERATOR_MANAGE, delete_user, is_final=True),
    Operation("GET", _ORGANIZATION, OPERATOR_READ, show_overseen_organization),
    Operation("POST", f"{_ORGANIZATION}/close", OPERATOR_MANAGE, close_overseen_organization),
    Operation("POST", f"{_ORGANIZATION}/reopen", OPERATOR_MANAGE, reopen_overseen_organization),
    Operation("GET", _APP, OPERATOR_READ, show_overseen_app),
    Operation("POST", f"{_APP}/suspend", OPERATOR_MANAGE, suspend_app),
    Operation("POST", f"{_APP}/reinstate", OPERATOR_MANAGE, reinstate_app),
    Operation("DELETE", _APP, OPERATOR_MANAGE, delete_overseen_app, is_final=True),
)
