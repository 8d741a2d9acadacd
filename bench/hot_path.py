"""`python -m bench profile OPERATION`: where the application's own time goes, without sockets and without uvicorn.

The ASGI application runs in this process; callers take turns as they would under load, so that group commits
are as large. The plain figure is measured first, without a profiler. Then a timer of processor time interrupts
the program a few thousand times and notes the stack (a sampling profiler distorts little; cProfile, with `--calls`,
counts calls and makes everything that calls much look dear).
"""

import asyncio
import cProfile
import os
import pstats
import signal
import time
from collections import Counter, deque
from collections.abc import Iterator, MutableMapping, Sequence
from itertools import cycle
from statistics import median
from types import FrameType
from typing import Any, Final

import msgspec
import uvloop

from bench import operations
from bench.deployment import Deployment, Requests
from bench.generator import find_refresh_token
from bench.operations import Operation
from bench.processes import find_tree, read_processor_time
from bench.results import keep
from bench.stores import open_temporary_store
from bench.workload import Workload
from latchstring.storage.url import open_store
from latchstring.web.app import Application
from latchstring.wiring import build_services, load_settings

WARM_UP: Final = 1000
# A neighbour on the machine makes everything dearer for a while: the best of many short runs is what it costs.
PARTS: Final = 20
SAMPLED: Final = 6
SAMPLE_SECONDS: Final = 0.001
_SHOWN: Final = 32


class Caller:
    """One caller after the other's request: renders ASGI scopes and keeps refresh chains."""

    def __init__(self, application: Application, workload: Workload) -> None:
        self._application = application
        self._workload = workload
        self._prefix = workload.prefix.encode()
        self._items: Iterator[str] = cycle(workload.items) if workload.kind == "repeat" else iter(workload.items)
        self._is_chain = workload.kind == "chain"
        self._chain = deque(workload.items)
        self._scope = _render_scope(workload.head)
        self.answers = 0

    async def walk(self, count: int) -> None:
        """That many requests, one after the other."""
        token = self._chain.popleft() if self._is_chain else ""
        for _ in range(count):
            answer = await self._call(token if self._is_chain else next(self._items))
            if self._is_chain:
                found = find_refresh_token(answer)
                assert found is not None, answer
                token = found.decode()
        if self._is_chain:
            self._chain.append(token)

    async def _call(self, item: str) -> bytes:
        body = self._prefix + item.encode()
        sent: list[Any] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await self._application(dict(self._scope), receive, send)
        assert sent[0]["status"] == 200, sent
        self.answers += 1
        answer: bytes = sent[1]["body"]
        return answer


def _render_scope(head: str) -> dict[str, Any]:
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.split(": ", 1) for line in lines)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8400),
        "client": ("127.0.0.1", 40000),
        "scheme": "http",
        "method": method,
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in pairs],
        "state": {},
    }


class Profile(msgspec.Struct, frozen=True):
    """Processor time of a request in µs: in the application, in the database's processes, and by room."""

    measured_at: str
    engine: str
    operation: str
    application: float
    database: float
    rooms: dict[str, float]


def render_profile_cells(profiles: Sequence[Profile]) -> list[tuple[str, ...]]:
    """A column for each profile; rooms that take less than a microsecond everywhere are summed up."""
    rooms = dict.fromkeys(room for each in profiles for room in each.rooms)
    largest = {room: max(each.rooms.get(room, 0.0) for each in profiles) for room in rooms}
    shown = [room for room in sorted(rooms, key=largest.__getitem__, reverse=True) if largest[room] >= 1]
    lines: list[tuple[str, ...]] = [
        ("CPU-µs", *(f"{operations.ALL[each.operation].title} ({each.engine})" for each in profiles)),
        ("the application", *(f"{each.application:.0f}" for each in profiles)),
        ("the database's processes", *(f"{each.database:.0f}" if each.database else "" for each in profiles)),
        *((room, *(f"{each.rooms.get(room, 0):.1f}" for each in profiles)) for room in shown),
    ]
    rest = (sum(spent for room, spent in each.rooms.items() if room not in shown) for each in profiles)
    return [*lines, ("other", *(f"{each:.1f}" for each in rest))]


