"""64 tasks in 4 processes share one stored connection at a provider that loses a tenth of its answers, while one of
the processes is killed."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import msgspec
import pytest

from latchstring.client import Connection, OAuthClient, ReauthorizeRequired, SQLiteStore, TemporaryFailure, Verdict
from latchstring.client.testing import FakeProvider
from tests.drills import client_worker
from tests.support.process import child_environment

ROTATIONS = int(os.environ.get("DRILL_ROTATIONS", "150"))
SEED = int(os.environ.get("DRILL_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
PROCESSES = 4
LIMIT = 600.0

pytestmark = [pytest.mark.drill, pytest.mark.timeout(LIMIT + 60)]


class Crew:
    """The processes, and the person who connects the app again where the connection says that she must."""

    def __init__(self, provider: FakeProvider, directory: Path) -> None:
        self.provider = provider
        self.database, self.stop_file = directory / "connections.db", directory / "stop"
        self.store = SQLiteStore(self.database)
        self.client = OAuthClient(
            provider.issuer,
            client_id=provider.client_id,
            client_secret=provider.client_secret,
            redirect_uri="https://app.example/callback",
            scope="all.full_access offline_access",
            store=self.store,
        )
        self.key = self.client.key("orga_acorn", "user_ann")
        self.processes: list[subprocess.Popen[bytes]] = []
        # Grants whose connection said `reauthorize`, with the reason; the one that was in use when a process died.
        self.losses: dict[str, str] = {}
        self.grant_at_kill = ""

    @property
    def rotations(self) -> int:
        return sum(max(grant.generation - 1, 0) for grant in list(self.provider.grants.values()))

    def connect(self) -> None:
        """Ann allows; where the answer to the code is lost, once more."""
        while True:
            callback = self.provider.authorize(self.client.begin(browser_session="ann"))
            with suppress(TemporaryFailure):
                self.client.complete(callback, browser_session="ann")
                return

    def start(self) -> None:
        provider = self.provider
        told = [provider.issuer, provider.client_id, provider.client_secret, str(self.database), str(self.stop_file)]
        command = [sys.executable, "-m", client_worker.__name__, *told]
        root = Path(__file__).parents[2]
        self.processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, env=child_environment()))

    def kill_one(self, chance: random.Random) -> None:
        """End a process without a word, at any moment; another takes its place."""
        victim = self.processes.pop(chance.randrange(len(self.processes)))
        time.sleep(chance.random() / 10)
        victim.kill()
        victim.communicate()
        self.grant_at_kill = self.current_grant
        self.start()

    @property
    def current_grant(self) -> str:
        """The grant of the connection as it is stored."""
        return self.provider.access_tokens[self.client.connection(self.key).access_token][0]

    def work(self, rotations: int) -> None:
        """Until there were so many rotations. Where the connection is lost, note why, and connect again."""
        deadline = time.monotonic() + LIMIT
        while self.rotations < rotations:
            assert time.monotonic() < deadline, f"stuck after {self.rotations} rotations, seed {SEED}"
            connection = self.client.connection(self.key)
            if connection.verdict is Verdict.REAUTHORIZE:
                self.connect_again(connection)
            time.sleep(0.02)

    def connect_again(self, connection: Connection) -> None:
        """Note which grant is lost and the reason that the client gives; Ann allows anew."""
        assert connection.failure is not None
        self.losses[self.current_grant] = f"{connection.failure.code}: {connection.failure.description}"
        self.connect()

    def settle(self) -> None:
        """The weather is fine again: the connection's last refresh, if one is still unaccounted for, ends."""
        self.provider.answer_drop_rate, self.provider.expires_in = 0.0, 3600
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                self.client.token(self.key)
                return
            except TemporaryFailure:  # the last failure may have asked for a pause
                time.sleep(0.1)
            except ReauthorizeRequired:
                self.connect_again(self.client.connection(self.key))

    def finish(self) -> list[client_worker.Report]:
        """What the processes saw, the killed one's not."""
        self.stop_file.touch()
        printed = [each.communicate(timeout=60)[0] for each in self.processes]
        assert [each.returncode for each in self.processes] == [0] * PROCESSES
        return [msgspec.json.decode(each, type=client_worker.Report) for each in printed]


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    """Four processes at work, on tokens that are due as soon as they arrive."""
    with FakeProvider(expires_in=0, latency=0.01, seed=SEED).serve() as provider:
        crew = Crew(provider, tmp_path)
        crew.connect()
        provider.answer_drop_rate = 0.1
        for _ in range(PROCESSES):
            crew.start()
        yield crew
        for process in crew.processes:
            process.kill()
            process.communicate()
        crew.client.close()
        crew.store.close()


