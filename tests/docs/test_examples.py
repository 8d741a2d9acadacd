"""The examples of the how-to pages do what the pages say: commands with what they print, programs with what they do."""

import asyncio
import os
import re
import shlex
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest
from django.contrib.sessions.middleware import SessionMiddleware
from starlette.responses import PlainTextResponse

from latchstring.authorization_server.settings import Settings
from latchstring.client import Misconfigured
from latchstring.demo import sample_api
from latchstring.demo.sample_crm import CONTACTS_PER_ORGANIZATION
from latchstring.outbound.webhook_sender import sign
from latchstring.protocol.client_metadata import TOKEN_EXCHANGE
from latchstring.resource_server import SyncGuard
from latchstring.resource_server.refusal import Refusal
from latchstring.wiring import build_application, prepare
from tests.docs.live import serving
from tests.docs.markdown import DOCS, Page, read_page, read_pages
from tests.resource_server.fakes import WsgiTransport, browse, browse_wsgi
from tests.support import device
from tests.support.deployment import PASSWORD
from tests.support.django_site import serve_django
from tests.support.forms import find_form
from tests.support.process import QuickOperator
from tests.support.proofs import Prover

CONNECT = read_page(DOCS / "howto/connect-an-app.md")
PROGRAM = read_page(DOCS / "howto/connect-a-program.md")
DEVICE = read_page(DOCS / "howto/connect-a-device.md")
GUARD = read_page(DOCS / "howto/guard-an-api.md")
EXCHANGE = read_page(DOCS / "howto/exchange-a-token.md")
WEBHOOK_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDazmqiVyQoQ8="
API = "https://api.example.com"
BILLING = "https://billing.example.com"
FILES = "https://files.example.com"
CALLBACK = "https://app.example.com/callback"

# -- commands and what they print

_MADE = re.compile(r"\b(?:(?:user|orga|oa2client|oa2resource|grant)_[0-9A-Za-z]{22}|ls_cs_[0-9A-Za-z]{50,})\b")


@dataclass
class Transcript:
    """Runs a page's console blocks; ids and secrets of the page stand for those that were really made."""

    operator: QuickOperator
    really: dict[str, str]

    def follow(self, text: str) -> None:
        """Run each command, and compare what it prints."""
        for step in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            line, _, expected = step.partition("\n")
            words, _, file = line.partition(" < ")
            told = [_MADE.sub(lambda match: self.really[match[0]], word) for word in shlex.split(words)]
            stdin = (self.operator.directory / file).read_bytes() if file else b""
            ran = self.operator.run(*told[1:], "--database", self.operator.database, stdin=stdin)
            assert (ran.code, ran.stderr) == (0, ""), line
            shown, wanted = ([row.rstrip() for row in output.splitlines()] for output in (ran.stdout, expected))
            for made, written in zip(_MADE.findall("\n".join(shown)), _MADE.findall(expected), strict=True):
                assert self.really.setdefault(written, made) == made, line
            assert [_MADE.sub("", row) for row in shown] == [_MADE.sub("", row) for row in wanted], line


@pytest.mark.parametrize(
    "page",
    [page for page in read_pages() if any(block.info == "console test" for block in page.blocks)],
    ids=lambda page: page.name,
)
def test_commands_print_what_the_page_shows(page: Page, tmp_path: Path) -> None:
    (tmp_path / "ann-password").write_text(PASSWORD + "\n")
    transcript = Transcript(QuickOperator(tmp_path), {})
    for block in page.blocks:
        if block.info == "console test":
            transcript.follow(block.content)
    assert len(set(transcript.really.values())) == len(transcript.really)


# -- programs


