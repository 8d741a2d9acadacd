"""The revocation feed's order: whatever commits late, no guard that follows its cursors misses anything."""

from collections.abc import Coroutine, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.authorization_server import revocation_feed
from latchstring.authorization_server.events import SYSTEM, Action, Event, EventRecord
from latchstring.authorization_server.revocation_feed import (
    ENDING,
    OVERLAP,
    Cursor,
    RevocationFeed,
    decide_answer,
    find_first_id,
    find_revocation,
    parse_cursor,
    render_cursor,
)
from latchstring.authorization_server.settings import MAX_ACCESS_TOKEN_LIFETIME
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.revocation_feed import FeedAnswer, Revocation, parse_feed, render_feed
from latchstring.protocol.token_request import ClientCredentials

NOW = 1_800_000_000


def make_event(number: int, at: int) -> EventRecord:
    """Number names it, in a way that does not follow the order of time."""
    event = Event(
        action=Action.TOKEN_REVOKED, at=at, origin=SYSTEM, subject_kind="token", subject_id="", user_id=f"user_{number}"
    )
    return EventRecord(
        id=at.to_bytes(5, "big") + (number * 2654435761 % 2**32).to_bytes(4, "big") + bytes(7), event=event
    )


class ListStore:
    """Events as they are committed, in no order of their own."""

    def __init__(self, events: Iterable[EventRecord]) -> None:
        self.events = list(events)

    async def find_ending_events(self, after: bytes, *, at_most: int) -> list[EventRecord]:
        """Those behind `after`, oldest first."""
        return sorted((each for each in self.events if each.id > after), key=lambda each: each.id)[:at_most]


class Doorman:
    """Lets every resource server in."""

    async def authenticate_resource_server(self, credentials: ClientCredentials) -> None:
        """Nothing to see here: that only resource servers with their secret get in is tested at the edge."""


def make_feed(events: Iterable[EventRecord], now: int) -> RevocationFeed:
    doorman: Any = Doorman()
    store: Any = ListStore(events)
    return RevocationFeed(authenticator=doorman, store=store, clock=lambda: now)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine that waits for nothing returns."""
    with pytest.raises(StopIteration) as returned:
        coroutine.send(None)
    return returned.value.value


def read(events: Iterable[EventRecord], cursor: Cursor, now: int, page: int, recent: int) -> FeedAnswer:
    """What the feed tells, where a page and what is told at once are smaller."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(revocation_feed, "PAGE", page)
        patch.setattr(revocation_feed, "MAX_RECENT", recent)
        return run(make_feed(events, now).read(cursor))


def begin(events: Iterable[EventRecord], now: int) -> Cursor:
    """Where a guard stands that never read the feed."""
    return run(make_feed(events, now).find_cursor(None, ClientCredentials("oa2resource_1", "", "client_secret_basic")))


def follow(events: Iterable[EventRecord], cursor: Cursor, now: int, page: int, recent: int) -> list[list[Revocation]]:
    """What a guard is told that goes on for as long as there is more."""
    pages = []
    for _ in range(100):
        answer = read(events, cursor, now, page, recent)
        pages.append(answer.revocations)
        cursor = parse_cursor(answer.cursor)
        if not answer.has_more:
            return pages
    raise AssertionError("the feed does not come to an end")


@given(
    commits=st.lists(st.tuples(st.integers(0, 200), st.integers(0, OVERLAP - 1)), max_size=40),
    steps=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    page=st.integers(1, 6),
)
def test_guard_that_follows_its_cursor_misses_nothing(commits, steps, page):
    """Each event is named `at`, and committed up to the overlap later; the guard reads whenever it likes."""
    events = [(NOW + at + late, make_event(number, NOW + at)) for number, (at, late) in enumerate(commits)]
    heard: set[Revocation] = set()
    cursor, now = Cursor(NOW - 1, find_first_id(NOW - 1)), NOW
    for step in [*steps, 300, 300]:
        now += step
        store = [event for committed_at, event in events if committed_at <= now]
        for _ in range(len(store) + 2):
            answer = read(store, cursor, now, page, recent=1000)
            heard |= set(answer.revocations)
            cursor = parse_cursor(answer.cursor)
            if not answer.has_more:
                break
        else:
            raise AssertionError("the feed does not come to an end")
        assert heard >= {find_revocation(event.event) for event in store}
    assert read([event for _, event in events], cursor, now, page, recent=1000).revocations == []


def test_guard_that_has_heard_all_is_told_nothing_again():
    store = [make_event(number, NOW - 3) for number in range(3)]
    first = read(store, Cursor(NOW - 100, find_first_id(NOW - 100)), NOW, 10, 10)
    assert len(first.revocations) == 3
    again = read(store, parse_cursor(first.cursor), NOW + 1, 10, 10)
    assert (again.revocations, again.has_more) == ([], False)


