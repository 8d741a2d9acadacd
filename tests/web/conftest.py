"""A deployment for the tests of the edge: two organizations, Ann in both, one published app of Acorn's."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from latchstring.directory.built_in import BuiltInDirectory
from latchstring.storage.url import migrate
from latchstring.web.cookies import session_cookie_name
from latchstring.web.rendering import renderer as rendering
from tests.support.deployment import App, Deployment, deploy, hash_password
from tests.support.refusals import watching_refusals


@dataclass
class World:
    """What most tests need, by name."""

    deployment: Deployment
    acorn: str
    birch: str
    ann: str
    app: App
    guard: tuple[str, str]
    http: httpx.AsyncClient

    async def arrive(self, user_id: str, http: httpx.AsyncClient | None = None) -> str:
        """Give the browser a session of that user's, without the sign-in page; the cookie."""
        cookie = await self.deployment.services.login.begin(user_id)
        name = session_cookie_name(self.deployment.settings)
        browser = http or self.http
        browser.cookies.delete(name) if name in browser.cookies else None
        browser.cookies.set(name, cookie, domain=httpx.URL(self.deployment.settings.issuer).host)
        return cookie


MakeWorld = Callable[..., Awaitable[World]]

# Reading six catalogs takes longer than most tests; a renderer is only read once made.
_shared_renderer = cache(rendering.PageRenderer)


@pytest.fixture(autouse=True, scope="package")
def refusals() -> Iterator[None]:
    """Every refusal has its sentence."""
    with watching_refusals():
        yield


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file, to copy: Alembic is not this folder's subject."""
    path = tmp_path_factory.mktemp("schema") / "latchstring.db"
    migrate(f"sqlite:///{path}")
    return path


async def build_world(deployment: Deployment, http: httpx.AsyncClient) -> World:
    """Fill a deployment."""
    acorn = await deployment.organization("Acorn Partners")
    birch = await deployment.organization("Birch & Co")
    ann = await deployment.user("ann@example.com", "Ann")
    await deployment.member(ann, acorn, "admin")
    await deployment.member(ann, birch)
    app = await deployment.app(acorn)
    guard = await deployment.resource_server()
    return World(deployment, acorn, birch, ann, app, guard, http)


@pytest.fixture
def directory() -> Iterator[Path]:
    """A folder for one database, in memory where there is such a place: durability is tested elsewhere."""
    in_memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="latchstring-", dir=in_memory if in_memory.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture
async def make_world(
    directory: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeWorld]:
    """Makes a world with settings of one's own."""
    monkeypatch.setattr(rendering, "PageRenderer", _shared_renderer)
    monkeypatch.setattr("tests.support.deployment.migrate", lambda database: None)
    # Two names share a counter once in a thousand times, which would be a test that fails as often.
    monkeypatch.setattr("latchstring.web.throttle._BUCKETS", 1 << 32)
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> World:
            shutil.copyfile(empty_database, directory / "latchstring.db")
            deployment = await stack.enter_async_context(deploy(directory, **settings))
            people = deployment.services.authenticate.__self__  # type: ignore[attr-defined]  # its bound method
            assert isinstance(people, BuiltInDirectory)
            people._decoy = hash_password()
            return await build_world(deployment, await stack.enter_async_context(deployment.http()))

        yield make


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world()


@pytest.fixture
def deployment(world: World) -> Deployment:
    return world.deployment
