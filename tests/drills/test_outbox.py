"""SIGKILL between commit and send, and between send and its note: what has happened is told, under the same id."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from latchstring.authorization_server.mail import Mail
from latchstring.authorization_server.settings import Settings
from latchstring.outbound.mail_sender import LEASE as MAIL_LEASE
from latchstring.outbound.webhook_sender import LEASE as WEBHOOK_LEASE
from latchstring.storage.url import open_store
from latchstring.wiring import build_post, build_webhooks, epoch_seconds, prepare
from tests.authorization_server.builders import ANN, MAILLOOP, build_client
from tests.storage.conftest import people
from tests.support.postgres import Cluster

EVENTS = 3
pytestmark = [pytest.mark.drill, pytest.mark.timeout(240)]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgresql"))])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/latchstring.db"
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.create_database()


async def happen(database: str, keyring: Path, kind: str) -> None:
    """Something happens, and its messages wait."""
    deployment = prepare(database, keyring)
    store = open_store(deployment.database)
    await people(store)
    webhooks = build_webhooks(store, deployment.codec, Settings(issuer="https://auth.example"))
    if kind == "webhook":
        await webhooks.create("https://app.test/hook", ["*"], client_id=MAILLOOP, created_by=ANN)
    for number in range(EVENTS):
        if kind == "webhook":
            await store.update_client_details(build_client(name=f"Name {number}"), now=epoch_seconds())
        else:
            await store.queue_mail(build_post(deployment.codec).seal(Mail(to="ann@example.com", template="test")))
    await store.close()


def run_worker(database: str, keyring: Path, sent: Path, when: str, later: int) -> int:
    command = [sys.executable, "-m", "tests.drills.outbox_worker", database, str(keyring), str(sent), when, str(later)]
    return subprocess.run(command, check=False, timeout=120).returncode


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind, lease", [("webhook", WEBHOOK_LEASE), ("mail", MAIL_LEASE)], ids=["webhook", "mail"])
def test_message_of_a_killed_process_is_sent_by_another_under_the_same_id(
    database: str, tmp_path: Path, when: str, kind: str, lease: int
) -> None:
    keyring, sent = tmp_path / "keyring", tmp_path / "sent"
    sent.touch()
    asyncio.run(happen(database, keyring, kind))
    kills = 4
    for number in range(kills):
        assert run_worker(database, keyring, sent, when, number * lease) == -signal.SIGKILL
    assert run_worker(database, keyring, sent, "never", (kills + 1) * lease) == 0
    lines = sent.read_text().splitlines()
    bodies = {line.split()[0]: {one.split()[1] for one in lines if one.startswith(line.split()[0])} for line in lines}
    assert len(bodies) == EVENTS
    assert all(len(of_one) == 1 for of_one in bodies.values())
    times = Counter(line.split()[0] for line in lines)
    assert sum(times.values()) == EVENTS + (kills if when == "after" else 0)
    assert run_worker(database, keyring, sent, "never", 100 * lease) == 0
    assert sent.read_text().splitlines() == lines
