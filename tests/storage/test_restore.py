"""Drill 9: a database goes back to an old backup, and nothing that was used up or revoked after it lives again."""

import os
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from latchstring.authorization_server.events import Action, EventFilter
from latchstring.authorization_server.keyring import Keyring
from latchstring.protocol.errors import ConfigurationError
from latchstring.storage.restoration import FORGOTTEN, Restored, begin_epoch_in_postgres, begin_epoch_in_sqlite
from latchstring.storage.schema import metadata
from latchstring.storage.sqlite_backup import write_backup
from latchstring.storage.url import migrate
from latchstring.wiring import build_approvals
from tests.authorization_server.builders import KEY_ONE
from tests.storage.conftest import run_sql
from tests.support.deployment import REDIRECT_URI, START, App, Deployment, deploy
from tests.support.journey import exchange, grant_code, introspect, refresh
from tests.support.postgres import Cluster

KEYRING = Keyring((KEY_ONE,))
BACKED_UP, RESTORED = START + 1000, START + 5000


class Place:
    """A database, the way to keep a copy of it, and the way to take it back into use."""

    def __init__(self, directory: Path, cluster: Cluster | None) -> None:
        self.directory = directory
        self._cluster = cluster
        self.database = f"sqlite:///{directory / 'latchstring.db'}" if cluster is None else cluster.create_database()

    def back_up(self) -> None:
        """Keep what is there now."""
        if self._cluster is None:
            write_backup(self.directory / "latchstring.db", self.directory / "backup.db")
        else:
            self._run(f'CREATE DATABASE "{self._name}_backup" TEMPLATE "{self._name}"')

    async def restore(self, now: int = RESTORED) -> Restored:
        """Go back to that, by what the command does."""
        salt = os.urandom(16)
        if self._cluster is None:
            path = self.directory / f"restored-{now}.db"
            write_backup(self.directory / "backup.db", path)
            self.database = f"sqlite:///{path}"
            return begin_epoch_in_sqlite(path, salt=salt, now=now)
        original = self._name.partition("_restored")[0]
        restored = f"{original}_restored_{now}"
        self._run(f'CREATE DATABASE "{restored}" TEMPLATE "{original}_backup"')
        self.database = self._cluster.url(restored)
        return await begin_epoch_in_postgres(self.database, salt=salt, now=now)

    @property
    def _name(self) -> str:
        return self.database.rpartition("/")[2]

    def _run(self, sql: str) -> None:
        assert self._cluster is not None

        async def work(connection: asyncpg.Connection) -> None:
            await connection.execute(sql)

        run_sql(self._cluster.url("postgres"), work)

    def open(self, now: int) -> Any:
        """A server on it."""
        return deploy(self.directory, self.database, keyring=KEYRING, now=now)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgresql"))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty database of each engine."""
    cluster: Cluster | None = None if request.param == "sqlite" else request.getfixturevalue("postgres")
    made = Place(tmp_path, cluster)
    migrate(made.database)
    return made


class Story:
    """Ann of Acorn, and what she and her apps hold at every turn."""

    acorn: str
    ann: str
    app: App
    public: App
    guard: tuple[str, str]

    async def begin(self, server: Deployment) -> None:
        self.acorn = await server.organization()
        self.ann = await server.user()
        await server.member(self.ann, self.acorn, "admin")
        self.app = await server.app(self.acorn)
        self.guard = await server.resource_server()

    async def code(self, server: Deployment) -> str:
        return await grant_code(server, self.app, self.ann, self.acorn)

    async def connect(self, server: Deployment) -> dict[str, str]:
        async with server.http() as http:
            answer = await exchange(http, self.app, await self.code(server), redirect_uri=REDIRECT_URI)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, str] = answer.json()
        return tokens

    async def work_alone(self, server: Deployment) -> str:
        async with server.http() as http:
            answer = await http.post("/oauth2/token/", data=self.app.body(grant_type="client_credentials"))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def refresh(self, server: Deployment, token: str) -> dict[str, str]:
        async with server.http() as http:
            answer = await refresh(http, self.app, token)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, str] = answer.json()
        return tokens

    async def revoke(self, server: Deployment, token: str) -> None:
        async with server.http() as http:
            assert (await http.post("/oauth2/revoke/", data=self.app.body(token=token))).status_code == 200

    async def is_active(self, server: Deployment, token: str) -> bool:
        async with server.http() as http:
            return bool((await introspect(http, self.guard, token))["active"])

    async def refuse(self, server: Deployment, **body: str) -> str:
        """Why a request at the token endpoint is `invalid_grant`."""
        async with server.http() as http:
            answer = await http.post("/oauth2/token/", data=self.app.body(**body))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), answer.text
        return str(answer.json()["error_description"])

    async def refuse_refresh(self, server: Deployment, token: str) -> str:
        return await self.refuse(server, grant_type="refresh_token", refresh_token=token)

    async def refuse_code(self, server: Deployment, code: str) -> str:
        return await self.refuse(server, grant_type="authorization_code", code=code, redirect_uri=REDIRECT_URI)


