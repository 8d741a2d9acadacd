"""A Redis (or Valkey) of the tests' own, on a free port, gone afterwards."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.ports import find_free_port
from tests.support.process import accepts, wait_until


@contextmanager
def run_redis(program: str) -> Iterator[str]:
    """Its URL, while it runs."""
    port = find_free_port()
    with tempfile.TemporaryDirectory(prefix="latchstring-redis-") as folder:
        options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": folder}
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: accepts(port), "Redis")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(10)
