"""Step-up from end to end (RFC 9470): an API asks for a sign-in of late or a strong one, the client library sends the
member to the server for it, and the API lets the same request in."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from latchstring.authorization_server.events import SYSTEM
from latchstring.client import AsyncOAuthClient, ReauthorizeRequired, StepUp, find_step_up
from latchstring.client.stores.memory import MemoryStore
from latchstring.resource_server import Guard
from latchstring.resource_server.frameworks.starlette import require
from tests.support.deployment import ISSUER, REDIRECT_URI, App, Deployment, deploy
from tests.support.forms import find_form, submit
from tests.support.journey import decide, follow, introspect, sign_in
from tests.web.test_account import make_code

BROWSER = "browser-1"
API = "https://api.example/"


class World:
    """The server, an API behind a guard, the app's client, and Ann's browser."""

    def __init__(
        self, deployment: Deployment, acorn: str, ann: str, credentials: tuple[str, str], app: App, format: str
    ) -> None:
        self.deployment, self.acorn, self.ann, self.credentials = deployment, acorn, ann, credentials
        server = httpx.AsyncClient(transport=httpx.ASGITransport(deployment.application))
        guard = Guard(
            issuer=ISSUER,
            introspection_endpoint=f"{ISSUER}/oauth2/introspect/",
            jwks_uri=f"{ISSUER}/oauth2/jwks/" if format == "jwt" else None,
            resource=API,
            client_id=credentials[0],
            client_secret=credentials[1],
            http_client=server,
            clock=deployment.clock,
        )

        @require(guard, "all.full_access", max_age=300)
        async def delete(request: Request) -> PlainTextResponse:
            return PlainTextResponse("deleted")

        @require(guard, "all.full_access", max_age=300, acr_values=["mfa"])
        async def pay(request: Request) -> PlainTextResponse:
            return PlainTextResponse("paid")

        routes = [Route("/", delete), Route("/pay", pay)]
        self.api = httpx.AsyncClient(
            transport=httpx.ASGITransport(Starlette(routes=routes)), base_url="https://api.example"
        )
        self.client = AsyncOAuthClient(
            ISSUER,
            client_id=app.client_id,
            client_secret=app.secret,
            redirect_uri=REDIRECT_URI,
            scope="all.full_access offline_access",
            resource=API,
            store=MemoryStore(),
            http=server,
            clock=deployment.clock,
        )
        self.browser = deployment.http()

    async def visit(self, url: str, code: str = "") -> tuple[str, bool]:
        """The callback to which Ann's browser comes back from that URL, and whether she had to sign in."""
        page = await follow(self.browser, await self.browser.get(url))
        has_signed_in = page.url.path == "/sign-in"
        if has_signed_in:
            page = await sign_in(self.browser, page, "ann@example.com")
        if code:
            answered = await submit(self.browser, page, find_form(page, "/sign-in/code"), code=code)
            page = await follow(self.browser, answered)
        if not page.is_redirect:
            page = await decide(self.browser, page, organization_id=self.acorn)
        return page.headers["location"], has_signed_in

    async def call(self, key, path: str = "/") -> httpx.Response:
        return await self.api.get(path, auth=self.client.auth(key))


@pytest.fixture(params=["opaque", "jwt"])
async def world(tmp_path: Path, request) -> AsyncIterator[World]:
    async with deploy(tmp_path) as deployment:
        acorn, ann = await deployment.organization(), await deployment.user()
        await deployment.member(ann, acorn)
        credentials = await deployment.resource_server(API, request.param)
        yield World(deployment, acorn, ann, credentials, await deployment.app(acorn), request.param)


async def test_step_up_from_the_api_s_challenge_to_its_answer(world: World):
    client, clock = world.client, world.deployment.clock
    callback, has_signed_in = await world.visit(await client.begin(browser_session=BROWSER))
    assert has_signed_in
    key = (await client.complete(callback, browser_session=BROWSER)).key
    assert (await world.call(key)).text == "deleted"
    facts = await introspect(world.browser, world.credentials, await client.token(key))
    assert facts["auth_time"] == clock.now

    clock.advance(301)
    refused = await world.call(key)
    assert refused.status_code == 401
    assert refused.json()["error"] == "insufficient_user_authentication"
    wanted = find_step_up(refused)
    assert wanted == StepUp(scope=("all.full_access",), max_age=300)
    await client.refresh(key)
    assert (await world.call(key)).status_code == 401, "a refresh is no sign-in"

    url = await client.begin_step_up(key, wanted, browser_session=BROWSER)
    asked = dict(parse_qsl(urlsplit(url).query))
    assert (asked["max_age"], asked["organization_id"]) == ("300", world.acorn)
    callback, has_signed_in = await world.visit(url)
    assert has_signed_in
    assert (await client.complete(callback, browser_session=BROWSER)).key == key
    assert (await world.call(key)).text == "deleted"


async def test_step_up_to_a_second_factor_and_no_weak_login_in_its_place(world: World):
    """GHSA-hp74-gm6m-2qm5."""
    client, clock, factors = world.client, world.deployment.clock, world.deployment.services.second_factors
    callback, _ = await world.visit(await client.begin(browser_session=BROWSER))
    key = (await client.complete(callback, browser_session=BROWSER)).key
    refused = await world.call(key, "/pay")
    wanted = find_step_up(refused)
    assert refused.status_code == 401
    assert wanted == StepUp(scope=("all.full_access",), acr_values="mfa", max_age=300)

    url = await client.begin_step_up(key, wanted, browser_session=BROWSER)
    page = await world.browser.get(url)
    assert page.status_code == 403, "a password is all she has"
    back = await submit(world.browser, page, find_form(page, "/consent"), decision="unmet")
    with pytest.raises(ReauthorizeRequired, match="unmet_authentication_requirements"):
        await client.complete(back.headers["location"], browser_session=BROWSER)
    assert (await world.call(key)).text == "deleted", "the connection stays as it was"

    secret = factors.new_secret()
    assert await factors.add(world.ann, secret, make_code(secret, clock.now), origin=SYSTEM) is not None
    clock.advance(30)
    url = await client.begin_step_up(key, wanted, browser_session=BROWSER)
    assert dict(parse_qsl(urlsplit(url).query))["acr_values"] == "mfa"
    callback, has_signed_in = await world.visit(url, make_code(secret, clock.now))
    assert has_signed_in
    await client.complete(callback, browser_session=BROWSER)
    assert (await world.call(key, "/pay")).text == "paid"
    facts = await introspect(world.browser, world.credentials, await client.token(key))
    assert (facts["acr"], facts["auth_time"]) == ("mfa", clock.now)
    clock.advance(301)
    assert find_step_up(await world.call(key, "/pay")) == wanted


async def test_app_that_acts_for_itself_has_nobody_who_signed_in(world: World):
    key = (await world.client.connect_as_app(world.acorn)).key
    refused = await world.call(key)
    assert (refused.status_code, refused.json()["error"]) == (401, "insufficient_user_authentication")
    assert "auth_time" not in await introspect(world.browser, world.credentials, await world.client.token(key))
