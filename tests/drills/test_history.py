"""The checker itself: a good history passes, and each broken promise is found."""

import itertools

import pytest

from tests.drills.history import Event, FinalRow, find_violations, read_history, write_history

ACTIVE = FinalRow(status="active", generation=3)
ENDED = FinalRow(status="ended", generation=1)
USED = {"error": "invalid_grant", "error_description": "superseded: the authorization code was already used, …"}
REFUSED = {"error": "invalid_grant", "error_description": "revoked: …"}


def history(*steps):
    """Events one after the other; a step is kind, what was presented, status (None: unanswered) and answer."""
    clock = itertools.count()
    events = []
    for kind, presented, status, answer in steps:
        given = {"refresh_token": answer} if isinstance(answer, str) else answer or {}
        event = Event(actor="a", kind=kind, presented=presented, started=next(clock), status=status, answer=given)
        if status is not None:
            event.ended = next(clock)
        events.append(event)
    return events


GOOD = [
    ("redeem", "code", 200, "r1"),
    ("refresh", "r1", None, None),
    ("refresh", "r1", 200, "r2"),
    ("refresh", "r1", 200, "r2"),
    ("refresh", "r2", 503, {"error": "temporarily_unavailable"}),
    ("refresh", "r2", 200, "r3"),
]


def test_checker_good_history_has_no_violations(tmp_path):
    events = history(*GOOD)
    assert find_violations(events, {"a": ACTIVE}) == []
    write_history(tmp_path / "history.jsonl", events)
    assert read_history(tmp_path / "history.jsonl") == events


@pytest.mark.parametrize(
    "steps",
    [
        [("redeem", "code", 200, "r1"), ("revoke", "r1", 200, None), ("refresh", "r1", 400, REFUSED)],
        [("redeem", "code", None, None), ("redeem", "code", 400, USED)],
        [("redeem", "code", 200, "r1"), ("redeem", "code", 400, USED), ("introspect", "x", 200, {"active": False})],
    ],
)
def test_checker_good_ending_has_no_violations(steps):
    assert find_violations(history(*steps), {"a": ENDED}) == []


@pytest.mark.parametrize(
    "steps, row, what",
    [
        ([*GOOD, ("redeem", "code", 200, "r9")], ACTIVE, "its code was redeemed 2 times"),
        ([*GOOD, ("refresh", "r3", 200, "r4"), ("refresh", "r3", 200, "r5")], ACTIVE, "two successors"),
        ([*GOOD, ("refresh", "r1", 200, "r2")], ACTIVE, "accepted after its successor had been used"),
        ([*GOOD, ("refresh", "r3", 200, "r3")], ACTIVE, "have the same successor"),
        ([*GOOD, ("refresh", "r3", 400, REFUSED)], ACTIVE, "an honest refresh was refused"),
        ([*GOOD, ("refresh", "r3", None, None)], ACTIVE, "the client is stranded"),
        (GOOD, FinalRow(status="active", generation=2), "an acknowledged rotation was lost"),
        (GOOD, FinalRow(status="active", generation=4), "the row is at generation 4"),
        (GOOD, FinalRow(status="ended", generation=3), "nobody ended the grant"),
        ([*GOOD, ("refresh", "r3", 500, {"error": "server_error"})], ACTIVE, "was answered 500"),
        ([*GOOD, ("refresh", "r3", 400, {"error": "invalid_client"})], ACTIVE, "was refused as"),
        ([*GOOD, ("revoke", "r3", 200, None), ("refresh", "r3", 200, "r4")], ENDED, "refresh succeeded after"),
        ([*GOOD, ("revoke", "r3", 200, None), ("introspect", "x", 200, {"active": True})], ENDED, "lives after"),
        ([*GOOD, ("revoke", "r3", 200, None)], ACTIVE, "its row is active"),
        ([("redeem", "c", 200, "r1"), ("redeem", "c", 400, USED), ("refresh", "r1", 200, "r2")], ENDED, "succeeded"),
        ([("redeem", "c", None, None), ("redeem", "c", 400, REFUSED)], ACTIVE, "nobody got the tokens"),
    ],
)
def test_checker_broken_promise_is_found(steps, row, what):
    violations = find_violations(history(*steps), {"a": row})
    assert any(what in violation for violation in violations), violations
