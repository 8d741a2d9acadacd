"""The state that a request leaves behind, read past the server."""

import sqlite3
from contextlib import closing
from typing import Any

import httpx

from latchstring.authorization_server.records import GrantRecord
from latchstring.authorization_server.tokens import ClientAccessToken
from tests.support.deployment import App
from tests.support.journey import exchange, grant_code, introspect
from tests.web.conftest import World

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636 Appendix B


async def find_grant(world: World, credential: str) -> GrantRecord:
    """The grant behind a code, an access token or a refresh token."""
    codec = world.deployment.codec
    parsed = (
        codec.parse_code(credential) or codec.parse_refresh_token(credential) or codec.parse_access_token(credential)
    )
    assert parsed is not None, credential
    assert not isinstance(parsed, ClientAccessToken), "it stands on no grant"
    grant = await world.deployment.store.find_grant(parsed.grant_id)
    assert grant is not None
    return grant


async def find_grants(world: World) -> list[GrantRecord]:
    """Every grant there is, newest first."""
    return list(await world.deployment.store.find_grants(user_id=None, organization_id=None))


async def is_active(world: World, access_token: str) -> bool:
    """What a guard is told, now."""
    answer = await introspect(world.http, world.guard, access_token)
    assert answer["active"] or answer == {"active": False}
    return bool(answer["active"])


async def connect(world: World, app: App | None = None, organization_id: str | None = None, **prompt: Any) -> Any:
    """A fresh grant's first token answer, past the pages."""
    app = app or world.app
    with_verifier = {}
    if app.secret is None:
        prompt.setdefault("code_challenge", CHALLENGE)
        with_verifier = {"code_verifier": VERIFIER}
    code = await grant_code(world.deployment, app, world.ann, organization_id or world.acorn, **prompt)
    response = await exchange(world.http, app, code, **with_verifier)
    assert response.status_code == 200, response.text
    return response.json()


def dump(world: World) -> list[tuple[Any, ...]]:
    """Every row of every table: two equal dumps mean that nothing was consumed, ended or lost."""
    with closing(sqlite3.connect(world.deployment.path)) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [(name, *row) for name in sorted(names) for row in database.execute(f"SELECT * FROM {name} ORDER BY 1")]


async def post(world: World, path: str, data: dict[str, str], **options: Any) -> httpx.Response:
    """A form POST to a machine endpoint."""
    return await world.http.post(path, data=data, **options)
