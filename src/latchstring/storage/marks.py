"""What the database says of the deployment itself: which keyring it goes with, and in which epoch it is."""

from latchstring.authorization_server.epoch import FIRST_EPOCH, Epoch
from latchstring.authorization_server.keyring import Keyring, verify_fits
from latchstring.storage.engine import Engine
from latchstring.storage.statements import marks


class Marks:
    """Read when a server starts, and once in a while as it serves; never for a request."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def find_fingerprints(self) -> dict[int, bytes]:
        """The fingerprints of the keys that the keyring has to have, by number."""
        rows = await self._engine.read_all(marks.FIND_KEYRING_KEYS, {})
        return {row[0]: bytes(row[1]) for row in rows}

    async def find_epoch(self) -> Epoch:
        """The epoch that began with the last restoration."""
        row = await self._engine.read(marks.FIND_EPOCH, {})
        return FIRST_EPOCH if row is None else Epoch(bytes(row[0]), row[1])

    async def commit_keyring(self, keyring: Keyring, source: str) -> None:
        """Note the keys that are new; raise `ConfigurationError`, and note nothing, if the keyring is another
        database's. Of two keyrings made for one empty database at once, the second is refused."""
        known = await self.find_fingerprints()
        verify_fits(keyring, known, source)
        for key in keyring.keys:
            if key.key_id not in known:
                new = {"key_id": key.key_id, "fingerprint": key.fingerprint}
                await self._engine.write(marks.INSERT_KEYRING_KEY, new)
        verify_fits(keyring, await self.find_fingerprints(), source)

    async def forget_key(self, key_id: int) -> None:
        """The keyring may go without that key from now on."""
        await self._engine.write(marks.FORGET_KEYRING_KEY, {"forgotten_id": key_id})
