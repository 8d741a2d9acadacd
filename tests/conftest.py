"""What every test can count on."""

import os
import shutil

import pytest

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
