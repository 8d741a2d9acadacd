"""`latchstring operator`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import UserRecord
from latchstring.cli.output import (
    DATABASE,
    CommandRefused,
    Database,
    Json,
    KeyringPath,
    print_record,
    print_records,
    run_with_store,
)
from latchstring.storage.store import SqlStore
from latchstring.wiring import Deployment, epoch_seconds

app = typer.Typer(help="Operators: the users who may see the pages under /operator.", no_args_is_help=True)

Email = Annotated[str, typer.Argument(help="The user's email.")]


def _set(email: str, is_operator: bool, database: str, keyring: KeyringPath, as_json: bool) -> None:
    async def work(store: SqlStore, _: Deployment) -> UserRecord:
        user = await store.find_user_by_email(email)
        if user is None:
            raise CommandRefused(f"there is no user {email}")
        commit = await store.set_operator(
            user.user_id, is_operator=is_operator, now=epoch_seconds(), origin=COMMAND_LINE
        )
        if commit is Commit.LOST:
            raise CommandRefused(f"{email} is {'an operator already' if is_operator else 'no operator'}")
        return user

    user = run_with_store(database, keyring, work)
    print_record({"user_id": user.user_id, "email": user.email, "is_operator": is_operator}, as_json)


@app.command("add")
def add(email: Email, database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False) -> None:
    """Make a user an operator: they see every organization's log and connections."""
    _set(email, True, database, keyring, as_json)


@app.command("remove")
def remove(email: Email, database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False) -> None:
    """Make an operator a user like others, at once."""
    _set(email, False, database, keyring, as_json)


@app.command("list")
def list_operators(database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False) -> None:
    """List the operators, by email."""

    async def work(store: SqlStore, _: Deployment) -> Sequence[UserRecord]:
        return await store.find_operators()

    operators = [
        {"user_id": user.user_id, "email": user.email, "name": user.name}
        for user in run_with_store(database, keyring, work)
    ]
    print_records(operators, as_json, "There are no operators.")
