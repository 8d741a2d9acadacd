"""What the tests with real processes share."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.support.callback import Callback
from tests.support.inhabited import Inhabited, Names
from tests.support.live import Live, serving
from tests.support.process import Operator, Servers, starting
from tests.support.walking import Walker

# The machine is shared; a condition that will hold is waited for.
PATIENCE = 30_000
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
_numbers = itertools.count(1)


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """Commands on a database that does not exist yet."""
    return Operator(tmp_path)


@pytest.fixture
def servers(operator: Operator) -> Iterator[Servers]:
    """Servers on that database, gone after the test."""
    with starting(operator) as servers:
        yield servers


@pytest.fixture(scope="module")
def chromium(chromium_path: str) -> Iterator[Browser]:
    """The browser; it is stopped with the module, so that it leaves no event loop behind."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS, timeout=4 * PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server in this process; its clock and its store are the tests' own."""
    with serving(tmp_path_factory.mktemp("live"), deployment_name="Northwind CRM") as live:
        yield live


@pytest.fixture
def world(live: Live) -> Inhabited:
    """Organizations, people and apps of the test's own, among those of others."""
    return live.do(Inhabited(live.deployment, Names(email=f"{{}}-{next(_numbers)}@example.com")).settle())


@pytest.fixture
def callback() -> Iterator[Callback]:
    callback = Callback()
    yield callback
    callback.close()


@pytest.fixture
def walk(chromium: Browser, live: Live, world: Inhabited) -> Iterator[Callable[..., Walker]]:
    """Somebody at a keyboard, signed in as one of the world's people or as nobody."""
    walkers: list[Walker] = []

    def walk_as(person: str = "") -> Walker:
        walkers.append(Walker(chromium, live, world.people[person] if person else ""))
        return walkers[-1]

    yield walk_as
    for walker in walkers:
        walker.close()