@dataclass(frozen=True)
class World:
    """A server, an API behind its guard, an app, and Ann, who is in two organizations."""

    issuer: str
    api: str
    environment: dict[str, str]
    organization_ids: tuple[str, str]
    user_id: str

    def allow(self, url: str, organization_id: str) -> str:
        """Ann opens the address, signs in, allows; the callback's address."""
        with httpx.Client(follow_redirects=True) as browser:
            page = browser.get(url)
            form = find_form(page, "/sign-in")
            given = {"email": "ann@example.com", "password": PASSWORD}
            page = browser.post(urljoin(self.issuer, form.action), data=form.fields | given, follow_redirects=False)
            page = browser.get(urljoin(self.issuer, page.headers["location"]), follow_redirects=False)
            if page.is_redirect:  # what Ann has agreed to before is not asked again
                return page.headers["location"]
            form = find_form(page, "/consent")
            given = {"organization_id": organization_id, "decision": "allow"}
            posted = urljoin(self.issuer, form.action)
            return browser.post(posted, data=form.fields | given, follow_redirects=False).headers["location"]

    def allow_device(self, user_code: str, organization_id: str) -> str:
        """Ann enters the code, signing in before, and allows; the page in the end."""
        with httpx.Client(follow_redirects=True) as browser:
            page = browser.get(f"{self.issuer}/device")
            given = {"email": "ann@example.com", "password": PASSWORD}
            for action in ("/sign-in", "/device", "/device/answer"):
                posted = find_form(page, action)
                page = browser.post(urljoin(self.issuer, action), data=posted.fields | given)
                given = {"user_code": user_code, "organization_id": organization_id, "decision": "allow"}
            return page.text

    def lets_in(self, token: str) -> bool:
        """Whether the API takes the token."""
        headers = {"authorization": f"Bearer {token}"}
        return httpx.get(f"{self.api}/api/v1/me/", headers=headers).status_code == 200

    def revoke(self, token: str) -> None:
        """The app's client revokes."""
        answer = httpx.post(
            f"{self.issuer}/oauth2/revoke/",
            data={"token": token},
            auth=(self.environment["CRM_CLIENT_ID"], self.environment["CRM_CLIENT_SECRET"]),
        )
        assert answer.status_code == 200


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One of them for all examples: real HTTP, a real database."""
    directory = tmp_path_factory.mktemp("world")
    operator = QuickOperator(directory)
    acorn, birch = (
        operator.ask("organization", "create", "--name", name)["id"] for name in ("Acorn Partners", "Birch & Co")
    )
    ann = ["--email", "ann@example.com", "--name", "Ann", "--password-stdin"]
    user_id = operator.ask("user", "create", *ann, password=PASSWORD)["id"]
    for organization_id in (acorn, birch):
        operator.ask("membership", "add", "--user", user_id, "--organization", organization_id)
    named = ["--organization", acorn, "--name", "Loop", "--redirect-uri", CALLBACK]
    grants = [f"--grant-type={name}" for name in ("authorization_code", "refresh_token", "client_credentials")]
    app = operator.ask("client", "create", *named, *grants)
    guard = operator.ask("resource-server", "create", "--name", "API", "--resource", API)
    billing = operator.ask("resource-server", "create", "--name", "Billing", "--resource", BILLING)
    signed = ["--resource", FILES, "--access-token-format", "jwt"]
    files = operator.ask("resource-server", "create", "--name", "Files", *signed)
    acting = ["--name", "API", "--grant-type", TOKEN_EXCHANGE, "--acts-for-resource", API]
    exchanging = operator.ask("client", "create", "--organization", birch, *acting)
    deployment = prepare(operator.database, None)
    credentials = {"client_id": guard["client_id"], "client_secret": guard["client_secret"]}
    with serving(lambda address: build_application(Settings(issuer=address), deployment)) as issuer:
        introspection = f"{issuer}/oauth2/introspect/"
        with serving(
            lambda address: sample_api.create_app(
                issuer=issuer, introspection_endpoint=introspection, resource=API, **credentials
            )
        ) as api:
            devices = ["--public", f"--grant-type={device.GRANT_TYPE}", "--grant-type=refresh_token"]
            television = operator.ask("client", "create", "--organization", acorn, "--name", "Loop TV", *devices)
            program = ["--public", "--name", "Loop CLI", "--redirect-uri", "http://127.0.0.1/callback"]
            environment = {
                "CRM_PROGRAM": operator.ask("client", "create", "--organization", acorn, *program)["client_id"],
                "CRM_DEVICE_APP": television["client_id"],
                "CRM_ISSUER": issuer,
                "CRM_API": api,
                "CRM_CLIENT_ID": app["client_id"],
                "CRM_CLIENT_SECRET": app["client_secret"],
                "CRM_REDIRECT_URI": CALLBACK,
                "ISSUER": issuer,
                "MCP_RESOURCE": "https://mcp.example.com/mcp",
                "RESOURCE": API,
                "API_CLIENT_ID": guard["client_id"],
                "API_CLIENT_SECRET": guard["client_secret"],
                "FILES_CLIENT_ID": files["client_id"],
                "FILES_CLIENT_SECRET": files["client_secret"],
                "WEBHOOK_SECRET": WEBHOOK_SECRET,
                "NONCE_SECRET": "a secret of thirty-two characters",
                "EXCHANGE_CLIENT_ID": exchanging["client_id"],
                "EXCHANGE_CLIENT_SECRET": exchanging["client_secret"],
                "BILLING_CLIENT_ID": billing["client_id"],
                "BILLING_CLIENT_SECRET": billing["client_secret"],
            }
            yield World(issuer, api, environment, (acorn, birch), user_id)


@pytest.fixture(autouse=True)
def environment(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the examples read from the environment."""
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CRM_CONNECTIONS", str(tmp_path / "connections.db"))


