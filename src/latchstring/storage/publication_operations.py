"""What happens to an app that is reviewed, published and changed: one transaction each, and the event that tells."""

from collections.abc import Sequence
from typing import Any

from latchstring.authorization_server.events import Action, Origin
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.publication import PublicationRecord, ReviewRecord, TellOfReview
from latchstring.storage.app_operations import app_event
from latchstring.storage.engine import Row, Steps
from latchstring.storage.life_cycle import publish_client
from latchstring.storage.recording import queue_mail, record_event
from latchstring.storage.statements import clients, people, publication


def save_review(review: ReviewRecord, origin: Origin) -> Steps[Commit]:
    """Keep a review that waits."""
    found = yield clients.FIND_CLIENT, {"client_id": review.client_id}
    if found is None:
        return Commit.LOST
    yield publication.SAVE_REVIEW, write_review(review)
    told = {"wants_listing": review.wants_listing, "category": review.category}
    event = app_event(Action.APP_REVIEW_ASKED, review.client_id, found[1], origin, review.asked_at, after=told)
    yield from record_event(event)
    return Commit.APPLIED


def withdraw_review(client_id: str, now: int, origin: Origin) -> Steps[Commit]:
    """Take back a review that waits."""
    found = yield clients.FIND_CLIENT, {"client_id": client_id}
    if found is None or (yield publication.WITHDRAW_REVIEW, {"of_client": client_id}) is None:
        return Commit.LOST
    yield from record_event(app_event(Action.APP_REVIEW_WITHDRAWN, client_id, found[1], origin, now))
    return Commit.APPLIED


def decide_review(
    client_id: str, seen: str, is_approved: bool, word: str, now: int, tell: TellOfReview, origin: Origin
) -> Steps[Commit]:
    """Decide a review, publish what was approved, and tell whoever asked for it."""
    found = yield clients.FIND_CLIENT, {"client_id": client_id}
    deciding = {"by": origin.decider, "now": now, "word": word, "seen": seen}
    state = "approved" if is_approved else "declined"
    row = yield publication.DECIDE_REVIEW, {**deciding, "of_client": client_id, "new_state": state}
    if found is None or row is None:
        return Commit.LOST
    review = read_review(row)
    action = Action.APP_REVIEW_APPROVED if is_approved else Action.APP_REVIEW_DECLINED
    yield from record_event(app_event(action, client_id, found[1], origin, now, after={"word": word}))
    asker = yield people.FIND_USER, {"user_id": review.asked_by}
    if asker is not None:
        yield from queue_mail(tell(review, asker[1]))
    if is_approved:
        yield (
            publication.SAVE_PUBLICATION,
            {
                "client_id": client_id,
                "is_listed": review.wants_listing,
                "category": review.category,
                "reviewed": review.facts,
                "reviewed_by": origin.decider,
                "reviewed_at": now,
            },
        )
        yield from publish_client(client_id, True, now, origin)
    return Commit.APPLIED


def unpublish(client_id: str, now: int, origin: Origin) -> Steps[Commit]:
    """Make an app private again, and unlisted."""
    yield publication.UNLIST, {"of_client": client_id}
    return (yield from publish_client(client_id, False, now, origin))


def compare(client_id: str, facts: str, now: int, origin: Origin) -> Steps[None]:
    """Steps for inside of a change of an app: what waits is about the app as it is; one that was published and has
    changed in what matters goes to review again, and counts as listed no longer until then."""
    yield publication.RENEW_FACTS, {"of_client": client_id, "new_facts": facts}
    row = yield publication.COMPARE_PUBLICATION, {"of_client": client_id, "new_facts": facts}
    if row is None or row[0]:
        return
    waiting = yield publication.FIND_REVIEW, {"client_id": client_id}
    if waiting is not None and waiting[1] == "waiting":
        return
    review = ReviewRecord(
        client_id=client_id,
        state="waiting",
        wants_listing=bool(row[1]),
        category=row[2],
        note="",
        facts=facts,
        asked_by=origin.decider,
        asked_at=now,
    )
    yield from save_review(review, origin)


def read_review(row: Row | Sequence[Any]) -> ReviewRecord:
    """The columns of a review."""
    return ReviewRecord(
        client_id=row[0],
        state=row[1],
        wants_listing=bool(row[2]),
        category=row[3],
        note=row[4],
        facts=row[5],
        asked_by=row[6],
        asked_at=row[7],
        decided_by=row[8],
        decided_at=row[9],
        word=row[10],
    )


def write_review(review: ReviewRecord) -> dict[str, Any]:
    """A review's columns."""
    return {name: getattr(review, name) for name in review.__struct_fields__}


def read_publication(row: Row) -> PublicationRecord:
    """The columns of a publication."""
    return PublicationRecord(
        client_id=row[0],
        is_listed=bool(row[1]),
        category=row[2],
        reviewed=row[3],
        is_current=bool(row[4]),
        reviewed_by=row[5],
        reviewed_at=row[6],
    )
