"""A storage failure is a 503 that consumes nothing, never what a client could read as a verdict (V9, I4, I6)."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from latchstring.protocol.errors import StoreUnavailable
from tests.support import device
from tests.support.forms import find_form, submit
from tests.support.journey import answer_of, exchange, grant_code, introspect, open_consent, refresh
from tests.web.answers import assert_page, assert_refused
from tests.web.conftest import World
from tests.web.state import connect, dump, find_grant, is_active, post

# Which SQL fails, by how it begins: any read; the wish for the write lock; the write itself; its commit.
FAULTS = {
    "reads": ("SELECT",),
    "begin": ("BEGIN IMMEDIATE",),
    "writes": ("INSERT", "UPDATE", "DELETE"),
    "commit": ("COMMIT",),
}
EVERY_FAULT = pytest.mark.parametrize("fault", FAULTS)
WRITE_FAULTS = pytest.mark.parametrize("fault", ["begin", "writes", "commit"])


class _Faulty:
    """An SQLite connection whose disk fails for some statements."""

    def __init__(self, connection: Any, beginnings: tuple[str, ...]) -> None:
        self._connection = connection
        self._beginnings = beginnings
        self._is_writing = False

    def execute(self, sql: str, *arguments: Any) -> Any:
        # The end of a read needs no disk: only a commit of something can fail.
        if sql.lstrip().startswith(self._beginnings) and (sql != "COMMIT" or self._is_writing):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        self._is_writing = sql == "BEGIN IMMEDIATE" or (self._is_writing and sql not in {"COMMIT", "ROLLBACK"})
        return self._connection.execute(sql, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@contextmanager
def failing(world: World, fault: str) -> Iterator[None]:
    """The store with that fault, healthy again afterwards; what it remembers of clients is forgotten first."""
    store: Any = world.deployment.store
    engine, connection = store._engine, store._engine._connection
    store._remembered.clear()
    engine._connection = _Faulty(connection, FAULTS[fault])
    try:
        yield
    finally:
        engine._connection = connection


def assert_unavailable(response: httpx.Response) -> None:
    """503, to be tried again, with a code that no client takes for its credential's fault."""
    assert_refused(response, 503, "temporarily_unavailable", "The server cannot answer now. Nothing was consumed")
    assert int(response.headers["retry-after"]) >= 1


def assert_page_unavailable(response: httpx.Response) -> None:
    """The same as a page."""
    assert_page(response, 503)
    assert int(response.headers["retry-after"]) >= 1
    assert "We cannot reach our records right now" in response.text


# -- machine endpoints


@EVERY_FAULT
async def test_code_exchange_while_the_store_fails_is_503_and_the_code_still_good(world: World, fault: str) -> None:
    """C14, I4."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    before = dump(world)
    with failing(world, fault):
        for _ in range(3):
            assert_unavailable(await exchange(world.http, world.app, code))
    assert dump(world) == before
    response = await exchange(world.http, world.app, code)
    assert response.status_code == 200
    assert await is_active(world, response.json()["access_token"])


@EVERY_FAULT
async def test_refresh_while_the_store_fails_is_503_and_the_token_still_good(world: World, fault: str) -> None:
    """§5, last row; Hydra #1246, #1928."""
    first = await connect(world)
    before = dump(world)
    with failing(world, fault):
        for _ in range(3):
            assert_unavailable(await refresh(world.http, world.app, first["refresh_token"]))
    assert dump(world) == before
    assert (await refresh(world.http, world.app, first["refresh_token"])).status_code == 200
    assert (await find_grant(world, first["refresh_token"])).generation == 2


@EVERY_FAULT
async def test_refresh_retry_while_the_store_fails_is_503_and_the_retry_still_good(world: World, fault: str) -> None:
    first = await connect(world)
    second = (await refresh(world.http, world.app, first["refresh_token"])).json()
    before = dump(world)
    with failing(world, fault):
        assert_unavailable(await refresh(world.http, world.app, first["refresh_token"]))
    assert dump(world) == before
    retried = await refresh(world.http, world.app, first["refresh_token"])
    assert retried.json()["refresh_token"] == second["refresh_token"]


async def test_refresh_a_hundred_times_at_once_while_the_store_fails_rotates_nothing(world: World) -> None:
    """R5, I4: a shared commit that fails, fails for all; then one rotation as ever."""
    first = await connect(world)
    before = dump(world)
    with failing(world, "commit"):
        for response in await asyncio.gather(
            *(refresh(world.http, world.app, first["refresh_token"]) for _ in range(100))
        ):
            assert_unavailable(response)
    assert dump(world) == before
    responses = await asyncio.gather(*(refresh(world.http, world.app, first["refresh_token"]) for _ in range(10)))
    assert len({response.json()["refresh_token"] for response in responses}) == 1


