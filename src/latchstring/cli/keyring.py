"""`latchstring keyring`."""

import os
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from latchstring.authorization_server.keyring import KEY_SIZE, KeyMark, Keyring
from latchstring.authorization_server.keyring_uses import find_expiry, find_uses
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.settings import Settings
from latchstring.cli.output import (
    DATABASE,
    CommandRefused,
    ConfigPath,
    Database,
    Json,
    KeyringPath,
    print_record,
    print_records,
    run_with_store,
)
from latchstring.storage.keyring_file import change_keyring, load_keyring
from latchstring.storage.store import SqlStore
from latchstring.storage.url import run_apart
from latchstring.wiring import Deployment, epoch_seconds, find_keyring_path, load_settings

app = typer.Typer(help="The keyring: the keys behind every token, code and client secret.", no_args_is_help=True)

# The settings are for lifetimes; the command line has no address of its own.
_NO_ISSUER: Final = "http://127.0.0.1"
_MIN_LEAD: Final = 60
_MAX_LEAD: Final = 30 * 24 * 3600


def _describe(key_id: int, keyring: Keyring, settings: Settings, now: int) -> dict[str, Any]:
    [key] = [key for key in keyring.keys if key.key_id == key_id]
    state = "next" if key.used_from > now else "making" if keyring.order(now).current == key else "checking"
    return {
        "id": key.key_id,
        "state": state,
        "created_at": key.created_at,
        "used_from": key.used_from or key.created_at,
        "tokens_expire_at": find_expiry(key_id, keyring, settings, now),
    }


@app.command("list")
def list_keys(
    database: Database = DATABASE, keyring: KeyringPath = None, config: ConfigPath = None, as_json: Json = False
) -> None:
    """List the keys: the next one, the one that makes what is new, and those kept to check what they have made."""
    settings, now = load_settings(config, issuer=_NO_ISSUER), epoch_seconds()

    async def work(_: SqlStore, deployment: Deployment) -> Keyring:
        return Keyring(tuple(sorted(deployment.codec.keyring.keys, key=lambda key: key.key_id)))

    keys = run_with_store(database, keyring, work)
    print_records([_describe(key.key_id, keys, settings, now) for key in keys.keys], as_json, "")


@app.command("rotate")
def rotate(
    lead: Annotated[
        int,
        typer.Option("--after", help="Seconds until the key makes tokens.", min=_MIN_LEAD, max=_MAX_LEAD),
    ] = 3600,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    config: ConfigPath = None,
    as_json: Json = False,
) -> None:
    """Add the next key. It makes what is new after a while; by then the file has to be on every machine. Nobody is
    logged out: older keys go on checking what they have made."""
    settings, now = load_settings(config, issuer=_NO_ISSUER), epoch_seconds()
    path = find_keyring_path(database, keyring)

    async def work(store: SqlStore, _: Deployment) -> Keyring:
        def add(keys: Keyring) -> Keyring:
            return keys if keys.keys[-1].used_from > now else keys.add(os.urandom(KEY_SIZE), now, now + lead)

        return await store.marks().commit_keyring(change_keyring(path, add), f"keyring {path}")

    keys = run_with_store(database, keyring, work)
    print_record(_describe(keys.keys[-1].key_id, keys, settings, now), as_json)
    if not as_json:
        typer.echo(f"Copy {path} to every other machine before used_from, and to where its backup is.")


@app.command("retire")
def retire(
    key: Annotated[int, typer.Argument(help="The key's number.")],
    is_forced: Annotated[
        bool, typer.Option("--force", help="Even if something needs it: all of that fails from now on.")
    ] = False,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    config: ConfigPath = None,
    as_json: Json = False,
) -> None:
    """Let a key count no more, on every server. Refused while something needs it; says what."""
    settings, now = load_settings(config, issuer=_NO_ISSUER), epoch_seconds()
    path = find_keyring_path(database, keyring)
    # Not `prepare`: a key that is lost is retired by this command too.
    keys = load_keyring(path, now, may_create=False)

    async def work(store: SqlStore) -> tuple[list[str], dict[int, KeyMark]]:
        uses = find_uses(
            key,
            keys,
            clients=await _find_clients(store),
            resource_servers=await store.find_resource_servers(),
            sealed=await store.marks().count_sealed(key),
            settings=settings,
            now=now,
        )
        return uses, await store.marks().find_keys()

    uses, marks = run_apart(database, work)
    retired = {key_id for key_id, mark in marks.items() if mark.retired_at is not None}
    if key not in marks or key in retired:
        raise CommandRefused(f"there is no key {key}, or it is retired already")
    if not any(other.used_from <= now for other in keys.drop({key, *retired}).keys):
        raise CommandRefused(f"key {key} is the only one in use: first add the next with `latchstring keyring rotate`")
    if uses and not is_forced:
        raise CommandRefused(f"key {key} is needed: {'; '.join(uses)}. With --force all of that fails")
    run_apart(database, lambda store: store.marks().retire_key(key, now=now))
    change_keyring(path, lambda keys: keys.drop({key}))
    print_record({"id": key, "state": "retired", "failing": uses}, as_json)


async def _find_clients(store: SqlStore) -> Sequence[ClientRecord]:
    found: list[ClientRecord] = []
    while page := await store.find_clients(after=found[-1].client_id if found else ""):
        found += page
    return found
