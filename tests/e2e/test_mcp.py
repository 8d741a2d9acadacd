"""An MCP client connects to a guarded MCP server (MCP authorization, 2026-07-28): the `mcp` package's own client, the
server of the how-to, and a real Chromium for the member (A24, K9, M9, S9, S20)."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import httpx2
import msgspec
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.oauth2 import TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from playwright.async_api import Page, async_playwright
from pydantic import AnyUrl
from starlette.responses import PlainTextResponse

from latchstring.authorization_server.settings import Settings, validate_settings
from latchstring.storage.url import open_store
from latchstring.web.app import Application
from latchstring.wiring import build_services, prepare
from tests.docs.live import serving
from tests.docs.markdown import DOCS, read_page
from tests.support.company import create_organization, create_user
from tests.support.deployment import PASSWORD
from tests.support.documents import FakeFetch
from tests.support.process import QuickOperator

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]

SCREENSHOTS = Path(__file__).parents[2] / ".artifacts" / "screenshots"
DOCUMENT = "https://assistant.example/client.json"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PATIENCE = 30_000


@dataclass
class World:
    """Real servers: Latchstring, the how-to's MCP server, and the place where the client waits for the browser."""

    issuer: str
    mcp: str
    callback: str
    organizations: dict[str, str]
    own: tuple[str, str]  # the MCP server's credentials
    other: tuple[str, str]  # another API's


