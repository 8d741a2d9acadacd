"""The load generator, a process of its own: `python -m bench.generator`, a `Load` on its input, an `Outcome` out.

Keep-alive HTTP/1.1 over plain sockets and one epoll loop: an event loop with streams or a client library would
cost more per request than the servers that are measured. One request at a time is under way on each connection.
"""

import resource
import select
import socket
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from itertools import cycle
from typing import Final

import msgspec

from bench.processes import ProcessorTime, find_tree, read_processor_time
from bench.workload import Load, Outcome, Workload

MAX_SAMPLES: Final = 3
GRACE_SECONDS: Final = 20.0
_REFRESH_TOKEN: Final = b'"refresh_token":'


class _Connection:
    __slots__ = ("buffer", "sent_at", "slot", "socket", "tokens")

    def __init__(self, address: tuple[str, int], tokens: list[bytes]) -> None:
        self.socket = connect(address)
        self.buffer = b""
        self.sent_at = 0.0
        self.tokens = tokens
        self.slot = 0


def connect(address: tuple[str, int]) -> socket.socket:
    """A connection without Nagle's delay."""
    connection = socket.create_connection(address, timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def body_end(data: bytes) -> int:
    """Where the answer ends, or -1 as long as it is incomplete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return -1
    head = data[:end].lower()
    at = head.find(b"\r\ncontent-length:")
    if at >= 0:
        whole = end + 4 + int(head[at + 17 : end].split(b"\r\n", 1)[0])
        return whole if len(data) >= whole else -1
    if b"\r\ntransfer-encoding: chunked" in head:
        return len(data) if data.endswith(b"0\r\n\r\n") else -1
    return end + 4


def find_refresh_token(answer: bytes) -> bytes | None:
    """The string that follows `"refresh_token":` in an answer."""
    at = answer.find(_REFRESH_TOKEN)
    if at < 0:
        return None
    start = answer.find(b'"', at + len(_REFRESH_TOKEN)) + 1
    return answer[start : answer.find(b'"', start)] or None


def render_request(workload: Workload, item: bytes) -> bytes:
    """One request as bytes."""
    head = workload.head.encode()
    if head.startswith(b"GET "):
        return head + b"\r\n"
    body = workload.prefix.encode() + item
    return b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)


class Generator:
    """Walks one load; `run` once."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._workload = load.workload
        self._is_chain = load.workload.kind == "chain"
        self._prefix = load.workload.prefix.encode()
        self._head = load.workload.head.encode()
        items = [item.encode() for item in load.workload.items]
        count = load.connections
        address = (load.host, load.port)
        self._connections = [
            _Connection(address, items[index::count] if self._is_chain else []) for index in range(count)
        ]
        self._ready = self._render_ahead(items)
        self._limit = load.requests
        if load.workload.kind == "once":
            self._limit = min(self._limit, len(items))
        self._started = 0
        self._latencies = array("d")
        self._errors = 0
        self._samples: list[str] = []

    def _render_ahead(self, items: list[bytes]) -> Iterator[bytes]:
        if self._is_chain:
            return iter(())
        rendered = [render_request(self._workload, item) for item in items]
        return cycle(rendered) if self._workload.kind == "repeat" else iter(rendered)

    def run(self) -> Outcome:
        """Send everything; the outcome counts answers only."""
        poll = select.epoll()
        by_number = {}
        for connection in self._connections:
            connection.socket.setblocking(False)
            number = connection.socket.fileno()
            by_number[number] = connection
            poll.register(number, select.EPOLLIN)
        tree = find_tree(self._load.server_processes)
        server_before, own_before = read_processor_time(tree), _own_time()
        began = time.perf_counter()
        deadline = began + self._load.seconds
        under_way = sum(self._send_next(connection) for connection in self._connections)
        while under_way:
            events = poll.poll(1.0)
            now = time.perf_counter()
            if now > deadline:
                self._limit = 0
                if now > deadline + GRACE_SECONDS:
                    self._note_error(b"no answer in time", under_way)
                    break
            for number, _ in events:
                connection = by_number[number]
                if self._receive(connection) and not self._send_next(connection):
                    under_way -= 1
        seconds = time.perf_counter() - began
        own = _own_time().since(own_before)
        # Whole, what a process used that began in the meantime: a database's for a new connection.
        tree = list({*tree, *find_tree(self._load.server_processes)})
        server = read_processor_time(tree).since(server_before)
        ordered = sorted(self._latencies)
        return Outcome(
            requests=len(ordered),
            errors=self._errors,
            error_samples=self._samples,
            seconds=seconds,
            p50=_quantile(ordered, 0.50),
            p99=_quantile(ordered, 0.99),
            longest=_quantile(ordered, 1.0),
            server=server,
            generator=own,
        )

    def _send_next(self, connection: _Connection) -> bool:
        if self._started >= self._limit:
            return False
        if self._is_chain:
            if not connection.tokens:
                return False
            body = self._prefix + connection.tokens[connection.slot]
            request = b"%sContent-Length: %d\r\n\r\n%s" % (self._head, len(body), body)
        else:
            request = next(self._ready)
        self._started += 1
        connection.sent_at = time.perf_counter()
        connection.socket.send(request)  # a request is smaller than any socket buffer
        return True

    def _receive(self, connection: _Connection) -> bool:
        """Whether the answer is whole."""
        try:
            data = connection.socket.recv(16384)
        except BlockingIOError:
            return False
        if not data:
            raise SystemExit(f"the server closed a connection after {len(self._latencies)} answers")
        if connection.buffer:
            data = connection.buffer + data
        if body_end(data) < 0:
            connection.buffer = data
            return False
        connection.buffer = b""
        self._latencies.append(time.perf_counter() - connection.sent_at)
        if data[9:12] != b"200":
            self._note_error(data)
        if self._is_chain:
            self._step(connection, data)
        return True

    def _step(self, connection: _Connection, answer: bytes) -> None:
        token = find_refresh_token(answer)
        if token is None:
            # A broken chain is walked no further; its error is counted already.
            del connection.tokens[connection.slot]
        else:
            connection.tokens[connection.slot] = token
            connection.slot += 1
        if connection.slot >= len(connection.tokens):
            connection.slot = 0

    def _note_error(self, answer: bytes, count: int = 1) -> None:
        self._errors += count
        if len(self._samples) < MAX_SAMPLES:
            self._samples.append(answer.decode("latin-1")[:600])


def _own_time() -> ProcessorTime:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return ProcessorTime(time.process_time(), usage.ru_utime, usage.ru_stime)


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0


def run_apart(load: Load) -> Outcome:
    """Run it in a process of its own."""
    generator = subprocess.run(
        [sys.executable, "-m", "bench.generator"], input=msgspec.json.encode(load), stdout=subprocess.PIPE, check=True
    )
    return msgspec.json.decode(generator.stdout, type=Outcome)


def main() -> None:
    """Read a load, run it, report."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(Generator(load).run()))


if __name__ == "__main__":
    main()
