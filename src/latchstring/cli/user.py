"""`latchstring user`."""

import sys
from typing import Annotated

import typer

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.records import UserRecord
from latchstring.cli import life_cycle
from latchstring.cli.output import (
    DATABASE,
    CommandRefused,
    Database,
    Json,
    KeyringPath,
    print_record,
    refuse_undecodable,
    run_with_store,
)
from latchstring.storage.store import SqlStore
from latchstring.wiring import Deployment, build_directory, epoch_seconds

app = typer.Typer(help="Users: the people who sign in.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("create")
def create(
    email: Annotated[str, typer.Option(help="The email to sign in with.")],
    name: Annotated[str, typer.Option(help="The person's name.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Create a user and print the id. The password never stands on the command line."""
    if password_stdin:
        try:
            password = sys.stdin.readline().rstrip("\r\n")
        except UnicodeDecodeError:
            raise CommandRefused("the password is not UTF-8 text") from None
        refuse_undecodable(password, "the password")
    elif sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        raise CommandRefused("give --password-stdin and the password on standard input")

    async def work(store: SqlStore, _: Deployment) -> UserRecord:
        directory = build_directory(store)
        return await directory.create_user(email=email, name=name, password=password, origin=COMMAND_LINE)

    user = run_with_store(database, keyring, work)
    print_record({"id": user.user_id, "user_id": user.user_id, "email": user.email, "name": user.name}, as_json)


@app.command("remove-second-factor")
def remove_second_factor(
    email: Annotated[str, typer.Argument(help="The user's email.")],
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Let a user who has lost phone and recovery codes sign in by the password alone; their passkeys go, too. Make sure
    who is asking."""

    async def work(store: SqlStore, _: Deployment) -> tuple[UserRecord, int]:
        user = await store.find_user_by_email(email)
        if user is None:
            raise CommandRefused(f"there is no user with the email {email}")
        now = epoch_seconds()
        passkeys = await store.end_passkeys(user.user_id, now=now, origin=COMMAND_LINE)
        ended = await store.end_second_factor(user.user_id, now=now, origin=COMMAND_LINE)
        if ended is Commit.LOST and not passkeys:
            raise CommandRefused(f"{user.email} has no second factor and no passkeys")
        await store.end_sessions(user.user_id, kept_session=None, now=now, origin=COMMAND_LINE)
        return user, passkeys

    user, passkeys = run_with_store(database, keyring, work)
    record = {"user_id": user.user_id, "email": user.email, "second_factor": False, "removed_passkeys": passkeys}
    print_record(record, as_json)


app.command("disable")(life_cycle.disable_user)
app.command("enable")(life_cycle.enable_user)
app.command("delete")(life_cycle.delete_user)