def run_block(page: Page, index: int) -> dict[str, Any]:
    """Run the page's block with that number among its tested ones; what it defines."""
    block = [block for block in page.blocks if block.info == "python test"][index]
    # The line numbers of a traceback are the page's own.
    code = compile("\n" * (block.line - 1) + block.content, page.name, "exec", dont_inherit=True)
    module = ModuleType(f"{page.path.stem}_{index}")
    sys.modules[module.__name__] = module  # some frameworks look annotations up there
    exec(code, module.__dict__)
    return module.__dict__


@pytest.mark.parametrize(
    "page, index",
    [
        pytest.param(page, index, id=f"{page.name}-{index}")
        for page in read_pages()
        for index in range(sum(block.info == "python test" for block in page.blocks))
    ],
)
def test_every_python_block_runs(page: Page, index: int) -> None:
    assert run_block(page, index)


def test_every_python_block_is_tested() -> None:
    untested = [
        f"{page.name}:{block.line}"
        for page in read_pages()
        for block in page.blocks
        if block.info.split()[:1] == ["python"] and block.info != "python test"
    ]
    assert untested == []


async def test_web_app_connects_calls_refreshes_and_disconnects(world: World) -> None:
    _, birch = world.organization_ids
    defined = run_block(CONNECT, 0)
    transport = httpx.ASGITransport(defined["app"])
    async with httpx.AsyncClient(transport=transport, base_url="https://app.example.com") as browser:
        assert (await browser.get("/contacts")).headers["location"] == "/connect"
        begun = await browser.get("/connect")
        asked = parse_qs(urlsplit(begun.headers["location"]).query)
        assert {"state", "code_challenge"} <= set(asked)
        back = world.allow(begun.headers["location"], birch)
        assert (await browser.get(back, headers={"sec-purpose": "prefetch"})).status_code == 503
        async with httpx.AsyncClient(transport=transport, base_url="https://app.example.com") as other:
            assert (await other.get(back)).status_code == 400
        assert (await browser.get(back)).text == f"Connected to {birch}."
        assert (await browser.get(back)).status_code == 400

        first = await browser.get("/contacts")
        assert (first.status_code, len(first.json()["data"])) == (200, CONTACTS_PER_ORGANIZATION)
        [connection] = await defined["crm"].connections()
        assert (connection.organization_id, connection.user_id) == (birch, world.user_id)
        world.revoke(connection.access_token)
        assert (await browser.get("/contacts")).status_code == 200
        [renewed] = await defined["crm"].connections()
        assert renewed.generation == 2

        assert (await browser.post("/disconnect")).text == "Disconnected."
        assert (await browser.get("/contacts")).headers["location"] == "/connect"
        assert not world.lets_in(renewed.access_token)

        begun = await browser.get("/connect")
        [state] = parse_qs(urlsplit(begun.headers["location"]).query)["state"]
        declined = {"error": "access_denied", "state": state, "iss": world.issuer}
        answer = await browser.get(CALLBACK, params=declined)
        assert (answer.status_code, answer.text) == (200, "Nothing was connected.")
    await defined["crm"].aclose()
    await defined["api"].aclose()


