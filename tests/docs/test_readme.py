"""The README's curl lines, run by bash as they are written, against the demo as a newcomer starts it."""

import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from latchstring.demo.state import CURL_FILE, find_state
from tests.docs.markdown import ROOT, read_page

pytestmark = [pytest.mark.drill, pytest.mark.xdist_group("demo")]

START_LIMIT = 90.0
SEVEN_FIELDS = {
    "token_type", "access_token", "expires_in", "refresh_token", "scope", "organization_id", "user_id",
}  # fmt: skip


def find_base_port() -> int:
    """The first of three free ports in a row."""
    for base_port in range(41000 + os.getpid() % 9000, 60000, 3):
        with ExitStack() as stack:
            try:
                for port in range(base_port, base_port + 3):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return base_port
    raise AssertionError("no free ports")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A folder in which `.demo` is the directory of a running demo, as after `make run`."""
    output = tmp_path / "demo.txt"
    where = ["--base-port", str(find_base_port()), "--directory", str(tmp_path / ".demo")]
    with output.open("wb") as written:
        command = [sys.executable, "-m", "latchstring.demo", *where]
        demo = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=written, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_LIMIT
        while "Ctrl-C stops all." not in output.read_text():
            assert demo.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        yield tmp_path
    finally:
        demo.terminate()
        demo.wait(60)


def read_lines() -> str:
    """The README's one block of shell."""
    [block] = [block for block in read_page(ROOT / "README.md").blocks if block.info == "bash"]
    return block.content


def test_readme_numbers_ten_lines() -> None:
    numbers = [int(number) for number in re.findall(r"  # (\d+) ", read_lines())]
    assert numbers == list(range(1, 11))


def test_readme_lines_print_what_their_comments_say(checkout: Path) -> None:
    variables = checkout / ".demo" / CURL_FILE
    assert stat.S_IMODE(variables.stat().st_mode) == 0o600
    ran = subprocess.run(
        ["bash", "-e", "-c", read_lines()],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], "HOME": str(checkout), "TMPDIR": str(checkout)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    printed = ran.stdout.splitlines()
    assert len(printed) == 7, ran.stdout
    first, me, newer, again, contacts = (json.loads(line) for line in printed[:5])
    state = find_state(checkout / ".demo")
    assert state is not None
    ann, organization = state.people[0], state.organizations[-1]

    answers: list[dict[str, Any]] = [first, newer, again]
    for answer in answers:
        assert set(answer) == SEVEN_FIELDS
        assert (answer["user_id"], answer["organization_id"]) == (ann.user_id, organization.organization_id)
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
        assert answer["scope"] == "all.full_access offline_access"
    assert len({answer["access_token"] for answer in answers}) == 3
    assert newer["refresh_token"] != first["refresh_token"]
    assert again["refresh_token"] == newer["refresh_token"]

    assert (me["user_id"], me["organization_id"]) == (ann.user_id, organization.organization_id)
    [marked] = [found["name"] for found in me["organizations"] if found["is_token_organization"]]
    assert marked == organization.name
    assert contacts["data"]

    assert printed[5] == "200"
    refusal, _, status = printed[6].rpartition(" ")
    assert (json.loads(refusal)["error"], status) == ("invalid_token", "401")
