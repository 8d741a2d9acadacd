"""Reviews, publications, the directory and publishers' domains, on every engine; each decided once."""

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.events import COMMAND_LINE, Origin
from latchstring.authorization_server.mail import Mail, MailRecord
from latchstring.authorization_server.organization_policy import OrganizationPolicy
from latchstring.authorization_server.ports import Commit, ConsentCommit
from latchstring.authorization_server.publication import ReviewRecord, render_facts
from latchstring.authorization_server.publishers import decide_check
from latchstring.storage.store import SqlStore
from latchstring.wiring import build_post
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW, build_client, build_codec
from tests.authorization_server.test_publishers import build_domain
from tests.storage.conftest import OpenStore
from tests.storage.test_grant_store import fresh_grant

CLIENT = build_client()
FACTS = render_facts(CLIENT)


def build_review(**given: Any) -> ReviewRecord:
    values: dict[str, Any] = {
        "client_id": MAILLOOP,
        "state": "waiting",
        "wants_listing": True,
        "category": "sales",
        "note": "",
        "facts": FACTS,
        "asked_by": ANN,
        "asked_at": NOW,
    }
    return ReviewRecord(**{**values, **given})


async def decide(store: SqlStore, **given: Any) -> Commit:
    def tell(review: ReviewRecord, address: str) -> MailRecord:
        return build_post(build_codec(), lambda: NOW + 5).seal(Mail(to=address, template="test"))

    values: dict[str, Any] = {"seen": FACTS, "is_approved": True, "word": "", "now": NOW + 5, "origin": COMMAND_LINE}
    values["tell"] = tell
    return await store.decide_review(MAILLOOP, **{**values, **given})


async def list_apps(store: SqlStore, **given: Any) -> list[str]:
    values: dict[str, Any] = {"words": "", "category": "", "after": ("", ""), "at_most": 10}
    return [app.client_id for app in await store.find_listed_apps(**{**values, **given})]


@pytest.fixture
async def listed(peopled: SqlStore) -> SqlStore:
    assert await peopled.save_review(build_review(), origin=COMMAND_LINE) is Commit.APPLIED
    assert await decide(peopled) is Commit.APPLIED
    return peopled


async def test_review_is_kept_and_found_as_it_was(peopled: SqlStore):
    review = build_review(note="Hello")
    assert await peopled.save_review(review, origin=COMMAND_LINE) is Commit.APPLIED
    assert await peopled.find_review(MAILLOOP) == review
    assert await peopled.find_reviews(is_waiting=True, at_most=5) == [review]
    assert await peopled.find_reviews(is_waiting=False, at_most=5) == []
    assert await peopled.withdraw_review(MAILLOOP, now=NOW, origin=COMMAND_LINE) is Commit.APPLIED
    assert await peopled.withdraw_review(MAILLOOP, now=NOW, origin=COMMAND_LINE) is Commit.LOST
    assert await decide(peopled) is Commit.LOST


async def test_review_is_decided_once_and_about_what_was_seen(peopled: SqlStore, open_another: OpenStore):
    stores = [peopled, *(open_another() for _ in range(3))]
    await peopled.save_review(build_review(), origin=COMMAND_LINE)
    assert await decide(peopled, seen="{}") is Commit.LOST
    outcomes = await asyncio.gather(*(decide(stores[n % 4], is_approved=n % 2 == 0) for n in range(30)))
    assert Counter(outcomes) == {Commit.APPLIED: 1, Commit.LOST: 29}


async def test_directory_finds_by_words_category_and_place(listed: SqlStore):
    assert await list_apps(listed) == [MAILLOOP]
    assert await list_apps(listed, words="AILLO", category="sales") == [MAILLOOP]
    for nothing in (
        {"words": "x"},
        {"words": "%"},
        {"words": "_"},
        {"category": "other"},
        {"after": ("Mailloop", "~")},
    ):
        assert await list_apps(listed, **nothing) == [], nothing
    assert await list_apps(listed, after=("Mailloop", "")) == [MAILLOOP]


async def test_app_that_changes_is_listed_no_longer_and_waits_again(listed: SqlStore):
    policy = OrganizationPolicy(low="listed", medium="listed", high="listed")
    await listed.save_organization_policy(ACORN, policy, now=NOW, origin=COMMAND_LINE)
    assert await listed.commit_consent(fresh_grant()) is ConsentCommit.CREATED
    changed = msgspec.structs.replace(CLIENT, name="Mailloop Pro")
    await listed.update_client_details(changed, now=NOW + 9, origin=Origin("user", ANN))
    assert await list_apps(listed) == []
    assert await listed.commit_consent(fresh_grant()) is ConsentCommit.NEEDS_APPROVAL
    review = await listed.find_review(MAILLOOP)
    assert review is not None
    assert (review.state, review.facts, review.asked_by) == ("waiting", render_facts(changed), ANN)
    await listed.update_client_details(CLIENT, now=NOW + 10, origin=COMMAND_LINE)
    assert await list_apps(listed) == [MAILLOOP]
    assert await listed.commit_consent(fresh_grant()) is ConsentCommit.CREATED


async def test_unpublished_app_is_neither_public_nor_listed(listed: SqlStore):
    assert await listed.unpublish(MAILLOOP, now=NOW, origin=COMMAND_LINE) is Commit.APPLIED
    assert await list_apps(listed) == []
    client = await listed.find_client(MAILLOOP)
    assert client is not None
    assert not client.is_published


# -- domains


async def test_domain_is_claimed_checked_once_and_found(peopled: SqlStore, open_another: OpenStore):
    stores = [peopled, *(open_another() for _ in range(3))]
    record = build_domain()
    assert await peopled.claim_domain(record, at_most=2, origin=COMMAND_LINE) is Commit.APPLIED
    assert await peopled.find_domain(ACORN, record.domain) == record
    assert await peopled.find_domains(ACORN) == [record]
    taken = await asyncio.gather(*(store.take_due_domain(now=NOW, lease=60) for store in stores))
    assert len([one for one in taken if one is not None]) == 1
    verified = decide_check(record, True, NOW)
    saved = await asyncio.gather(*(store.save_check(record, verified, now=NOW) for store in stores))
    assert Counter(saved) == {Commit.APPLIED: 1, Commit.LOST: 3}
    assert await peopled.find_verified_domain(ACORN) == record.domain
    assert await peopled.end_domain(ACORN, record.domain, now=NOW, origin=COMMAND_LINE) is Commit.APPLIED
    assert await peopled.end_domain(ACORN, record.domain, now=NOW, origin=COMMAND_LINE) is Commit.LOST
    assert await peopled.find_verified_domain(ACORN) is None


async def test_domain_needs_an_admin_and_a_place(peopled: SqlStore):
    assert await peopled.claim_domain(build_domain(), at_most=2, origin=Origin("user", ANN)) is Commit.LOST
    for number in range(3):
        record = build_domain(domain=f"a{number}.example")
        expected = Commit.APPLIED if number < 2 else Commit.LOST
        assert await peopled.claim_domain(record, at_most=2, origin=COMMAND_LINE) is expected
