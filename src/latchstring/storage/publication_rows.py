"""The port `PublicationStore` over an engine."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.publication import ListedApp, PublicationRecord, ReviewRecord, TellOfReview
from latchstring.storage import publication_operations as operations
from latchstring.storage.engine import Engine, Steps
from latchstring.storage.statements import publication


class PublicationRows:
    """Reviews and publications, in rows."""

    _engine: Engine
    _change_client: Callable[[str, int, Callable[[], Steps[Commit]]], Awaitable[Commit]]

    async def save_review(self, review: ReviewRecord, *, origin: Origin) -> Commit:
        return await self._engine.commit(partial(operations.save_review, review, origin))

    async def withdraw_review(self, client_id: str, *, now: int, origin: Origin) -> Commit:
        return await self._engine.commit(partial(operations.withdraw_review, client_id, now, origin))

    async def decide_review(
        self, client_id: str, *, seen: str, is_approved: bool, word: str, now: int, tell: TellOfReview, origin: Origin
    ) -> Commit:
        decide = partial(operations.decide_review, client_id, seen, is_approved, word, now, tell, origin)
        return await self._change_client(client_id, now, decide)

    async def unpublish(self, client_id: str, *, now: int, origin: Origin) -> Commit:
        return await self._change_client(client_id, now, partial(operations.unpublish, client_id, now, origin))

    async def find_review(self, client_id: str) -> ReviewRecord | None:
        row = await self._engine.read(publication.FIND_REVIEW, {"client_id": client_id})
        return None if row is None else operations.read_review(row)

    async def find_publication(self, client_id: str) -> PublicationRecord | None:
        row = await self._engine.read(publication.FIND_PUBLICATION, {"client_id": client_id})
        return None if row is None else operations.read_publication(row)

    async def find_reviews(self, *, is_waiting: bool, at_most: int) -> Sequence[ReviewRecord]:
        which = publication.FIND_WAITING_REVIEWS if is_waiting else publication.FIND_DECIDED_REVIEWS
        return [operations.read_review(row) for row in await self._engine.read_all(which, {"at_most": at_most})]

    async def find_listed_apps(
        self, *, words: str, category: str, after: tuple[str, str], at_most: int
    ) -> Sequence[ListedApp]:
        escaped = "".join(f"!{letter}" if letter in "!%_" else letter for letter in words.lower())
        listed = {
            "category": category,
            "pattern": f"%{escaped}%" if escaped else "",
            "after_name": after[0].lower(),
            "after_id": after[1],
            "at_most": at_most,
        }
        return [
            ListedApp(
                client_id=row[0],
                name=row[1],
                description=row[2],
                organization_id=row[3],
                publisher=row[4],
                scope=tuple(row[5].split()),
                category=row[6],
            )
            for row in await self._engine.read_all(publication.FIND_LISTED_APPS, listed)
        ]
