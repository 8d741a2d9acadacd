"""An organization of 2,000 members with 50,000 connections, on every engine: each page of it takes less than 100 ms of
the server's time, however far back, by whatever filter; its statements go by key; and it is closed and opened again
while people wait."""

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from latchstring.authorization_server.connection_ports import ConnectionFilter
from latchstring.authorization_server.events import SYSTEM
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.settings import Settings, validate_settings
from latchstring.storage.statements.compiled import compile_for_postgres, compile_for_sqlite
from latchstring.storage.statements.connections import FIND_CONNECTED_APPS, LISTINGS
from latchstring.storage.statements.life_cycle import SETTLING
from latchstring.storage.statements.statement import Statement
from latchstring.storage.store import SqlStore
from latchstring.storage.url import open_store
from latchstring.web.app import Application
from latchstring.web.cookies import session_cookie_name
from latchstring.wiring import build_services
from tests.authorization_server.builders import (
    ACORN,
    ANN,
    NOW,
    build_client,
    build_codec,
    build_organization,
    build_user,
)

MEMBERS, CONNECTIONS, APPS = 2_000, 50_000, 40
BUDGET = 0.1
DAY = 24 * 3600
_COLUMNS = (
    "id",
    "client_id",
    "user_id",
    "organization_id",
    "scope",
    "status",
    "row_secret",
    "generation",
    "created_at",
    "activated_at",
    "rotated_at",
    "retry_count",
    "expires_at",
    "access_revoked_until",
    "ended_at",
    "ended_by",
    "ended_reason",
    "resource",
)


def grant_id(number: int) -> bytes:
    return (NOW - CONNECTIONS + number).to_bytes(4, "big") + os.urandom(12)


def build_rows() -> list[tuple[Any, ...]]:
    """Half of the newest tenth have ended, as after a block; the rest live, and were used within the last 200 days."""
    rows = []
    for number in range(CONNECTIONS):
        made = NOW - CONNECTIONS + number
        has_ended = number % 2 == 0 and number > CONNECTIONS * 9 // 10
        used = NOW - number % 200 * DAY
        ending = (NOW, ANN, "disconnected") if has_ended else (None, None, None)
        rows.append(
            (
                grant_id(number),
                f"oa2client_{number % APPS}",
                f"user_{number % MEMBERS}",
                ACORN,
                "all.full_access offline_access",
                "ended" if has_ended else "active",
                os.urandom(16),
                1,
                made,
                made,
                used,
                0,
                NOW + 90 * DAY,
                0,
                *ending,
                "",
            )
        )
    return rows


async def fill(database: str) -> list[tuple[Any, ...]]:
    store = open_store(database)
    await store.create_organization(build_organization())
    await store.create_user(build_user())
    await store.add_membership(user_id=ANN, organization_id=ACORN, role="admin", now=NOW)
    for number in range(APPS):
        await store.create_client(build_client(client_id=f"oa2client_{number}", name=f"App {number}"))
    await store.close()
    users: list[Any] = [
        (f"user_{n}", f"u{n}@example.com", f"u{n}@example.com", f"Member {n}", "", NOW, False) for n in range(MEMBERS)
    ]
    members = [(f"user_{n}", ACORN, "member", NOW) for n in range(MEMBERS)]
    grants = build_rows()
    uses = [(row[0], row[10] + DAY, "203.0.113.7") for row in grants[::3]]
    tables: dict[str, tuple[tuple[str, ...], list[Any]]] = {
        "user_account": (
            ("user_id", "email", "email_key", "name", "password_hash", "created_at", "is_operator"),
            users,
        ),
        "membership": (("user_id", "organization_id", "role", "created_at"), members),
        "oauth_grant": (_COLUMNS, grants),
        "grant_use": (("grant_id", "last_used_at", "used_from"), uses),
    }
    if database.startswith("sqlite"):
        connection = sqlite3.connect(Path(urlsplit(database).path))
        for table, (columns, rows) in tables.items():
            marks = ",".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})", rows)
        connection.commit()
        connection.execute("ANALYZE")
        connection.commit()
        connection.close()
    else:
        server = await asyncpg.connect(database)
        for table, (columns, rows) in tables.items():
            await server.copy_records_to_table(table, columns=list(columns), records=rows)
            await server.execute(f"ANALYZE {table}")
        await server.close()
    return grants


@pytest.fixture
async def crowded(database: str) -> AsyncIterator[tuple[SqlStore, httpx.AsyncClient, list[tuple[Any, ...]]]]:
    """The store, a browser in which Ann the admin is signed in, and the rows."""
    rows = await fill(database)
    store = open_store(database)
    settings = validate_settings(Settings(issuer="https://auth.example"))
    services = build_services(settings, store, build_codec(), clock=lambda: NOW)
    transport = httpx.ASGITransport(Application(services))
    async with httpx.AsyncClient(transport=transport, base_url=settings.issuer) as http:
        http.cookies.set(session_cookie_name(settings), await services.login.begin(ANN), domain="auth.example")
        yield store, http, rows
    await services.close()


