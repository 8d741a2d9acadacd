"""`latchstring registration`."""

from typing import Annotated, Any

import typer

from latchstring.authorization_server.records import RegistrationTokenRecord
from latchstring.authorization_server.registration_tokens import MAX_REGISTRATIONS, RegistrationTokens
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
from latchstring.wiring import Deployment, build_registration_tokens

app = typer.Typer(help="Registration: who may register clients by program.", no_args_is_help=True)
token = typer.Typer(help="Initial access tokens, for registration = 'gated'.", no_args_is_help=True)
app.add_typer(token, name="token")

_DAY = 24 * 3600


def _tokens(store: SqlStore, deployment: Deployment) -> RegistrationTokens:
    return build_registration_tokens(store, deployment.codec)


def _describe(record: RegistrationTokenRecord) -> dict[str, Any]:
    return {
        "hint": record.hint,
        "note": record.note,
        "remaining": record.remaining,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
    }


@token.command("create")
def create(
    count: Annotated[int, typer.Option(help="How many clients it registers.", min=1, max=MAX_REGISTRATIONS)] = 1,
    days: Annotated[int, typer.Option(help="How long it lasts.", min=1, max=3650)] = 7,
    note: Annotated[str, typer.Option(help="Whom it is for.")] = "",
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Create an initial access token; it is printed this once."""

    async def work(store: SqlStore, deployment: Deployment) -> tuple[RegistrationTokenRecord, str]:
        return await _tokens(store, deployment).create(note=note, count=count, lifetime=days * _DAY)

    record, created = run_with_store(database, keyring, work)
    print_record({"token": created, **_describe(record)}, as_json)


@token.command("list")
def list_tokens(database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False) -> None:
    """List the initial access tokens, newest first; a hint is how one begins."""

    async def work(store: SqlStore, deployment: Deployment) -> list[dict[str, Any]]:
        return [_describe(record) for record in await _tokens(store, deployment).find()]

    records = run_with_store(database, keyring, work)
    print_records(records, as_json, "There are no initial access tokens.")


@token.command("end")
def end(
    hint: Annotated[str, typer.Option(help="How the token begins, as `list` shows it.")],
    database: Database = DATABASE,
    keyring: KeyringPath = None,
) -> None:
    """End an initial access token: it registers nobody from now on; whom it registered stays."""

    async def work(store: SqlStore, deployment: Deployment) -> None:
        if not await _tokens(store, deployment).end(hint):
            raise CommandRefused(f"there is no initial access token that begins with {hint}")

    run_with_store(database, keyring, work)