@EVERY_FAULT
async def test_device_while_the_store_fails_is_503_and_its_codes_still_good(world: World, fault: str) -> None:
    """RFC 8628: at the request, at a poll, and at the redemption."""
    with failing(world, fault):
        assert_unavailable(await post(world, device.ENDPOINT, world.app.body()))
    codes = await device.ask(world.http, world.app)
    before = dump(world)
    with failing(world, fault):
        for _ in range(2):
            assert_unavailable(await device.poll(world.http, world.app, codes["device_code"]))
    assert dump(world) == before
    assert_refused(await device.poll(world.http, world.app, codes["device_code"]), 400, "authorization_pending")
    await device.allow(world.http, codes["user_code"], world.acorn)
    before = dump(world)
    with failing(world, fault):
        for _ in range(2):
            assert_unavailable(await device.poll(world.http, world.app, codes["device_code"]))
    assert dump(world) == before
    assert (await device.poll(world.http, world.app, codes["device_code"])).status_code == 200


@WRITE_FAULTS
async def test_reuse_that_cannot_be_recorded_is_503_not_a_refusal(world: World, fault: str) -> None:
    """An `invalid_grant` would say that the grant is over, while its tokens live."""
    first = await connect(world)
    second = (await refresh(world.http, world.app, first["refresh_token"])).json()
    world.deployment.clock.advance(60)
    with failing(world, fault):
        assert_unavailable(await refresh(world.http, world.app, first["refresh_token"]))
    assert await is_active(world, second["access_token"])
    assert_refused(await refresh(world.http, world.app, first["refresh_token"]), 400, "invalid_grant", "superseded:")
    assert not await is_active(world, second["access_token"])


@WRITE_FAULTS
async def test_code_replay_that_cannot_be_recorded_is_503_not_a_refusal(world: World, fault: str) -> None:
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    tokens = (await exchange(world.http, world.app, code)).json()
    with failing(world, fault):
        assert_unavailable(await exchange(world.http, world.app, code))
    assert await is_active(world, tokens["access_token"])


@EVERY_FAULT
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
async def test_revocation_while_the_store_fails_is_503_never_200(world: World, fault: str, kind: str) -> None:
    """V9, CVE-2020-15223."""
    tokens = await connect(world)
    before = dump(world)
    with failing(world, fault):
        for _ in range(3):
            assert_unavailable(await post(world, "/oauth2/revoke/", world.app.body(token=tokens[kind])))
    assert dump(world) == before
    assert await is_active(world, tokens["access_token"])
    assert (await post(world, "/oauth2/revoke/", world.app.body(token=tokens[kind]))).status_code == 200
    assert not await is_active(world, tokens["access_token"])


async def test_introspection_while_the_store_fails_is_503_neither_active_nor_inactive(world: World) -> None:
    """I6, I8: "inactive" would log members out, "active" would let the revoked in."""
    tokens = await connect(world)
    with failing(world, "reads"):
        for token in (tokens["access_token"], tokens["refresh_token"], "nonsense"):
            assert_unavailable(await post(world, "/oauth2/introspect/", {"token": token}, auth=world.guard))
    assert (await introspect(world.http, world.guard, tokens["access_token"]))["active"] is True


async def test_client_authentication_while_the_store_fails_is_503_not_invalid_client(world: World) -> None:
    """I6: right, wrong and unknown alike."""
    with failing(world, "reads"):
        for path in ("/oauth2/token/", "/oauth2/revoke/", "/oauth2/introspect/", "/oauth2/par/", device.ENDPOINT):
            for client_id in (world.app.client_id, "unknown"):
                body = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x", "response_type": "code"}
                assert_unavailable(await post(world, path, body, auth=(client_id, "wrong")))


async def test_metadata_while_the_store_fails_is_served(world: World) -> None:
    with failing(world, "reads"):
        assert (await world.http.get("/.well-known/oauth-authorization-server")).status_code == 200


# -- pages

Walk = Callable[[World], Awaitable[tuple[Callable[[], Awaitable[httpx.Response]], int]]]


async def _authorize(world: World):
    await world.arrive(world.ann)
    params = {"client_id": world.app.client_id, "response_type": "code"}
    return lambda: world.http.get("/oauth2/authorize/", params=params), 200


async def _allow(world: World):
    await world.arrive(world.ann)
    page = await open_consent(world.http, world.app)
    form = find_form(page, "/consent")
    return lambda: submit(world.http, page, form, decision="allow", organization_id=world.acorn), 303


async def _enter_code(world: World):
    await world.arrive(world.ann)
    codes = await device.ask(world.http, world.app)
    page = await device.open_device(world.http)
    return lambda: submit(world.http, page, find_form(page, "/device"), user_code=codes["user_code"]), 303


async def _allow_device(world: World):
    await world.arrive(world.ann)
    codes = await device.ask(world.http, world.app)
    page = await device.enter(world.http, codes["user_code"])
    form = find_form(page, "/device/answer")
    return lambda: submit(world.http, page, form, decision="allow", organization_id=world.acorn), 303


async def _decline_device(world: World):
    await world.arrive(world.ann)
    codes = await device.ask(world.http, world.app)
    page = await device.enter(world.http, codes["user_code"])
    return lambda: submit(world.http, page, find_form(page, "/device/answer"), decision="deny"), 303