def test_event_that_commits_behind_the_cursor_is_told():
    early, late = make_event(1, NOW - 20), make_event(2, NOW - 10)
    first = read([late], Cursor(NOW - 100, find_first_id(NOW - 100)), NOW, 10, 10)
    second = read([early, late], parse_cursor(first.cursor), NOW + 1, 10, 10)
    assert find_revocation(early.event) in second.revocations


def test_guard_that_begins_is_told_of_a_long_past_in_pages():
    """However much there is: only what is recent is told at once."""
    store = [make_event(number, NOW - 1000 + number) for number in range(12)]
    pages = follow(store, begin(store, NOW), NOW, page=5, recent=6)
    assert pages == [[find_revocation(each.event) for each in store[at : at + 5]] for at in (0, 5, 10)]


def test_page_that_ends_within_a_second_goes_on_in_it():
    """The last second that no commit can slip into any more."""
    store = [make_event(number, NOW - OVERLAP) for number in range(7)]
    pages = follow(store, Cursor(NOW - 100, find_first_id(NOW - 100)), NOW, page=5, recent=10)
    assert [len(page) for page in pages] == [5, 2]
    assert {each for page in pages for each in page} == {find_revocation(each.event) for each in store}


def test_event_that_commits_behind_a_page_of_recent_ones_is_told():
    store = [make_event(number, NOW - 10 + number) for number in range(5)]
    first = read(store, Cursor(NOW - 100, find_first_id(NOW - 100)), NOW, 5, 10)
    assert (len(first.revocations), first.has_more) == (5, True)
    late = make_event(5, NOW - 20)
    assert find_revocation(late.event) in read([*store, late], parse_cursor(first.cursor), NOW, 5, 10).revocations


@pytest.mark.parametrize("age", [0, 1, OVERLAP - 1, OVERLAP, OVERLAP + 1])
def test_event_of_whatever_age_is_told_once(age):
    store = [make_event(1, NOW - age), make_event(2, NOW - 1)]
    first = read(store, Cursor(NOW - 100, find_first_id(NOW - 100)), NOW, 10, 10)
    assert len(first.revocations) == 2
    for later in (0, 1):
        assert read(store, parse_cursor(first.cursor), NOW + later, 10, 10).revocations == []


def test_event_that_commits_as_late_as_it_can_is_told():
    first = read([], Cursor(NOW - 100, find_first_id(NOW - 100)), NOW, 10, 10)
    late = make_event(1, NOW - OVERLAP + 1)
    assert read([late], parse_cursor(first.cursor), NOW, 10, 10).revocations == [find_revocation(late.event)]


@pytest.mark.parametrize("place", range(3))
def test_event_that_took_the_place_of_one_that_a_failover_lost_is_told(place):
    """As many as before, and not the same."""
    store = [make_event(number, NOW - 9 + number) for number in range(3)]
    first = read(store, Cursor(NOW - 100, find_first_id(NOW - 100)), NOW, 10, 10)
    other = store[place] = make_event(7, NOW - 9 + place)
    assert find_revocation(other.event) in read(store, parse_cursor(first.cursor), NOW, 10, 10).revocations


def test_too_many_at_once_ask_about_everything_and_then_go_on():
    store = [make_event(number, NOW - 1) for number in range(12)]
    answer = read(store, Cursor(NOW), NOW, 5, recent=12)
    assert answer.revocations == [Revocation(at=NOW)]
    assert not answer.has_more
    store = [make_event(12, NOW + OVERLAP)]
    further = read(store, parse_cursor(answer.cursor), NOW + OVERLAP, 5, recent=12)
    assert further.revocations == [find_revocation(store[0].event)]


def test_guard_that_begins_is_told_of_all_that_may_end_a_token_that_lives():
    """Of one that was issued late in the longest life that there is, by a clock that is behind."""
    store = [make_event(1, NOW)]
    now = NOW + MAX_ACCESS_TOKEN_LIFETIME + OVERLAP
    assert read(store, begin(store, now), now, 10, 10).revocations == [find_revocation(store[0].event)]
    assert read(store, begin(store, now + 1), now + 1, 10, 10).revocations == []


@pytest.mark.parametrize("at", [NOW, 1, 0, -29])
def test_first_id_of_a_second_sorts_before_its_events_and_makes_a_cursor(at):
    first = find_first_id(at)
    assert make_event(9, max(at, 0) - 1).id < first < make_event(1, max(at, 0)).id if at > 0 else first == bytes(16)
    assert parse_cursor(render_cursor(Cursor(NOW, first))) == Cursor(NOW, first)


def test_event_of_a_server_whose_clock_is_ahead_is_told_once():
    store = [make_event(1, NOW + 20)]
    first = read(store, Cursor(NOW - 100, find_first_id(NOW - 100)), NOW, 10, 10)
    assert len(first.revocations) == 1
    assert read(store, parse_cursor(first.cursor), NOW + 1, 10, 10).revocations == []


