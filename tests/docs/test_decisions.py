"""The table of decisions in the HTTP reference, row by row: what is sent, what is answered, what it leaves behind."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from latchstring.protocol.client_metadata import TOKEN_EXCHANGE
from latchstring.protocol.pkce import code_challenge
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE
from tests.docs.markdown import DOCS, find_code, find_table, read_page
from tests.support.deployment import App, Deployment, deploy
from tests.support.journey import exchange, grant_code, introspect, refresh
from tests.support.proofs import Prover

HTTP = read_page(DOCS / "reference/http.md")
VERIFIER = "v" * 43
CHALLENGE = code_challenge(VERIFIER)
KEY, OTHER_KEY = Prover(), Prover()


@dataclass
class World:
    """Two apps of one organization, and Ann in it."""

    deployment: Deployment
    http: httpx.AsyncClient
    app: App
    other: App
    public: App
    guard: tuple[str, str]
    user_id: str
    organization_id: str

    async def code(self, app: App | None = None, **prompt: Any) -> str:
        """A fresh code."""
        return await grant_code(self.deployment, app or self.app, self.user_id, self.organization_id, **prompt)

    async def connect(self) -> dict[str, Any]:
        """A connection's tokens."""
        tokens: dict[str, Any] = (await exchange(self.http, self.app, await self.code())).json()
        return tokens

    async def is_active(self, token: str) -> bool:
        """What introspection says of an access token."""
        return bool((await introspect(self.http, self.guard, token))["active"])

    async def find_status(self) -> str:
        """The status of the newest grant."""
        grants = await self.deployment.store.find_grants(user_id=self.user_id, organization_id=None)
        return grants[0].status

    async def leave(self) -> None:
        """Ann's membership ends."""
        await self.deployment.store.end_membership(
            user_id=self.user_id, organization_id=self.organization_id, now=self.deployment.clock.now
        )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One for all rows; every check makes its own grants."""
    async with deploy(tmp_path_factory.mktemp("world")) as deployment, deployment.http() as http:
        organization_id = await deployment.organization()
        user_id = await deployment.user()
        await deployment.member(user_id, organization_id)
        app, other = await deployment.app(organization_id), await deployment.app(organization_id)
        public = await deployment.app(organization_id, is_public=True)
        guard = await deployment.resource_server()
        yield World(deployment, http, app, other, public, guard, user_id, organization_id)


Check = Callable[[World], Awaitable[httpx.Response]]
CHECKS: dict[str, Check] = {}


def row(request: str) -> Callable[[Check], Check]:
    """The check of the row that begins so: it returns the answer, and asserts what is left behind."""

    def add(check: Check) -> Check:
        CHECKS[request] = check
        return check

    return add


async def ask_by_basic(world: World, client_id: str, client_secret: str) -> httpx.Response:
    data = {"grant_type": "client_credentials"}
    return await world.http.post("/oauth2/token/", data=data, auth=(client_id, client_secret))


@row("a wrong secret in the body")
async def _(world: World) -> httpx.Response:
    return await exchange(world.http, App(world.app.record, "wrong"), "code")


@row("a wrong secret by Basic")
async def _(world: World) -> httpx.Response:
    return await ask_by_basic(world, world.app.client_id, "wrong")


@row("an unknown client")
async def _(world: World) -> httpx.Response:
    unknown = await ask_by_basic(world, "oa2client_nobody", "wrong")
    wrong = await ask_by_basic(world, world.app.client_id, "wrong")
    assert unknown.content == wrong.content
    return unknown


@row("a public client with a secret")
async def _(world: World) -> httpx.Response:
    return await exchange(world.http, App(world.public.record, "any"), await world.code(world.public))


@row("a secret in the body and by Basic")
async def _(world: World) -> httpx.Response:
    assert world.app.secret
    own = (world.app.client_id, world.app.secret)
    data = world.app.body(grant_type="client_credentials")
    return await world.http.post("/oauth2/token/", data=data, auth=own)


@row("GET on the token endpoint")
async def _(world: World) -> httpx.Response:
    return await world.http.get("/oauth2/token/", params=world.app.body(grant_type="client_credentials"))


@row("JSON to the token endpoint")
async def _(world: World) -> httpx.Response:
    return await world.http.post("/oauth2/token/", json=world.app.body(grant_type="client_credentials"))


@row("a code with a wrong `code_verifier`")
async def _(world: World) -> httpx.Response:
    code = await world.code(code_challenge=CHALLENGE)
    answer = await exchange(world.http, world.app, code, code_verifier="w" * 43)
    assert (await exchange(world.http, world.app, code, code_verifier=VERIFIER)).status_code == 200
    return answer


@row("a code with another client's credentials")
async def _(world: World) -> httpx.Response:
    code = await world.code()
    answer = await exchange(world.http, world.other, code)
    assert (await exchange(world.http, world.app, code)).status_code == 200
    return answer


@row("a code a second time")
async def _(world: World) -> httpx.Response:
    code = await world.code()
    tokens = (await exchange(world.http, world.app, code)).json()
    answer = await exchange(world.http, world.app, code)
    assert await world.find_status() == "ended"
    assert not await world.is_active(tokens["access_token"])
    assert (await refresh(world.http, world.app, tokens["refresh_token"])).status_code == 400
    return answer


@row("a code a second time, with a wrong `code_verifier`")
async def _(world: World) -> httpx.Response:
    code = await world.code(code_challenge=CHALLENGE)
    await exchange(world.http, world.app, code, code_verifier=VERIFIER)
    answer = await exchange(world.http, world.app, code, code_verifier="w" * 43)
    assert await world.find_status() == "active"
    return answer


async def redeem_bound(world: World, code: str, key: Prover | None, app: App | None = None) -> httpx.Response:
    """The code's redemption, with a proof by that key."""
    app = app or world.app
    verifier = {} if app.secret is not None else {"code_verifier": VERIFIER}
    headers = {} if key is None else {"dpop": key.prove(now=world.deployment.clock.now)}
    body = app.body(grant_type="authorization_code", code=code, **verifier)
    return await world.http.post("/oauth2/token/", data=body, headers=headers)


