"""Every hot statement touches one row by its primary key (issue "Scale-out"): the planners themselves say so.

The PostgreSQL tables are filled until a scan would be what the planner takes for anything else, and both of its
plans are read, the one for given values and the one for any. SQLite plans alike for tables of any size.
"""

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from latchstring.storage import schema
from latchstring.storage.engine import Operation, Row, Steps
from latchstring.storage.statements import apps, clients, devices, events, grants, keys, people
from latchstring.storage.statements.compiled import (
    compile_batches_for_postgres,
    compile_for_postgres,
    compile_for_sqlite,
)
from latchstring.storage.statements.statement import ALL, Parameters, Statement
from latchstring.storage.url import migrate
from tests.support.deployment import deploy
from tests.support.journey import exchange, grant_code, introspect, refresh
from tests.support.postgres import Cluster

# Those with a form for many callers, and those beside them that token endpoint, introspection and revocation use.
SINGLE = (
    grants.REDEEM_REBOUND,
    grants.ROTATE_REBOUND,
    grants.RENEW_REBOUND,
    grants.FIND_REVOKED_TOKEN,
    grants.MARK_REVOKED_CLIENT_TOKEN,
    grants.FIND_PUSHED_REQUEST,
    grants.LOCK_PUSHED_REQUEST,
    grants.USE_PUSHED_REQUEST,
    devices.FIND_DEVICE,
    devices.NOTE_POLL,
    keys.USE_ONCE,
    apps.FIND_CLIENT_APPROVAL,
    apps.NOTE_SECRET_USE,
    people.FIND_USER,
    people.FIND_ORGANIZATION,
    people.FIND_SESSION,
    people.FIND_MEMBERSHIP,
)
# Inserts a row, and asks the few webhooks of an app or organization, by their indexes, whether there is one.
TELLING = events.INSERT_EVENT
HOT = (*(statement for statement in ALL if statement.batch is not None and statement is not TELLING), *SINGLE)
BATCHES = tuple(statement for statement in compile_batches_for_postgres() if statement is not TELLING)

ROWS = 100_000
MANY = 32
FILL = f"""
INSERT INTO user_account SELECT 'user_' || n, n || '@example.com', n || '@example.com', 'Ann', '', 0
  FROM generate_series(1, 20000) n;
INSERT INTO organization SELECT 'orga_' || n, 'Acorn', 0 FROM generate_series(1, 20000) n;
INSERT INTO membership SELECT 'user_' || n, 'orga_' || 1 + n % 200, 'member', 0, NULL FROM generate_series(1, 20000) n;
INSERT INTO client (client_id, name, description, redirect_uris, scope, grant_types, token_endpoint_auth_method,
                    secrets, is_published, access_revoked_until, created_at)
  SELECT 'client_' || n, 'Mailloop', '', '[]', 'a', 'b', 'none', '[]', true, 0, 0 FROM generate_series(1, 20000) n;
INSERT INTO resource_server (client_id, name, resource, secrets, created_at)
  SELECT 'client_' || n, 'API', 'https://' || n, '[]', 0 FROM generate_series(1, 20000) n;
INSERT INTO client_approval (client_id, organization_id, scope, generation, approved_by, approved_at)
  SELECT 'client_' || n, 'orga_' || n, 'a', 1, 'x', 0 FROM generate_series(1, 20000) n;
INSERT INTO oauth_grant (id, client_id, user_id, organization_id, scope, status, row_secret, generation, created_at,
                         retry_count, access_revoked_until, resource)
  SELECT decode(md5(n::text), 'hex'), 'client_' || n % 20000, 'user_' || n % 20000, 'orga_' || n % 20000, 'a', 'active',
         decode(md5(n::text), 'hex'), 1, 0, 0, 0, '' FROM generate_series(1, {ROWS}) n;
INSERT INTO revoked_access_token SELECT substring(decode(md5(n::text), 'hex') from 1 for 12), n
  FROM generate_series(1, 20000) n;
INSERT INTO used_once SELECT sha256(n::text::bytea), n FROM generate_series(1, 20000) n;
INSERT INTO pushed_request SELECT decode(md5(n::text), 'hex'), 'client_1', '', n FROM generate_series(1, 20000) n;
INSERT INTO device_authorization (id, client_id, user_code, row_secret, scope, resource, is_denied, "interval",
                                  expires_at)
  SELECT decode(md5(n::text), 'hex'), 'client_1', lpad(n::text, 8, '0'), decode(md5(n::text), 'hex'), 'a', '', false,
         5, n FROM generate_series(1, 20000) n;
INSERT INTO browser_session SELECT sha256(n::text::bytea), 'user_' || n, 0, n FROM generate_series(1, 20000) n;
ANALYZE;
"""


