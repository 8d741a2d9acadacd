"""`latchstring membership`."""

from typing import Annotated

import typer

from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.life_cycle_ports import MembershipChange
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import Role
from latchstring.cli import life_cycle
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

app = typer.Typer(help="Memberships: who belongs to which organization, and as what.", no_args_is_help=True)

User = Annotated[str, typer.Option(help="The user's id or email.")]
Organization = Annotated[str, typer.Option(help="The organization's id.")]


async def _find_user_id(store: SqlStore, user: str) -> str:
    found = await (store.find_user_by_email(user) if "@" in user else store.find_user(user))
    if found is None:
        raise CommandRefused(f"there is no user {user}")
    return found.user_id


@app.command("add")
def add(
    user: User,
    organization: Organization,
    role: Annotated[str, typer.Option(help="member or admin")] = "member",
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Add a member, change the role, or take a member back (suspended connections resume)."""
    if role not in {"member", "admin"}:
        raise CommandRefused("--role is member or admin")
    checked: Role = "admin" if role == "admin" else "member"

    async def work(store: SqlStore, _: Deployment) -> str:
        user_id = await _find_user_id(store, user)
        commit = await store.add_membership(
            user_id=user_id, organization_id=organization, role=checked, now=epoch_seconds(), origin=COMMAND_LINE
        )
        if commit is Commit.LOST:
            raise CommandRefused(f"there is no organization {organization}")
        return user_id

    user_id = run_with_store(database, keyring, work)
    print_record({"user_id": user_id, "organization_id": organization, "role": role}, as_json)


@app.command("end")
def end(
    user: User,
    organization: Organization,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """End a membership; what apps could reach through it is shut at once."""

    async def work(store: SqlStore, _: Deployment) -> str:
        user_id = await _find_user_id(store, user)
        change = await store.end_membership(
            user_id=user_id, organization_id=organization, now=epoch_seconds(), origin=COMMAND_LINE
        )
        if change is not MembershipChange.APPLIED:
            raise CommandRefused(f"{user} is no member of {organization}")
        return user_id

    user_id = run_with_store(database, keyring, work)
    print_record({"user_id": user_id, "organization_id": organization, "ended": True}, as_json)


app.command("suspend")(life_cycle.suspend_membership)
app.command("resume")(life_cycle.resume_membership)
