"""What every command shares: its options, its store, its two ways of printing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from latchstring.storage.store import SqlStore
from latchstring.storage.url import DEFAULT_DATABASE, open_store
from latchstring.wiring import Deployment, prepare

Result = TypeVar("Result")

Database = Annotated[
    str, typer.Option("--database", envvar="LATCHSTRING_DATABASE", help="sqlite:///PATH", show_default=True)
]
KeyringPath = Annotated[
    Path | None, typer.Option("--keyring", help="The keyring's file [default: the database's path + .keyring]")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="A TOML file with settings.")]
DATABASE = DEFAULT_DATABASE


class CommandRefused(Exception):
    """A command that cannot be done as asked; the message says why."""


def refuse_undecodable(text: str, what: str) -> None:
    """Refuse text that was made of bytes that are no UTF-8: it can be neither kept nor shown."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise CommandRefused(f"{what} is not UTF-8 text")


def run_with_store(
    database: str, keyring: Path | None, work: Callable[[SqlStore, Deployment], Awaitable[Result]]
) -> Result:
    """Prepare the deployment, do the work in one event loop, let go of the database."""
    deployment = prepare(database, keyring)

    async def run() -> Result:
        store = open_store(deployment.database)
        try:
            return await work(store, deployment)
        finally:
            await store.close()

    return asyncio.run(run())


def print_record(record: Mapping[str, Any], as_json: bool) -> None:
    """One thing: JSON, or a name and a value on each line."""
    if as_json:
        print_json(record)
        return
    width = max(len(name) for name in record)
    for name, value in record.items():
        shown = ", ".join(value) if isinstance(value, list | tuple) else value
        typer.echo(f"{name:<{width}}  {'' if shown is None else shown}")


def print_records(records: Sequence[Mapping[str, Any]], as_json: bool, empty: str) -> None:
    """Many things: a JSON list, or a line each under the names. Never cut to the terminal: ids are copied."""
    if as_json:
        print_json(records)
    elif not records:
        typer.echo(empty)
    else:
        lines = [list(records[0]), *(["-" if v is None else str(v) for v in record.values()] for record in records)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            typer.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def print_json(value: Any) -> None:
    """The value as one line of JSON."""
    typer.echo(msgspec.json.encode(value).decode())
