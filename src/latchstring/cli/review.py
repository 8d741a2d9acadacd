"""`latchstring review`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.publication import ReviewRecord, read_facts
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
from latchstring.wiring import Deployment, build_publication

app = typer.Typer(help="Reviews: apps that would like to be published.", no_args_is_help=True)

Client = Annotated[str, typer.Option("--client", help="The client id.")]
Word = Annotated[str, typer.Option("--word", help="What the app's developer reads.")]


@app.command("list")
def list_reviews(database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False) -> None:
    """List what waits for a review, the oldest first, at most 50."""

    async def work(store: SqlStore, deployment: Deployment) -> Sequence[ReviewRecord]:
        return await build_publication(store, deployment.codec, None).find_waiting()

    records = []
    for review in run_with_store(database, keyring, work):
        facts = read_facts(review.facts)
        records.append(
            {
                "client_id": review.client_id,
                "name": facts.name,
                "hosts": " ".join(facts.hosts),
                "scope": " ".join(facts.scope),
                "wants_listing": review.wants_listing,
                "category": review.category,
                "note": review.note,
                "asked_at": review.asked_at,
            }
        )
    print_records(records, as_json, "Nothing waits for a review.")


@app.command("approve")
def approve(
    client: Client, word: Word = "", database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False
) -> None:
    """Publish an app as it is now, and list it if it asked for that."""
    _decide(client, word, database, keyring, as_json, is_approved=True)


@app.command("decline")
def decline(
    client: Client, word: Word = "", database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False
) -> None:
    """Decline a review; the app stays as it is."""
    _decide(client, word, database, keyring, as_json, is_approved=False)


@app.command("unpublish")
def unpublish(
    client: Client, database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False
) -> None:
    """Make an app private again; only its owner's members keep their connections."""

    async def work(store: SqlStore, deployment: Deployment) -> None:
        if await build_publication(store, deployment.codec, None).unpublish(client, origin=COMMAND_LINE) is Commit.LOST:
            raise CommandRefused(f"{client} is not published")

    run_with_store(database, keyring, work)
    print_record({"client_id": client, "published": False}, as_json)


def _decide(client: str, word: str, database: str, keyring: KeyringPath, as_json: bool, *, is_approved: bool) -> None:
    async def work(store: SqlStore, deployment: Deployment) -> None:
        publication = build_publication(store, deployment.codec, None)
        review, _published = await publication.find(client)
        if review is None or review.state != "waiting":
            raise CommandRefused(f"{client} waits for no review")
        commit = await publication.decide(
            client, seen=review.facts, is_approved=is_approved, word=word, origin=COMMAND_LINE
        )
        if commit is Commit.LOST:
            raise CommandRefused(f"{client} has changed meanwhile; look again")

    run_with_store(database, keyring, work)
    print_record({"client_id": client, "state": "approved" if is_approved else "declined"}, as_json)
