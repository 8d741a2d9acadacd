"""What pauses, ends and comes back: commands of `membership`, `organization`, `user` and `client`."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import typer

from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.life_cycle_ports import MembershipChange
from latchstring.authorization_server.ports import Commit
from latchstring.cli.output import (
    DATABASE,
    CommandRefused,
    Database,
    Json,
    KeyringPath,
    print_record,
    run_with_store,
)
from latchstring.storage.store import SqlStore
from latchstring.wiring import Deployment, epoch_seconds

_DAY: Final = 24 * 3600
# As `ended_grant_lifetime` has it: for so long a deleted app's row still names what ended with it.
_KEPT_FOR: Final = 30 * _DAY

User = Annotated[str, typer.Option(help="The user's id or email.")]
Organization = Annotated[str, typer.Option(help="The organization's id.")]
Client = Annotated[str, typer.Option("--client", help="The client id.")]


async def _find_user_id(store: SqlStore, user: str) -> str:
    found = await (store.find_user_by_email(user) if "@" in user else store.find_user(user))
    if found is None:
        raise CommandRefused(f"there is no user {user}")
    return found.user_id


def _run(
    database: str,
    keyring: Any,
    change: Callable[[SqlStore], Awaitable[tuple[dict[str, object], Commit | MembershipChange]]],
    refusal: str,
    as_json: bool,
) -> None:
    async def work(store: SqlStore, _: Deployment) -> dict[str, object]:
        record, outcome = await change(store)
        if outcome not in {Commit.APPLIED, MembershipChange.APPLIED}:
            raise CommandRefused(refusal)
        return record

    print_record(run_with_store(database, keyring, work), as_json)


# -- membership


def suspend_membership(
    user: User,
    organization: Organization,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Suspend a member; what apps could reach through it is shut until it is resumed."""

    async def change(store: SqlStore) -> tuple[dict[str, object], MembershipChange]:
        user_id = await _find_user_id(store, user)
        of_member: dict[str, Any] = {"user_id": user_id, "organization_id": organization}
        outcome = await store.suspend_membership(**of_member, now=epoch_seconds(), origin=COMMAND_LINE)
        return {**of_member, "suspended": True}, outcome

    _run(database, keyring, change, f"{user} is no member of {organization}, or suspended already", as_json)


def resume_membership(
    user: User,
    organization: Organization,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Resume a suspended member, and the connections that only that paused."""

    async def change(store: SqlStore) -> tuple[dict[str, object], MembershipChange]:
        user_id = await _find_user_id(store, user)
        of_member: dict[str, Any] = {"user_id": user_id, "organization_id": organization}
        outcome = await store.resume_membership(**of_member, now=epoch_seconds(), origin=COMMAND_LINE)
        return {**of_member, "suspended": False}, outcome

    _run(database, keyring, change, f"{user} is no suspended member of {organization}", as_json)


# -- organization


def close_organization(
    organization: Organization, database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False
) -> None:
    """Close an organization: no app reaches it, and its own apps reach nothing. `reopen` brings both back."""

    async def change(store: SqlStore) -> tuple[dict[str, object], Commit]:
        outcome = await store.close_organization(organization, now=epoch_seconds(), origin=COMMAND_LINE)
        return {"organization_id": organization, "closed": True}, outcome

    _run(database, keyring, change, f"there is no open organization {organization}", as_json)


def reopen_organization(
    organization: Organization, database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False
) -> None:
    """Open a closed organization again, for what nothing else holds."""

    async def change(store: SqlStore) -> tuple[dict[str, object], Commit]:
        outcome = await store.reopen_organization(organization, now=epoch_seconds(), origin=COMMAND_LINE)
        return {"organization_id": organization, "closed": False}, outcome

    _run(database, keyring, change, f"there is no closed organization {organization}", as_json)


def set_leavers(
    organization: Organization,
    end_after: Annotated[
        int | None, typer.Option(help="Days; 0 is at once. Left out, they wait until they expire.")
    ] = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Say what becomes of the connections of members who leave, or have left."""
    if end_after is not None and not 0 <= end_after <= 3650:
        raise CommandRefused("--end-after: give 0 to 3650 days")
    seconds = None if end_after is None else end_after * _DAY

    async def change(store: SqlStore) -> tuple[dict[str, object], Commit]:
        outcome = await store.set_leaver_policy(
            organization, end_after=seconds, now=epoch_seconds(), origin=COMMAND_LINE
        )
        return {"organization_id": organization, "leaver_grants_end_after": seconds}, outcome

    _run(database, keyring, change, f"there is no organization {organization}", as_json)


# -- user


def disable_user(user: User, database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False) -> None:
    """Disable a user: signed out everywhere, and every connection paused."""

    async def change(store: SqlStore) -> tuple[dict[str, object], Commit]:
        user_id = await _find_user_id(store, user)
        outcome = await store.disable_user(user_id, now=epoch_seconds(), origin=COMMAND_LINE)
        return {"user_id": user_id, "disabled": True}, outcome

    _run(database, keyring, change, f"{user} is disabled already", as_json)


def enable_user(user: User, database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False) -> None:
    """Enable a disabled user again, and the connections that only that paused."""

    async def change(store: SqlStore) -> tuple[dict[str, object], Commit]:
        user_id = await _find_user_id(store, user)
        outcome = await store.enable_user(user_id, now=epoch_seconds(), origin=COMMAND_LINE)
        return {"user_id": user_id, "disabled": False}, outcome

    _run(database, keyring, change, f"{user} is not disabled", as_json)


def delete_user(user: User, database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False) -> None:
    """Delete a user for good: connections and memberships end, name and email are forgotten."""

    async def change(store: SqlStore) -> tuple[dict[str, object], Commit]:
        user_id = await _find_user_id(store, user)
        outcome = await store.delete_user(user_id, now=epoch_seconds(), origin=COMMAND_LINE)
        return {"user_id": user_id, "deleted": True}, outcome

    _run(database, keyring, change, f"{user} is deleted already", as_json)


# -- client


def suspend_client(
    client: Client,
    reason: Annotated[str, typer.Option(help="Why, for the app's developer.")] = "",
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Suspend an app: it gets nothing, and its connections are paused in every organization."""

    async def change(store: SqlStore) -> tuple[dict[str, object], Commit]:
        outcome = await store.suspend_client(client, reason=reason, now=epoch_seconds(), origin=COMMAND_LINE)
        return {"client_id": client, "suspended": True}, outcome

    _run(database, keyring, change, f"there is no client {client}, or it is suspended already", as_json)


def reinstate_client(
    client: Client, database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False
) -> None:
    """End an app's suspension; the connections that only that paused go on."""

    async def change(store: SqlStore) -> tuple[dict[str, object], Commit]:
        outcome = await store.reinstate_client(client, now=epoch_seconds(), origin=COMMAND_LINE)
        return {"client_id": client, "suspended": False}, outcome

    _run(database, keyring, change, f"there is no suspended client {client}", as_json)


def delete_client(
    client: Client, database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False
) -> None:
    """Delete an app for good: its connections end in every organization."""

    async def change(store: SqlStore) -> tuple[dict[str, object], Commit]:
        now = epoch_seconds()
        outcome = await store.delete_client(client, now=now, kept_until=now + _KEPT_FOR, origin=COMMAND_LINE)
        return {"client_id": client, "deleted": True}, outcome

    _run(database, keyring, change, f"there is no client {client}", as_json)