@row("a code bound to a key, without a proof")
async def _(world: World) -> httpx.Response:
    code = await world.code(dpop_jkt=KEY.jkt)
    answer = await redeem_bound(world, code, None)
    assert (await redeem_bound(world, code, KEY)).status_code == 200
    return answer


@row("a code bound to a key, with another key's proof")
async def _(world: World) -> httpx.Response:
    code = await world.code(dpop_jkt=KEY.jkt)
    answer = await redeem_bound(world, code, OTHER_KEY)
    assert (await redeem_bound(world, code, KEY)).status_code == 200
    return answer


@row("a DPoP proof a second time")
async def _(world: World) -> httpx.Response:
    code, proof = await world.code(), KEY.prove(now=world.deployment.clock.now)
    asking = world.app.body(grant_type="client_credentials")
    assert (await world.http.post("/oauth2/token/", data=asking, headers={"dpop": proof})).status_code == 200
    body = world.app.body(grant_type="authorization_code", code=code)
    answer = await world.http.post("/oauth2/token/", data=body, headers={"dpop": proof})
    assert (await redeem_bound(world, code, KEY)).status_code == 200
    return answer


@row("a bound public client's refresh, with another key's proof")
async def _(world: World) -> httpx.Response:
    code = await world.code(world.public, code_challenge=CHALLENGE)
    tokens = (await redeem_bound(world, code, KEY, world.public)).json()
    body = world.public.body(grant_type="refresh_token", refresh_token=tokens["refresh_token"])

    async def refresh_by(key: Prover) -> httpx.Response:
        headers = {"dpop": key.prove(now=world.deployment.clock.now)}
        return await world.http.post("/oauth2/token/", data=body, headers=headers)

    answer = await refresh_by(OTHER_KEY)
    assert (await refresh_by(KEY)).status_code == 200
    return answer


@row("a `code_verifier` where no `code_challenge` was sent")
async def _(world: World) -> httpx.Response:
    code = await world.code()
    answer = await exchange(world.http, world.app, code, code_verifier=VERIFIER)
    assert (await exchange(world.http, world.app, code)).status_code == 200
    return answer


@row("a refresh for a wider scope")
async def _(world: World) -> httpx.Response:
    tokens = await world.connect()
    answer = await refresh(world.http, world.app, tokens["refresh_token"], scope="all.full_access more")
    assert (await refresh(world.http, world.app, tokens["refresh_token"])).status_code == 200
    return answer


@row("a refresh for less")
async def _(world: World) -> httpx.Response:
    tokens = await world.connect()
    answer = await refresh(world.http, world.app, tokens["refresh_token"], scope="offline_access")
    assert answer.json()["scope"] == "offline_access"
    whole = (await refresh(world.http, world.app, answer.json()["refresh_token"])).json()
    assert whole["scope"] == tokens["scope"]
    return answer


@row("revocation of another client's token")
async def _(world: World) -> httpx.Response:
    tokens = await world.connect()
    for kind in ("access_token", "refresh_token"):
        answer = await world.http.post("/oauth2/revoke/", data=world.other.body(token=tokens[kind]))
    assert await world.find_status() == "active"
    assert await world.is_active(tokens["access_token"])
    return answer


