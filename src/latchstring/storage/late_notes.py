"""Notes that are written after the answer, together, a little later; lost in a crash."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final, Generic, TypeVar

import structlog

from latchstring.protocol.errors import StoreUnavailable

log = structlog.get_logger("latchstring.storage")

_DELAY: Final = 1.0
Key = TypeVar("Key")
Note = TypeVar("Note")


class LateNotes(ABC, Generic[Key, Note]):
    """What was noted last of each, and what still waits. Belongs to one event loop."""

    def __init__(self, *, lost: str, max_remembered: int) -> None:
        """`lost` is the log's event of notes that could not be written."""
        self._lost = lost
        self._max_remembered = max_remembered
        self._noted: dict[Key, Note] = {}
        self._waiting: dict[Key, Note] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    @abstractmethod
    async def write(self, waiting: Mapping[Key, Note]) -> None:
        """Keep the notes."""

    def note(self, key: Key, note: Note) -> None:
        """Remember it, and write it together with what else comes within a second."""
        if len(self._noted) >= self._max_remembered:
            self._noted.clear()
        self._noted[key] = self._waiting[key] = note
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        waiting, self._waiting = self._waiting, {}
        try:
            await self.write(waiting)
        except StoreUnavailable as error:
            # A note, not a promise: the next use tries again.
            log.info(self._lost, count=len(waiting), reason=str(error))
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
