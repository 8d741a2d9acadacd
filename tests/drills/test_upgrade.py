"""An upgrade under load: the version before and this one serve one database side by side, and no request fails.

The version before is taken from the repository's own history and really runs. A clone that is cut off above it has none
to run: the drill is skipped and says so, and what is left is `tests/storage/test_migrations.py`, which holds that a
revision only adds to the schema.
"""

import asyncio
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest

from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.storage.head import HEAD
from latchstring.storage.url import find_schema_version
from latchstring.wiring import prepare
from tests.drills.history import Event, FinalRow, find_violations
from tests.drills.load import Actor, close_wires, collect_secrets, mint_codes
from tests.support.company import Company, found_company
from tests.support.process import Operator, QuickOperator, Server, starting
from tests.support.wire import Wire

ROOT = Path(__file__).parents[2]
OLD_COMMIT = "fef199bdfcdb57553b48ba352048148f1d609c8a"
"""The last commit whose schema is revision 0002."""
OLD_REVISION = "0002"
CLIENTS = 20
SECONDS = 3.0
KEPT_ALIVE = 2.0
"""Seconds; the server closes idle connections after 5, and a request on such a one would meet nobody."""

pytestmark = [pytest.mark.drill, pytest.mark.timeout(300)]


class OldOperator(Operator):
    """Runs the version before, from its own sources."""

    program = (sys.executable, "-m", "latchstring.cli.main")

    def __init__(self, directory: Path, database: str | None, source: Path) -> None:
        super().__init__(directory, database)
        self.environment = {"PYTHONPATH": str(source)}


@pytest.fixture(scope="module")
def old_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the version before."""
    archived = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--format=tar", OLD_COMMIT, "src"], capture_output=True, timeout=60
    )
    if archived.returncode:
        pytest.skip(f"this clone's history does not reach {OLD_COMMIT[:7]}, the version before: clone it whole")
    directory = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=BytesIO(archived.stdout)) as tar:
        tar.extractall(directory, filter="data")
    return directory / "src"


@pytest.fixture
def company(tmp_path: Path, engine: str, request: pytest.FixtureRequest, old_source: Path) -> Company:
    """A company that the version before has founded."""
    (tmp_path / "latchstring.toml").write_text("retry_window = 3600\n")
    database = request.getfixturevalue("postgres").create_database() if engine == "postgresql" else None
    return found_company(OldOperator(tmp_path, database, old_source))


@pytest.fixture
def new(company: Company) -> QuickOperator:
    """Commands of this version on the same database."""
    return QuickOperator(company.operator.directory, company.operator.database)


@pytest.fixture
def new_servers(new: QuickOperator) -> Iterator[Callable[[], Server]]:
    """Starts servers of this version."""
    with starting(new, "new-server") as servers:
        yield lambda: servers.start("--port", "0", "--config", "latchstring.toml", "--issuer", "http://127.0.0.1:1")


class Load:
    """Clients that never stop asking, each at the next of the servers that there are by then."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self.events: list[Event] = []
        self.actors: list[Actor] = []
        self.ports: list[int] = []
        self.under_way: Counter[int] = Counter()
        self.is_over = False

    async def make(self, server: Server, count: int = CLIENTS) -> list[Actor]:
        codes = await mint_codes(server, self._company, count)
        first = len(self.actors)
        made = [Actor(f"grant {first + i}", self._company, self.events, code) for i, code in enumerate(codes)]
        self.actors += made
        return made

    async def run(self, actor: Actor) -> None:
        """Redeem, then refresh and introspect to the end."""
        wires: dict[int, tuple[Wire, float]] = {}
        turn = self.actors.index(actor)

        async def ask(question: Callable[[Wire], Awaitable[Event]]) -> None:
            nonlocal turn
            turn += 1
            port = self.ports[turn % len(self.ports)]
            wire, used_at = wires.get(port, (Wire(port), time.monotonic()))
            if time.monotonic() - used_at > KEPT_ALIVE:
                wire.close()
            self.under_way[port] += 1
            await question(wire)
            self.under_way[port] -= 1
            wires[port] = (wire, time.monotonic())

        await ask(actor.redeem)
        while not self.is_over:
            await ask(actor.refresh)
            await ask(actor.introspect)
            await asyncio.sleep(0.05)
        close_wires(wire for wire, _ in wires.values())

    async def leave(self, port: int) -> None:
        """Ask no more at that server, as behind a balancer that has taken it out."""
        self.ports.remove(port)
        while self.under_way[port]:
            await asyncio.sleep(0.01)


def read_rows(new: QuickOperator, codes: dict[str, str]) -> dict[str, FinalRow]:
    """What has become of each actor's grant."""
    codec = prepare(new.database, new.keyring_path).codec
    listed = {grant["id"]: grant for grant in new.ask("grant", "list")}
    rows = {}
    for name, text in codes.items():
        code = codec.parse_code(text)
        assert code is not None
        grant = listed[render_identifier(GRANT, code.grant_id)]
        rows[name] = FinalRow(status=grant["status"], generation=grant["generation"])
    return rows


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"], indirect=True)
async def test_old_and_new_version_serve_one_database_through_the_migration(
    company, new, servers, new_servers, minted, publish
):
    """Drill 10: downtime 0 s."""
    arguments = ("--port", "0", "--config", "latchstring.toml", "--issuer", "http://127.0.0.1:1")
    old_server = await asyncio.to_thread(servers.start, *arguments)
    load = Load(company)
    load.ports.append(old_server.port)
    tasks = [asyncio.create_task(load.run(actor)) for actor in await load.make(old_server)]
    unredeemed_of_old = await load.make(old_server)
    await asyncio.sleep(SECONDS)
    assert find_schema_version(new.database) == OLD_REVISION
    before = len(load.events)
    migrated = await asyncio.to_thread(new.ask, "migrate")
    assert migrated == {"before": OLD_REVISION, "now": HEAD}
    during = len(load.events) - before
    await asyncio.sleep(SECONDS)
    new_server = await asyncio.to_thread(new_servers)
    load.ports.append(new_server.port)
    # Codes of one are redeemed at the other as well, and either takes the other's tokens.
    unredeemed_of_new = await load.make(new_server)
    still_of_old = await load.make(old_server)
    tasks += [asyncio.create_task(load.run(actor)) for actor in unredeemed_of_old + unredeemed_of_new + still_of_old]
    await asyncio.sleep(2 * SECONDS)
    # What is revoked at one is dead at the other.
    for end, (here, there) in enumerate([(old_server, new_server), (new_server, old_server)]):
        [actor] = await load.make(here, 1)
        wires = [Wire(server.port) for server in (here, there)]
        assert (await actor.redeem(wires[end])).is_success
        assert (await actor.revoke(wires[0])).is_success
        assert (await actor.introspect(wires[1])).answer == {"active": False}
        close_wires(wires)
    await load.leave(old_server.port)
    assert await asyncio.to_thread(old_server.stop) == 0
    await asyncio.sleep(SECONDS)
    load.is_over = True
    await asyncio.gather(*tasks)
    collect_secrets(load.events, minted)
    assert [event for event in load.events if not event.is_success] == []
    rows = read_rows(new, {actor.name: actor.code for actor in load.actors})
    assert find_violations(load.events, rows) == []
    assert during > 0
    publish(requests=len(load.events), while_the_schema_was_migrated=during, failed=0, grants=len(rows))
