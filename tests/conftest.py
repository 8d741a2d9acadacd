"""What every test can count on."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.support.postgres import Cluster, find_binaries, run_cluster
from tests.support.redis import run_redis

# The names that scripts/test_machine.sh looks for.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """The path of this machine's Chromium, for Playwright's `executable_path`."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The Chromium that browser tests drive."""
    path = find_chromium()
    assert path, "mark this test with `browser`, so that it is skipped where there is none"
    return path


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip browser tests where there is no browser; in CI that is a failure."""
    if item.get_closest_marker("browser") and find_chromium() is None:
        missing = "no Chromium on this machine: install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A throw-away Redis or Valkey; without the program the test is skipped, in CI it fails."""
    program = next(filter(None, map(shutil.which, ("redis-server", "valkey-server"))), None)
    if program is None:
        missing = "no Redis on this machine: install redis-server"
        if os.environ.get("CI") == "true":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    with run_redis(program) as url:
        yield url


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A throw-away PostgreSQL; without the programs the test is skipped, in CI it fails."""
    binaries = find_binaries()
    if binaries is None:
        missing = "no PostgreSQL on this machine: install postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    with run_cluster(binaries) as cluster:
        yield cluster