@pytest.mark.parametrize(
    "cursor",
    [Cursor(NOW, bytes(range(16))), Cursor(NOW), Cursor(NOW, None, 17, 2**128 - 1)],
)
def test_cursor_is_read_as_it_was_written(cursor):
    assert parse_cursor(render_cursor(cursor)) == cursor


@pytest.mark.parametrize(
    "text", ["", "1", "1.", "1.2", "x" * 40, f"1.{'0' * 33}", f"-1.{'0' * 32}", f"1.1-{'0' * 31}", "1.1-" + "g" * 32]
)
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(OAuthError, match="not a cursor"):
        parse_cursor(text)


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("grant", Revocation(at=NOW, user_id="user_1", organization_id="orga_1")),
        ("membership", Revocation(at=NOW, user_id="user_1", organization_id="orga_1")),
        ("organization", Revocation(at=NOW, organization_id="orga_1")),
        ("approval", Revocation(at=NOW, organization_id="orga_1")),
        ("policy", Revocation(at=NOW, organization_id="orga_1")),
        ("user", Revocation(at=NOW, user_id="subject")),
        ("token", Revocation(at=NOW, user_id="user_1", organization_id="orga_1")),
        ("app", Revocation(at=NOW)),
    ],
)
def test_whose_tokens_an_event_is_about(kind, expected):
    event = Event(
        action=Action.GRANT_ENDED,
        at=NOW,
        origin=SYSTEM,
        subject_kind=kind,
        subject_id="subject",
        organization_id="orga_1",
        client_id="oa2client_1",
        user_id="user_1",
    )
    assert find_revocation(event) == expected


# What leaves every token as it was: each new action is put here or into the feed, by whoever makes it.
HARMLESS = {
    Action.GRANT_CREATED,
    Action.GRANT_RESUMED,
    Action.MEMBERSHIP_ADDED,
    Action.MEMBERSHIP_RESUMED,
    Action.APP_CREATED,
    Action.APP_CHANGED,
    Action.APP_PUBLISHED,
    Action.APP_REINSTATED,
    Action.APP_SECRETS_CHANGED,
    Action.POLICY_APP_APPROVED,
    Action.REQUEST_MADE,
    Action.REQUEST_APPROVED,
    Action.REQUEST_DECLINED,
    Action.REQUEST_LAPSED,
    Action.APP_REVIEW_ASKED,
    Action.APP_REVIEW_WITHDRAWN,
    Action.APP_REVIEW_APPROVED,
    Action.APP_REVIEW_DECLINED,
    Action.PUBLISHER_CLAIMED,
    Action.PUBLISHER_VERIFIED,
    Action.PUBLISHER_LOST,
    Action.PUBLISHER_ENDED,
    Action.WEBHOOK_CREATED,
    Action.WEBHOOK_CHANGED,
    Action.WEBHOOK_DELETED,
    Action.WEBHOOK_DISABLED,
    Action.WEBHOOK_TESTED,
    Action.ORGANIZATION_CREATED,
    Action.ORGANIZATION_CHANGED,
    Action.ORGANIZATION_REOPENED,
    Action.USER_CREATED,
    Action.USER_PASSWORD_CHANGED,
    Action.USER_SECOND_FACTOR_ADDED,
    Action.USER_SECOND_FACTOR_REMOVED,
    Action.USER_RECOVERY_CODES_REPLACED,
    Action.USER_RECOVERY_CODE_USED,
    Action.PASSKEY_ADDED,
    Action.PASSKEY_REMOVED,
    Action.PASSKEY_SUSPECTED,
    Action.USER_SIGNED_OUT,
    Action.USER_ENABLED,
    Action.OPERATOR_ADDED,
    Action.OPERATOR_REMOVED,
}


def test_every_action_is_in_the_feed_or_known_to_be_harmless():
    assert ENDING.isdisjoint(HARMLESS)
    assert set(Action) == ENDING | HARMLESS


def test_feed_on_the_wire_is_read_as_it_was_written():
    answer = decide_answer(Cursor(NOW), [make_event(1, NOW + 1)], at_most=10, now=NOW + 1)
    assert parse_feed(render_feed(answer)) == answer
    assert b"null" not in render_feed(answer)
    for body in (b"", b"[]", b'{"revocations":[]}', b'{"revocations":[{}],"cursor":""}', b"[" * 100_000):
        with pytest.raises(ValueError, match="not a revocation feed"):
            parse_feed(body)


def test_a_page_is_smaller_than_what_is_told_at_once():
    assert revocation_feed.PAGE < revocation_feed.MAX_RECENT


def test_full_page_of_events_long_past_goes_on_after_its_last():
    found = [make_event(number, NOW - 10 * OVERLAP + number) for number in range(4)]
    answer = decide_answer(Cursor(NOW, found[0].id), found, at_most=4, now=NOW)
    assert answer.cursor == render_cursor(Cursor(found[3].event.at, found[3].id))
    assert answer.has_more
