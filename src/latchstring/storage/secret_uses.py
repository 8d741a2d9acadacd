"""When client secrets were last used, to the hour or so: written after the answer, and lost in a crash."""

import asyncio
from typing import Final

import structlog

from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage.store import SqlStore

log = structlog.get_logger("latchstring.storage")

NOTED_FOR: Final = 3600
"""Seconds within which a secret is noted once in each process."""
_DELAY: Final = 1.0
_MAX_REMEMBERED: Final = 10_000


class SecretUses:
    """Implements the port `NoteSecretUse`. Belongs to one event loop."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._noted: dict[tuple[str, str], int] = {}
        self._waiting: dict[tuple[str, str], int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def __call__(self, client_id: str, secret_id: str, now: int) -> None:
        """Note the use a little later, together with others; most calls find that it was noted not long ago."""
        key = (client_id, secret_id)
        noted = self._noted.get(key)
        if noted is not None and 0 <= now - noted < NOTED_FOR:
            return
        if len(self._noted) >= _MAX_REMEMBERED:
            self._noted.clear()
        self._noted[key] = self._waiting[key] = now
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        waiting, self._waiting = self._waiting, {}
        try:
            await self._store.note_secret_uses(waiting)
        except StoreUnavailable as error:
            # A note, not a promise: the next use of the secret tries again.
            log.info("secret_uses_lost", count=len(waiting), reason=str(error))
            for key in waiting:
                self._noted.pop(key, None)

    async def close(self) -> None:
        """Write what is still waiting."""
        if self._writing is not None:
            await self._writing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            await self._write()
