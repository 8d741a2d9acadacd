"""The guarded apps, one in each framework."""

from typing import Any

import pytest

from tests.resource_server.sites import FRAMEWORKS, Site


@pytest.fixture(params=FRAMEWORKS)
def site(request: Any) -> Site:
    return Site(request.param)


@pytest.fixture
def plain() -> Site:
    return Site("asgi")
