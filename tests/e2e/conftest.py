"""What the tests with real processes share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import Operator, Servers, starting


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """Commands on a database that does not exist yet."""
    return Operator(tmp_path)


@pytest.fixture
def servers(operator: Operator) -> Iterator[Servers]:
    """Servers on that database, gone after the test."""
    with starting(operator) as servers:
        yield servers