# -- what a plan may be made of

Node = Mapping[str, Any]


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)


def find_faults(plan: Node) -> list[str]:
    """Every part of PostgreSQL's plan that reads a table otherwise than by the whole of its primary key."""
    faults = []
    for node in walk(plan):
        name = node.get("Relation Name")
        if name is None or node["Node Type"] == "ModifyTable":
            continue
        condition = node.get("Index Cond", "")
        is_by_key = node["Node Type"] in {"Index Scan", "Index Only Scan"} and node["Index Name"] == f"pk_{name}"
        key = [column.name for column in schema.metadata.tables[name].primary_key.columns]
        if not is_by_key or not all(f"{column} = " in condition or f"{column})::" in condition for column in key):
            faults.append(f"{node['Node Type']} on {name} {condition}".strip())
    return faults


def find_sqlite_faults(details: list[str]) -> list[str]:
    """The same of SQLite's, whose tables have either no row ids or an index of its own for their primary key."""
    return [
        detail
        for detail in details
        if not (detail.startswith("SEARCH ") and ("USING PRIMARY KEY (" in detail or "sqlite_autoindex_" in detail))
    ]


# -- PostgreSQL


@pytest.fixture(scope="module")
def filled(postgres: Cluster) -> str:
    """A database whose tables are large enough that the planner would rather scan a small one."""
    url = postgres.create_database()
    migrate(url)

    async def fill() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(FILL)
        await connection.close()

    asyncio.run(fill())
    return url


