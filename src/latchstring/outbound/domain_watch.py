"""Looks again and again whether publishers' domains are still theirs, one process for each at a time."""

import asyncio
from typing import Final

from latchstring.authorization_server.publishers import Publishers
from latchstring.protocol.errors import StoreUnavailable

LEASE: Final = 120
"""Seconds that a look has; longer than any timeout of it."""
IDLE_PAUSE: Final = 60.0


class DomainWatch:
    """Takes one domain that is due after the other."""

    def __init__(self, publishers: Publishers) -> None:
        self._publishers = publishers

    async def run(self) -> None:
        """Look until cancelled. A failing store is tried again later."""
        while True:
            try:
                was_due = await self._publishers.check_due(lease=LEASE)
            except StoreUnavailable:
                was_due = False
            if not was_due:
                await asyncio.sleep(IDLE_PAUSE)
