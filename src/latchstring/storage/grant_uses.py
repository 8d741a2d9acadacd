"""When grants were last used, and from where: written after the answer, a bounded number a second, lost in a crash."""

from collections.abc import Mapping
from typing import Final

from latchstring.authorization_server.connection_ports import USE_NOTED_FOR
from latchstring.storage.late_notes import LateNotes
from latchstring.storage.store import SqlStore

APP_NOTED_FOR: Final = 24 * 3600
"""Seconds within which an app's use is noted once in each process, as long as it comes from the same address: its
refreshes are on the grant's own row."""
_MAX_WAITING: Final = 200
_MAX_REMEMBERED: Final = 20_000


class GrantUses(LateNotes[bytes, tuple[str | None, int]]):
    """Implements the port `NoteGrantUse`.

    At most `_MAX_WAITING` notes wait for the next write: under any load that is all there is to do in a second, and
    what finds no place is noted at a later use.
    """

    def __init__(self, store: SqlStore) -> None:
        super().__init__(lost="grant_uses_lost", max_remembered=_MAX_REMEMBERED)
        self._store = store

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
        self.note(grant_id, (address, now))

    async def write(self, waiting: Mapping[bytes, tuple[str | None, int]]) -> None:
        await self._store.note_grant_uses(waiting)
