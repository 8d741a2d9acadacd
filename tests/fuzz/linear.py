"""Whether something's time grows as its input does: processor time, the best of several, and a wide margin."""

import time
from collections.abc import Callable
from typing import Final

# Eight times the input may cost thirty times as much and five milliseconds; a square would cost sixty-four times.
_GROWTH: Final = 8
_MARGIN: Final = 30
_SLACK: Final = 0.005
_ROUNDS: Final = 3


def _measure(run: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(_ROUNDS):
        started = time.process_time()
        run()
        best = min(best, time.process_time() - started)
    return best


def verify_linear(run: Callable[[int], object], size: int) -> None:
    """Refuse what takes much more than eight times as long for an input of `size` as for an eighth of it."""
    long = _measure(lambda: run(size))
    if long <= _SLACK:
        return
    short = _measure(lambda: run(size // _GROWTH))
    assert long <= _MARGIN * short + _SLACK, f"{size // _GROWTH} bytes take {short:.4f} s, {size} bytes {long:.4f} s"
