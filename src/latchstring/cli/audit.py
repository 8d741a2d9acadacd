"""`latchstring audit`."""

from typing import Annotated

import msgspec
import typer

from latchstring.authorization_server.event_export import describe_event
from latchstring.authorization_server.events import EVENT, Action, EventFilter
from latchstring.authorization_server.identifiers import parse_identifier
from latchstring.cli.output import DATABASE, CommandRefused, Database, KeyringPath, run_with_store
from latchstring.storage.store import SqlStore
from latchstring.wiring import Deployment

app = typer.Typer(help="The audit log: what has changed, by whom, from where.", no_args_is_help=True)

_AT_ONCE = 500


@app.callback()
def _group() -> None:
    pass


@app.command("export")
def export(
    after: Annotated[str | None, typer.Option(help="Only what came after the event of that id.")] = None,
    organization: Annotated[str | None, typer.Option(help="Only this organization's (id).")] = None,
    client: Annotated[str | None, typer.Option(help="Only about this client (id).")] = None,
    user: Annotated[str | None, typer.Option(help="Only about this user (id).")] = None,
    action: Annotated[str | None, typer.Option(help="Only this kind, such as grant.ended.")] = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
) -> None:
    """Write events to standard output, a JSON object a line, the oldest first."""
    first = b"" if after is None else parse_identifier(EVENT, after)
    if first is None:
        raise CommandRefused(f"--after: {after} is no event's id")
    if action is not None and action not in set(Action):
        raise CommandRefused(f"--action: give one of {', '.join(Action)}")
    wanted = EventFilter(
        organization_id=organization,
        client_id=client,
        user_id=user,
        action=None if action is None else Action(action),
    )

    async def work(store: SqlStore, _: Deployment) -> None:
        position = first
        while found := await store.find_events_after(wanted, after=position, at_most=_AT_ONCE):
            for record in found:
                typer.echo(msgspec.json.encode(describe_event(record)).decode())
            position = found[-1].id

    run_with_store(database, keyring, work)
