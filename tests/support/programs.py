"""Programs of this machine that a test needs: without one it is skipped, in CI it fails."""

import os
import shutil

import pytest


def find_program(name: str, package: str) -> str:
    """The program's path; `package` is what to install."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if path is None:
        missing = f"no {name} on this machine: install {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    return path
