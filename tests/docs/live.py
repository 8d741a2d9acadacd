"""Real servers in threads of the test's own process, for examples that speak HTTP through sockets."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


@contextmanager
def serving(build: Callable[[str], Any]) -> Iterator[str]:
    """The address at which the application answers. `build` makes it, given that address, in the thread that will
    serve it: a database belongs to its event loop."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        is_ready = threading.Event()
        servers: list[uvicorn.Server] = []

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                is_ready.set()

        def run() -> None:
            config = uvicorn.Config(build(address), lifespan="auto", log_level="critical", access_log=False)
            servers.append(Server(config))
            servers[0].run([listener])

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert is_ready.wait(30), "the server did not start"
        try:
            yield address
        finally:
            servers[0].should_exit = True
            thread.join(30)