async def test_restored_database_lets_nothing_of_before_live_again(place: Place) -> None:
    """Drill 9, tokens resurrected = 0: superseded, revoked, redeemed, made after the backup, or untouched."""
    story = Story()
    async with place.open(START) as server:
        await story.begin(server)
        kept, rotated, revoked = [await story.connect(server) for _ in range(3)]
        alone = await story.work_alone(server)
        session = await server.services.login.begin(story.ann)
    async with place.open(BACKED_UP) as server:
        waiting, unredeemed = await story.code(server), await story.code(server)
    place.back_up()
    async with place.open(BACKED_UP + 10) as server:
        # What the backup knows nothing of.
        async with server.http() as http:
            assert (await exchange(http, story.app, waiting, redirect_uri=REDIRECT_URI)).status_code == 200
        newest = rotated
        for _ in range(3):
            newest = await story.refresh(server, newest["refresh_token"])
        await story.revoke(server, revoked["refresh_token"])
        await story.revoke(server, alone)
        later, later_code = await story.connect(server), await story.code(server)
        assert not await story.is_active(server, alone)
    # As fast as can be, so that no code and no token has expired by itself.
    now = BACKED_UP + 20
    restored = await place.restore(now)
    assert restored.ended["oauth_grant"] == 5
    assert restored.ended["browser_session"] == 1
    async with place.open(now) as server:
        for tokens in (kept, rotated, newest, revoked):
            # The newest is a generation that this database never gave out: told like the others, and no alarm.
            assert (await story.refuse_refresh(server, tokens["refresh_token"])).startswith("restored: ")
        assert (await story.refuse_refresh(server, later["refresh_token"])).startswith("restored: ")
        for code in (waiting, unredeemed, later_code):
            assert (await story.refuse_code(server, code)).startswith("restored: ")
        for tokens in (kept, rotated, newest, revoked, later):
            assert not await story.is_active(server, tokens["access_token"])
        # It was revoked after the backup, and its client goes on.
        assert not await story.is_active(server, alone)
        assert await story.is_active(server, await story.work_alone(server))
        assert await server.services.login.find(session) is None
        [told] = await server.store.find_events(EventFilter(action=Action.DATABASE_RESTORED), before=None, at_most=10)
        assert (told.event.at, told.event.after) == (now, restored.ended)
        # To connect again is all that is needed.
        again = await story.connect(server)
        assert await story.is_active(server, again["access_token"])
        assert await story.is_active(server, (await story.refresh(server, again["refresh_token"]))["access_token"])


async def test_restored_twice_from_one_backup_lets_nothing_of_between_live_again(place: Place) -> None:
    """Two restorations of one backup begin two epochs, though neither knows of the other."""
    story = Story()
    async with place.open(START) as server:
        await story.begin(server)
    place.back_up()
    await place.restore(START + 100)
    async with place.open(START + 100) as server:
        revoked = await story.work_alone(server)
        between = await story.connect(server)
        await story.revoke(server, revoked)
    await place.restore(START + 200)
    async with place.open(START + 200) as server:
        assert not await story.is_active(server, revoked)
        assert (await story.refuse_refresh(server, between["refresh_token"])).startswith("restored: ")


