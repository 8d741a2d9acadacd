"""`latchstring doctor`."""

import asyncio
import shutil
import stat
from pathlib import Path
from typing import Any, Final

import typer

from latchstring.authorization_server.keyring import Keyring, verify_fits
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.signing_keys import describe
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.cli.output import DATABASE, ConfigPath, Database, Json, KeyringPath, print_json
from latchstring.protocol.errors import ConfigurationError
from latchstring.storage.head import HEAD, is_next
from latchstring.storage.keyring_file import load_keyring
from latchstring.storage.operations import SweepPlan
from latchstring.storage.sweeper import Census, SweepState
from latchstring.storage.url import find_durability, find_schema_version, find_sqlite_path, open_store
from latchstring.wiring import build_signing_keys, epoch_seconds, find_keyring_path, load_settings

_DAY: Final = 24 * 3600
_MAX_SKEW: Final = 5
_MAIL_DELAY: Final = 600
_OLD_KEY: Final = 2 * 365 * _DAY
_SCARCE: Final = 512 * 1024 * 1024  # bytes; with less, the next checkpoint or backup may not fit


def doctor(
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    config: ConfigPath = None,
    as_json: Json = False,
) -> None:
    """Say how a deployment is: rows against the formula, the sweeper, keys, clock, schema, disk. Changes nothing; exit
    code 1 if something needs care."""
    settings = load_settings(config, issuer="http://127.0.0.1")
    now = epoch_seconds()
    version = find_schema_version(database)
    facts: dict[str, Any] = {"schema": version, "schema_of_this_version": HEAD}
    care: list[str] = []
    is_served = version is not None and (version == HEAD or is_next(version))
    if is_served:
        census, sweep = asyncio.run(_count(database, settings))
        _judge_rows(facts, care, census, sweep, now)
    elif version is None:
        care.append("there is no schema yet: `latchstring serve` or `latchstring migrate` makes it")
    else:
        care.append("the schema is not this version's: run `latchstring migrate`")
    if version is not None:
        keys = load_keyring(path := find_keyring_path(database, keyring), now, may_create=False)
        _judge_keyring(facts, care, path, keys, now)
        if is_served:
            asyncio.run(_judge_marks(facts, care, database, keys, path))
            asyncio.run(_judge_mail(facts, care, database, now))
            asyncio.run(_judge_signing_keys(facts, care, database, TokenCodec(keys), settings))
    _judge_durability(facts, care, find_durability(database))
    _judge_disk(facts, care, find_sqlite_path(database))
    if as_json:
        print_json({**facts, "care": care})
    else:
        _print(facts, care)
    raise typer.Exit(1 if care else 0)


async def _count(database: str, settings: Settings) -> tuple[Census, SweepState | None]:
    store = open_store(database)
    try:
        sweeper = store.sweeper(
            epoch_seconds, SweepPlan(retention=settings.ended_grant_lifetime, event_retention=settings.event_lifetime)
        )
        return await sweeper.count(), await sweeper.find_state()
    finally:
        await store.close()


def _judge_rows(facts: dict[str, Any], care: list[str], census: Census, sweep: SweepState | None, now: int) -> None:
    facts["grants"] = census.grants
    facts["rows"] = census.others
    facts["last_sweep_ended_at"] = None if sweep is None else sweep.round_ended_at
    facts["next_sweep_at"] = None if sweep is None else sweep.next_round_at
    facts["clock_skew_seconds"] = census.clock_skew
    last = None if sweep is None else sweep.round_ended_at
    if census.grants["overdue"] and (last is None or last < now - _DAY):
        care.append("grants are overdue and no sweep has ended for a day: does a server run?")
    if abs(census.clock_skew) > _MAX_SKEW:
        care.append(f"the database's clock differs from this machine's by {census.clock_skew} s: synchronize them")


async def _judge_marks(facts: dict[str, Any], care: list[str], database: str, keyring: Keyring, path: Path) -> None:
    store = open_store(database)
    try:
        facts["restored_at"] = (await store.marks().find_epoch()).began_at or None
        verify_fits(keyring, await store.marks().find_keys(), f"keyring {path}")
    except ConfigurationError as error:
        care.append(str(error))
    finally:
        await store.close()


async def _judge_mail(facts: dict[str, Any], care: list[str], database: str, now: int) -> None:
    store = open_store(database)
    try:
        waiting, failed, due_since = await store.count_mail()
    finally:
        await store.close()
    facts["mail"] = {"waiting": waiting, "failed": failed}
    if due_since is not None and due_since < now - _MAIL_DELAY:
        care.append("mail is due and nobody sends it: does a server run?")
    if failed:
        care.append(f"{failed} mails were given up: `latchstring mail failed` tells why")


async def _judge_signing_keys(
    facts: dict[str, Any], care: list[str], database: str, codec: TokenCodec, settings: Settings
) -> None:
    store = open_store(database)
    try:
        facts["signing_keys"] = describe(await store.find_signing_keys(), settings, epoch_seconds())
        await build_signing_keys(store, codec, settings).verify_keyring()
    except ConfigurationError as error:
        care.append(str(error))
    finally:
        await store.close()


def _judge_keyring(facts: dict[str, Any], care: list[str], path: Path, keyring: Keyring, now: int) -> None:
    keys = keyring.keys
    facts["keyring"] = str(path)
    facts["key_ages_in_days"] = {str(key.key_id): max(0, now - key.created_at) // _DAY for key in keys}
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        care.append(f"{path} can be read by others: chmod 600")
    if now - keys[-1].created_at > _OLD_KEY:
        care.append("the newest key of the keyring is older than two years")


def _judge_durability(facts: dict[str, Any], care: list[str], durability: dict[str, str]) -> None:
    facts.update(durability)
    if durability.get("fsync") == "off":
        care.append("fsync is off: a crash of the database can break it")
    if durability.get("synchronous_commit") == "off":
        care.append("synchronous_commit is off: a crash of the database forgets what was acknowledged, revocations too")
    if durability.get("synchronous_commit") == "local" and durability.get("synchronous_standby_names"):
        care.append("synchronous_commit is local: a fail-over forgets what was acknowledged, revocations too")


def _judge_disk(facts: dict[str, Any], care: list[str], path: Path | None) -> None:
    if path is None:
        return
    files = [file for file in (path, path.with_name(path.name + "-wal")) if file.exists()]
    facts["database_bytes"] = sum(file.stat().st_size for file in files)
    facts["disk_free_bytes"] = shutil.disk_usage(path.parent).free
    if facts["disk_free_bytes"] < _SCARCE:
        care.append("less than 512 MiB are free where the database is")


def _print(facts: dict[str, Any], care: list[str]) -> None:
    width = max(map(len, facts))
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{kind} {number}" for kind, number in value.items())
        typer.echo(f"{name:<{width}}  {'-' if value is None else value}")
    for what in care:
        typer.echo(f"! {what}")
    if not care:
        typer.echo("Nothing needs care.")
