"""Reviews of apps, for operators."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from latchstring.authorization_server.api_scopes import OPERATOR_MANAGE, OPERATOR_READ
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.publication import (
    MAX_NOTE_LENGTH,
    Category,
    Facts,
    ReviewRecord,
    ReviewState,
    list_changes,
    read_facts,
)
from latchstring.web.api.operation import Call, Listed, Nothing, Operation, refuse_conflict, refuse_unknown

_AT: Final = "/operator/reviews"
_ONE: Final = f"{_AT}/{{client_id}}"


class FactChanged(msgspec.Struct, frozen=True, kw_only=True):
    """What of a fact went since the last review, and what came."""

    fact: str
    gone: list[str]
    come: list[str]


class AppReview(msgspec.Struct, frozen=True, kw_only=True):
    """An app that is or was reviewed, and what the review is about. `seen` goes back with the decision."""

    client_id: str
    app_name: str
    state: ReviewState
    wants_listing: bool
    category: Category
    note: str
    facts: Facts
    changes: list[FactChanged]
    seen: str
    is_published: bool
    asked_by: str
    asked_at: int
    decided_at: int | None
    word: str


class ReviewDecided(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`seen` as it stood in the review that the decision is about, and a word for the developer."""

    seen: str
    word: Annotated[str, msgspec.Meta(max_length=MAX_NOTE_LENGTH)] = ""


async def list_reviews(call: Call, asked: Nothing) -> Listed[AppReview]:
    """List the apps that wait for a review, the oldest first, at most 50."""
    return await _list(call, await call.services.publication.find_waiting())


async def list_decided_reviews(call: Call, asked: Nothing) -> Listed[AppReview]:
    """List the reviews that were decided, the latest first, at most 50."""
    return await _list(call, await call.services.publication.find_decided())


async def approve_review(call: Call, asked: ReviewDecided) -> None:
    """Publish the app with what was seen of it."""
    await _decide(call, asked, is_approved=True)


async def decline_review(call: Call, asked: ReviewDecided) -> None:
    """Decline to publish the app. Its developer reads the word."""
    await _decide(call, asked, is_approved=False)


async def unpublish_app(call: Call, asked: Nothing) -> None:
    """Take an app out of the directory and make it private again. Connections of strangers pause."""
    if await call.services.publication.unpublish(call.path["client_id"], origin=call.origin) is Commit.LOST:
        raise refuse_unknown("published app")


async def _decide(call: Call, asked: ReviewDecided, *, is_approved: bool) -> None:
    client_id, publication = call.path["client_id"], call.services.publication
    review, _ = await publication.find(client_id)
    if review is None:
        raise refuse_unknown("review")
    commit = await publication.decide(
        client_id, seen=asked.seen, is_approved=is_approved, word=asked.word, origin=call.origin
    )
    if commit is Commit.LOST:
        raise refuse_conflict("The review was decided or taken back, or the app has changed since: look again.")


async def _list(call: Call, reviews: Sequence[ReviewRecord]) -> Listed[AppReview]:
    described = [await _describe(call, review) for review in reviews]
    return Listed(items=[review for review in described if review is not None])


async def _describe(call: Call, review: ReviewRecord) -> AppReview | None:
    client = await call.services.store.find_client(review.client_id)
    if client is None or client.ended_at is not None:
        return None
    _, publication = await call.services.publication.find(review.client_id)
    facts = read_facts(review.facts)
    before = None if publication is None else read_facts(publication.reviewed)
    changes = {} if before is None else list_changes(before, facts)
    return AppReview(
        client_id=client.client_id,
        app_name=client.name,
        state=review.state,
        wants_listing=review.wants_listing,
        category=review.category,
        note=review.note,
        facts=facts,
        changes=[FactChanged(fact=fact, gone=list(gone), come=list(come)) for fact, (gone, come) in changes.items()],
        seen=review.facts,
        is_published=client.is_published,
        asked_by=review.asked_by,
        asked_at=review.asked_at,
        decided_at=review.decided_at,
        word=review.word,
    )


OPERATIONS: Final = (
    Operation("GET", _AT, OPERATOR_READ, list_reviews),
    Operation("GET", "/operator/decided-reviews", OPERATOR_READ, list_decided_reviews),
    Operation("POST", f"{_ONE}/approve", OPERATOR_MANAGE, approve_review),
    Operation("POST", f"{_ONE}/decline", OPERATOR_MANAGE, decline_review),
    Operation("POST", f"{_ONE}/unpublish", OPERATOR_MANAGE, unpublish_app),
)
