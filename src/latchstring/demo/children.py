"""The demo's processes: started, watched, stopped together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from latchstring.outbound.smtp import CONSOLE_MARK

START_LIMIT: Final = 60.0
STOP_LIMIT: Final = 6.0
LAST_LINES: Final = 15
_PAUSE: Final = 0.05


class ChildFailed(Exception):
    """A process ended by itself, or never became ready; the message is for the person at the terminal."""


class Child:
    """One process whose output goes to its log file; it says `ready` there once it accepts connections."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], log_path: Path) -> None:
        self.name = name
        self.log_path = log_path
        self._read_until = 0
        descriptor = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            # A session of its own: Ctrl-C reaches the launcher alone, which then stops each in good order.
            self._process = subprocess.Popen(  # noqa: S603  (our own modules, no shell)
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        finally:
            os.close(descriptor)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def refuse_if_ended(self) -> None:
        """Raise `ChildFailed` with the last log lines when the process has ended."""
        code = self._process.poll()
        if code is not None:
            how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
            raise ChildFailed(f"The {self.name} stopped {how}. {self._last_words()}")

    def wait_until_ready(self, is_stopping: Callable[[], bool]) -> None:
        """Return once the process is ready, or the launcher is asked to stop; raises `ChildFailed`."""
        deadline = time.monotonic() + START_LIMIT
        while not is_stopping():
            if any(line.startswith("ready http") for line in self._lines()):
                return
            self.refuse_if_ended()
            if time.monotonic() > deadline:
                raise ChildFailed(f"The {self.name} took more than {START_LIMIT:.0f} s. {self._last_words()}")
            time.sleep(_PAUSE)

    def ask_to_stop(self) -> None:
        """Let the process finish what it does and end."""
        if self._process.poll() is None:
            self._process.terminate()

    def wait_until_stopped(self, deadline: float) -> None:
        """Wait for the end until the deadline (monotonic), then enforce it."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def read_mail(self) -> list[str]:
        """What the server has written in place of sending mail, since the last time."""
        with self.log_path.open("rb") as log:
            log.seek(self._read_until)
            whole, _, rest = (read := log.read()).rpartition(b"\n")
        self._read_until += len(read) - len(rest)
        lines = whole.decode(errors="replace").splitlines()
        return [line.removeprefix(CONSOLE_MARK) for line in lines if line.startswith(CONSOLE_MARK)]

    def _lines(self) -> list[str]:
        return self.log_path.read_text(errors="replace").splitlines()

    def _last_words(self) -> str:
        words = [f"  {line}" for line in self._lines()[-LAST_LINES:]] or ["  (nothing)"]
        return "\n".join([f"Its last words, from {self.log_path}:", *words])


def stop_all(children: Sequence[Child]) -> None:
    """Ask every process to stop, then see to it that each has."""
    for child in reversed(children):
        child.ask_to_stop()
    deadline = time.monotonic() + STOP_LIMIT
    for child in reversed(children):
        child.wait_until_stopped(deadline)