async def measure(http: httpx.AsyncClient, path: str, at_least: int = 0) -> float:
    """The best of several, in seconds: a neighbour on the machine makes some of them dearer, and many all of seven."""
    best = float("inf")
    for tries in range(70):
        if tries >= 7 and best <= BUDGET:
            break
        began = time.perf_counter()
        page = await http.get(path)
        best = min(best, time.perf_counter() - began)
        assert page.status_code == 200, page.text[:500]
        assert page.text.count('<li class="grant">') >= at_least, path
    return best


async def test_every_page_of_a_crowded_organization_takes_less_than_100_ms(crowded, request):
    _, http, rows = crowded
    here = f"/organizations/{ACORN}"
    middle, oldest = (render_identifier(GRANT, rows[number][0]) for number in (CONNECTIONS // 2, 60))
    pages = {
        "connections": (f"{here}/connections", 50),
        "connections, the middle": (f"{here}/connections?before={middle}", 50),
        "connections, the oldest": (f"{here}/connections?before={oldest}", 50),
        "connections of an app": (f"{here}/connections?client_id=oa2client_7", 50),
        "connections of a member": (f"{here}/connections?person=u7%40example.com", 20),
        "connections, high risk": (f"{here}/connections?risk=high", 50),
        "connections, low risk (none)": (f"{here}/connections?risk=low", 0),
        "connections unused for 90 days": (f"{here}/connections?unused=90", 50),
        "connections unused for 180 days": (f"{here}/connections?unused=180", 30),
        "history": (f"{here}/connections?state=ended", 50),
        "history, the oldest": (f"{here}/connections?state=ended&before={middle}", 0),
        "members": (f"{here}/members", 0),
        "members, the last": (f"{here}/members?after=member%20999%7C", 0),
        "overview": (here, 0),
        "an app's page": ("/apps/oa2client_7", 0),
    }
    times = {name: await measure(http, path, at_least) for name, (path, at_least) in pages.items()}
    print(
        request.node.name, json.dumps({name: f"{seconds * 1000:.1f} ms" for name, seconds in times.items()}, indent=1)
    )
    assert {name: seconds for name, seconds in times.items() if seconds > BUDGET} == {}


async def test_pages_of_a_crowded_organization_have_each_connection_once(crowded):
    store, _, rows = crowded
    seen: list[bytes] = []
    for has_ended in (False, True):
        before = None
        while True:
            stretch = await store.find_connections_before(
                ACORN, ConnectionFilter(has_ended=has_ended), before=before, at_most=500, now=NOW
            )
            seen += [connection.grant.id for connection in stretch.connections]
            before = stretch.next_before
            if before is None:
                break
    assert len(seen) == CONNECTIONS
    assert set(seen) == {row[0] for row in rows}


async def test_crowded_organization_is_closed_and_reopened_within_seconds_and_others_go_on(crowded, request):
    store, _, rows = crowded
    waits: list[float] = []

    async def look() -> None:
        began = time.perf_counter()
        while True:
            await store.find_grant(rows[0][0])
            await asyncio.sleep(0)
            waits.append(time.perf_counter() - began)
            began = time.perf_counter()

    looking = asyncio.create_task(look())
    began = time.perf_counter()
    await store.close_organization(ACORN, now=NOW, origin=SYSTEM)
    closed = time.perf_counter() - began
    grant = await store.find_grant(rows[-1][0])
    assert grant is not None
    assert (grant.status, grant.suspended_reason) == ("suspended", "organization_closed")
    began = time.perf_counter()
    await store.reopen_organization(ACORN, now=NOW + 1, origin=SYSTEM)
    reopened = time.perf_counter() - began
    looking.cancel()
    longest = max(waits)
    print(f"{request.node.name}: closed in {closed:.2f} s, reopened in {reopened:.2f} s, longest wait {longest:.3f} s")
    assert max(closed, reopened) < 60


# -- by key


def statements() -> list[Statement]:
    listing = [s for floor, pages in LISTINGS.values() for s in (floor, *pages.values())]
    return [*listing, FIND_CONNECTED_APPS, *(s for group in SETTLING.values() for s in group)]


async def test_statements_on_a_crowded_organization_go_by_an_index(crowded, database: str):
    values: dict[str, Any] = {
        "organization_id": ACORN,
        "client_id": "oa2client_7",
        "user_id": "user_7",
        "before": b"\xff" * 16,
        "floor": b"",
        "unused_since": None,
        "now": NOW,
        "at_most": 51,
        "skipped": 499,
        "position": b"",
        "end": sorted(row[0] for row in crowded[2])[499],
        "by": "x",
    }
    subjects = {"user": "user_7", "organization": ACORN, "client": "oa2client_7"}
    if database.startswith("sqlite"):
        connection = sqlite3.connect(Path(urlsplit(database).path))
        for statement in statements():
            given = {**values, "subject_id": subjects.get(statement.name.rsplit("_", 1)[1], "")}
            sql = compile_for_sqlite()[statement]
            steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", given)]
            assert [step for step in steps if step.startswith("SCAN oauth_grant")] == [], (statement, steps)
        connection.close()
        return
    server = await asyncpg.connect(database)
    for statement in statements():
        given = {**values, "subject_id": subjects.get(statement.name.rsplit("_", 1)[1], "")}
        sql, names = compile_for_postgres()[statement]
        plan = "\n".join(row[0] for row in await server.fetch(f"EXPLAIN {sql}", *(given[name] for name in names)))
        assert "Seq Scan on oauth_grant" not in plan, (statement, plan)
    await server.close()