def test_job_reads_every_connected_organization(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    from latchstring.client import OAuthClient, SQLiteStore

    job = run_block(CONNECT, 1)
    assert job["fetch_contacts"]() == {}
    with OAuthClient(
        world.issuer,
        client_id=world.environment["CRM_CLIENT_ID"],
        client_secret=world.environment["CRM_CLIENT_SECRET"],
        redirect_uri=CALLBACK,
        scope="all.full_access offline_access",
        store=SQLiteStore(os.environ["CRM_CONNECTIONS"]),
    ) as crm:
        for organization_id in world.organization_ids:
            crm.complete(world.allow(crm.begin(browser_session="ann"), organization_id), browser_session="ann")
        fetched = job["fetch_contacts"]()
        assert set(fetched) == set(world.organization_ids)
        assert all(len(names) == CONTACTS_PER_ORGANIZATION for names in fetched.values())
        gone, kept = crm.connections()
        world.revoke(gone.refresh_token or "")
        assert set(job["fetch_contacts"]()) == {kept.organization_id}
    assert f"{gone.organization_id}: ask {world.user_id} to connect again (invalid_grant: " in capsys.readouterr().out


def test_login_without_asyncio_connects(world: World) -> None:
    acorn, _ = world.organization_ids
    defined = run_block(CONNECT, 2)
    connection = defined["complete_login"]("ann", world.allow(defined["begin_login"]("ann"), acorn))
    assert connection.organization_id == acorn
    assert defined["find_token"](connection) == connection.access_token
    defined["crm"].close()


FRAMEWORKS = ["starlette", "flask", "django"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_pages_of_a_framework_connect_the_member_s_choice(world: World, framework: str) -> None:
    _, birch = world.organization_ids
    defined = run_block(CONNECT, 3 + FRAMEWORKS.index(framework))
    if framework == "starlette":
        transport: httpx.AsyncBaseTransport = httpx.ASGITransport(defined["app"])
    elif framework == "flask":
        transport = WsgiTransport(defined["app"])
    else:
        transport = WsgiTransport(serve_django(defined["urlpatterns"], SessionMiddleware))
    async with httpx.AsyncClient(transport=transport, base_url="https://app.example.com") as browser:
        back = world.allow((await browser.get("/connect")).headers["location"], birch)
        answer = await browser.get(back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings")
    kept = defined["crm"].connections()
    [connection] = await kept if framework == "starlette" else kept
    assert (connection.organization_id, connection.user_id) == (birch, world.user_id)


def test_device_shows_a_code_and_is_connected_by_the_person(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, birch = world.organization_ids
    defined = run_block(DEVICE, 0)
    waits: list[int] = []

    def wait(seconds: int) -> None:
        """Nobody for two polls; then Ann."""
        waits.append(seconds)
        if len(waits) == 3:
            shown = capsys.readouterr().out.splitlines()[0]
            address, _, user_code = shown.removeprefix("Open ").partition(" and enter ")
            assert address == f"{world.issuer}/device"
            assert "You can go back to your device" in world.allow_device(user_code, birch)

    monkeypatch.setattr(defined["time"], "sleep", wait)
    with httpx.Client() as http:
        tokens = defined["connect"](http)
    assert (tokens["organization_id"], tokens["user_id"]) == (birch, world.user_id)
    assert world.lets_in(tokens["access_token"])
    assert waits == [5, 5, 10], "the second poll came too fast"


def test_program_opens_the_browser_and_is_connected(world: World) -> None:
    acorn, _ = world.organization_ids

    def open_browser(url: str) -> None:
        Thread(target=lambda: httpx.get(world.allow(url, acorn)), daemon=True).start()

    assert run_block(PROGRAM, 0)["run"](open_browser=open_browser, patience=20) == world.user_id


def test_device_with_the_library_is_connected_by_the_person(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, birch = world.organization_ids
    shown: list[str] = []
    monkeypatch.setattr("builtins.print", shown.append)
    monkeypatch.setattr("time.sleep", lambda _: world.allow_device(shown[0].split()[-1], birch))
    assert run_block(PROGRAM, 1)["connect_device"]() == f"Connected to {birch}."


def test_app_itself_is_let_in_where_it_is_approved(world: World) -> None:
    acorn, birch = world.organization_ids
    work = run_block(PROGRAM, 2)["work"]
    assert work(acorn) == 200
    with pytest.raises(Misconfigured):
        work(birch)


def test_api_exchanges_by_the_library(world: World) -> None:
    token_for_billing = run_block(PROGRAM, 3)["token_for_billing"]
    token = obtain_own_token(world)
    exchanged = token_for_billing(token)
    assert (exchanged.organization_id, exchanged.user_id) == (world.organization_ids[0], None)
    assert not world.lets_in(exchanged.access_token)
    world.revoke(token)
    with pytest.raises(Misconfigured, match="invalid_request: subject_token is expired, revoked"):
        token_for_billing(token)


def test_app_is_sent_for_more_where_an_api_wants_it(world: World) -> None:
    acorn, _ = world.organization_ids
    login = run_block(CONNECT, 2)
    connection = login["complete_login"]("ann", world.allow(login["begin_login"]("ann"), acorn))
    call = run_block(PROGRAM, 4)["call"]
    crm = login["crm"]
    with httpx.Client(base_url=world.api) as api:
        assert call(crm, api, connection.key, "ann").status_code == 200
    wants = {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="all.full_access"'}
    picky = httpx.MockTransport(lambda _: httpx.Response(403, headers=wants))
    with httpx.Client(transport=picky, base_url=world.api) as api:
        url = call(crm, api, connection.key, "ann")
    assert parse_qs(urlsplit(url).query)["organization_id"] == [acorn]
    assert login["complete_login"]("ann", world.allow(url, acorn)).key == connection.key
    crm.close()


def obtain_own_token(world: World, scope: str = "all.full_access", **given: str) -> str:
    """The app's token for its own organization."""
    given |= {"grant_type": "client_credentials", "scope": scope}
    own = (world.environment["CRM_CLIENT_ID"], world.environment["CRM_CLIENT_SECRET"])
    return str(httpx.post(f"{world.issuer}/oauth2/token/", data=given, auth=own).json()["access_token"])


async def test_guarded_starlette_app_lets_good_tokens_in(world: World) -> None:
    acorn, _ = world.organization_ids
    defined = run_block(GUARD, 0)
    defined["CONTACTS"][acorn] = ["Ada"]
    token = {"authorization": f"Bearer {obtain_own_token(world)}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(defined["app"]), base_url=API) as http:
        assert (await http.get("/health")).text == "ok"
        assert (await http.get("/me", headers=token)).json() == {"organization_id": acorn, "user_id": None}
        assert (await http.get("/contacts", headers=token)).json() == ["Ada"]
        refused = await http.get("/me")
        assert (refused.status_code, set(refused.json())) == (401, {"error_description", "request_id"})
        challenge = 'Bearer realm="api.example.com", resource_metadata="'
        assert refused.headers["www-authenticate"].startswith(challenge)
        for headers, status, code in (
            ([("authorization", "Bearer nobody")], 401, "invalid_token"),
            ([*token.items(), *token.items()], 400, "invalid_request"),
        ):
            refused = await http.get("/me", headers=headers)
            assert (refused.status_code, refused.json()["error"]) == (status, code)
        assert (await http.get(f"/me?access_token={obtain_own_token(world)}")).status_code == 401
        metadata = (await http.get("/.well-known/oauth-protected-resource")).json()
        assert (metadata["resource"], metadata["authorization_servers"]) == (API, [world.issuer])
    await defined["guard"].aclose()


def serve_example(index: int) -> tuple[dict[str, Any], httpx.AsyncClient]:
    """What the block defines, and a client of its app."""
    defined = run_block(GUARD, index)
    if "urlpatterns" in defined:
        return defined, browse_wsgi(serve_django(defined["urlpatterns"], defined["guarded"]))
    return defined, (browse_wsgi if isinstance(defined["guard"], SyncGuard) else browse)(defined["app"])


@pytest.mark.parametrize("index, framework", [(1, "fastapi"), (2, "litestar"), (3, "django"), (4, "flask")])
async def test_guarded_framework_app_lets_good_tokens_in(world: World, index: int, framework: str) -> None:
    acorn, _ = world.organization_ids
    defined, http = serve_example(index)
    assert defined["require"].__module__ == f"latchstring.resource_server.frameworks.{framework}"
    defined["CONTACTS"][acorn] = ["Ada"]
    async with http:
        answer = await http.get("/contacts", headers={"authorization": f"Bearer {obtain_own_token(world)}"})
        assert (answer.status_code, answer.json()) == (200, {"data": ["Ada"]} if framework == "django" else ["Ada"])
        refused = await http.get("/contacts")
        assert (refused.status_code, set(refused.json())) == (401, {"error_description", "request_id"})
        assert refused.headers["www-authenticate"].startswith('Bearer realm="api.example.com", resource_metadata="')
        assert (await http.get("/.well-known/oauth-protected-resource")).json()["resource"] == API


async def test_guarded_plain_wsgi_app_lets_good_tokens_in(world: World) -> None:
    _, http = serve_example(6)
    async with http:
        answer = await http.get("/", headers={"authorization": f"Bearer {obtain_own_token(world)}"})
        assert (answer.status_code, answer.text) == (200, world.organization_ids[0])
        assert (await http.get("/")).status_code == 401


async def test_guarded_plain_app_lets_good_tokens_in(world: World) -> None:
    defined = run_block(GUARD, 5)
    token = {"authorization": f"Bearer {obtain_own_token(world)}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(defined["app"]), base_url=API) as http:
        answer = await http.get("/", headers=token)
        assert (answer.status_code, answer.text) == (200, world.organization_ids[0])
        assert (await http.get("/")).status_code == 401
    await defined["guard"].aclose()


async def test_guard_that_asks_once_hears_of_a_revocation(world: World) -> None:
    guard = run_block(GUARD, 7)["guard"]
    token = obtain_own_token(world)
    header = [f"Bearer {token}".encode()]
    async with asyncio.timeout(20):
        await guard.check(header)
        while not guard._verdicts.is_fresh():
            await asyncio.sleep(0.02)
        await guard.check(header)
        world.revoke(token)
        with pytest.raises(Refusal):
            while True:
                await guard.check(header)
                await asyncio.sleep(0.02)
    await guard.aclose()


async def test_guard_with_the_issuer_alone_lets_good_tokens_in(world: World) -> None:
    guard = run_block(GUARD, 8)["guard"]
    token = obtain_own_token(world)
    access = await guard.check([f"Bearer {token}".encode()])
    assert access.organization_id == world.organization_ids[0]
    assert guard.settings.revocations_endpoint == f"{world.issuer}/oauth2/revocations/"
    with pytest.raises(Refusal):
        await guard.check([b"Bearer nobody"])
    await guard.aclose()


async def test_guarded_app_checks_signed_tokens_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RESOURCE", FILES), ("API_CLIENT_ID", ""), ("API_CLIENT_SECRET", "")):
        monkeypatch.setenv(name, value or world.environment[name.replace("API", "FILES")])
    defined = run_block(GUARD, 9)
    token = obtain_own_token(world, resource=FILES)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(defined["app"]), base_url=FILES) as http:
        for good in (token, obtain_own_token(world)):
            answer = await http.get("/", headers={"authorization": f"Bearer {good}"})
            assert (answer.status_code, answer.text) == (200, world.organization_ids[0])
        for bad in (token[:-1], obtain_own_token(world, resource=API)):
            assert (await http.get("/", headers={"authorization": f"Bearer {bad}"})).status_code == 401
    await defined["guard"].aclose()


async def test_guard_that_requires_dpop_lets_bound_tokens_in(world: World) -> None:
    guard = run_block(GUARD, 10)["guard"]
    key, url, now = Prover(), f"{world.issuer}/oauth2/token/", int(time.time())
    given = {"grant_type": "client_credentials", "scope": "all.full_access"}
    own = (world.environment["CRM_CLIENT_ID"], world.environment["CRM_CLIENT_SECRET"])
    async with httpx.AsyncClient() as http:
        proof = key.prove(url=url, now=now)
        answer = (await http.post(url, data=given, auth=own, headers={"dpop": proof})).json()
    assert answer["token_type"] == "DPoP"

    async def call(**claims: Any) -> httpx.Response:
        proof = key.prove("GET", f"{API}/crm/me", now=now, access_token=answer["access_token"], **claims)
        headers = {"authorization": f"DPoP {answer['access_token']}", "dpop": proof}
        return await http.get("/me", headers=headers)

    app = guard.asgi(PlainTextResponse("ok"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=API) as http:
        refused = await call()
        assert (refused.status_code, refused.json()["error"]) == (401, "use_dpop_nonce")
        assert (await call(nonce=refused.headers["dpop-nonce"])).text == "ok"
        bearer = await http.get("/me", headers={"authorization": f"Bearer {obtain_own_token(world)}"})
        assert (bearer.status_code, bearer.headers["www-authenticate"][:5]) == (401, "DPoP ")
    await guard.aclose()


async def test_endpoints_ask_for_what_a_scope_implies_and_for_a_sign_in_of_late(world: World) -> None:
    acorn, _ = world.organization_ids
    defined, login = run_block(GUARD, 11), run_block(CONNECT, 2)
    member = login["complete_login"]("ann", world.allow(login["begin_login"]("ann"), acorn)).access_token
    login["crm"].close()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(defined["app"]), base_url=API) as http:
        for token, status in ((member, 200), (obtain_own_token(world), 401)):
            headers = {"authorization": f"Bearer {token}"}
            assert (await http.get("/contacts", headers=headers)).text == "contacts"
            assert (await http.post("/delete", headers=headers)).status_code == status
            refused = await http.get("/export", headers=headers)
            assert refused.status_code == 401, "by password, or by nobody"
            assert 'acr_values="mfa"' in refused.headers["www-authenticate"]
    await defined["guard"].aclose()


async def test_guarded_app_tells_how_many_requests_are_left(world: World) -> None:
    defined = run_block(GUARD, 12)
    headers = {"authorization": f"Bearer {obtain_own_token(world)}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(defined["app"]), base_url=API) as http:
        answers = [await http.get("/", headers=headers) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[0].headers["ratelimit"].startswith('"per-app";r=4;t=')
    assert 0 < int(answers[5].headers["retry-after"]) <= 12
    await defined["guard"].aclose()


async def test_api_exchanges_the_token_that_it_was_called_with(world: World) -> None:
    defined = run_block(EXCHANGE, 0)
    async with httpx.AsyncClient() as http:
        token = obtain_own_token(world)
        exchanged = await defined["exchange"](token, BILLING, http)
        assert not world.lets_in(exchanged)
        billing = (world.environment["BILLING_CLIENT_ID"], world.environment["BILLING_CLIENT_SECRET"])
        asked = f"{world.issuer}/oauth2/introspect/"
        seen = (await http.post(asked, auth=billing, data={"token": exchanged})).json()
        client_id = world.environment["EXCHANGE_CLIENT_ID"]
        assert (seen["aud"], seen["client_id"], seen["act"]) == ([BILLING], client_id, {"sub": client_id})
        assert (seen["sub"], seen["organization_id"]) == (world.environment["CRM_CLIENT_ID"], world.organization_ids[0])
        world.revoke(token)
        assert (await http.post(asked, auth=billing, data={"token": exchanged})).json() == {"active": False}
        with pytest.raises(httpx.HTTPStatusError, match="400"):
            await defined["exchange"](token, BILLING, http)


async def test_webhook_receiver_takes_what_is_signed_once_and_refuses_the_rest(world: World) -> None:
    defined = run_block(read_page(DOCS / "howto/receive-webhooks.md"), 0)
    body = b'{"type":"grant.ended","timestamp":"2027-01-15T08:00:00Z","data":{"user_id":"u","organization_id":"o"}}'
    headers = sign(body, "evnt_1", int(time.time()), [b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))])
    transport = httpx.ASGITransport(defined["app"])
    async with httpx.AsyncClient(transport=transport, base_url="https://receiver.example") as http:
        for _ in range(2):
            assert (await http.post("/northwind", content=body, headers=headers)).status_code == 204
        assert defined["seen"] == {"evnt_1"}
        forged = {**headers, "webhook-signature": "v1," + "A" * 43 + "="}
        assert (await http.post("/northwind", content=body, headers=forged)).status_code == 401
        late = sign(body, "evnt_2", int(time.time()) - 3600, [b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))])
        assert (await http.post("/northwind", content=body, headers=late)).status_code == 401
        assert (await http.post("/northwind", content=body)).status_code == 401
    assert defined["seen"] == {"evnt_1"}
