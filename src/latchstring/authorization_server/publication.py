"""Private, public, listed: an app is published by the operator's review, and reviewed again when it changes in what
matters (`docs/decisions/0022`)."""

from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

import msgspec

from latchstring.authorization_server.apps import clean_name
from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.mail import Mail, MailKey, MailRecord, Post
from latchstring.authorization_server.ports import Clock, Commit
from latchstring.authorization_server.records import ClientRecord
from latchstring.protocol.redirect_uri import redirect_host

Category = Literal["communication", "sales", "support", "finance", "productivity", "analytics", "developer", "other"]
CATEGORIES: Final[tuple[Category, ...]] = (
    "communication",
    "sales",
    "support",
    "finance",
    "productivity",
    "analytics",
    "developer",
    "other",
)
ReviewState = Literal["waiting", "approved", "declined", "withdrawn"]
MAX_NOTE_LENGTH: Final = 1000
_SHOWN: Final = 50

_encode = msgspec.json.Encoder(order="deterministic").encode


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a review is about, and what sends an app to review again when it changes."""

    name: str
    owner: str
    hosts: tuple[str, ...]
    scope: tuple[str, ...]
    details_types: tuple[str, ...]


class ReviewRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The latest review of an app. `facts` are as they stand since it was last changed."""

    client_id: str
    state: ReviewState
    wants_listing: bool
    category: Category
    note: str
    facts: str
    asked_by: str
    asked_at: int
    decided_by: str | None = None
    decided_at: int | None = None
    word: str = ""


class PublicationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator published an app with. It counts as listed while it `is_current`: nothing that matters has
    changed since."""

    client_id: str
    is_listed: bool
    category: Category
    reviewed: str
    is_current: bool
    reviewed_by: str
    reviewed_at: int


class ListedApp(msgspec.Struct, frozen=True, kw_only=True):
    """An app of the directory."""

    client_id: str
    name: str
    description: str
    organization_id: str
    publisher: str
    scope: tuple[str, ...]
    category: Category


TellOfReview = Callable[[ReviewRecord, str], MailRecord]
"""The mail to whoever asked for a review, at that address, now that it is decided."""


class PublicationStore(Protocol):
    """Reviews and publications, one row each for an app."""

    async def save_review(self, review: ReviewRecord, *, origin: Origin) -> Commit:
        """Put a review that waits in place of the one before; `LOST` where there is no such client."""

    async def withdraw_review(self, client_id: str, *, now: int, origin: Origin) -> Commit:
        """Take back a review that waits."""

    async def decide_review(
        self, client_id: str, *, seen: str, is_approved: bool, word: str, now: int, tell: TellOfReview, origin: Origin
    ) -> Commit:
        """Decide a review that waits, about those very facts; an approval publishes the app in the same transaction,
        and whoever asked for the review is told in it. `LOST` if it was decided, taken back or changed since they were
        seen."""

    async def unpublish(self, client_id: str, *, now: int, origin: Origin) -> Commit:
        """Take an app out of the directory and make it private again."""

    async def find_review(self, client_id: str) -> ReviewRecord | None:
        """The app's latest review."""

    async def find_publication(self, client_id: str) -> PublicationRecord | None:
        """What the app was published with."""

    async def find_reviews(self, *, is_waiting: bool, at_most: int) -> Sequence[ReviewRecord]:
        """Reviews that wait, the oldest first; or those that were decided, the newest first."""

    async def find_listed_apps(
        self, *, words: str, category: str, after: tuple[str, str], at_most: int
    ) -> Sequence[ListedApp]:
        """Apps of the directory by name and id, from the one after those on, of a category and with words in name or
        description; either may be empty."""


def find_facts(client: ClientRecord) -> Facts:
    """The client's facts."""
    return Facts(
        name=client.name,
        owner=client.organization_id or "",
        hosts=tuple(sorted({redirect_host(uri) for uri in client.redirect_uris})),
        scope=tuple(sorted(client.scope)),
        details_types=tuple(sorted(client.security.authorization_details_types)),
    )


