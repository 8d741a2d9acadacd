"""The server's processes: one that serves by itself, or a parent that keeps several alive."""

import asyncio
import contextlib
import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Any, Final

import structlog
import uvicorn

from latchstring.authorization_server.settings import Settings
from latchstring.web.app import Application
from latchstring.wiring import build_application, build_renderer, prepare

DRAIN_SECONDS: Final = 10
# Seconds that an idle connection is kept: longer than balancers keep theirs to us (a minute, as they come), so that it
# is they who hang up, and no request meets a connection that is just being closed.
KEEP_ALIVE: Final = 75
_RESTART_PAUSE: Final = 1.0
_CONTEXT: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """What every worker needs to serve the same deployment at the same address."""

    settings: Settings
    database: str
    keyring: Path | None
    host: str
    port: int


class _Server(uvicorn.Server):
    """A uvicorn server that says when it accepts connections, and whose SIGTERM is a normal end (exit code 0)."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True


def configure_logging() -> None:
    """Structured lines on standard error; standard output is for what programs read."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _serve_here(
    plan: ServerPlan, listener: socket.socket, on_ready: Callable[[], None], parent: Connection | None = None
) -> None:
    configure_logging()
    deployment = prepare(plan.database, plan.keyring, plan.settings.token_prefix)

    async def run() -> None:
        application: Application = build_application(plan.settings, deployment)
        config = uvicorn.Config(
            application,
            http="httptools",
            timeout_keep_alive=KEEP_ALIVE,
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            backlog=2048,
        )
        server = _Server(config, on_ready)
        if parent is not None:
            # The pipe closes when the parent is gone, however it went: no worker outlives it.
            asyncio.get_running_loop().add_reader(parent.fileno(), server._stop)
        await server.serve(sockets=[listener])

    uvicorn_loop: Any = uvicorn.Config(lambda: None, loop="uvloop").get_loop_factory()
    with asyncio.Runner(loop_factory=uvicorn_loop) as runner:
        runner.run(run())


def _bind_shared(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # Connections inherit it; without it, those that linger after the end keep the address from the next start.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


def _run_worker(plan: ServerPlan, is_ready: Semaphore, parent: Connection) -> None:
    # Ctrl-C reaches the whole group; the parent alone decides when workers stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve_here(plan, _bind_shared(plan.host, plan.port), is_ready.release, parent)


def serve_workers(plan: ServerPlan, listener: socket.socket, workers: int, announce: Callable[[], None]) -> int:
    """Serve until told to stop; the exit code. A worker that dies is replaced; all stop together."""
    if workers == 1:
        _serve_here(plan, listener, announce)
        return 0
    build_renderer(plan.settings)  # refuses here, in one line, what every worker would refuse
    # The address was free; hold it from now on with a socket that shares it and does not listen.
    listener.close()
    holder = _bind_shared(plan.host, plan.port)
    is_ready = _CONTEXT.Semaphore(0)
    their_end, our_end = _CONTEXT.Pipe(duplex=False)
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)

    def start() -> BaseProcess:
        worker = _CONTEXT.Process(target=_run_worker, args=(plan, is_ready, their_end), daemon=True)
        worker.start()
        return worker

    processes = [start() for _ in range(workers)]
    ready = 0
    while not stopping:
        if is_ready.acquire(timeout=0.2):
            ready += 1
            if ready == workers:
                announce()
        for index, process in enumerate(processes):
            if process.exitcode is not None and not stopping:
                if ready < workers:
                    stop()
                    break
                time.sleep(_RESTART_PAUSE)
                processes[index] = start()
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + DRAIN_SECONDS + 5
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    our_end.close()
    holder.close()
    return 0 if ready >= workers else 1
