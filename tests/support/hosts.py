"""Two hosts on one machine: network namespaces where they may be made (root), two loopback addresses elsewhere."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Hosts:
    """Two places to run a server in: an address each, and the command before the program's. `outside` is the address
    under which both reach this process's own network."""

    kind: str
    addresses: tuple[str, str]
    prefixes: tuple[Sequence[str], Sequence[str]]
    outside: str


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _make(name: str, network: str) -> None:
    """A namespace with one cable to here: .1 at this end, .2 at its own."""
    cable = f"v{name}"
    _ip("netns", "add", name)
    _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("addr", "add", f"{network}.1/24", "dev", cable)
    _ip("link", "set", cable, "up")
    _ip("-n", name, "addr", "add", f"{network}.2/24", "dev", "eth0")
    _ip("-n", name, "link", "set", "lo", "up")
    _ip("-n", name, "link", "set", "eth0", "up")
    _ip("-n", name, "route", "add", "default", "via", f"{network}.1")


@contextlib.contextmanager
def two_hosts() -> Iterator[Hosts]:
    """The hosts, gone with their cables afterwards."""
    # Of a block that is for tests (RFC 2544), and of this process alone.
    number = os.getpid() % 120 * 2
    names = [f"ls{os.getpid()}{letter}" for letter in "ab"]
    networks = [f"198.18.{number}", f"198.18.{number + 1}"]
    try:
        for name, network in zip(names, networks, strict=True):
            _make(name, network)
    except (OSError, subprocess.CalledProcessError):
        _remove(names)
        yield Hosts("addresses", ("127.0.0.2", "127.0.0.3"), ((), ()), "127.0.0.1")
        return
    try:
        yield Hosts(
            "network namespaces",
            (f"{networks[0]}.2", f"{networks[1]}.2"),
            (("ip", "netns", "exec", names[0]), ("ip", "netns", "exec", names[1])),
            f"{networks[0]}.1",
        )
    finally:
        _remove(names)


def _remove(names: Sequence[str]) -> None:
    for name in names:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            _ip("link", "delete", f"v{name}")
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            _ip("netns", "delete", name)
