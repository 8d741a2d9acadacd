"""When grants were last used, and from where: written after the answer, a bounded number a second, lost in a crash."""

import asyncio
from typing import Final

import structlog

from latchstring.authorization_server.connection_ports import USE_NOTED_FOR
from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage.store import SqlStore

log = structlog.get_logger("latchstring.storage")

APP_NOTED_FOR: Final = 24 * 3600
"""Seconds within which an app's use is noted once in each process, as long as it comes from the same address: its
refreshes are on the grant's own row."""
_DELAY: Final = 1.0
_MAX_WAITING: Final = 200
_MAX_REMEMBERED: Final = 20_000


class GrantUses:
    """Implements the port `NoteGrantUse`. Belongs to one event loop.

    At most `_MAX_WAITING` notes wait for the next write: under any load that is all there is to do in a second, and
    what finds no place is noted at a later use.
    """

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._noted: dict[bytes, tuple[str | None, int]] = {}
        self._waiting: dict[bytes, tuple[str | None, int]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def __call__(self, grant_id: bytes, address: str | None, now: int) -> None:
        """Note the use a little later, together with others; most calls find that it was noted not long ago."""
        noted = self._noted.get(grant_id)
        if noted is not None:
            if address is None:
                address = noted[0]
                if 0 <= now - noted[1] < USE_NOTED_FOR:
                    return
            elif address == noted[0] and 0 <= now - noted[1] < APP_NOTED_FOR:
                return
        if len(self._waiting) >= _MAX_WAITING:
            return
        if len(self._noted) >= _MAX_REMEMBERED:
            self._noted.clear()
        self._noted[grant_id] = self._waiting[grant_id] = (address, now)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        waiting, self._waiting = self._waiting, {}
        try:
            await self._store.note_grant_uses(waiting)
        except StoreUnavailable as error:
            # A note, not a promise: the next use tries again.
            log.info("grant_uses_lost", count=len(waiting), reason=str(error))
            for grant_id in waiting:
                self._noted.pop(grant_id, None)

    async def close(self) -> None:
        """Write what is still waiting."""
        if self._writing is not None:
            await self._writing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            await self._write()