async def _sign_in(world: World):
    page = await world.http.get("/sign-in")
    given = {"email": "ann@example.com", "password": "correct horse battery"}
    return lambda: submit(world.http, page, find_form(page, "/sign-in"), **given), 303


async def _sign_out(world: World):
    await world.arrive(world.ann)
    page = await world.http.get("/connections")
    return lambda: submit(world.http, page, find_form(page, "/sign-out")), 200


async def _connections(world: World):
    await world.arrive(world.ann)
    return lambda: world.http.get("/connections"), 200


async def _disconnect(world: World):
    from latchstring.authorization_server.identifiers import GRANT, render_identifier

    grant = await find_grant(world, (await connect(world))["access_token"])
    await world.arrive(world.ann)
    page = await world.http.get("/connections")
    form = find_form(page, f"/connections/{render_identifier(GRANT, grant.id)}/disconnect")
    return lambda: submit(world.http, page, form), 303


async def _register(world: World):
    await world.arrive(world.ann)
    page = await world.http.get("/apps/new")
    given = {"organization_id": world.acorn, "name": "New", "redirect_uris": "https://new.example/cb"}
    return lambda: submit(world.http, page, find_form(page, "/apps/new"), **given), 200


async def _save(world: World):
    await world.arrive(world.ann)
    page = await world.http.get(f"/apps/{world.app.client_id}")
    return lambda: submit(world.http, page, find_form(page, f"/apps/{world.app.client_id}"), name="Changed"), 303


async def _replace_secret(world: World):
    await world.arrive(world.ann)
    page = await world.http.get(f"/apps/{world.app.client_id}")
    return lambda: submit(world.http, page, find_form(page, f"/apps/{world.app.client_id}/secret")), 200


READING: list[Walk] = [_authorize, _connections]
WRITING: list[Walk] = [
    _allow,
    _enter_code,
    _allow_device,
    _decline_device,
    _sign_in,
    _sign_out,
    _disconnect,
    _register,
    _save,
    _replace_secret,
]


def name_of(value: object) -> str | None:
    return str(getattr(value, "__name__", "")).strip("_") if callable(value) else None


@pytest.mark.parametrize(
    "walk, fault",
    [(walk, "reads") for walk in READING]
    + [(walk, fault) for walk in WRITING for fault in FAULTS if (walk, fault) != (_sign_out, "reads")],
    ids=name_of,
)
async def test_page_while_the_store_fails_is_503_and_works_afterwards(world: World, walk: Walk, fault: str) -> None:
    """I4: nothing was changed, and the same form, posted again, does what it says."""
    step, status = await walk(world)
    before = dump(world)
    with failing(world, fault):
        response = await step()
        assert_page_unavailable(response)
        assert "ls_cs_" not in response.text
        assert "set-cookie" not in response.headers
    assert dump(world) == before
    assert (await step()).status_code == status
    assert walk in READING or dump(world) != before


async def test_page_while_the_store_fails_for_a_stranger_is_503_too(world: World) -> None:
    params = {"client_id": world.app.client_id, "response_type": "code", "redirect_uri": "https://evil.example/"}
    with failing(world, "reads"):
        response = await world.http.get("/oauth2/authorize/", params=params)
        assert_page_unavailable(response)
        assert "evil.example" not in response.text


async def test_consent_interrupted_then_repeated_yields_one_good_code(world: World) -> None:
    """C14 from the member's side: no half-made grant is left behind."""
    step, _ = await _allow(world)
    with failing(world, "commit"):
        assert_page_unavailable(await step())
    code = answer_of(await step())["code"]
    assert len(await world.deployment.store.find_grants(user_id=None, organization_id=None)) == 1
    assert (await exchange(world.http, world.app, code)).status_code == 200


# -- any engine's failure, told by its own exception


async def test_store_unavailable_from_any_engine_is_503(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The edge knows `StoreUnavailable`, not SQLite; its message stays in the log."""
    tokens = await connect(world)

    async def unavailable(*_: object, **__: object) -> None:
        raise StoreUnavailable("connection to postgres://user:hunter2@db lost")

    monkeypatch.setattr(world.deployment.store, "find_grant", unavailable)
    response = await refresh(world.http, world.app, tokens["refresh_token"])
    assert_unavailable(response)
    assert "hunter2" not in response.text


async def test_defect_of_ours_is_500_with_a_request_id_and_tells_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A16: `server_error`; on a page, a page."""
    tokens = await connect(world)
    await world.arrive(world.ann)

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(world.deployment.store, "find_grant", broken)
    monkeypatch.setattr(world.deployment.store, "find_connections", broken)
    response = await refresh(world.http, world.app, tokens["refresh_token"])
    assert_refused(response, 500, "server_error")
    page = await world.http.get("/connections")
    assert_page(page, 500)
    for answer in (response, page):
        assert "secret detail" not in answer.text
        assert "Traceback" not in answer.text
    assert page.headers["x-request-id"] in page.text
