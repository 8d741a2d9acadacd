"""A deployment that serves the API, on either engine, and a caller of it: each answer is held to the document."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from latchstring.authorization_server.api_scopes import API_SCOPES
from latchstring.web.api.operation import PATH
from tests.support.deployment import App, deploy
from tests.support.documents import FakeFetch
from tests.support.journey import exchange, grant_code
from tests.web.conftest import MakeWorld, World, build_world

RESOURCE = f"https://auth.example{PATH}"
REDIRECT_URI = "https://tool.example/callback"


@dataclass
class Caller:
    """Calls operations by name as the document has them, with one token."""

    http: httpx.AsyncClient
    document: dict[str, Any]
    token: str
    values: dict[str, str]
    called: set[str] = field(default_factory=set)

    def find(self, name: str) -> tuple[str, str, dict[str, Any]]:
        """Method, path and description of an operation."""
        return next(
            (method, path, described)
            for path, methods in self.document["paths"].items()
            for method, described in methods.items()
            if described["operationId"] == name
        )

    async def ask(self, name: str, body: Any = None, query: Any = None, **values: str) -> httpx.Response:
        """The answer, whatever it is; what it says fits its schema."""
        method, path, described = self.find(name)
        response = await self.http.request(
            method.upper(),
            PATH + path.format(**{**self.values, **values}),
            headers={"authorization": f"Bearer {self.token}"},
            json=body,
            params=query,
        )
        self.verify(described, response)
        return response

    async def do(self, name: str, body: Any = None, query: Any = None, **values: str) -> Any:
        """What a good answer says."""
        response = await self.ask(name, body, query, **values)
        assert response.status_code < 300, f"{name}: {response.status_code} {response.text}"
        self.called.add(name)
        if response.status_code == 204:
            assert response.content == b""
            return None
        return response.json() if response.headers["content-type"] == "application/json" else response.text

    def verify(self, described: dict[str, Any], response: httpx.Response) -> None:
        """Hold an answer to what the document says of it."""
        answers = described["responses"]
        assert str(response.status_code) in answers, f"{described['operationId']}: {response.status_code}"
        verify_answer(self.document, answers[str(response.status_code)], response)


def verify_answer(document: dict[str, Any], answer: dict[str, Any], response: httpx.Response) -> None:
    """Hold an answer to one of the document's."""
    assert response.headers["x-request-id"].startswith("req_")
    assert response.headers["cache-control"] == "no-store"
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    content = answer.get("content")
    if content is None:
        assert response.content == b""
        return
    [(media_type, described)] = content.items()
    assert response.headers["content-type"].partition(";")[0] == media_type
    if media_type == "application/json":
        schema = {**described["schema"], "components": document["components"]}
        jsonschema.validate(response.json(), schema, jsonschema.Draft202012Validator)


@dataclass
class ApiWorld:
    """The world, an app that has every scope of the API, and the document."""

    world: World
    tool: App
    document: dict[str, Any]

    async def token(self, user_id: str, organization_id: str, *scope: str, **prompt: Any) -> str:
        """An access token of that person's for the API, past the pages; they have just signed in."""
        now = self.world.deployment.clock.now
        given = {"scope": scope or tuple(API_SCOPES), "resource": (RESOURCE,), "authenticated_at": now, **prompt}
        code = await grant_code(self.world.deployment, self.tool, user_id, organization_id, **given)
        response = await exchange(self.world.http, self.tool, code)
        assert response.status_code == 200, response.text
        token: str = response.json()["access_token"]
        return token

    async def caller(
        self, user_id: str | None = None, organization_id: str | None = None, *scope: str, **prompt: Any
    ) -> Caller:
        """Ann, admin of Acorn, or somebody else."""
        organization_id = organization_id or self.world.acorn
        token = await self.token(user_id or self.world.ann, organization_id, *scope, **prompt)
        return Caller(self.world.http, self.document, token, {"organization_id": organization_id})

    async def operator(self) -> Caller:
        """The same, now that she is an operator."""
        store, clock = self.world.deployment.store, self.world.deployment.clock
        await store.set_operator(self.world.ann, is_operator=True, now=clock())
        return await self.caller()


async def build_api_world(world: World) -> ApiWorld:
    """The app, and the document as anybody reads it."""
    tool = await world.deployment.app(
        world.acorn, name="Reportly", redirect_uris=(REDIRECT_URI,), scope=(*API_SCOPES, "offline_access")
    )
    document = await world.http.get(f"{PATH}/openapi.json")
    assert document.status_code == 200, document.text
    return ApiWorld(world, tool, document.json())


@pytest.fixture
async def api(make_world: MakeWorld) -> ApiWorld:
    """On SQLite."""
    return await build_api_world(await make_world(serves_api=True))


@pytest.fixture(params=["sqlite", "postgres"])
async def api_on_either(request: pytest.FixtureRequest, directory: Path) -> AsyncIterator[ApiWorld]:
    """On each engine."""
    is_sqlite = request.param == "sqlite"
    database = None if is_sqlite else request.getfixturevalue("postgres").create_database()

    async def resolve(name: str) -> list[str]:
        return []

    async with (
        deploy(directory, database, fetch=FakeFetch({}), resolve=resolve, serves_api=True) as deployment,
        deployment.http() as http,
    ):
        yield await build_api_world(await build_world(deployment, http))
