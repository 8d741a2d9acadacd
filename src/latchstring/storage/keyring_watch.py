"""A serving process keeps up with its keyring: a key that was added, came into use or was retired counts without a
restart."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from latchstring.authorization_server.keyring import verify_fits
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.protocol.errors import ConfigurationError, StoreUnavailable
from latchstring.storage.keyring_file import load_keyring
from latchstring.storage.marks import Marks

log = structlog.get_logger("latchstring.storage")

LOOK_PAUSE: Final = 10.0
"""Seconds between two looks at the file and at the database's few rows about it."""


class KeyringWatch:
    """Gives the codec the keys of now. What it cannot read or may not take leaves the codec as it is, and is logged."""

    def __init__(self, path: Path, codec: TokenCodec, marks: Marks, clock: Callable[[], int]) -> None:
        self._path = path
        self._codec = codec
        self._marks = marks
        self._clock = clock
        self._complaint: str | None = None

    async def look(self) -> None:
        """Take what has changed since the last look."""
        now = self._clock()
        marks, epoch = await self._marks.find_keys(), await self._marks.find_epoch()
        source = f"keyring {self._path}"
        try:
            keyring = load_keyring(self._path, now, may_create=False)
            own = {key.key_id for key in keyring.keys}
            missing = frozenset(key for key, mark in marks.items() if mark.retired_at is None and key not in own)
            # A key that others have is no reason not to follow in all else: what was made with it is unavailable here.
            known = {key_id: mark for key_id, mark in marks.items() if key_id not in missing}
            counting = verify_fits(keyring, known, source).order(now)
        except ConfigurationError as error:
            self._complain(str(error))
            return
        if (counting, epoch, missing) != (self._codec.keyring, self._codec.epoch, self._codec.missing):
            self._codec.load(counting, epoch, missing)
            log.info("keyring_taken", making=counting.current.key_id, keys=[key.key_id for key in counting.keys])
        complaint = f"{source}: lacks keys {sorted(missing)}; copy it from the server that has them"
        self._complain(complaint if missing else None)

    def _complain(self, complaint: str | None) -> None:
        if complaint is not None and complaint != self._complaint:
            log.error("keyring_not_taken", reason=complaint)
        self._complaint = complaint

    async def run(self) -> None:
        """Look until cancelled. A failing store is asked again later."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                log.info("keyring_not_looked_at", reason=str(error))
            await asyncio.sleep(LOOK_PAUSE)