async def test_restored_database_tells_a_grant_of_its_own_time_from_a_lost_one(place: Place) -> None:
    story = Story()
    async with place.open(START) as server:
        await story.begin(server)
    place.back_up()
    await place.restore()
    async with place.open(RESTORED) as server:
        forged = server.codec.render_refresh_token((RESTORED + 1).to_bytes(4, "big") + bytes(12), 1, bytes(16))
        assert await story.refuse_refresh(server, forged) == "The refresh token is unknown."


async def test_restored_database_lets_nobody_in_by_a_signed_token_an_approval_or_an_answer_of_before(
    place: Place,
) -> None:
    """What stands on no grant: all of it may have been revoked by itself, ended or taken back after the backup."""
    story, api = Story(), "https://signed.example/"
    async with place.open(START) as server:
        await story.begin(server)
        guard = await server.resource_server(api, "jwt")
        other = await server.organization("Birch")
        approvals = build_approvals(server.store, server.clock)
        await approvals.approve(story.app.client_id, other, scope=None, by=story.ann)
        await story.code(server)
        assert await server.store.find_remembered_consents(story.app.client_id, story.ann)
        asked = story.app.body(grant_type="client_credentials", resource=api)
        async with server.http() as http:
            signed = (await http.post("/oauth2/token/", data=asked)).json()["access_token"]
            [before] = (await http.get("/oauth2/jwks/")).json()["keys"]
            assert signed.count(".") == 2
            assert (await introspect(http, guard, signed))["active"] is True
    place.back_up()
    await place.restore()
    async with place.open(RESTORED) as server:
        async with server.http() as http:
            assert await introspect(http, guard, signed) == {"active": False}
            assert (await http.post("/oauth2/token/", data=asked)).status_code == 200
            [after] = (await http.get("/oauth2/jwks/")).json()["keys"]
        assert after["kid"] != before["kid"]
        [approval] = await server.store.find_client_approvals(client_id=story.app.client_id, organization_id=None)
        assert (approval.ended_at, approval.ended_by) == (RESTORED, "operator")
        assert list(await server.store.find_remembered_consents(story.app.client_id, story.ann)) == []


ENDED = {"oauth_grant", "client_approval"}
# As the backup has it: it lets nobody in by itself, or nothing better is known.
KEPT = {
    "app_publication",
    "app_review",
    "audit_event",
    "client",
    "client_secret_use",
    "consent_receipt",
    "epoch",
    "grant_use",
    "keyring_key",
    "life_cycle",
    "membership",
    "organization",
    "organization_app_rule",
    "organization_policy",
    "publisher_domain",
    "resource_server",
    "revoked_access_token",
    "second_factor",
    "settlement",
    "sweep",
    "used_once",
    "user_account",
    "user_code_guess",
    "webhook_endpoint",
}


def test_every_table_has_its_place_in_a_restoration() -> None:
    """Whoever adds a table says here what becomes of its rows when the database goes back to a backup (ADR 0017)."""
    assert set(metadata.tables) <= ENDED | KEPT | set(FORGOTTEN)
    assert not KEPT & set(FORGOTTEN)


@pytest.mark.xdist_group("postgresql")
async def test_begin_epoch_while_a_server_is_connected_is_refused_and_ends_nothing(
    postgres: Cluster, tmp_path: Path
) -> None:
    """A SQLite file's command looks whether it is open; a PostgreSQL knows who is connected."""
    place, story = Place(tmp_path, postgres), Story()
    async with place.open(START) as server:
        await story.begin(server)
        tokens = await story.connect(server)
        with pytest.raises(ConfigurationError, match="stop every server"):
            await begin_epoch_in_postgres(place.database, salt=bytes(16), now=RESTORED)
        assert await story.is_active(server, tokens["access_token"])
        await story.refresh(server, tokens["refresh_token"])
