"""When client secrets were last used, to the hour or so: written after the answer, and lost in a crash."""

from collections.abc import Mapping
from typing import Final

from latchstring.storage.late_notes import LateNotes
from latchstring.storage.store import SqlStore

NOTED_FOR: Final = 3600
"""Seconds within which a secret is noted once in each process."""
_MAX_REMEMBERED: Final = 10_000


class SecretUses(LateNotes[tuple[str, str], int]):
    """Implements the port `NoteSecretUse`."""

    def __init__(self, store: SqlStore) -> None:
        super().__init__(lost="secret_uses_lost", max_remembered=_MAX_REMEMBERED)
        self._store = store

    def __call__(self, client_id: str, secret_id: str, now: int) -> None:
        """Note the use a little later, together with others; most calls find that it was noted not long ago."""
        key = (client_id, secret_id)
        noted = self._noted.get(key)
        if noted is None or not 0 <= now - noted < NOTED_FOR:
            self.note(key, now)

    async def write(self, waiting: Mapping[tuple[str, str], int]) -> None:
        await self._store.note_secret_uses(waiting)
