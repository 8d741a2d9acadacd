"""Real processes: the `latchstring` program as an operator starts it, on real files and real ports."""

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

import msgspec

PROGRAM: Final = Path(sys.executable).with_name("latchstring")

# The machine is shared: these are for what hangs, not for what is slow.
START_LIMIT: Final = 90.0
STOP_LIMIT: Final = 45.0
_PAUSE: Final = 0.02

_CREDENTIAL: Final = re.compile(r"[0-9A-Za-z]+_(?:ac|at|dc|rt|cs|ia|ra)_[0-9A-Za-z]{12,}")


def child_environment(**given: str) -> dict[str, str]:
    """This process's environment without what would steer the program, and with bytecode kept: compiling its
    libraries at every start takes seconds."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LATCHSTRING_", "PYTHON"))}
    return {**kept, "COLUMNS": "80", **given}


def wait_until(condition: Callable[[], object], what: str, limit: float = START_LIMIT) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"after {limit:.0f} s still not: {what}"
        time.sleep(_PAUSE)


def find_credentials(text: str) -> list[str]:
    """Everything in the text that looks like one of our secrets, codes or tokens in full."""
    return _CREDENTIAL.findall(text)


@dataclass(frozen=True)
class Command:
    """One finished run of a command."""

    code: int
    stdout: str
    stderr: str


class Operator:
    """Runs `latchstring` commands on one database, each in a process of its own."""

    program: Sequence[str | Path] = (PROGRAM,)
    environment: Mapping[str, str] = {}

    def __init__(self, directory: Path, database: str | None = None) -> None:
        self.directory = directory
        self.database = f"sqlite:///{directory / 'latchstring.db'}" if database is None else database

    @property
    def database_path(self) -> Path | None:
        """The SQLite file, where it is one."""
        path = self.database.removeprefix("sqlite:///")
        return None if path == self.database else Path(path)

    @property
    def keyring_path(self) -> Path:
        """Where commands find the keyring when nobody names one."""
        path = self.database_path
        return self.directory / ("latchstring.keyring" if path is None else f"{path.name}.keyring")

    def run(self, *arguments: str | bytes, stdin: bytes = b"", **environment: str) -> Command:
        """Run a command exactly as given."""
        ran = subprocess.run(
            [*self.program, *arguments],
            input=stdin,
            capture_output=True,
            cwd=self.directory,
            env=child_environment(**{**self.environment, **environment}),
            timeout=START_LIMIT,
        )
        return Command(ran.returncode, ran.stdout.decode(), ran.stderr.decode())

    def show(self, *arguments: str, password: str = "") -> str:
        """What the command prints for people."""
        ran = self.run(*arguments, "--database", self.database, stdin=f"{password}\n".encode())
        assert (ran.code, ran.stderr) == (0, ""), (arguments, ran.code, ran.stdout, ran.stderr)
        return ran.stdout

    def ask(self, *arguments: str, password: str = "") -> Any:
        """What the command prints for programs: one line of JSON and nothing else."""
        answer = self.show(*arguments, "--json", password=password)
        assert answer.count("\n") == 1, answer
        return msgspec.json.decode(answer)

    def refuse(self, *arguments: str | bytes, stdin: bytes = b"", **environment: str) -> str:
        """Why the command is refused: exit code 1, one line on standard error, nothing on standard output."""
        ran = self.run(*arguments, stdin=stdin, **environment)
        assert (ran.code, ran.stdout) == (1, ""), (arguments, ran.code, ran.stdout, ran.stderr)
        assert ran.stderr.startswith("latchstring: "), ran.stderr
        assert ran.stderr.count("\n") == 1, ran.stderr
        assert "Traceback" not in ran.stderr
        return ran.stderr.removeprefix("latchstring: ").rstrip("\n")


class QuickOperator(Operator):
    """The same commands through the same entry point, in this process: nothing to load anew for each."""

    def run(self, *arguments: str | bytes, stdin: bytes = b"", **environment: str) -> Command:
        """Run a command exactly as given, in a thread, so that it may have an event loop of its own."""
        given = [os.fsdecode(argument) for argument in arguments]
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._run, given, stdin, environment).result()

    def _run(self, arguments: list[str], stdin: bytes, environment: dict[str, str]) -> Command:
        from latchstring.cli.main import main

        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.directory),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.object(sys, "argv", ["latchstring", *arguments]),
            mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")),
            mock.patch.dict(os.environ, child_environment(**environment), clear=True),
        ):
            try:
                main()
                code = 0
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        return Command(code, out.getvalue(), err.getvalue())


class Server:
    """One run of `latchstring serve`, in a session of its own; what it prints goes to two files."""

    def __init__(
        self, operator: Operator, *arguments: str, name: str = "server", prefix: Sequence[str] = (), **environment: str
    ) -> None:
        self.out_path = operator.directory / f"{name}.out"
        self.log_path = operator.directory / f"{name}.log"
        port = () if "--port" in arguments else ("--port", "0")
        with self.out_path.open("wb") as out, self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*prefix, *operator.program, "serve", "--database", operator.database, *port, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                cwd=operator.directory,
                env=child_environment(**{**operator.environment, **environment}),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process that was started (with several workers: their parent)."""
        return self.process.pid

    @property
    def output(self) -> str:
        """Its standard output so far."""
        return self.out_path.read_text()

    @property
    def log(self) -> str:
        """Its standard error so far."""
        return self.log_path.read_text()

    @property
    def url(self) -> str:
        """The URL of the ready line."""
        return self.output.removeprefix("ready ").partition("\n")[0]

    @property
    def host(self) -> str:
        """The address of the ready line."""
        return self.url.removeprefix("http://").rpartition(":")[0]

    @property
    def port(self) -> int:
        """The port of the ready line."""
        return int(self.url.rpartition(":")[2])

    def wait_until_ready(self) -> "Server":
        """Return once the ready line is out; fail when the server ends instead."""
        deadline = time.monotonic() + START_LIMIT
        while not self.output.endswith("\n"):
            assert self.process.poll() is None, f"exit code {self.process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"not ready after {START_LIMIT:.0f} s:\n{self.log}"
            time.sleep(_PAUSE)
        return self

    def find_workers(self) -> list[int]:
        """The ids of the parent's serving processes."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(child) for child in children if b"spawn_main" in _read_command_line(int(child))]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal to the started process and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_LIMIT)

    def press_ctrl_c(self) -> int:
        """Interrupt the whole group, as a terminal does; the exit code."""
        os.killpg(self.pid, signal.SIGINT)
        return self.process.wait(STOP_LIMIT)

    def kill(self) -> None:
        """SIGKILL to the started process alone."""
        self.process.kill()
        self.process.wait(STOP_LIMIT)

    def clear_away(self) -> None:
        """Leave nothing of it behind, whatever the test did."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(STOP_LIMIT)


