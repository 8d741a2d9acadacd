"""What holds for every test of the rules."""

from collections.abc import Iterator

import pytest

from tests.support.refusals import watching_refusals


@pytest.fixture(autouse=True, scope="package")
def refusals() -> Iterator[None]:
    """Every refusal has its sentence."""
    with watching_refusals():
        yield
