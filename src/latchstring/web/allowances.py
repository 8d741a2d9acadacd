"""The log of what clients were let off by name: each use, but not each of many."""

from typing import Final

import structlog

from latchstring.authorization_server.ports import Clock

log = structlog.get_logger("latchstring.audit")

INTERVAL: Final = 60
"""Seconds in which a client's use of an allowance is logged once by each process."""

_MAX_REMEMBERED: Final = 10_000


class AllowanceLog:
    """Notes uses of allowances; one process's, in bounded memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._noted_at: dict[tuple[str, str], int] = {}

    def note(self, client_id: str, allowance: str) -> None:
        """Log the use as `allowance_used`, at most once in `INTERVAL` for the client."""
        now, key = self._clock(), (client_id, allowance)
        noted_at = self._noted_at.get(key)
        if noted_at is not None and noted_at <= now < noted_at + INTERVAL:
            return
        if len(self._noted_at) >= _MAX_REMEMBERED:
            self._noted_at.clear()
        self._noted_at[key] = now
        log.info("allowance_used", client_id=client_id, allowance=allowance)
