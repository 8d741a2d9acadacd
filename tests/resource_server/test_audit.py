"""Who calls, in the API's logs and traces: in every framework, for the request alone, and never a token."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext

from latchstring.resource_server import audit
from latchstring.resource_server.audit import FIELDS, AuditFilter, find_fields
from tests.resource_server import sites
from tests.resource_server.fakes import ACTIVE, FakeServer, make_sync_guard
from tests.resource_server.signed import sign
from tests.resource_server.sites import Site

KNOWN = {
    "request_id": "from-the-client",
    "user_id": "user_1",
    "client_id": "oa2client_1",
    "organization_id": "orga_1",
    "scope": "contacts.read offline_access",
}


class Span(NonRecordingSpan):
    """One that records, as an SDK's does."""

    def __init__(self) -> None:
        super().__init__(SpanContext(1, 1, is_remote=False))
        self.attributes: dict[str, Any] = {}

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value


@pytest.fixture(autouse=True)
def nobody() -> Iterator[None]:
    """A test's own task is no request's."""
    audit.forget()
    yield
    audit.forget()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was known while each endpoint ran: the fields, and structlog's context."""
    found: list[dict[str, Any]] = []

    def show(access: Any) -> str:
        found.append({"fields": find_fields(), "structlog": structlog.contextvars.get_contextvars()})
        return "shown"

    monkeypatch.setattr(sites, "show", show)
    return found


@pytest.mark.parametrize("token", ["good", sign()], ids=["opaque", "signed"])
async def test_endpoint_s_logs_say_who_calls(site: Site, seen, token):
    for path in ("/read", "/read"):
        assert (await site.bear(token, path)).status_code == 200
    assert seen == [{"fields": KNOWN, "structlog": KNOWN}] * 2
    assert token not in str(seen)


async def test_sync_and_async_endpoints_alike(site: Site, seen):
    site.server.tokens["good"] = ACTIVE | {"scope": "contacts.write", "user_id": None, "sub": "oa2client_1"}
    await site.bear("good", "/write")
    known = {name: value for name, value in KNOWN.items() if name != "user_id"} | {"scope": "contacts.write"}
    assert seen == [{"fields": known, "structlog": known}]


async def test_requests_at_once_are_told_apart(site: Site, seen):
    site.server.tokens |= {name: ACTIVE | {"user_id": name} for name in ("ann", "ben", "cid")}
    # Each in a task of its own, as servers serve them.
    await asyncio.gather(*(asyncio.create_task(site.bear(name)) for name in ("ann", "ben", "cid") * 5))
    users = [each["fields"]["user_id"] for each in seen]
    assert sorted(users) == ["ann"] * 5 + ["ben"] * 5 + ["cid"] * 5
    assert users == [each["structlog"]["user_id"] for each in seen]


async def test_span_says_who_calls(site: Site, seen):
    span = Span()
    with trace.use_span(span):
        await site.bear("good")
    assert span.attributes == {
        "latchstring.request.id": "from-the-client",
        "enduser.id": "user_1",
        "latchstring.client.id": "oa2client_1",
        "latchstring.organization.id": "orga_1",
        "latchstring.scope": ("contacts.read", "offline_access"),
    }


async def test_guard_that_is_told_not_to_notes_nothing(site: Site, seen):
    site.set_up(audits=False)
    span = Span()
    with trace.use_span(span):
        await site.bear("good")
    assert (seen, span.attributes) == ([{"fields": {}, "structlog": {}}], {})


async def test_refusal_is_logged_with_the_request_and_without_its_token(site: Site, caplog):
    logger = logging.getLogger("latchstring.resource_server.guarding")
    logger.addFilter(noting := AuditFilter())
    try:
        with caplog.at_level(logging.INFO, logger.name):
            await site.bear("unknown-and-secret")
    finally:
        logger.removeFilter(noting)
    [record] = [record for record in caplog.records if record.name == logger.name]
    assert record.message.startswith("Refused from-the-client: 401 invalid_token")
    assert not [value for value in vars(record).values() if "unknown-and-secret" in str(value)]


@pytest.mark.parametrize("is_attended", [True, False])
async def test_thread_that_served_somebody_is_nobody_s_afterwards(seen, is_attended):
    """In the same thread: an app beside the guarded one, a job of the server's own."""
    from flask import Flask

    from latchstring.resource_server.frameworks import flask

    guard = make_sync_guard(FakeServer())
    app = Flask(__name__)
    if is_attended:
        flask.guard_app(app, guard)
    during: list[dict[str, str]] = []

    @app.get("/read")
    @flask.require(guard, "contacts.read")
    def read() -> str:
        during.append(find_fields())
        return "read"

    @app.get("/open")
    def stay_open() -> str:
        during.append(find_fields())
        return "open"

    client = app.test_client()
    assert client.get("/read", headers={"authorization": "Bearer good"}).status_code == 200
    assert (find_fields(), structlog.contextvars.get_contextvars()) == ({}, {})
    client.get("/open")
    assert during[0]["user_id"] == "user_1"
    assert set(during[1]) == ({"request_id"} if is_attended else set())


def test_filter_gives_records_every_field_and_takes_none_away():
    def fields(**given: Any) -> dict[str, str]:
        record = logging.LogRecord("api", logging.INFO, __file__, 1, "hello", (), None)
        vars(record).update(given)
        assert AuditFilter().filter(record)
        return {name: getattr(record, name) for name in FIELDS}

    assert fields() == dict.fromkeys(FIELDS, "-")
    audit.note("req_1")
    assert fields() == dict.fromkeys(FIELDS, "-") | {"request_id": "req_1"}
    assert fields(user_id="of the app") == dict.fromkeys(FIELDS, "-") | {"request_id": "req_1", "user_id": "of the app"}


def test_guard_imports_neither_structlog_nor_opentelemetry():
    script = (
        "import sys\nimport latchstring.resource_server.audit as audit\n"
        "audit.note('req_1'); audit.forget()\n"
        "print([name for name in ('structlog', 'opentelemetry') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