@pytest.fixture
async def planner(filled: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(filled)
    yield connection
    await connection.close()


def sample(type_name: str, number: int) -> str:
    """Some value of a type, as SQL."""
    if type_name == "bytea":
        return f"decode(md5('{number}'), 'hex')"
    if type_name == "boolean":
        return "true"
    return str(number) if type_name in {"bigint", "integer"} else f"'client_{number}'"


def sample_argument(type_name: str) -> str:
    if not type_name.endswith("[]"):
        return sample(type_name, 7)
    element = type_name.removesuffix("[]")
    return f"ARRAY[{', '.join(sample(element, number) for number in range(MANY))}]::{type_name}"


async def explain(planner: asyncpg.Connection, sql: str) -> list[Node]:
    """The plan for given values, and the one for any values."""
    await planner.execute(f"PREPARE planned AS {sql}")
    types = await planner.fetchval("SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'planned'")
    arguments = ", ".join(map(sample_argument, types))
    plans = []
    for mode in ("force_custom_plan", "force_generic_plan"):
        await planner.execute(f"SET plan_cache_mode = {mode}")
        call = f"EXECUTE planned({arguments})" if arguments else "EXECUTE planned"
        plans.append(json.loads(await planner.fetchval(f"EXPLAIN (FORMAT JSON) {call}"))[0]["Plan"])
    await planner.execute("DEALLOCATE planned")
    return plans


@pytest.mark.parametrize("statement", HOT, ids=lambda statement: statement.name)
async def test_hot_statement_on_postgresql_touches_rows_by_primary_key(planner, statement: Statement) -> None:
    sql, _ = compile_for_postgres()[statement]
    for plan in await explain(planner, sql):
        assert find_faults(plan) == [], plan


@pytest.mark.parametrize("statement", BATCHES, ids=lambda statement: statement.name)
async def test_batch_on_postgresql_touches_rows_by_primary_key(planner, statement: Statement) -> None:
    sql, _ = compile_batches_for_postgres()[statement]
    for plan in await explain(planner, sql):
        assert find_faults(plan) == [], plan


async def test_scan_on_postgresql_is_seen(planner) -> None:
    """The proof of the proof: a condition that no index serves, one that another index serves, half a key."""
    by_scope = "SELECT id FROM oauth_grant WHERE scope = $1"
    by_client = "UPDATE oauth_grant SET generation = 2 WHERE client_id = $1 RETURNING id"
    by_half = "SELECT 1 FROM client_approval WHERE client_id = $1"
    by_other_half = "SELECT 1 FROM client_approval WHERE organization_id = $1"
    unordered = "SELECT o.id FROM oauth_grant AS o, unnest($1::text[]) AS given(x) WHERE o.scope = given.x"
    for sql in (by_scope, by_client, by_half, by_other_half, unordered):
        assert all(find_faults(plan) for plan in await explain(planner, sql)), sql


# -- SQLite


@pytest.mark.parametrize("statement", HOT, ids=lambda statement: statement.name)
def test_hot_statement_on_sqlite_touches_rows_by_primary_key(migrated_file: Path, statement: Statement) -> None:
    assert find_sqlite_faults(explain_on_sqlite(migrated_file, compile_for_sqlite()[statement])) == []


def explain_on_sqlite(path: Path, sql: str) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        nothing = dict.fromkeys(re.findall(r":(\w+)", sql))
        return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", nothing)]


def test_scan_on_sqlite_is_seen(migrated_file: Path) -> None:
    by_scope = "SELECT id FROM oauth_grant WHERE scope = :scope"
    by_client = "UPDATE oauth_grant SET generation = 2 WHERE client_id = :client_id RETURNING id"
    by_other_half = "SELECT 1 FROM client_approval WHERE organization_id = :organization_id"
    for sql in (by_scope, by_client, by_other_half):
        assert find_sqlite_faults(explain_on_sqlite(migrated_file, sql)), sql


# -- that none is missing


class Listener:
    """An engine that notes which statements ran."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.heard: set[Statement] = set()

    async def read(self, statement: Statement, parameters: Parameters) -> Row | None:
        self.heard.add(statement)
        return await self._engine.read(statement, parameters)

    async def write(self, statement: Statement, parameters: Parameters) -> Row | None:
        self.heard.add(statement)
        return await self._engine.write(statement, parameters)

    async def commit(self, operation: Operation[Any]) -> Any:
        return await self._engine.commit(self._listen(operation))

    async def commit_shared(self, kind: str, key: bytes, operation: Operation[Any]) -> Any:
        return await self._engine.commit_shared(kind, key, self._listen(operation))

    def _listen(self, operation: Operation[Any]) -> Operation[Any]:
        def listening() -> Steps[Any]:
            steps = operation()
            try:
                asked = next(steps)
                while True:
                    self.heard.add(asked[0])
                    asked = steps.send((yield asked))
            except StopIteration as stop:
                return stop.value

        return listening

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


async def test_hot_operations_ask_hot_statements_alone(tmp_path: Path) -> None:
    """Redeem, refresh, retry, introspect, client credentials, revoke a token and a grant, replay."""
    async with deploy(tmp_path) as deployment, deployment.http() as http:
        organization_id = await deployment.organization()
        user_id = await deployment.user()
        await deployment.member(user_id, organization_id)
        app, guard = await deployment.app(organization_id), await deployment.resource_server()
        codes = [await grant_code(deployment, app, user_id, organization_id) for _ in range(2)]
        store: Any = deployment.store
        store._engine = listener = Listener(store._engine)

        async def post(path: str, **parameters: str) -> None:
            assert (await http.post(f"/oauth2/{path}/", data=app.body(**parameters))).status_code == 200

        tokens = (await exchange(http, app, codes[0])).json()
        for _ in range(2):
            assert (await refresh(http, app, tokens["refresh_token"])).status_code == 200
        assert (await introspect(http, guard, tokens["access_token"]))["active"]
        await post("revoke", token=tokens["access_token"])
        assert not (await introspect(http, guard, tokens["access_token"]))["active"]
        await post("revoke", token=tokens["refresh_token"])
        assert (await exchange(http, app, codes[1])).status_code == 200
        assert (await exchange(http, app, codes[1])).status_code == 400
        client_token = (await http.post("/oauth2/token/", data=app.body(grant_type="client_credentials"))).json()
        assert (await introspect(http, guard, client_token["access_token"]))["active"]
        await post("revoke", token=client_token["access_token"])
        assert listener.heard <= {*HOT, TELLING}, listener.heard - {*HOT, TELLING}
        assert {grants.REDEEM, grants.ROTATE, grants.COUNT_RETRY, grants.END_GRANT} <= listener.heard
        assert {grants.FIND_GRANT, clients.FIND_CLIENT, grants.FIND_REVOKED_TOKEN} <= listener.heard
