"""Time for tests."""

import itertools


class Clock:
    """Epoch seconds that move a microsecond a look, and further when told."""

    def __init__(self, now: float = 1_750_000_000.0) -> None:
        self.now = now
        self._looks = itertools.count()

    def __call__(self) -> float:
        return self.now + next(self._looks) / 1_000_000

    def advance(self, seconds: float) -> None:
        """Let that many seconds pass."""
        self.now += seconds
