"""A long history: 50,000 events of one organization below 150,000 of others, and 20,000 deliveries to its webhook, of
which few have failed. Each page of it takes less than 100 ms of the server's time, whatever it is filtered by."""

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

from latchstring.authorization_server.events import EVENT
from latchstring.authorization_server.identifiers import render_identifier
from latchstring.authorization_server.settings import Settings, validate_settings
from latchstring.storage.url import open_store
from latchstring.web.app import Application
from latchstring.web.cookies import session_cookie_name
from latchstring.wiring import build_services
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, NOW, build_codec
from tests.storage.conftest import people
from tests.storage.test_webhook_store import TENANT, of_tenant

OWN, OTHERS, DELIVERIES = 50_000, 150_000, 20_000
BUDGET = 0.1
_EVENT_COLUMNS = ("id", "at", "action", "actor_kind", "subject_kind", "subject_id", "organization_id", "client_id")
_DELIVERY_COLUMNS = ("endpoint_id", "event_id", "action", "created_at", "attempts", "delivered_at", "last_error")


def event_id(number: int) -> bytes:
    return (NOW - OWN - OTHERS + number).to_bytes(5, "big") + os.urandom(11)


def build_events() -> list[tuple[Any, ...]]:
    """Acorn's came first, and with them two of a rare kind; then the others', of another app."""
    rows = []
    for number in range(OWN + OTHERS):
        at, is_own = NOW - OWN - OTHERS + number, number < OWN
        action = "organization.closed" if number in {7, OWN + 7} else "grant.created"
        whose = (ACORN, MAILLOOP) if is_own else (f"orga_{number % 500}", f"oa2client_{number % 90}")
        rows.append((event_id(number), at, action, "system", "grant", f"grant_{number}", *whose))
    return rows


def build_deliveries(events: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """All were taken but the first two."""
    return [
        (TENANT, row[0], row[2], row[1], 1, None if number < 2 else row[1], "answered 500" if number < 2 else None)
        for number, row in enumerate(events[:DELIVERIES])
    ]


async def fill(database: str) -> list[tuple[Any, ...]]:
    store = open_store(database)
    await people(store)
    await store.add_membership(user_id=ANN, organization_id=ACORN, role="admin", now=NOW)
    await store.set_operator(ANN, is_operator=True, now=NOW)
    await store.create_webhook(of_tenant(sealed_secret=b"sealed"))
    await store.close()
    rows = build_events()
    tables = {
        "audit_event": (_EVENT_COLUMNS, rows),
        "webhook_delivery": (_DELIVERY_COLUMNS, build_deliveries(rows)),
    }
    if database.startswith("sqlite"):
        connection = sqlite3.connect(Path(urlsplit(database).path))
        for table, (columns, records) in tables.items():
            marks = ",".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})", records)
        connection.execute("ANALYZE")
        connection.commit()
        connection.close()
    else:
        server = await asyncpg.connect(database)
        for table, (columns, records) in tables.items():
            await server.copy_records_to_table(table, columns=list(columns), records=records)
            await server.execute(f"ANALYZE {table}")
        await server.close()
    return rows


@pytest.fixture
async def long(database: str) -> AsyncIterator[tuple[httpx.AsyncClient, list[tuple[Any, ...]]]]:
    """A browser in which Ann is signed in, an admin of Acorn and an operator; and the events."""
    rows = await fill(database)
    store = open_store(database)
    settings = validate_settings(Settings(issuer="https://auth.example"))
    services = build_services(settings, store, build_codec(), clock=lambda: NOW)
    transport = httpx.ASGITransport(Application(services))
    async with httpx.AsyncClient(transport=transport, base_url=settings.issuer) as http:
        http.cookies.set(session_cookie_name(settings), await services.login.begin(ANN), domain="auth.example")
        yield http, rows
    await services.close()


async def measure(http: httpx.AsyncClient, path: str, entries: int) -> float:
    """The best of several, in seconds: a neighbour on the machine makes some of them dearer, and many all of seven."""
    best = float("inf")
    for tries in range(70):
        if tries >= 7 and best <= BUDGET:
            break
        began = time.perf_counter()
        page = await http.get(path)
        best = min(best, time.perf_counter() - began)
        assert page.status_code == 200, page.text[:500]
        assert page.text.count('<li class="history-entry">') == entries, path
    return best


async def test_every_page_of_a_long_history_takes_less_than_100_ms(long, request):
    http, rows = long
    here = f"/organizations/{ACORN}"
    oldest, middle = (render_identifier(EVENT, rows[number][0]) for number in (20, OWN // 2))
    pages = {
        "history": (f"{here}/events", 50),
        "history, the middle": (f"{here}/events?before={middle}", 50),
        "history, the oldest": (f"{here}/events?before={oldest}", 20),
        "history of one rare kind": (f"{here}/events?action=organization.closed", 1),
        "history of one kind": (f"{here}/events?action=grant.created", 50),
        "history of an app": (f"{here}/events?app={MAILLOOP}", 50),
        "history of an app that is not there": (f"{here}/events?app=oa2client_7", 0),
        "history of a person": (f"{here}/events?person=ann%40example.com", 2),
        "everything": ("/operator/events", 50),
        "everything, the oldest": (f"/operator/events?before={oldest}", 20),
        "everything of one rare kind": ("/operator/events?action=organization.closed", 2),
        "everything of an organization": (f"/operator/events?organization={ACORN}", 50),
        "webhook": (f"{here}/webhooks/{TENANT}", 27),
        "webhook, the oldest": (f"{here}/webhooks/{TENANT}?before={oldest}", 20),
    }
    times = {name: await measure(http, path, entries) for name, (path, entries) in pages.items()}
    print(
        request.node.name, json.dumps({name: f"{seconds * 1000:.1f} ms" for name, seconds in times.items()}, indent=1)
    )
    assert {name: seconds for name, seconds in times.items() if seconds > BUDGET} == {}
