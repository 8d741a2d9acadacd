"""`latchstring doctor` and `latchstring migrate`, on both engines."""

import asyncio
import json
from base64 import b64encode
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from latchstring.cli.main import app
from latchstring.storage.head import HEAD
from latchstring.storage.store import SqlStore
from latchstring.storage.url import open_store
from latchstring.wiring import epoch_seconds
from tests.storage.conftest import people
from tests.storage.test_grant_store import fresh_grant
from tests.support.postgres import Cluster

DAY = 24 * 3600


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--json"])


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.xdist_group("postgresql"))])
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database's URL."""
    monkeypatch.chdir(tmp_path)
    if request.param == "sqlite":
        return "sqlite:///latchstring.db"
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.create_database()


def fill(database: str, *, ended_days_ago: int) -> None:
    async def work(store: SqlStore) -> None:
        await people(store)
        now = epoch_seconds()
        for days in (0, ended_days_ago):
            grant = fresh_grant(created_at=now, expires_at=now + DAY)
            await store.commit_consent(grant)
            if days:
                await store.end_grant(grant.id, by="x", reason="disconnected", now=now - days * DAY)
        await store.close()

    async def go() -> None:
        await work(open_store(database))

    asyncio.run(go())


def test_migrate_makes_schema_and_keyring_and_says_so(database: str) -> None:
    assert json.loads(run("migrate", "--database", database).stdout) == {"before": None, "now": HEAD}
    assert json.loads(run("migrate", "--database", database).stdout) == {"before": HEAD, "now": HEAD}


def test_doctor_of_a_healthy_deployment_tells_rows_and_keys(database: str) -> None:
    run("migrate", "--database", database)
    fill(database, ended_days_ago=29)
    result = run("doctor", "--database", database)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["grants"] == {"live": 1, "kept": 1, "overdue": 0}
    assert told["rows"]["client"] == 1
    assert told["key_ages_in_days"] == {"1": 0}
    assert abs(told["clock_skew_seconds"]) <= 5
    assert told["care"] == []


@pytest.mark.xdist_group("postgresql")
@pytest.mark.parametrize(
    "setting, value, care",
    [
        ("synchronous_commit", "on", None),
        ("synchronous_commit", "off", "a crash of the database forgets"),
        ("synchronous_commit", "local", None),
    ],
)
def test_doctor_tells_what_postgresql_promises(postgres: Cluster, tmp_path, monkeypatch, setting, value, care) -> None:
    """I2, drill 4: what was acknowledged has to be there after a crash."""
    monkeypatch.chdir(tmp_path)
    database = postgres.create_database()
    run("migrate", "--database", database)
    name = database.rpartition("/")[2]
    postgres.ask(f"ALTER DATABASE {name} SET {setting} = {value}")
    result = run("doctor", "--database", database)
    told = json.loads(result.stdout)
    assert (told["fsync"], told["synchronous_commit"], told["synchronous_standby_names"]) == ("on", value, "")
    assert [line for line in told["care"] if "acknowledged" in line] == ([] if care is None else told["care"])
    if care is not None:
        assert result.exit_code == 1
        assert care in told["care"][0]


def test_doctor_of_a_deployment_that_nobody_sweeps_needs_care(database: str) -> None:
    run("migrate", "--database", database)
    fill(database, ended_days_ago=31)
    result = run("doctor", "--database", database)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["grants"]["overdue"] == 1
    assert "sweep" in json.loads(result.stdout)["care"][0]


def test_doctor_of_an_empty_database_changes_nothing(database: str) -> None:
    before = sorted(Path().iterdir())
    result = run("doctor", "--database", database)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["schema"] is None
    assert sorted(Path().iterdir()) == before


def test_doctor_of_a_keyring_that_others_can_read_needs_care(database: str) -> None:
    run("migrate", "--database", database)
    (keyring,) = Path().glob("*.keyring")
    keyring.chmod(0o644)
    assert "chmod 600" in json.loads(run("doctor", "--database", database).stdout)["care"][0]


def test_doctor_shows_signing_keys_and_a_keyring_that_does_not_open_them(database: str, tmp_path: Path) -> None:
    """O9."""
    made = json.loads(run("key", "rotate", "--database", database).stdout)
    told = json.loads(run("doctor", "--database", database).stdout)
    assert (told["signing_keys"], told["care"]) == ({made["id"]: "signing"}, [])
    [keyring] = tmp_path.glob("*.keyring")
    keys = json.loads(keyring.read_bytes())
    keys["keys"][0]["secret"] = b64encode(bytes(32)).decode()
    keyring.write_text(json.dumps(keys))
    result = run("doctor", "--database", database)
    assert result.exit_code == 1
    another, unopened = json.loads(result.stdout)["care"]
    assert "is not this database's" in another
    assert made["id"] in unopened
