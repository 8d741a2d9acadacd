"""The README's curl lines, run by bash as they are written, against the demo as a newcomer starts it."""

import json
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from latchstring.demo.state import CURL_FILE
from tests.docs.markdown import ROOT, read_page
from tests.support.demo import running_demo

SEVEN_FIELDS = {
    "token_type", "access_token", "expires_in", "refresh_token", "scope", "organization_id", "user_id",
}  # fmt: skip


def read_lines() -> str:
    """The README's one block of shell."""
    [block] = [block for block in read_page(ROOT / "README.md").blocks if block.info == "bash"]
    return block.content


def test_readme_numbers_ten_lines() -> None:
    numbers = [int(number) for number in re.findall(r"  # (\d+) ", read_lines())]
    assert numbers == list(range(1, 11))


@pytest.mark.drill
@pytest.mark.xdist_group("demo")
def test_readme_lines_print_what_their_comments_say(tmp_path: Path) -> None:
    with running_demo(tmp_path / ".demo") as demo:
        assert stat.S_IMODE((demo.directory / CURL_FILE).stat().st_mode) == 0o600
        ann, organization = demo.state.people[0], demo.state.organizations[1]
        ran = subprocess.run(
            ["bash", "-e", "-c", read_lines()],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    printed = ran.stdout.splitlines()
    assert len(printed) == 7, ran.stdout
    first, me, newer, again, contacts = (json.loads(line) for line in printed[:5])

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
