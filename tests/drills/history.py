"""The history of a drill, and the checker that finds in it what must never have happened.

Every request is an event: when it started, when it was answered, and what with. An unanswered one may or may not
have happened; an answered one is binding. The checker knows nothing of the server: it reads the events, and at the
end the rows.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

REPLAYED: Final = "superseded: the authorization code"
Kind = Literal["redeem", "refresh", "revoke", "introspect"]


class Event(msgspec.Struct, kw_only=True):
    """One request about one grant (the actor's). `ended` and `status` are None while, or if never, answered."""

    actor: str
    kind: Kind
    presented: str
    started: float
    ended: float | None = None
    status: int | None = None
    answer: dict[str, Any] = {}

    @property
    def is_success(self) -> bool:
        """Whether tokens came back, or the revocation was acknowledged."""
        return self.status == 200

    def begins_after(self, moment: float | None) -> bool:
        """Whether it was sent when that moment had passed."""
        return moment is not None and self.started > moment


class FinalRow(msgspec.Struct, kw_only=True):
    """What the database says of the actor's grant at the end."""

    status: str
    generation: int


def write_history(path: Path, events: Iterable[Event]) -> None:
    """One event a line."""
    path.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in events))


def read_history(path: Path) -> list[Event]:
    """What `write_history` wrote."""
    return [msgspec.json.decode(line, type=Event) for line in path.read_bytes().splitlines()]


def find_violations(events: Sequence[Event], rows: Mapping[str, FinalRow]) -> list[str]:
    """Every broken promise, in words; none in a good history."""
    violations: list[str] = []
    by_actor: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_actor[event.actor].append(event)
        violations += _find_unacceptable_answer(event)
    violations += _find_shared_codes(events)
    for actor, history in by_actor.items():
        found = [*_check_order(history), *_check_endings(history), *_check_goes_on(history, rows[actor])]
        violations += [f"{actor}: {what}" for what in found]
    return violations


def _find_unacceptable_answer(event: Event) -> Iterable[str]:
    if event.status not in {None, 200, 400, 503}:
        yield f"{event.actor}: {event.kind} was answered {event.status} {event.answer}"
    if event.status == 400 and event.answer.get("error") != "invalid_grant":
        yield f"{event.actor}: {event.kind} was refused as {event.answer}"


def _find_shared_codes(events: Sequence[Event]) -> Iterable[str]:
    redeemed = Counter(event.presented for event in events if event.kind == "redeem" and event.is_success)
    for code, count in redeemed.items():
        if count > 1:
            actor = next(event.actor for event in events if event.presented == code)
            yield f"{actor}: its code was redeemed {count} times"


def _check_order(history: Sequence[Event]) -> Iterable[str]:
    """One token, one successor; and none goes once its successor has gone."""
    successors: dict[str, str] = {}
    used_at: dict[str, float] = {}
    refreshes = [event for event in history if event.kind == "refresh" and event.is_success]
    for event in refreshes:
        successor = event.answer["refresh_token"]
        if successors.setdefault(event.presented, successor) != successor:
            yield "one refresh token has two successors"
        assert event.ended is not None
        used_at[event.presented] = min(event.ended, used_at.get(event.presented, event.ended))
    if len(set(successors.values())) != len(successors):
        yield "two refresh tokens have the same successor"
    for event in refreshes:
        if event.begins_after(used_at.get(successors[event.presented])):
            yield "a refresh token was accepted after its successor had been used"


def _find_ending(history: Sequence[Event]) -> float | None:
    """When the first answer came that means the grant's end: a revocation's, or that of a code's second redemption."""
    endings = [
        event.ended
        for event in history
        if (event.kind == "revoke" and event.is_success and event.ended is not None)
        or (event.kind == "redeem" and event.status == 400 and REPLAYED in event.answer["error_description"])
    ]
    return min((ended for ended in endings if ended is not None), default=None)


def _check_endings(history: Sequence[Event]) -> Iterable[str]:
    ending = _find_ending(history)
    for event in history:
        if event.begins_after(ending):
            if event.kind in {"refresh", "redeem"} and event.is_success:
                yield f"{event.kind} succeeded after the grant's end was acknowledged"
            if event.kind == "introspect" and event.answer.get("active") is not False:
                yield "an access token lives after the grant's end was acknowledged"


def _check_goes_on(history: Sequence[Event], row: FinalRow) -> Iterable[str]:
    """Whoever's grant was not ended can go on, and the row stands exactly where its client does."""
    may_have_ended = any(event.kind == "revoke" for event in history)
    codes = Counter(event.presented for event in history if event.kind == "redeem")
    may_have_ended |= any(count > 1 for count in codes.values())
    if may_have_ended:
        # Whether it ended is certain only once an answer said so.
        if _find_ending(history) is not None and row.status != "ended":
            yield f"the grant's end was acknowledged, but its row is {row.status}"
        yield from _check_code_is_not_half_used(history, row)
    refreshes = [event for event in history if event.kind == "refresh"]
    if not refreshes:
        return
    if not may_have_ended:
        if any(event.status == 400 for event in refreshes):
            yield "an honest refresh was refused"
        if row.status != "active":
            yield f"nobody ended the grant, but its row is {row.status}"
    if not may_have_ended or _find_ending(history) is None:
        last = max(refreshes, key=lambda event: event.started)
        if not last.is_success:
            yield "its last refresh got no tokens: the client is stranded"
    known = {event.answer["refresh_token"] for event in history if event.is_success and "refresh_token" in event.answer}
    if _find_ending(history) is None and row.generation != len(known):
        yield f"its client has seen {len(known)} refresh tokens, but the row is at generation {row.generation}"
    if row.generation < len(known):
        yield f"an acknowledged rotation was lost: {len(known)} refresh tokens, generation {row.generation}"


def _check_code_is_not_half_used(history: Sequence[Event], row: FinalRow) -> Iterable[str]:
    redemptions = [event for event in history if event.kind == "redeem"]
    if redemptions and not any(event.is_success for event in redemptions) and row.status == "active":
        yield "nobody got the tokens of a grant that is active"
