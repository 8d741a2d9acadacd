"""The lock file fits pyproject.toml, pins by hash, and names no package index."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")
ENTRIES = [entry for entry in re.split(r"\n(?=\S)", LOCK) if not entry.startswith("#")]


def declared() -> list[Requirement]:
    """The requirements of the project, the `server` extra and the `dev` group."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    lines = [
        *project["dependencies"],
        *project["optional-dependencies"]["server"],
        *pyproject["dependency-groups"]["dev"],
    ]
    return [Requirement(line) for line in lines]


def test_lock_of_declared_requirements_satisfies_each() -> None:
    pairs = [entry.split()[0].split("==") for entry in ENTRIES]
    pinned = {canonicalize_name(name): Version(version) for name, version in pairs}
    unmet = []
    for requirement in declared():
        pin = pinned.get(canonicalize_name(requirement.name))
        if pin is None or pin not in requirement.specifier:
            unmet.append(str(requirement))
    assert unmet == [], "pyproject.toml asks for what the lock does not have: run `make lock`"


def test_lock_entries_carry_hashes() -> None:
    assert len(ENTRIES) > 50
    assert [entry for entry in ENTRIES if "--hash=sha256:" not in entry] == []


def test_lock_text_names_no_index() -> None:
    assert re.findall(r"://|--(?:extra-)?index-url|--find-links|--trusted-host", LOCK) == []
