"""Which DPoP proofs were used already (RFC 9449 §11.1; case S15)."""

import inspect
import threading
from collections import deque
from typing import Final, Protocol, cast

from latchstring.protocol.errors import ConfigurationError
from latchstring.resource_server.refusal import refuse_unavailable

MAX_REMEMBERED: Final = 1_000_000


class ReplayMemory(Protocol):
    """Remembers proofs; shared by processes, if a proof must count once over all of them."""

    async def use_once(self, digest: bytes, *, expires_at: float, now: float) -> bool:
        """Note 32 bytes that name a proof; False if they were noted before and had not expired. Atomic.

        May raise `Refusal`; anything else that goes wrong must not be taken for True.
        """


class ThreadReplayMemory(Protocol):
    """The same for threads."""

    def use_once(self, digest: bytes, *, expires_at: float, now: float) -> bool:
        """As `ReplayMemory.use_once`."""


class ThreadMemory:
    """The memory of one process, for its threads. A proof counts once in each process that has one: with N workers at
    most N times within three minutes, and once more after a restart.

    Only proofs that came with a good token are remembered, about 150 bytes each. When it is full the guard answers 503
    rather than forget one.
    """

    def __init__(self, max_remembered: int = MAX_REMEMBERED) -> None:
        self._max_remembered = max_remembered
        self._lock = threading.Lock()
        self._digests: set[bytes] = set()
        self._expiries: deque[tuple[float, bytes]] = deque()

    def use_once(self, digest: bytes, *, expires_at: float, now: float) -> bool:
        with self._lock:
            # Each is remembered for equally long, so the oldest stand first; if the clock steps back, they stay longer.
            while self._expiries and self._expiries[0][0] <= now:
                self._digests.discard(self._expiries.popleft()[1])
            if digest in self._digests:
                return False
            if len(self._digests) >= self._max_remembered:
                raise refuse_unavailable("the memory of DPoP proofs is full")
            self._digests.add(digest)
            self._expiries.append((expires_at, digest))
            return True


class ProcessMemory:
    """The same for asyncio."""

    def __init__(self, max_remembered: int = MAX_REMEMBERED) -> None:
        self._memory = ThreadMemory(max_remembered)

    async def use_once(self, digest: bytes, *, expires_at: float, now: float) -> bool:
        return self._memory.use_once(digest, expires_at=expires_at, now=now)


def find_async_memory(given: object) -> ReplayMemory:
    """The memory of a guard in asyncio; refuses one for threads."""
    if given is not None and not _is_async(given):
        raise ConfigurationError("Guard: dpop.memory is for asyncio here: its use_once is `async def`.")
    return cast(ReplayMemory, given) if given is not None else ProcessMemory()


def find_thread_memory(given: object) -> ThreadReplayMemory:
    """The memory of a guard for threads; refuses one for asyncio."""
    if given is not None and _is_async(given):
        raise ConfigurationError("SyncGuard: dpop.memory is for threads here: its use_once is a plain `def`.")
    return cast(ThreadReplayMemory, given) if given is not None else ThreadMemory()


def _is_async(memory: object) -> bool:
    return inspect.iscoroutinefunction(getattr(memory, "use_once", None))
