"""The revocation feed's order: whatever commits late, no guard that follows its cursors misses anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.authorization_server import revocation_feed
from latchstring.authorization_server.events import SYSTEM, Action, Event, EventRecord
from latchstring.authorization_server.revocation_feed import (
    ENDING,
    OVERLAP,
    Cursor,
    decide_answer,
    find_first_id,
    find_revocation,
    parse_cursor,
    render_cursor,
)
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.revocation_feed import Revocation, parse_feed, render_feed

NOW = 1_800_000_000


def make_event(number: int, at: int) -> EventRecord:
    """Number names it, in a way that does not follow the order of time."""
    event = Event(
        action=Action.TOKEN_REVOKED, at=at, origin=SYSTEM, subject_kind="token", subject_id="", user_id=f"user_{number}"
    )
    return EventRecord(
        id=at.to_bytes(5, "big") + (number * 2654435761 % 2**32).to_bytes(4, "big") + bytes(7), event=event
    )


def read(store: list[EventRecord], cursor: Cursor, now: int, page: int, recent: int):
    """As `RevocationFeed.read`, on a list."""
    if cursor.after_id is not None:
        after, at_most = cursor.after_id, page
    else:
        after, at_most = find_first_id(cursor.until - OVERLAP + 1), recent
    found = sorted((each for each in store if each.id > after), key=lambda each: each.id)[:at_most]
    return decide_answer(cursor, found, at_most=at_most, now=now)


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


def test_too_many_at_once_ask_about_everything():
    store = [make_event(number, NOW - 1) for number in range(12)]
    answer = read(store, Cursor(NOW), NOW, 5, recent=12)
    assert answer.revocations == [Revocation(at=NOW)]
    assert not answer.has_more


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
