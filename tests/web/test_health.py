"""What a supervisor and a balancer are told: a process lives without its store, and serves only with it (I6, I8)."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from latchstring.storage.head import HEAD
from tests.web.answers import REQUEST_ID
from tests.web.conftest import World
from tests.web.test_store_failing import failing

BOTH = pytest.mark.parametrize("path", ["/healthz", "/healthz/", "/readyz", "/readyz/"])


async def set_schema_version(world: World, version: str) -> None:
    await asyncio.sleep(0)  # the end of the turn whose reads share one view
    with closing(sqlite3.connect(world.deployment.path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))


@BOTH
async def test_health_of_a_whole_server_is_good_and_is_not_kept(world: World, path) -> None:
    response = await world.http.get(path)
    assert response.status_code == 200
    assert response.json() == {"status": "alive" if "healthz" in path else "ready"}
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    assert REQUEST_ID.fullmatch(response.headers["x-request-id"])
    assert "set-cookie" not in response.headers
    assert (await world.http.head(path)).status_code == 200


@BOTH
async def test_health_by_post_is_refused(world: World, path) -> None:
    response = await world.http.post(path)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"


async def test_store_that_does_not_answer_ends_readiness_and_not_liveness(world: World) -> None:
    with failing(world, "reads"):
        unready = await world.http.get("/readyz")
        assert (await world.http.get("/healthz")).status_code == 200
    assert unready.status_code == 503
    assert unready.json() == {"status": "unready", "reason": "store_unavailable"}
    assert unready.headers["cache-control"] == "no-store"
    assert int(unready.headers["retry-after"]) >= 1
    assert (await world.http.get("/readyz")).status_code == 200


async def test_schema_of_an_older_version_ends_readiness_until_it_is_migrated(world: World) -> None:
    await set_schema_version(world, "0001")
    unready = await world.http.get("/readyz")
    assert unready.status_code == 503
    assert unready.json() == {"status": "unready", "reason": "migrations_pending"}
    assert (await world.http.get("/healthz")).status_code == 200
    await set_schema_version(world, HEAD)
    assert (await world.http.get("/readyz")).status_code == 200


async def test_schema_of_a_newer_version_is_served_from(world: World) -> None:
    """Expand, then contract: the old version serves beside the new one."""
    await set_schema_version(world, "9999")
    assert (await world.http.get("/readyz")).status_code == 200
