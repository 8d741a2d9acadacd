"""For pytest: `pytest_plugins = ["latchstring.client.testing.fixtures"]` in the topmost conftest.py."""

from collections.abc import Iterator

import pytest

from latchstring.client.testing.clock import Clock
from latchstring.client.testing.provider import FakeProvider


@pytest.fixture
def fake_provider() -> FakeProvider:
    """A provider in process (`fake_provider.transport()`), with a clock that stands until it is told to move."""
    return FakeProvider(clock=Clock())


@pytest.fixture
def fake_provider_server() -> Iterator[FakeProvider]:
    """A provider that answers at `fake_provider_server.issuer`, a real address of this machine, in real time."""
    with FakeProvider().serve() as provider:
        yield provider