def render_facts(client: ClientRecord) -> str:
    """The same, one spelling for one content."""
    return _encode(find_facts(client)).decode()


def read_facts(text: str) -> Facts:
    """What `render_facts` made."""
    return msgspec.json.decode(text, type=Facts)


def list_changes(before: Facts, now: Facts) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """What changed since the last review: by fact, what went and what came."""
    changes = {}
    for field in msgspec.structs.fields(Facts):
        old, new = _as_tuple(getattr(before, field.name)), _as_tuple(getattr(now, field.name))
        gone = tuple(value for value in old if value not in new)
        come = tuple(value for value in new if value not in old)
        if gone or come:
            changes[field.name] = (gone, come)
    return changes


def _as_tuple(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (value,)


class Publication:
    """Asks for reviews, decides them, and reads the directory."""

    def __init__(self, *, store: PublicationStore, post: Post, issuer: str | None, clock: Clock) -> None:
        """Without an issuer (on the command line) mail has no link."""
        self._store = store
        self._post = post
        self._issuer = issuer
        self._clock = clock

    async def ask(
        self, client: ClientRecord, *, wants_listing: bool, category: Category, note: str, origin: Origin
    ) -> Commit:
        """Send the app to review as it is now."""
        review = ReviewRecord(
            client_id=client.client_id,
            state="waiting",
            wants_listing=wants_listing,
            category=category,
            note=clean_name(note)[:MAX_NOTE_LENGTH],
            facts=render_facts(client),
            asked_by=origin.decider,
            asked_at=self._clock(),
        )
        return await self._store.save_review(review, origin=origin)

    async def withdraw(self, client_id: str, *, origin: Origin) -> Commit:
        """Take back a review that waits."""
        return await self._store.withdraw_review(client_id, now=self._clock(), origin=origin)

    async def decide(self, client_id: str, *, seen: str, is_approved: bool, word: str, origin: Origin) -> Commit:
        """Publish the app with what was seen of it, or decline. Of two at once one decides."""

        def tell(review: ReviewRecord, address: str) -> MailRecord:
            template: MailKey = "review_approved" if is_approved else "review_declined"
            link = {} if self._issuer is None else {"link": f"{self._issuer}/apps/{review.client_id}"}
            values = {"app": read_facts(review.facts).name, **link}
            return self._post.seal(Mail(to=address, template=template, values=values))

        return await self._store.decide_review(
            client_id,
            seen=seen,
            is_approved=is_approved,
            word=clean_name(word)[:MAX_NOTE_LENGTH],
            now=self._clock(),
            tell=tell,
            origin=origin,
        )

    async def unpublish(self, client_id: str, *, origin: Origin) -> Commit:
        """Make the app private again: only its owner's members keep their connections."""
        return await self._store.unpublish(client_id, now=self._clock(), origin=origin)

    async def find_state(self, client: ClientRecord) -> Literal["private", "in_review", "published", "listed"]:
        """How far the app has come, as its developer reads it."""
        publication = await self._store.find_publication(client.client_id)
        if client.is_published:
            is_listed = publication is not None and publication.is_listed and publication.is_current
            return "listed" if is_listed else "published"
        review = await self._store.find_review(client.client_id)
        return "in_review" if review is not None and review.state == "waiting" else "private"

    async def find(self, client_id: str) -> tuple[ReviewRecord | None, PublicationRecord | None]:
        """The app's latest review, and what it was published with."""
        return await self._store.find_review(client_id), await self._store.find_publication(client_id)

    async def find_waiting(self) -> Sequence[ReviewRecord]:
        """What waits for the operator."""
        return await self._store.find_reviews(is_waiting=True, at_most=_SHOWN)

    async def find_decided(self) -> Sequence[ReviewRecord]:
        """What was decided lately."""
        return await self._store.find_reviews(is_waiting=False, at_most=_SHOWN)

    async def find_listed(self, *, words: str, category: str, after: tuple[str, str]) -> Sequence[ListedApp]:
        """One page of the directory, and one app more where there is another page."""
        return await self._store.find_listed_apps(
            words=" ".join(words.split()), category=category, after=after, at_most=_SHOWN + 1
        )
