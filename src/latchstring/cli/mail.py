"""`latchstring mail`."""

from typing import Annotated

import typer

from latchstring.authorization_server.mail import Mail
from latchstring.authorization_server.mail_settings import is_mail_address
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
from latchstring.wiring import Deployment, build_post

app = typer.Typer(help="Mail: what waits to be sent, and what was given up.", no_args_is_help=True)


@app.command("test")
def send_test(
    to: Annotated[str, typer.Argument(help="Whom to send it to.")],
    locale: Annotated[str | None, typer.Option(help="Its language, such as de [default: mail.locale]")] = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Queue a test mail; the running server sends it. `latchstring doctor` tells if it could not."""
    if not is_mail_address(to):
        raise CommandRefused(f"{to} is not a mail address")

    async def work(store: SqlStore, deployment: Deployment) -> str:
        record = build_post(deployment.codec).seal(Mail(to=to, template="test", locale=locale))
        await store.queue_mail(record)
        return record.id.hex()

    print_record({"id": run_with_store(database, keyring, work), "to": to}, as_json)


@app.command("failed")
def failed(database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False) -> None:
    """List mail that was given up, the newest first: which, when, and why. To whom and what is sealed."""

    async def work(store: SqlStore, _: Deployment) -> list[dict[str, object]]:
        return [
            {
                "id": one.record.id.hex(),
                "template": one.record.template,
                "created_at": one.record.created_at,
                "attempts": one.record.attempts,
                "error": one.error,
                "failed_at": one.failed_at,
            }
            for one in await store.find_failed_mail()
        ]

    print_records(run_with_store(database, keyring, work), as_json, "No mail was given up.")