class Sampler:
    """Notes the stack whenever this much processor time has passed."""

    def __init__(self) -> None:
        self.samples = 0
        self.inside: Counter[str] = Counter()
        self.lines: Counter[str] = Counter()
        self.rooms: Counter[str] = Counter()

    def __enter__(self) -> "Sampler":
        signal.signal(signal.SIGPROF, self._note)
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS, SAMPLE_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _note(self, _: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        self.samples += 1
        self.rooms[_find_room(_shorten(frame.f_code.co_filename))] += 1
        self.lines[f"{_shorten(frame.f_code.co_filename)}:{frame.f_lineno} {frame.f_code.co_qualname}"] += 1
        seen = set()
        while frame is not None:
            seen.add(f"{_shorten(frame.f_code.co_filename)} {frame.f_code.co_qualname}")
            frame = frame.f_back
        self.inside.update(seen)


def _find_room(path: str) -> str:
    """The part of the program that a file belongs to; what it calls in C counts as its own."""
    parts = path.split("/")
    if parts[0] != "latchstring":
        return parts[0]
    return "/".join(parts[:3] if parts[1] == "storage" or parts[-1] == "tokens.py" else parts[:2])


def _shorten(filename: str) -> str:
    for mark in ("/src/", "/site-packages/", "/lib/"):
        if mark in filename:
            return filename.rsplit(mark, 1)[1]
    return os.path.relpath(filename)


def build_caller(runner: asyncio.Runner, deployment: Deployment, operation: Operation, requests: int) -> Caller:
    """The application over the deployment's store, and what it takes to call it so often."""
    settings = load_settings(None, issuer="http://127.0.0.1:8400")

    async def build() -> Application:
        return Application(build_services(settings, open_store(deployment.store.url), deployment.codec))

    return Caller(runner.run(build()), Requests(deployment).prepare(operation, requests))


async def drive(caller: Caller, count: int, concurrency: int) -> None:
    await asyncio.gather(*(caller.walk(count // concurrency) for _ in range(concurrency)))


def _measure(runner: asyncio.Runner, caller: Caller, count: int, concurrency: int) -> float:
    """Processor time per request in microseconds."""
    answers, began = caller.answers, time.process_time()
    runner.run(drive(caller, count, concurrency))
    return (time.process_time() - began) / (caller.answers - answers) * 1e6


def profile(operation: Operation, *, engine: str, requests: int, concurrency: int, with_calls: bool) -> None:
    """Print the plain figure, the functions by all that happens inside them, and the lines by themselves."""
    with open_temporary_store(engine) as (_, store):
        deployment = Deployment(store)
        deployment.insert_grants(10_000, is_pending=False)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            caller = build_caller(runner, deployment, operation, WARM_UP + (SAMPLED + 2) * requests)
            _measure(runner, caller, WARM_UP, concurrency)
            parts = [_measure(runner, caller, requests // PARTS, concurrency) for _ in range(PARTS)]
            plain = min(parts)
            print(
                f"{operation.title}: {plain:.0f} µs of processor time per request in the application, "
                f"{concurrency} at a time (the best of {PARTS} short runs; their median is {median(parts):.0f})"
            )
            before = read_processor_time(find_tree(store.processes))
            with Sampler() as sampler:
                sampled = _measure(runner, caller, SAMPLED * requests, concurrency)
            spent = read_processor_time(find_tree(store.processes)).since(before).total
            database = spent / (SAMPLED * requests) * 1e6
            if store.processes:
                print(f"and {database:.0f} µs per request in the database")
            _print_samples(sampler, plain, sampled)
            rooms = {room: count / sampler.samples * plain for room, count in sampler.rooms.most_common()}
            measured_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            kept = Profile(measured_at, engine, operation.name, plain, database, rooms)
            keep(f"profile-{engine}-{operation.name}", measured_at, kept)
            if with_calls:
                profiler = cProfile.Profile()
                profiler.enable()
                _measure(runner, caller, requests, concurrency)
                profiler.disable()
                pstats.Stats(profiler).sort_stats("tottime").print_stats(_SHOWN)


def _print_samples(sampler: Sampler, plain: float, sampled: float) -> None:
    total = sampler.samples
    print(f"{total} samples, {sampled:.0f} µs per request while sampling; shares below are given as µs of {plain:.0f}")
    for title, counter in (
        ("in a room, with what it calls in C", sampler.rooms),
        ("inside a function, with all it calls", sampler.inside),
        ("on a line", sampler.lines),
    ):
        print(f"\n{'µs':>7}  {'%':>5}  {title}")
        for name, count in counter.most_common(_SHOWN):
            print(f"{count / total * plain:7.1f}  {count / total * 100:5.1f}  {name}")


def find_operation(name: str) -> Operation:
    """The operation of that name; the floor is not one of the application's."""
    operation = operations.ALL.get(name)
    if operation is None or operation is operations.FLOOR:
        raise SystemExit(f"bench: no operation {name!r} to profile")
    return operation
