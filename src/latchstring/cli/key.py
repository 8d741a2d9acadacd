"""`latchstring key`."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from latchstring.authorization_server.records import SigningKeyRecord
from latchstring.authorization_server.signing_keys import describe
from latchstring.cli.output import (
    DATABASE,
    ConfigPath,
    Database,
    Json,
    KeyringPath,
    print_record,
    print_records,
    run_with_store,
)
from latchstring.storage.store import SqlStore
from latchstring.wiring import Deployment, build_signing_keys, epoch_seconds, load_settings

app = typer.Typer(help="Signing keys: which there are, and the next one.", no_args_is_help=True)

# The settings are for the algorithm and the lifetime; the command line has no address of its own.
_NO_ISSUER = "http://127.0.0.1"


def _render(key: SigningKeyRecord, state: str) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "algorithm": key.algorithm,
        "state": state,
        "created_at": key.created_at,
        "used_from": key.used_from,
    }


@app.command("list")
def list_keys(
    database: Database = DATABASE, keyring: KeyringPath = None, config: ConfigPath = None, as_json: Json = False
) -> None:
    """List the signing keys: next, signing, and kept for the tokens that they have signed."""
    settings = load_settings(config, issuer=_NO_ISSUER)

    async def work(store: SqlStore, deployment: Deployment) -> Sequence[SigningKeyRecord]:
        await build_signing_keys(store, deployment.codec, settings).verify_keyring()
        return await store.find_signing_keys()

    keys = run_with_store(database, keyring, work)
    states = describe(keys, settings, epoch_seconds())
    records = [_render(key, states[key.key_id]) for key in keys]
    print_records(records, as_json, "no signing key yet: the first one is made when it is needed")


@app.command("rotate")
def rotate(
    compromised: Annotated[
        bool,
        typer.Option(
            "--compromised", help="Sign with the new key at once; everything that other keys signed fails from now on."
        ),
    ] = False,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    config: ConfigPath = None,
    as_json: Json = False,
) -> None:
    """Make the next signing key now. It signs once it has been published for a day."""
    settings = load_settings(config, issuer=_NO_ISSUER)

    async def work(store: SqlStore, deployment: Deployment) -> tuple[SigningKeyRecord, str]:
        signing_keys = build_signing_keys(store, deployment.codec, settings)
        made = await signing_keys.rotate(is_compromised=compromised)
        return made, describe(await store.find_signing_keys(), settings, epoch_seconds())[made.key_id]

    made, state = run_with_store(database, keyring, work)
    print_record(_render(made, state), as_json)
