"""Where buckets are kept (`limits`): in the process, or wherever an API's processes share them."""

import inspect
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Protocol, cast

from latchstring.protocol.errors import ConfigurationError
from latchstring.resource_server.limits import Bucket, Level

MAX_BUCKETS: Final = 100_000


class LimitMemory(Protocol):
    """Keeps buckets; shared by processes, if a limit is to hold over all of them."""

    async def take(self, buckets: Sequence[Bucket], now: float) -> Sequence[Level]:
        """Take one request out of each bucket, or out of none where one is empty, and say how full each is. Atomic.
        `now` is in epoch seconds.

        Where the memory is out of reach it is its own to say whether requests go on: a `Refusal` answers them, full
        buckets let them pass.
        """


class ThreadLimitMemory(Protocol):
    """The same for threads."""

    def take(self, buckets: Sequence[Bucket], now: float) -> Sequence[Level]:
        """As `LimitMemory.take`."""


class ThreadBuckets:
    """The buckets of one process, for its threads: with N workers a caller has N times the quota.

    A bucket is one number, when it is full again (the generic cell rate algorithm); one that is full is not kept. Above
    `max_buckets` those that were used least lately go, and are full again.
    """

    def __init__(self, max_buckets: int = MAX_BUCKETS) -> None:
        self._max_buckets = max_buckets
        self._lock = threading.Lock()
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, buckets: Sequence[Bucket], now: float) -> Sequence[Level]:
        with self._lock:
            # A clock that steps back makes no bucket emptier than empty.
            full_in = [min(max(self._full_at.get(each.key, now) - now, 0.0), each.window) for each in buckets]
            steps = [each.window / each.quota for each in buckets]
            waits = [
                max(spent + step - each.window, 0.0) for each, spent, step in zip(buckets, full_in, steps, strict=True)
            ]
            # What a float cannot tell from nothing is nothing.
            waits = [wait if wait > 1e-6 else 0.0 for wait in waits]
            is_taken = not any(waits)
            levels = []
            for each, spent, step, wait in zip(buckets, full_in, steps, waits, strict=True):
                after = min(spent + step, each.window) if is_taken else spent
                self._full_at[each.key] = now + after
                self._full_at.move_to_end(each.key)
                levels.append(Level(int((each.window - after) / step + 1e-6), after, wait))
            self._forget(now)
            return levels

    def _forget(self, now: float) -> None:
        while self._full_at:
            key, full_at = next(iter(self._full_at.items()))
            if full_at > now and len(self._full_at) <= self._max_buckets:
                return
            del self._full_at[key]


class ProcessBuckets:
    """The same for asyncio."""

    def __init__(self, max_buckets: int = MAX_BUCKETS) -> None:
        self._buckets = ThreadBuckets(max_buckets)

    async def take(self, buckets: Sequence[Bucket], now: float) -> Sequence[Level]:
        return self._buckets.take(buckets, now)


def find_async_limit_memory(given: object) -> LimitMemory:
    """The memory of a guard in asyncio; refuses one for threads."""
    if given is not None and not _is_async(given):
        raise ConfigurationError("Guard: limit_memory is for asyncio here: its take is `async def`.")
    return cast(LimitMemory, given) if given is not None else ProcessBuckets()


def find_thread_limit_memory(given: object) -> ThreadLimitMemory:
    """The memory of a guard for threads; refuses one for asyncio."""
    if given is not None and _is_async(given):
        raise ConfigurationError("SyncGuard: limit_memory is for threads here: its take is a plain `def`.")
    return cast(ThreadLimitMemory, given) if given is not None else ThreadBuckets()


def _is_async(memory: object) -> bool:
    return inspect.iscoroutinefunction(getattr(memory, "take", None))