def count_refusals(reports: list[client_worker.Report]) -> dict[str, int]:
    return dict(sum((Counter(report.refusals) for report in reports), Counter()))


def assert_final_token_works(crew: Crew) -> None:
    """A client that starts now gets a token by the same file, and the API takes it."""
    with httpx.Client(base_url=crew.provider.issuer, auth=crew.client.auth(crew.key)) as api:
        assert api.get("/api/v1/me/").json() == {"id": "user_ann", "organization_id": "orga_acorn"}
    assert crew.client.connection(crew.key).verdict is Verdict.OK


def test_shared_connection_is_never_stranded_and_refreshed_by_one_at_a_time(crew, publish):
    chance = random.Random(SEED)
    crew.work(ROTATIONS * chance.randrange(20, 80) // 100)
    crew.kill_one(chance)
    crew.work(ROTATIONS)
    reports = crew.finish()
    crew.settle()
    assert_final_token_works(crew)

    provider = crew.provider
    [grant] = provider.grants.values()
    assert grant.status == "active"
    assert grant.lost_answers > 0
    assert provider.most_in_flight == 1
    # Every token that was handed out is one of this grant; a reauthorize was said to nobody.
    assert all(provider.access_tokens[token][0] == grant.id for report in reports for token in report.tokens)
    refusals = count_refusals(reports)
    assert not [name for name in refusals if not name.startswith("temporary ")]
    assert crew.losses == {}
    publish(
        rotations=crew.rotations,
        refreshes=provider.refreshes,
        lost_answers=grant.lost_answers,
        most_in_flight=provider.most_in_flight,
        refusals=refusals,
        seed=SEED,
    )


def test_shared_connection_without_a_retry_window_loses_only_what_nobody_could_keep(crew, publish):
    chance = random.Random(SEED)
    provider = crew.provider
    provider.retry_window = 0
    crew.work(ROTATIONS * chance.randrange(20, 80) // 100)
    crew.kill_one(chance)
    crew.work(ROTATIONS)
    reports = crew.finish()
    crew.settle()
    assert_final_token_works(crew)

    assert provider.most_in_flight == 1
    ended = {grant.id for grant in provider.grants.values() if grant.status == "ended"}
    avoidable = {
        grant.id
        for grant in provider.grants.values()
        if grant.status == "ended" and not grant.lost_answers and grant.id != crew.grant_at_kill
    }
    assert avoidable == set(), f"seed {SEED}"
    assert set(crew.losses) == ended
    assert ended, f"seed {SEED}"
    for reason in crew.losses.values():
        assert reason.startswith("invalid_grant: ")
        assert "An earlier answer to this refresh was lost, and its tokens with it." in reason
    refusals = count_refusals(reports)
    assert {name for name in refusals if not name.startswith("temporary ")} <= {"reauthorize invalid_grant"}
    publish(
        rotations=crew.rotations,
        grants_lost=len(ended),
        of_them_with_a_lost_answer=sum(provider.grants[name].lost_answers > 0 for name in ended),
        most_in_flight=provider.most_in_flight,
        refusals=refusals,
        seed=SEED,
    )
