"""One deployment on each engine for all cases: a case makes people, app and grants of its own."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from latchstring.authorization_server.ports import Fetched
from latchstring.authorization_server.settings import ScopeDefinition
from latchstring.resource_server.asgi import Guard
from tests.conformance.api import build_api
from tests.conformance.given import Shared
from tests.conformance.given_details import TYPES
from tests.conformance.given_jwt_bearer import TRUSTED_ISSUERS
from tests.support.deployment import deploy
from tests.support.documents import FakeFetch
from tests.support.refusals import watching_refusals

ENGINES = ("sqlite", "postgres")
SETTINGS: dict[str, Any] = {
    # The cases move the clock by days; a fresh sign-in for high risk is the subject of tests/web/test_account.py.
    "high_risk_sign_in_lifetime": None,
    "scopes": {
        "all.full_access": ScopeDefinition(risk="high"),
        "contacts.read": ScopeDefinition(title="Read contacts", risk="low"),
        "contacts.write": ScopeDefinition(title="Change contacts"),
        "contacts.delete": ScopeDefinition(title="Delete contacts", is_for_anyone=False),
    },
    "authorization_details_types": TYPES,
    "registration": "open",
    "refresh_token_idle_lifetime": 180 * 24 * 3600,
    "client_certificate_header": "Client-Cert",
    "trusted_proxy_networks": ("198.18.0.0/16",),
    "client_certificates_verified": True,
    "refresh_token_absolute_lifetime": 365 * 24 * 3600,
    "trusted_issuers": TRUSTED_ISSUERS,
}


@pytest.fixture(autouse=True, scope="package")
def refusals() -> Iterator[None]:
    """Every refusal has its sentence."""
    with watching_refusals():
        yield


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """Which database the cases run on."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def database(engine: str, request: pytest.FixtureRequest) -> str | None:
    """An empty database; None stands for a fresh SQLite file."""
    if engine == "sqlite":
        return None
    url: str = request.getfixturevalue("postgres").create_database()
    return url


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A place for the SQLite file, in memory where there is such a place: durability is tested elsewhere."""
    in_memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="latchstring-", dir=in_memory if in_memory.is_dir() else None) as name:
        yield Path(name)


@asynccontextmanager
async def open_shared(folder: Path, database: str | None) -> AsyncIterator[Shared]:
    """The deployment and the API behind its guard."""
    documents: dict[str, bytes | Fetched] = {}

    async with (
        deploy(folder, database, fetch=FakeFetch(documents), **SETTINGS) as deployment,
        deployment.http() as http,
    ):
        guard_id, guard_secret = await deployment.resource_server()
        issuer = deployment.settings.issuer
        guard = Guard(
            issuer=issuer,
            introspection_endpoint=f"{issuer}/oauth2/introspect/",
            client_id=guard_id,
            client_secret=guard_secret,
            resource="https://api.example/",
            jwks_uri=f"{issuer}/oauth2/jwks/",
            scopes_supported=("contacts.read", "contacts.write"),
            http_client=http,
            clock=deployment.clock,
        )
        transport = httpx.ASGITransport(build_api(guard), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="https://api.example") as api:
            chestnut = await deployment.organization("Chestnut Ltd")
            yield Shared(deployment, api, (guard_id, guard_secret), chestnut, documents)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(folder: Path, database: str | None) -> AsyncIterator[Shared]:
    """The one for all cases on an engine."""
    async with open_shared(folder, database) as opened:
        yield opened
