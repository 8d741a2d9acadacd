"""Which DPoP proofs were used already (RFC 9449 §11.1; case S15)."""

from collections import deque
from typing import Final, Protocol

from latchstring.resource_server.refusal import refuse_unavailable

MAX_REMEMBERED: Final = 1_000_000


class ReplayMemory(Protocol):
    """Remembers proofs; shared by processes, if a proof must count once over all of them."""

    async def use_once(self, digest: bytes, *, expires_at: float, now: float) -> bool:
        """Note 32 bytes that name a proof; False if they were noted before and had not expired. Atomic.

        May raise `Refusal`; anything else that goes wrong must not be taken for True.
        """


class ProcessMemory:
    """The memory of one process, in one event loop. A proof counts once in each process that has one: with N workers at
    most N times within three minutes, and once more after a restart.

    Only proofs that came with a good token are remembered, about 150 bytes each. When it is full the guard answers 503
    rather than forget one.
    """

    def __init__(self, max_remembered: int = MAX_REMEMBERED) -> None:
        self._max_remembered = max_remembered
        self._digests: set[bytes] = set()
        self._expiries: deque[tuple[float, bytes]] = deque()

    async def use_once(self, digest: bytes, *, expires_at: float, now: float) -> bool:
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