@row("revocation of a superseded refresh token")
async def _(world: World) -> httpx.Response:
    tokens = await world.connect()
    await refresh(world.http, world.app, tokens["refresh_token"])
    answer = await world.http.post("/oauth2/revoke/", data=world.app.body(token=tokens["refresh_token"]))
    assert await world.find_status() == "ended"
    return answer


@row("revocation of an access token")
async def _(world: World) -> httpx.Response:
    first = await world.connect()
    second = (await refresh(world.http, world.app, first["refresh_token"])).json()
    answer = await world.http.post("/oauth2/revoke/", data=world.app.body(token=first["access_token"]))
    assert not await world.is_active(first["access_token"])
    assert await world.is_active(second["access_token"])
    assert await world.find_status() == "active"
    return answer


@row("introspection of another client's token, by a client")
async def _(world: World) -> httpx.Response:
    tokens = await world.connect()
    return await world.http.post("/oauth2/introspect/", data=world.other.body(token=tokens["access_token"]))


@row("a code after the member has left")
async def _(world: World) -> httpx.Response:
    code = await world.code()
    await world.leave()
    answer = await exchange(world.http, world.app, code)
    assert await world.find_status() == "ended"
    return answer


@row("a refresh after the member has left")
async def _(world: World) -> httpx.Response:
    tokens = await world.connect()
    await world.leave()
    answer = await refresh(world.http, world.app, tokens["refresh_token"])
    assert await world.find_status() == "suspended"
    assert not await world.is_active(tokens["access_token"])
    await world.deployment.member(world.user_id, world.organization_id)
    assert (await refresh(world.http, world.app, tokens["refresh_token"])).status_code == 200
    return answer


@row("client credentials for an organization that has not approved the app")
async def _(world: World) -> httpx.Response:
    other = await world.deployment.organization("Chestnut Ltd")
    data = world.app.body(grant_type="client_credentials", organization_id=other)
    return await world.http.post("/oauth2/token/", data=data)


async def trade(world: World, app: App, token: str, **parameters: str) -> httpx.Response:
    subject = {"subject_token": token, "subject_token_type": ACCESS_TOKEN_TYPE}
    data = app.body(grant_type=TOKEN_EXCHANGE, **subject, **parameters)
    return await world.http.post("/oauth2/token/", data=data)


@row("an exchange by an app that acts for no API")
async def _(world: World) -> httpx.Response:
    token = (await world.connect())["access_token"]
    answer = await trade(world, world.other, token)
    assert await world.is_active(token)
    return answer


@row("an exchange for a wider scope")
async def _(world: World) -> httpx.Response:
    token = (await world.connect())["access_token"]
    answer = await trade(world, world.app, token, scope="all.full_access offline_access")
    assert await world.is_active(token)
    return answer


@row("an exchange of a revoked token")
async def _(world: World) -> httpx.Response:
    token = (await world.connect())["access_token"]
    exchanged = (await trade(world, world.app, token)).json()["access_token"]
    assert await world.is_active(exchanged)
    assert (await world.http.post("/oauth2/revoke/", data=world.app.body(token=token))).status_code == 200
    assert not await world.is_active(exchanged)
    return await trade(world, world.app, token)


ROWS = find_table(HTTP.section("Decisions"), "request")


def test_every_decision_has_a_check() -> None:
    assert [request for request, _, _ in ROWS] == list(CHECKS)


@pytest.mark.parametrize("request_, told", [row[:2] for row in ROWS], ids=[row[0] for row in ROWS])
@pytest.mark.asyncio(loop_scope="module")
async def test_decision_is_answered_as_told(request_: str, told: str, world: World) -> None:
    world.deployment.clock.advance(1)  # so that this check's grant is the newest
    await world.deployment.member(world.user_id, world.organization_id)
    answer = await CHECKS[request_](world)
    assert answer.status_code == int(told[:3])
    for code in find_code(told):
        if code == "WWW-Authenticate":
            assert ("www-authenticate" in answer.headers) == ("no `WWW" not in told)
        elif code == "WWW-Authenticate: Basic":
            assert answer.headers["www-authenticate"].startswith("Basic ")
        elif code == "Allow: POST":
            assert answer.headers["allow"] == "POST"
        elif code.startswith("{"):
            assert answer.text == code
        elif code.endswith(":"):
            assert answer.json()["error_description"].startswith(code + " ")
        else:
            assert answer.json()["error"] == code
    if answer.status_code == 400 and not re.search(r"`[a-z_]+:`", told):
        assert not re.match(r"[a-z_]+: ", answer.json()["error_description"])
    assert re.fullmatch(r"req_[0-9a-f]+", answer.headers["x-request-id"])
