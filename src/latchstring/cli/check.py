"""`latchstring check`."""

import asyncio
import stat
from pathlib import Path
from typing import Annotated, Final

import typer

from latchstring.authorization_server.checks.report import Finding, judge
from latchstring.authorization_server.checks.rule import Subject
from latchstring.authorization_server.records import ClientRecord
from latchstring.cli.output import (
    DATABASE,
    CommandRefused,
    ConfigPath,
    Database,
    Json,
    KeyringPath,
    print_json,
)
from latchstring.storage.head import HEAD, is_next
from latchstring.storage.url import find_schema_version, open_store
from latchstring.wiring import epoch_seconds, find_keyring_path, load_settings

_SHOWN_CLIENTS: Final = 5


def check(
    profile: Annotated[
        str | None, typer.Option(help="fapi2: judge every client as if it kept the FAPI 2.0 profile.")
    ] = None,
    issuer: Annotated[str | None, typer.Option(help="The issuer, if `serve` gets it as an option.")] = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    config: ConfigPath = None,
    as_json: Json = False,
) -> None:
    """Say what of RFC 9700, OAuth 2.1 and FAPI 2.0 a deployment meets, item by item. Changes nothing; exit code 1 if an
    item fails."""
    if profile not in {None, "fapi2"}:
        raise CommandRefused("--profile is fapi2, or left out")
    settings = load_settings(config, default_issuer="http://127.0.0.1:8400", issuer=issuer)
    version = find_schema_version(database)
    if version is None or not (version == HEAD or is_next(version)):
        raise CommandRefused("the database has no schema of this version: run `latchstring migrate`")
    subject = Subject(
        settings=settings,
        clients=asyncio.run(_find_clients(database)),
        now=epoch_seconds(),
        keyring_mode=_find_mode(find_keyring_path(database, keyring)),
        is_fapi=profile == "fapi2",
    )
    findings = judge(subject)
    if as_json:
        print_json(findings)
    else:
        _print(findings)
    raise typer.Exit(1 if any(finding.verdict == "fails" for finding in findings) else 0)


async def _find_clients(database: str) -> tuple[ClientRecord, ...]:
    store = open_store(database)
    found: list[ClientRecord] = []
    try:
        while page := await store.find_clients(after=found[-1].client_id if found else ""):
            found += page
    finally:
        await store.close()
    return tuple(found)


def _find_mode(path: Path) -> int | None:
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None


def _print(findings: tuple[Finding, ...]) -> None:
    width = max(len(finding.id) for finding in findings)
    for finding in findings:
        typer.echo(f"{finding.verdict:<7}  {finding.id:<{width}}  {finding.asks} [{finding.source}]")
        for advice in finding.advice:
            typer.echo(f"{'':<7}  - {advice}")
        if finding.clients:
            more = len(finding.clients) - _SHOWN_CLIENTS
            shown = ", ".join(finding.clients[:_SHOWN_CLIENTS])
            typer.echo(f"{'':<7}  - clients: {shown}{f' and {more} more' if more > 0 else ''}")
    counts = {
        verdict: sum(finding.verdict == verdict for finding in findings) for verdict in ("ok", "warning", "fails")
    }
    typer.echo(", ".join(f"{number} {verdict}" for verdict, number in counts.items()))
