"""Work that an answer does not wait for: how long it takes tells nobody anything."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from latchstring.protocol.errors import StoreUnavailable
from latchstring.web.errors import log, log_defect

MAX_AT_ONCE: Final = 100


class Background:
    """Runs some work beside the requests; what fails is logged. Belongs to one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], request_id: str) -> None:
        """Begin it; dropped where too much is under way already."""
        if len(self._tasks) >= MAX_AT_ONCE:
            work.close()
            log.error("background_full", request_id=request_id)
            return
        task = asyncio.get_running_loop().create_task(self._run(work, request_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, work: Coroutine[Any, Any, None], request_id: str) -> None:
        try:
            await work
        except StoreUnavailable as error:
            log.error("store_unavailable", request_id=request_id, reason=str(error))
        except Exception as error:  # noqa: BLE001 -- logged whole
            log_defect(error, request_id)

    async def finish(self) -> None:
        """Wait for what has begun."""
        while self._tasks:
            await asyncio.wait(self._tasks)
