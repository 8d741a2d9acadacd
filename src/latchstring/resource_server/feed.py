"""Keeping up with the revocation feed: a task or a thread beside the requests, from a guard's first check on."""

import asyncio
import logging
import os
import threading
import time
from typing import Final

from latchstring.protocol.revocation_feed import MAX_WAIT, FeedAnswer, parse_feed
from latchstring.resource_server.connections import AsyncConnections, Connections
from latchstring.resource_server.question import Question
from latchstring.resource_server.refusal import Refusal
from latchstring.resource_server.settings import GuardSettings
from latchstring.resource_server.verdicts import Verdicts

_MAX_ANSWER_LENGTH: Final = 4 * 1024 * 1024
# Between two questions: when there was something to tell, and when there was no answer.
_BREATH: Final = 0.02
_PAUSE: Final = 0.5

log = logging.getLogger(__name__)


class _Reader:
    """What the two drivers share: where the guard stands in the feed."""

    def __init__(self, settings: GuardSettings, verdicts: Verdicts) -> None:
        endpoint, bound = settings.revocations_endpoint, settings.revocations_bound
        assert endpoint is not None
        self.question = Question(settings, endpoint, "revocation feed", _MAX_ANSWER_LENGTH)
        # Often enough to be fresh, whatever else goes slowly.
        self.wait = max(1, int(min(MAX_WAIT, bound / 3)))
        self.timeout = self.wait + settings.timeout
        self._verdicts = verdicts
        self._cursor: str | None = None
        self._is_failing = False

    def render(self) -> dict[str, str]:
        form = {"wait": str(self.wait)}
        return form if self._cursor is None else {**form, "after": self._cursor}

    def apply(self, body: bytes, sent_at: float) -> float:
        """Note what the answer tells; how long to pause before the next question. `sent_at` is when this was asked, on
        the steady clock: what it tells is as of then and as long as the server says that it held it."""
        try:
            answer: FeedAnswer = parse_feed(body)
        except ValueError:
            raise self.question.unavailable("not a revocation feed") from None
        self._verdicts.apply(answer.revocations)
        self._cursor = answer.cursor
        if not answer.has_more:
            self._verdicts.refresh(sent_at + min(max(answer.held, 0.0), MAX_WAIT))
        if self._is_failing:
            self._is_failing = False
            log.warning("The revocation feed at %s is heard again.", self.question.endpoint)
        return _BREATH if answer.revocations or answer.has_more else 0.0

    def note_failure(self, refusal: Refusal) -> float:
        """Say once that the feed is not heard; meanwhile every token is asked about."""
        if not self._is_failing:
            self._is_failing = True
            log.error("The revocation feed is not heard, every token is asked about: %s", refusal.reason)
        self._cursor = None if "HTTP 400" in refusal.reason else self._cursor
        return _PAUSE


class AsyncFeed:
    """The feed in asyncio."""

    def __init__(self, settings: GuardSettings, verdicts: Verdicts, connections: AsyncConnections) -> None:
        self._reader = _Reader(settings, verdicts)
        self._connections = connections
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None

    def attend(self) -> None:
        """Have the feed read from now on, by the running event loop."""
        loop = asyncio.get_running_loop()
        if self._running is None or self._running[0] is not loop or self._running[1].done():
            self._running = (loop, loop.create_task(self._run()))

    async def _run(self) -> None:
        reader = self._reader
        while True:
            sent_at = time.monotonic()
            try:
                body = await reader.question.ask_async(self._connections, reader.render(), reader.timeout)
                pause = reader.apply(body, sent_at)
            except Refusal as refusal:
                pause = reader.note_failure(refusal)
            await asyncio.sleep(pause)

    async def aclose(self) -> None:
        """Stop reading."""
        running, self._running = self._running, None
        if running is not None and running[0] is asyncio.get_running_loop():
            running[1].cancel()
            await asyncio.wait([running[1]])


class Feed:
    """The feed in threads: one of its own in each process."""

    def __init__(self, settings: GuardSettings, verdicts: Verdicts, connections: Connections) -> None:
        self._reader = _Reader(settings, verdicts)
        self._connections = connections
        self._lock = threading.Lock()
        self._running: tuple[int, threading.Event] | None = None

    def attend(self) -> None:
        """Have the feed read from now on."""
        running = self._running
        if running is not None and running[0] == os.getpid():
            return
        with self._lock:
            if self._running is None or self._running[0] != os.getpid():  # threads do not outlive a fork
                stop = threading.Event()
                self._running = (os.getpid(), stop)
                threading.Thread(target=self._run, args=(stop,), name="latchstring-feed", daemon=True).start()

    def _run(self, stop: threading.Event) -> None:
        reader = self._reader
        while not stop.is_set():
            sent_at = time.monotonic()
            try:
                pause = reader.apply(reader.question.ask(self._connections, reader.render(), reader.timeout), sent_at)
            except Refusal as refusal:
                pause = reader.note_failure(refusal)
            stop.wait(pause)

    def close(self) -> None:
        """Stop reading, after the question under way."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running[1].set()
