"""What the load generator is told and what it reports: both cross a pipe as JSON."""

from typing import Literal

import msgspec

from bench.processes import ProcessorTime

Kind = Literal["repeat", "once", "chain"]


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of one operation.

    `head` is the request up to its headers' end, without Content-Length; a body is `prefix` and one item.
    `repeat` sends the items again and again, `once` each of them once, and in a `chain` an answer's
    `refresh_token` takes the place of the item that it answers.
    """

    kind: Kind
    head: str
    prefix: str = ""
    items: tuple[str, ...] = ("",)


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the generator. It ends after `requests` or after `seconds`, whichever comes first.

    `server_processes` are the roots of the trees whose processor time is read just before and just after.
    """

    host: str
    port: int
    connections: int
    requests: int
    seconds: float
    workload: Workload
    server_processes: tuple[int, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one run found. Times in seconds, latencies in milliseconds."""

    requests: int
    errors: int
    error_samples: list[str]
    seconds: float
    p50: float
    p99: float
    longest: float
    server: ProcessorTime
    generator: ProcessorTime
