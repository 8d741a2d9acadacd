"""The demo as `make run` starts it: three real processes, with people whose passwords it knows."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from latchstring.demo.state import DemoState, Registration, find_state
from tests.support.ports import find_free_ports
from tests.support.process import STOP_LIMIT, child_environment, wait_until

_RUNNING = "Ctrl-C stops all."


class Demo:
    """One run of it: where its parts are, and who can sign in."""

    def __init__(self, directory: Path, base_port: int, server_host: str) -> None:
        self.server_host = server_host
        self.directory = directory
        self.base_port = base_port
        self.output_path = directory.with_name(f"{directory.name}-output.txt")
        with self.output_path.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "latchstring.demo",
                    "--base-port",
                    str(base_port),
                    "--directory",
                    str(directory),
                    "--server-host",
                    server_host,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=child_environment(),
                start_new_session=True,
            )

    @property
    def server(self) -> str:
        """The authorization server's URL."""
        return f"http://{self.server_host}:{self.base_port}"

    @property
    def api(self) -> str:
        """The sample API's URL."""
        return f"http://127.0.0.1:{self.base_port + 1}"

    @property
    def app(self) -> str:
        """The sample app's URL."""
        return f"http://127.0.0.1:{self.base_port + 2}"

    @property
    def database(self) -> str:
        """The server's database."""
        return f"sqlite:///{self.directory / 'latchstring.db'}"

    @property
    def state(self) -> DemoState:
        """Who and what was made for it."""
        state = find_state(self.directory)
        assert state is not None
        return state

    @property
    def registration(self) -> Registration:
        """The apps and the API at these ports."""
        return self.state.registrations[str(self.base_port)]

    def wait_until_running(self) -> "Demo":
        """Return once all three parts answer."""

        def is_running() -> bool:
            output = self.output_path.read_text()
            assert self.process.poll() is None, output
            return _RUNNING in output

        wait_until(is_running, f"{_RUNNING!r} in {self.output_path}")
        return self

    def logs(self) -> str:
        """Everything that its parts have logged."""
        return "".join(path.read_text() for path in self.directory.glob("*.log"))


@contextlib.contextmanager
def running_demo(directory: Path, server_host: str = "127.0.0.1") -> Iterator[Demo]:
    """The demo, seeded and answering; stopped in good order at the end."""
    demo = Demo(directory, find_free_ports(3), server_host)
    try:
        yield demo.wait_until_running()
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(STOP_LIMIT) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.process.pid, signal.SIGTERM)  # its parts stop when it stops
        demo.process.wait(STOP_LIMIT)
