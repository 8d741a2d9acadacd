"""How a fake provider is reached: by httpx in process, or as a server."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

import httpx

from latchstring.client.testing.faults import Dropped, Reply


class Handler(Protocol):
    """What answers: `target` is a URL or a path, `headers` have their names in small letters."""

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply: ...


class ProviderTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """For `httpx.Client` and `httpx.AsyncClient`: the provider answers in process."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return self._respond(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return await asyncio.to_thread(self._respond, request)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            reply = self._handler.handle(request.method, str(request.url), headers, request.content)
        except Dropped as dropped:
            if dropped.processed:
                raise httpx.ReadTimeout("timed out", request=request) from None
            raise httpx.ConnectError("refused", request=request) from None
        status, answer_headers, body = reply
        return httpx.Response(status, headers=answer_headers, content=body, request=request)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent when the client has gone: that is what these tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            # What it was called with goes on as it came; typeshed names the types that a socket server has of its own.
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def serving(handler: Handler, port: int) -> Iterator[str]:
    """The address on 127.0.0.1 where the provider answers; port 0 takes a free one."""

    class RequestHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = self.headers.get("Content-Length", "0")
            body = self.rfile.read(int(length) if length.isdecimal() else 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                status, answer_headers, answer = handler.handle(self.command, self.path, headers, body)
            except Dropped:
                self.close_connection = True
                return
            self.send_response_only(status)
            for name, value in {**answer_headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815 -- the name that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Server(("127.0.0.1", port), RequestHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
