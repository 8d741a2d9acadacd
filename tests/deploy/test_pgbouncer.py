"""PgBouncer as `deploy/` configures it, between a store and PostgreSQL."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from latchstring.authorization_server.ports import Commit
from latchstring.storage.url import migrate, open_store
from tests.docs.markdown import ROOT
from tests.storage.conftest import people
from tests.storage.test_grant_store import active, find, rotate
from tests.support.ports import find_free_port
from tests.support.postgres import Cluster
from tests.support.process import accepts, wait_until
from tests.support.programs import find_program


@pytest.fixture
def bounced(postgres: Cluster, tmp_path: Path) -> Iterator[str]:
    """A fresh database's URL through a bouncer."""
    direct = postgres.create_database()
    name, port = direct.rpartition("/")[2], find_free_port()
    places = {
        "latchstring = host=db1.example.com port=5432 dbname=latchstring": (
            f"{name} = host=127.0.0.1 port={postgres.port} dbname={name}"
        ),
        "listen_port = 6432": f"listen_port = {port}",
        "auth_type = scram-sha-256": "auth_type = trust",
        "/etc/pgbouncer/userlist.txt": f"{tmp_path}/userlist.txt",
    }
    text = (ROOT / "deploy/pgbouncer/pgbouncer.ini").read_text()
    for old, new in places.items():
        assert old in text, old
        text = text.replace(old, new)
    config = tmp_path / "pgbouncer.ini"
    config.write_text(text)
    (tmp_path / "userlist.txt").write_text('"latchstring" ""\n')
    # It refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    for path in (config, tmp_path / "userlist.txt"):
        path.chmod(0o644)
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(folder.stat().st_mode | 0o011)
    command = [find_program("pgbouncer", "pgbouncer"), "-q", str(config)]
    process = subprocess.Popen(command, user=user, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: accepts(port), "PgBouncer")
        yield f"postgresql://latchstring@127.0.0.1:{port}/{name}"
    finally:
        process.terminate()
        process.wait(10)


async def test_store_works_through_pgbouncer_alone_and_in_batches(bounced: str) -> None:
    migrate(bounced)
    stores = [open_store(bounced) for _ in range(2)]
    await people(stores[0])
    grants = [await active(stores[0]) for _ in range(40)]
    # More statements at once than connections, many times over: a prepared statement is always at home.
    for generation in (1, 2, 3):
        outcomes = await asyncio.gather(
            *(rotate(stores[number % 2], grant, generation) for number, grant in enumerate(grants))
        )
        assert set(outcomes) == {Commit.APPLIED}
    assert {(await find(stores[1], grant)).generation for grant in grants} == {4}
    for store in stores:
        await store.close()
