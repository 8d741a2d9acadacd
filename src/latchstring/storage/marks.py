"""What the database says of the deployment itself: which keyring it goes with, and in which epoch it is."""

from latchstring.authorization_server.epoch import FIRST_EPOCH, Epoch
from latchstring.authorization_server.events import COMMAND_LINE, Action, Event
from latchstring.authorization_server.keyring import KeyMark, Keyring, verify_fits
from latchstring.authorization_server.ports import Commit
from latchstring.storage.engine import Engine, Steps
from latchstring.storage.recording import record_event
from latchstring.storage.statements import marks


class Marks:
    """Read when a server starts, and once in a while as it serves; never for a request."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def find_keys(self) -> dict[int, KeyMark]:
        """The keys that the keyring has or had, by number."""
        rows = await self._engine.read_all(marks.FIND_KEYRING_KEYS, {})
        return {row[0]: KeyMark(bytes(row[1]), row[2]) for row in rows}

    async def find_epoch(self) -> Epoch:
        """The epoch that began with the last restoration."""
        row = await self._engine.read(marks.FIND_EPOCH, {})
        return FIRST_EPOCH if row is None else Epoch(bytes(row[0]), row[1])

    async def commit_keyring(self, keyring: Keyring, source: str) -> Keyring:
        """Note the keys that are new; the keys that count. Raises `ConfigurationError`, and notes nothing, if the
        keyring is another database's. Of two keyrings made for one empty database at once, the second is refused."""
        known = await self.find_keys()
        verify_fits(keyring, known, source)
        for key in keyring.keys:
            if key.key_id not in known:
                new = {"key_id": key.key_id, "fingerprint": key.fingerprint}
                await self._engine.write(marks.INSERT_KEYRING_KEY, new)
        return verify_fits(keyring, await self.find_keys(), source)

    async def count_sealed(self, key_id: int) -> dict[str, int]:
        """How many values are sealed with that key, by the column that they stand in; where there are any."""
        counts = {}
        for name, statement in marks.COUNT_SEALED.items():
            row = await self._engine.read(statement, {"number": key_id.to_bytes(2, "big")})
            assert row is not None
            counts[name] = row[0]
        return {name: count for name, count in counts.items() if count}

    async def retire_key(self, key_id: int, *, now: int) -> Commit:
        """Let a key count no more, on every server, whether or not its file still has it."""

        def retire() -> Steps[Commit]:
            if (yield marks.RETIRE_KEYRING_KEY, {"retired_id": key_id, "now": now}) is None:
                return Commit.LOST
            yield from record_event(
                Event(
                    action=Action.KEY_RETIRED,
                    at=now,
                    origin=COMMAND_LINE,
                    subject_kind="key",
                    subject_id=str(key_id),
                )
            )
            return Commit.APPLIED

        return await self._engine.commit(retire)
