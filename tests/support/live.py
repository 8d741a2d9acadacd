"""A deployment of the test's own that a real browser reaches: its clock and its store stay in the test's hand."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn

from tests.support.deployment import deploy
from tests.support.process import wait_until

_LIMIT = 120.0

T = TypeVar("T")


class Live:
    """The server in a thread and an event loop of its own; `do` runs the test's own steps there."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://localhost:{self._socket.getsockname()[1]}"  # a name: browsers make passkeys for no address
        self._stack = contextlib.AsyncExitStack()
        self.deployment = self.do(self._stack.enter_async_context(deploy(directory, issuer=self.url, **settings)))
        config = uvicorn.Config(self.deployment.application, lifespan="off", log_level="critical", access_log=False)
        self._server = uvicorn.Server(config)
        self._serving = asyncio.run_coroutine_threadsafe(self._server.serve([self._socket]), self._loop)
        wait_until(lambda: self._server.started, "the server")

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        """What the step comes to, run where the server runs."""
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(_LIMIT)

    def http(self) -> httpx.AsyncClient:
        """A program's or a browser's requests, for the steps of a story that no test looks at."""
        return self.deployment.http()

    def close(self) -> None:
        """Stop serving and wait for it."""
        self._server.should_exit = True
        self._serving.result(_LIMIT)
        self.do(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_LIMIT)
        self._loop.close()


@contextlib.contextmanager
def serving(directory: Path, **settings: Any) -> Iterator[Live]:
    """A server that is gone when the block ends."""
    live = Live(directory, **settings)
    try:
        yield live
    finally:
        live.close()
