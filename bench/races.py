"""How many of twenty parallel uses of one credential succeed: one redemption; one rotation with one successor."""

import selectors
import socket
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from bench.generator import body_end, connect, find_refresh_token, render_request
from bench.workload import Workload

PARALLEL: Final = 20
ANSWER_SECONDS: Final = 30.0


class Race(msgspec.Struct, frozen=True):
    """Over all rounds: the fewest and the most 200s, and the most different refresh tokens given out in one."""

    rounds: int
    fewest: int
    most: int
    successors: int


def run_race(host: str, port: int, workload: Workload, rounds: int) -> Race:
    """In each round one item of the workload, sent by twenty connections at once."""
    connections = [connect((host, port)) for _ in range(PARALLEL)]
    results = []
    try:
        for item in workload.items[:rounds]:
            answers = _send_at_once(connections, render_request(workload, item.encode()))
            accepted = [answer for answer in answers if answer[9:12] == b"200"]
            results.append((len(accepted), len({find_refresh_token(answer) for answer in accepted})))
    finally:
        for connection in connections:
            connection.close()
    counts = [accepted for accepted, _ in results]
    return Race(len(results), min(counts), max(counts), max(successors for _, successors in results))


def _send_at_once(connections: Sequence[socket.socket], request: bytes) -> list[bytes]:
    # All but the last byte first, so that the rest arrives everywhere within microseconds.
    for connection in connections:
        connection.sendall(request[:-1])
    time.sleep(0.005)
    for connection in connections:
        connection.sendall(request[-1:])
    answers = dict.fromkeys(connections, b"")
    selector = selectors.DefaultSelector()
    for connection in connections:
        selector.register(connection, selectors.EVENT_READ)
    deadline = time.monotonic() + ANSWER_SECONDS
    while selector.get_map():
        for key, _ in selector.select(timeout=1.0):
            connection = next(each for each in connections if each is key.fileobj)
            more = connection.recv(65536)
            answers[connection] += more
            if not more or body_end(answers[connection]) >= 0:
                selector.unregister(connection)
        if time.monotonic() > deadline:
            break
    return list(answers.values())
