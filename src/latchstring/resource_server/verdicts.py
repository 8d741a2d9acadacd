"""What a guard keeps of what it has asked, and what the revocation feed has said since. Pure, and safe for threads.

An answer is used again only while nothing that the feed has told concerns its token, and only while the feed is fresh
(case S17). Whatever is in doubt is asked about again: an entry too many costs one question, never a wrong answer.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from latchstring.protocol.introspection import IntrospectionResponse
from latchstring.protocol.revocation_feed import Revocation

MAX_VERDICTS: Final = 20_000
MAX_REVOCATIONS: Final = 100_000
# A token may be issued by a server whose clock is that far ahead of the one that wrote down the revocation, in seconds.
CLOCK_SKEW: Final = 30


class Verdict(msgspec.Struct, frozen=True):
    """What the server said of a token, until when it may be used again, and what the feed had told before."""

    answer: IntrospectionResponse
    until: float
    known: int


def name_token(token: str) -> bytes:
    """What a token is kept under: never the token itself."""
    return hashlib.sha256(token.encode("ascii", "replace")).digest()


class Verdicts:
    """Answers by token, for one guard and so for one audience; for which scopes they are good is decided anew each
    time.

    `lifetime` (seconds) is how long an answer is used at most. With a feed, `bound` (seconds) is how old its last word
    may be: after that every token is asked about.
    """

    def __init__(self, *, lifetime: float, bound: float | None, monotonic: Callable[[], float]) -> None:
        self._lifetime = lifetime
        self._bound = bound
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()
        self._revocations: OrderedDict[tuple[str | None, str | None], tuple[int, int]] = OrderedDict()
        self._count = 0
        self._forgotten = (0, 0)
        self._fresh_until = float("-inf")

    @property
    def count(self) -> int:
        """How much the feed has told so far."""
        return self._count

    @property
    def keeps(self) -> bool:
        """Whether answers are kept at all."""
        return self._lifetime > 0

    def is_fresh(self) -> bool:
        """Whether what is kept may be used: always without a feed, whose place `lifetime` takes."""
        return self._bound is None or self._monotonic() <= self._fresh_until

    def find(self, name: bytes) -> IntrospectionResponse | None:
        """The answer kept for the token, if it is as good as a new one."""
        verdict = self._verdicts.get(name)
        if verdict is None:
            return None
        now = self._monotonic()
        if verdict.until <= now or (self._bound is not None and now > self._fresh_until):
            return None
        if self._bound is not None and max(self._find_latest(verdict.answer)[0], self._forgotten[0]) > verdict.known:
            return None
        return verdict.answer

    def keep(self, name: bytes, answer: IntrospectionResponse, known: int) -> None:
        """Keep an answer that was asked for when the feed had told that much. A refusal is not kept: who is let in
        again should not have to wait for it."""
        if not self.keeps or not answer.active:
            return
        with self._lock:
            self._verdicts[name] = Verdict(answer, self._monotonic() + self._lifetime, known)
            self._verdicts.move_to_end(name)
            while len(self._verdicts) > MAX_VERDICTS:
                self._verdicts.popitem(last=False)

    def is_in_doubt(self, answer: IntrospectionResponse) -> bool:
        """Whether a token that was checked by itself must be asked about: something that concerns it has ended since it
        was issued, or the feed is not fresh."""
        if self._bound is None:
            return False
        if not self.is_fresh() or answer.iat is None:
            return True
        return answer.iat <= max(self._find_latest(answer)[1], self._forgotten[1]) + CLOCK_SKEW

    def apply(self, revocations: Iterable[Revocation]) -> None:
        """Note what has ended."""
        with self._lock:
            for each in revocations:
                self._count += 1
                key = (each.user_id, each.organization_id)
                at = max(each.at, self._revocations.pop(key, (0, 0))[1])
                self._revocations[key] = (self._count, at)
                while len(self._revocations) > MAX_REVOCATIONS:
                    # Tokens of before that can no longer be told apart from dead ones: each is asked about.
                    _, (count, at) = self._revocations.popitem(last=False)
                    self._forgotten = (max(self._forgotten[0], count), max(self._forgotten[1], at))

    def refresh(self, heard_at: float) -> None:
        """The feed has told everything up to that moment (of this guard's steady clock)."""
        if self._bound is not None:
            self._fresh_until = max(self._fresh_until, heard_at + self._bound)

    def _find_latest(self, answer: IntrospectionResponse) -> tuple[int, int]:
        """The number and the time of the latest word that concerns the token; zeros where there is none."""
        user, organization = answer.user_id, answer.organization_id
        find = self._revocations.get
        latest, latest_at = 0, 0
        for key in ((user, organization), (None, organization), (user, None), (None, None)):
            found = find(key)
            if found is not None:
                latest, latest_at = max(latest, found[0]), max(latest_at, found[1])
        return latest, latest_at