class Memory(TokenStorage):
    """Keeps what the client gets."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def run_howto(**environment: str) -> dict[str, Any]:
    """What the page's program defines."""
    page = read_page(DOCS / "howto/guard-an-mcp-server.md")
    [block] = [block for block in page.blocks if block.info == "python test"]
    defined: dict[str, Any] = {"__name__": "guard_an_mcp_server"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        exec(compile(block.content, page.name, "exec", dont_inherit=True), defined)
    return defined


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    operator = QuickOperator(tmp_path)
    organizations = {name: create_organization(operator, name) for name in ("Acorn Partners", "Birch & Co")}
    ann = create_user(operator)
    for organization_id in organizations.values():
        operator.ask("membership", "add", "--user", ann, "--organization", organization_id)
    api = operator.ask("resource-server", "create", "--name", "Other", "--resource", "https://other.example/")
    own: list[tuple[str, str]] = []
    published: dict[str, Any] = {"client_id": DOCUMENT, "client_name": "Assistant"}

    def build_server(address: str) -> Application:
        deployment = prepare(f"sqlite:///{tmp_path / 'latchstring.db'}", None)
        settings = validate_settings(Settings(issuer=address, deployment_name="Northwind CRM", registration="open"))
        published["redirect_uris"] = [f"{callback}/callback"]
        published["grant_types"] = ["authorization_code", "refresh_token"]
        fetch = FakeFetch({DOCUMENT: msgspec.json.encode(published)})
        return Application(build_services(settings, open_store(deployment.database), deployment.codec, fetch=fetch))

    def build_mcp(address: str) -> Any:
        created = operator.ask("resource-server", "create", "--name", "CRM", "--resource", f"{address}/mcp")
        own.append((created["client_id"], created["client_secret"]))
        defined = run_howto(
            ISSUER=issuer,
            MCP_RESOURCE=f"{address}/mcp",
            API_CLIENT_ID=created["client_id"],
            API_CLIENT_SECRET=created["client_secret"],
        )
        defined["CONTACTS"][organizations["Acorn Partners"]] = ["Ada of Acorn"]
        defined["CONTACTS"][organizations["Birch & Co"]] = ["Bo of Birch", "Bea of Birch"]
        return defined["app"]

    with (
        serving(lambda _: PlainTextResponse("You may close this window.")) as callback,
        serving(build_server) as issuer,
        serving(build_mcp) as mcp,
    ):
        other = (api["client_id"], api["client_secret"])
        yield World(issuer, f"{mcp}/mcp", f"{callback}/callback", organizations, own[0], other)


class Member:
    """Ann, at her browser, whenever the client sends her there."""

    def __init__(self, world: World, page: Page, picture: str) -> None:
        self.world = world
        self.page = page
        self.picture = picture
        self.asked: list[dict[str, str]] = []

    async def go(self, url: str) -> None:
        """Sign in if need be, choose Birch, allow."""
        self.asked.append(dict(parse_qsl(urlsplit(url).query)))
        await self.page.goto(url)
        if "/sign-in" in self.page.url:
            await self.page.get_by_label("Email address").fill("ann@example.com")
            await self.page.get_by_label("Password", exact=True).fill(PASSWORD)
            await self.page.get_by_role("button", name=re.compile("^Sign in$")).click()
        await self.page.get_by_role("button", name="Allow").wait_for()
        await self._take_pictures()
        await self.page.get_by_role("radio", name="Birch & Co").check()
        await self.page.get_by_role("button", name="Allow").click()
        await self.page.wait_for_url(f"{self.world.callback}*")

    async def come_back(self) -> AuthorizationCodeResult:
        """What the browser brought to the client's own address."""
        return AuthorizationCodeResult(**dict(parse_qsl(urlsplit(self.page.url).query)))

    async def disconnect(self) -> None:
        """On her connections page."""
        await self.page.goto(f"{self.world.issuer}/connections")
        await self.page.get_by_role("button", name=re.compile("^Disconnect Assistant from Birch")).click()
        await self.page.get_by_text("Assistant is disconnected").first.wait_for()

    async def _take_pictures(self) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        for width in (1280, 320):
            await self.page.set_viewport_size({"width": width, "height": 800})
            assert not await self.page.evaluate(
                "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            ), f"{self.picture} at {width} px"
            for scheme in ("light", "dark"):
                await self.page.emulate_media(color_scheme=scheme)
                await self.page.screenshot(path=SCREENSHOTS / f"{self.picture}-{width}-{scheme}.png", full_page=True)
        await self.page.set_viewport_size({"width": 1280, "height": 800})


class SentToConnectAgain(Exception):
    """The client had to send the member to the browser once more."""


@asynccontextmanager
async def browsing(chromium_path: str):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        page = await browser.new_page(locale="en")
        page.set_default_timeout(PATIENCE)
        yield page
        await browser.close()


async def call(provider: OAuthClientProvider, url: str) -> list[str]:
    """What the tool answers."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(auth=provider, timeout=PATIENCE / 1000))
        client = await stack.enter_async_context(Client(streamable_http_client(url, http_client=http)))
        result = await client.call_tool("list_contacts", {})
        assert not result.is_error, result
        assert result.structured_content is not None
        return list(result.structured_content["result"])


async def introspect(world: World, credentials: tuple[str, str], tokens: OAuthToken) -> dict[str, Any]:
    """What an API is told of the access token."""
    data = {"token": tokens.access_token}
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{world.issuer}/oauth2/introspect/", data=data, auth=credentials)
    return dict(answer.json())


def find_cause(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error of that kind is somewhere in it."""
    nested = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    chain = [cause for cause in (error.__cause__, error.__context__, *nested) if cause is not None]
    return isinstance(error, kind) or any(find_cause(cause, kind) for cause in chain)


@pytest.mark.parametrize("way", ["document", "registration"])
def test_mcp_client_connects_to_the_chosen_organization_refreshes_and_is_refused_once_disconnected(
    world: World, chromium_path: str, way: str
) -> None:
    asyncio.run(walk(world, chromium_path, way))


async def walk(world: World, chromium_path: str, way: str) -> None:
    storage = Memory()
    async with browsing(chromium_path) as page:
        member = Member(world, page, f"consent-mcp-{way}")
        may_connect = [True]

        async def redirect(url: str) -> None:
            if not may_connect:
                raise SentToConnectAgain
            may_connect.pop()
            await member.go(url)

        provider = OAuthClientProvider(
            server_url=world.mcp,
            client_metadata=OAuthClientMetadata(
                client_name="Assistant",
                redirect_uris=[AnyUrl(world.callback)],
                token_endpoint_auth_method="none" if way == "document" else "client_secret_post",
            ),
            storage=storage,
            redirect_handler=redirect,
            callback_handler=member.come_back,
            client_metadata_url=DOCUMENT if way == "document" else None,
        )
        assert await call(provider, world.mcp) == ["Bo of Birch", "Bea of Birch"]

        [asked] = member.asked
        assert asked["resource"] == world.mcp
        assert asked["code_challenge_method"] == "S256"
        assert asked["scope"] == "all.full_access offline_access"
        assert (asked["client_id"] == DOCUMENT) is (way == "document")
        assert asked["client_id"].startswith("oa2registered_") is (way == "registration")
        assert storage.client is not None
        assert storage.client.client_id == asked["client_id"]

        first = storage.tokens
        assert first is not None
        provider.context.token_expiry_time = 1
        assert await call(provider, world.mcp) == ["Bo of Birch", "Bea of Birch"]
        assert storage.tokens is not None
        assert storage.tokens.refresh_token != first.refresh_token
        assert storage.tokens.access_token != first.access_token

        # For this server and no other (S9).
        told = await introspect(world, world.own, storage.tokens)
        assert told["organization_id"] == world.organizations["Birch & Co"]
        assert await introspect(world, world.other, storage.tokens) == {"active": False}

        await member.disconnect()
        assert await introspect(world, world.own, storage.tokens) == {"active": False}
        with pytest.raises(BaseException) as refused:  # noqa: PT011 -- a group of them, from the transport's tasks
            await call(provider, world.mcp)
        assert find_cause(refused.value, SentToConnectAgain)
