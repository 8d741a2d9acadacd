"""Starts the demo's three processes, from nothing or from what an earlier run left, and stops them."""

import fcntl
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import httpx

from latchstring.demo.children import Child, ChildFailed, stop_all
from latchstring.demo.operate import Operator
from latchstring.demo.places import HOST, Places
from latchstring.demo.seed import new_password, register_parts, seed_people
from latchstring.demo.state import STATE_FILE, DemoState, Registration, find_state, write_curl_variables, write_state
from latchstring.demo.welcome import curl_variables, render_port_taken, render_welcome
from latchstring.protocol.errors import ConfigurationError, StoreUnavailable

_PAUSE: Final = 0.1
_SERVER: Final = "latchstring.cli.main"
_SAMPLE: Final = "latchstring.demo.serve_sample"
_DATA: Final = frozenset({".db", ".db-wal", ".db-shm", ".keyring"})
_CONFIG: Final = """\
# The demo server's settings; edit and start again.
# All of them, with their units: class Settings in src/latchstring/authorization_server/settings.py
deployment_name = "Northwind CRM"
serves_api = true
"""


class CannotStart(Exception):
    """Something that the person at the terminal can put right; the message says how."""


class Launcher:
    """One run of the demo."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._children: list[Child] = []
        self._is_stopping = False

    def run(self) -> int:
        """Run until asked to stop (exit code 0) or until a part fails (1)."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup, SIGHUP stays ignored.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._stop)
        try:
            refuse_taken_ports(self._places)
            with _locked(self._places.directory):
                self._start_and_watch()
        except (CannotStart, ChildFailed) as failure:
            print(failure, flush=True)
            return 1
        except (ConfigurationError, StoreUnavailable, OSError, httpx.HTTPError) as failure:
            print(f"The demo cannot start: {failure}", flush=True)
            return 1
        return 0

    def is_stopping(self) -> bool:
        """Whether Ctrl-C or a signal has asked for the end."""
        return self._is_stopping

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True

    def _start_and_watch(self) -> None:
        places = self._places
        try:
            print("Starting the Latchstring demo …", flush=True)
            state, registration = prepare(places)
            self._start()
            if self.is_stopping():
                return
            refuse_foreign_state(places, registration)
            write_curl_variables(places.directory, curl_variables(places, state, registration))
            print(render_welcome(places, state, registration), flush=True)
            while not self.is_stopping():
                for child in self._children:
                    child.refuse_if_ended()
                if mail := self._children[0].read_mail():
                    print(
                        "\n".join(["A mail, which is shown here and sent nowhere:", *(f"  {line}" for line in mail)]),
                        flush=True,
                    )
                time.sleep(_PAUSE)
        finally:
            stop_all(self._children)

    def _start(self) -> None:
        places = self._places
        serve = ["serve", "--database", places.database, "--host", HOST, "--port", str(places.base_port)]
        if places.server_host != HOST:
            serve += ["--issuer", places.issuer]
        where = ["--base-port", str(places.base_port), "--directory", str(places.directory)]
        where += ["--server-host", places.server_host]
        for name, module, arguments, log in (
            ("authorization server", _SERVER, [*serve, "--config", str(places.config_path)], "server.log"),
            ("sample API", _SAMPLE, ["api", *where], "sample-api.log"),
            ("sample app", _SAMPLE, ["app", *where], "sample-app.log"),
        ):
            self._children.append(Child(name, module, arguments, places.directory / log))
        try:
            for child in self._children:
                child.wait_until_ready(self.is_stopping)
        except ChildFailed as failure:
            fresh = f"If it happens again, start afresh:  rm -r {places.directory}"
            raise CannotStart(f"{failure}\n{fresh}") from None


def refuse_taken_ports(places: Places) -> None:
    """Refuse to start when one of the three ports is taken, naming it."""
    for what, port in places.ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
                probe.listen(1)
            except PermissionError:
                raise CannotStart(f"Port {port} is not open to you: choose one above 1024.") from None
            except OSError:
                raise CannotStart(render_port_taken(what, port, places.base_port)) from None


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory for this run, so that no second demo works on the same data."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            why = f"Another demo is running from {directory}: stop it first, or choose another --directory."
            raise CannotStart(why) from None
        yield
    finally:
        os.close(descriptor)


def prepare(places: Places) -> tuple[DemoState, Registration]:
    """What an earlier run left, if it is whole, or a freshly seeded demo; registered for these ports."""
    state = find_state(places.directory)
    if not (places.database_path.exists() and places.keyring_path.exists()):
        state = None
    if state is None:
        set_aside(places.directory)
    if not places.config_path.exists():
        places.config_path.write_text(_CONFIG)
    ports = str(places.base_port)
    if state is None or ports not in state.registrations:
        operate = Operator(places.database)
        state = state or _seed(operate, places)
        state.registrations[ports] = register_parts(operate, state, places)
        # Written last: without it, what there is counts as half seeded and is never built upon.
        write_state(places.directory, state)
    return state, state.registrations[ports]


def _seed(operate: Operator, places: Places) -> DemoState:
    """Everybody whom the demo knows."""
    from latchstring.demo.settled import settle  # a second run has nothing to seed and starts without it

    state = seed_people(operate)
    developers = state.organizations[1].organization_id
    settled, admin = settle(places.database, developers, new_password())
    state.organizations.append(settled)
    state.people.append(admin)
    return state


def set_aside(directory: Path) -> None:
    """Move data that is not whole out of the way; it is a person's, so it is not deleted."""
    left = [path for path in directory.iterdir() if path.suffix in _DATA or path.name == STATE_FILE]
    if not left:
        return
    aside = directory / f"set-aside-{time.time_ns()}"
    aside.mkdir(mode=0o700)
    for path in left:
        path.rename(aside / path.name)
    print(f"The data in {directory} was not whole; it is in {aside.name} now.", flush=True)


def refuse_foreign_state(places: Places, registration: Registration) -> None:
    """Refuse remembered credentials that the server does not know: some of the data has been exchanged."""
    api = registration.sample_api
    response = httpx.post(
        places.introspection_endpoint,
        data={"token": "none"},
        auth=(api.client_id, api.client_secret),
        trust_env=False,
    )
    if response.status_code != 200:
        raise CannotStart(
            f"The data in {places.directory} does not fit together: "
            f"the server answers {response.status_code} to the sample API.\n"
            f"To start afresh, remove it:  rm -r {places.directory}"
        )