class Servers:
    """Starts servers on one directory and clears all of them away at the end."""

    def __init__(self, operator: Operator, name: str = "server") -> None:
        self.operator = operator
        self.name = name
        self.started: list[Server] = []

    def begin(self, *arguments: str, prefix: Sequence[str] = (), **environment: str) -> Server:
        """Start a server without waiting for it; the prefix is a command that runs it somewhere else."""
        name = f"{self.name}-{len(self.started)}"
        server = Server(self.operator, *arguments, name=name, prefix=prefix, **environment)
        self.started.append(server)
        return server

    def start(self, *arguments: str, prefix: Sequence[str] = (), **environment: str) -> Server:
        """Start a server and wait until it is ready."""
        return self.begin(*arguments, prefix=prefix, **environment).wait_until_ready()

    def logs(self) -> str:
        """Everything that all of them have written."""
        return "".join(server.output + server.log for server in self.started)


@contextlib.contextmanager
def starting(operator: Operator, name: str = "server") -> Iterator[Servers]:
    """Servers that are gone when the block ends; what they print goes to files of that name."""
    servers = Servers(operator, name)
    try:
        yield servers
    finally:
        for server in servers.started:
            server.clear_away()


def is_running(pid: int) -> bool:
    """Whether there is such a process (a zombie is none)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections at that port."""
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((host, port)) == 0


def find_serving_pid(server_port: int, client_port: int, candidates: list[int]) -> int | None:
    """Which of the processes holds the server's end of that connection on 127.0.0.1."""
    local, remote = f"0100007F:{server_port:04X}", f"0100007F:{client_port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[1:3] == [local, remote]:
            return next((pid for pid in candidates if columns[9] in _find_socket_inodes(pid)), None)
    return None


def find_listening_pids(server_port: int, candidates: list[int]) -> list[int]:
    """Which of the processes take connections at that port of 127.0.0.1."""
    local = f"0100007F:{server_port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {columns[9] for columns in lines if columns[1] == local and columns[3] == "0A"}
    return [pid for pid in candidates if listening & _find_socket_inodes(pid)]


def _find_socket_inodes(pid: int) -> set[str]:
    inodes = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    return inodes


def _read_command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
