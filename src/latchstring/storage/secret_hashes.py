"""New hashes of secrets that an older key of the keyring hashed: written after the answer, in the old ones' place."""

from collections.abc import Mapping
from typing import Final

from latchstring.authorization_server.records import SecretHash
from latchstring.storage.late_notes import LateNotes
from latchstring.storage.store import SqlStore

_MAX_REMEMBERED: Final = 10_000


class SecretHashes(LateNotes[tuple[str, SecretHash], SecretHash]):
    """Implements the port `NoteSecretHash`."""

    def __init__(self, store: SqlStore) -> None:
        super().__init__(lost="secret_hashes_lost", max_remembered=_MAX_REMEMBERED)
        self._store = store

    def __call__(self, client_id: str, kept: SecretHash, renewed: SecretHash) -> None:
        """Write it a little later, once in this process while nothing goes wrong."""
        key = (client_id, kept)
        if key not in self._noted:
            self.note(key, renewed)

    async def write(self, waiting: Mapping[tuple[str, SecretHash], SecretHash]) -> None:
        for (client_id, kept), renewed in waiting.items():
            if not await self._store.renew_secret_hash(client_id, kept, renewed):
                self._noted.pop((client_id, kept), None)
