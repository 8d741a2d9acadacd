"""Ports for what the tests start, that nobody else takes between the look and the start."""

import contextlib
import random
import socket


def find_free_ports(count: int) -> int:
    """The first of that many free ports in a row: away from those that the system hands out (32768 and up, on Linux),
    and by lot, so that two processes that look at the same time hardly find the same."""
    for _ in range(1000):
        first = random.randrange(10000, 32500)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")


def find_free_port() -> int:
    """A port that is free."""
    return find_free_ports(1)
