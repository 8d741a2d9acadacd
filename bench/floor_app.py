"""The floor: what an HTTP request costs before anything is done (uvicorn, uvloop, httptools; no framework).

`python -m bench.floor_app WORKERS` serves on a free port and prints `ready http://127.0.0.1:PORT`.
"""

import asyncio
import multiprocessing
import signal
import socket
import sys
from typing import Any, Final

import uvicorn

# As long as a token answer, with the same headers.
_BODY: Final = b'{"token_type":"Bearer","access_token":"%s","expires_in":3600,"refresh_token":"%s"}' % (
    b"a" * 110,
    b"r" * 80,
)
_HEADERS: Final = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"pragma", b"no-cache"),
    (b"content-length", b"%d" % len(_BODY)),
]


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body and answers always the same."""
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def _serve(listener: socket.socket) -> None:
    config = uvicorn.Config(
        application,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listener]))


def _work(port: int) -> None:
    _serve(_listen(port))


def main() -> None:
    """Serve with that many processes, each with its own listening socket."""
    listener = _listen(0)
    port = listener.getsockname()[1]
    # uvicorn drains and then raises the signal again: leave in the way that ends the other processes too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    context = multiprocessing.get_context("spawn")
    for _ in range(int(sys.argv[1]) - 1):
        context.Process(target=_work, args=(port,), daemon=True).start()
    # Listening from here on: a client may connect before the loop runs.
    listener.listen(2048)
    print(f"ready http://127.0.0.1:{port}", flush=True)
    _serve(listener)


if __name__ == "__main__":
    main()
