"""An issuer with a path (M1): everything below it works, whether the proxy leaves the path on or takes it off; P8."""

import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from latchstring.authorization_server.settings import OWN_SEGMENTS
from latchstring.protocol.server_metadata import metadata_url
from latchstring.web import app as web_app
from latchstring.web.api.operation import PATH as API
from latchstring.web.rendering.renderer import TEMPLATES_DIRECTORY
from tests.support.deployment import REDIRECT_URI, deploy
from tests.support.device import GRANT_TYPE
from tests.support.forms import find_form, submit
from tests.support.journey import answer_of
from tests.support.proofs import Prover
from tests.web.conftest import MakeWorld, World

ISSUER = "https://shared.example/tenants/one"
BASE = "/tenants/one"


class Proxy(httpx.AsyncBaseTransport):
    """Passes requests on below `BASE` and to the well-known places; takes `BASE` off where `takes_off` says so, or
    mounts the server as a framework does."""

    def __init__(self, world: World, way: str) -> None:
        self._way = way
        root_path = "/mounted" if way == "mounted" else ""
        self._server = httpx.ASGITransport(
            world.deployment.application, raise_app_exceptions=False, root_path=root_path
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        if not path.startswith((BASE + "/", "/.well-known/")):
            return httpx.Response(404, text="the proxy knows no such place")
        if self._way == "taken off":
            path = path.removeprefix(BASE)
        if self._way == "mounted":
            path = "/mounted" + path
        request.url = request.url.copy_with(raw_path=path.encode())
        return await self._server.handle_async_request(request)


@pytest.fixture(params=["left on", "taken off", "mounted"])
async def world(request: pytest.FixtureRequest, make_world: MakeWorld) -> World:
    world = await make_world(issuer=ISSUER, registration="open")
    world.http = httpx.AsyncClient(transport=Proxy(world, request.param), base_url="https://shared.example")
    return world


async def follow(http: httpx.AsyncClient, response: httpx.Response) -> httpx.Response:
    while response.status_code == 303 and response.headers["location"].startswith("/"):
        response = await http.get(response.headers["location"])
    return response


async def metadata(world: World) -> dict[str, Any]:
    response = await world.http.get(metadata_url(ISSUER))
    assert response.status_code == 200
    document: dict[str, Any] = response.json()
    return document


async def test_metadata_is_where_clients_look_for_it(world: World) -> None:
    """M1, M2: in the order in which MCP clients look."""
    first = await world.http.get("/.well-known/oauth-authorization-server/tenants/one")
    assert first.json()["issuer"] == ISSUER
    for path in (
        "/.well-known/oauth-authorization-server/tenants/one/",
        "/.well-known/openid-configuration/tenants/one",
        "/tenants/one/.well-known/openid-configuration",
    ):
        assert (await world.http.get(path)).content == first.content
    endpoints = [value for name, value in first.json().items() if name.endswith(("_endpoint", "_uri"))]
    assert len(endpoints) > 5
    assert all(endpoint.startswith(ISSUER + "/oauth2/") for endpoint in endpoints)


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server",
        "/tenants/one/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/tenants",
        "/.well-known/oauth-authorization-server/tenants/two",
        "/.well-known/openid-configuration/tenants/two",
    ],
)
async def test_metadata_of_another_issuer_is_not_there(world: World, path: str) -> None:
    """M2: a document whose issuer is not the one that was asked for must not be used."""
    assert (await world.http.get(path)).status_code == 404


async def test_whole_loop_below_the_path(world: World) -> None:
    """Sign in, consent, exchange, refresh, introspection, revocation: every address stays below the path."""
    http, document = world.http, await metadata(world)
    query = {"client_id": world.app.client_id, "response_type": "code", "state": "s"}
    page = await follow(http, await http.get(document["authorization_endpoint"], params=query))
    assert_all_below(page)
    form = find_form(page, f"{BASE}/sign-in")
    response = await submit(http, page, form, email="ann@example.com", password="correct horse battery")
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Secure-latchstring_session=")
    assert f"; Path={BASE};" in cookie
    assert "; Secure" in cookie
    page = await follow(http, response)
    assert_all_below(page)
    consent = await submit(
        http, page, find_form(page, f"{BASE}/consent"), decision="allow", organization_id=world.acorn
    )
    answer = answer_of(consent)
    assert consent.headers["location"].startswith(REDIRECT_URI)
    assert (answer["iss"], answer["state"]) == (ISSUER, "s")
    body = world.app.body(grant_type="authorization_code", code=answer["code"])
    tokens = (await http.post(document["token_endpoint"], data=body)).json()
    body = world.app.body(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    tokens = (await http.post(document["token_endpoint"], data=body)).json()
    asked = {"data": {"token": tokens["access_token"]}, "auth": world.guard}
    told = (await http.post(document["introspection_endpoint"], **asked)).json()
    assert (told["active"], told["iss"]) == (True, ISSUER)
    await http.post(document["revocation_endpoint"], data=world.app.body(token=tokens["refresh_token"]))
    assert (await http.post(document["introspection_endpoint"], **asked)).json() == {"active": False}
    assert (await http.get(document["jwks_uri"])).json()["keys"]


async def test_device_flow_below_the_path(world: World) -> None:
    """RFC 8628: both addresses that the device shows, the pages, and the way back from the sign-in."""
    http, document = world.http, await metadata(world)
    codes = (await http.post(document["device_authorization_endpoint"], data=world.app.body())).json()
    assert codes["verification_uri"] == f"{ISSUER}/device"
    page = await follow(http, await http.get(codes["verification_uri_complete"]))
    form = find_form(page, f"{BASE}/sign-in")
    page = await follow(http, await submit(http, page, form, email="ann@example.com", password="correct horse battery"))
    assert_all_below(page)
    page = await follow(http, await submit(http, page, find_form(page, f"{BASE}/device")))
    assert_all_below(page)
    answered = {"decision": "allow", "organization_id": world.acorn}
    page = await follow(http, await submit(http, page, find_form(page, f"{BASE}/device/answer"), **answered))
    assert_all_below(page)
    assert "You can go back to your device" in page.text
    body = world.app.body(grant_type=GRANT_TYPE, device_code=codes["device_code"])
    assert (await http.post(document["token_endpoint"], data=body)).status_code == 200


async def test_device_is_sent_to_a_page_below_the_path(world: World) -> None:
    document = await metadata(world)
    codes = (await world.http.post(document["device_authorization_endpoint"], data=world.app.body())).json()
    assert codes["verification_uri"] == f"{ISSUER}/device"
    for name in ("verification_uri", "verification_uri_complete"):
        page = await follow(world.http, await world.http.get(codes[name]))
        assert page.status_code == 200
        assert_all_below(page)


async def test_proof_is_for_the_endpoint_as_its_metadata_names_it(world: World) -> None:
    """S13: whatever the proxy makes of the path."""
    document, clock = await metadata(world), world.deployment.clock
    body = world.app.body(grant_type="client_credentials")
    for url, status in ((document["token_endpoint"], 200), ("https://shared.example/oauth2/token/", 400)):
        proof = Prover().prove(url=url, now=clock.now)
        response = await world.http.post(document["token_endpoint"], data=body, headers={"dpop": proof})
        assert response.status_code == status, response.text


async def test_client_registered_below_the_path_is_managed_there(world: World) -> None:
    document = await metadata(world)
    wanted = {"redirect_uris": [REDIRECT_URI], "client_name": "Mailloop"}
    made = (await world.http.post(document["registration_endpoint"], json=wanted)).json()
    assert made["registration_client_uri"].startswith(f"{ISSUER}/oauth2/register/")
    token = {"authorization": f"Bearer {made['registration_access_token']}"}
    read = await world.http.get(made["registration_client_uri"], headers=token)
    assert (read.status_code, read.json()["client_id"]) == (200, made["client_id"])


async def test_pages_lead_nowhere_but_below_the_path(world: World) -> None:
    """Every link, form, picture, script and redirect of every page that a member can reach."""
    await world.arrive(world.ann)
    seen: set[str] = set()
    waiting = [f"{BASE}/", f"{BASE}/nothing-here", f"{BASE}/apps/{world.app.client_id}"]
    while waiting:
        path = waiting.pop()
        seen.add(path)
        page = await world.http.get(path)
        if page.headers.get("content-type") in {"application/jsonl", "text/csv; charset=utf-8"}:
            continue  # an export leads nowhere
        found = [page.headers["location"]] if page.status_code == 303 else assert_all_below(page)
        for target in found:
            target = target.partition("#")[0].replace("&amp;", "&")
            assert target.startswith(BASE + "/"), (path, target)
            is_page = not any(part in target for part in ("/static/", "/disconnect", ".csv", "format="))
            if target not in seen and is_page:
                waiting.append(target)
    assert {f"{BASE}/apps", f"{BASE}/apps/new", f"{BASE}/connections"} <= seen


def assert_all_below(page: httpx.Response) -> list[str]:
    """The page's own addresses, all of them below the path."""
    assert page.headers["content-type"].startswith("text/html")
    found = re.findall(r'(?:href|action|src|formaction)="([^"]+)"', page.text)
    own = [target for target in found if not target.startswith(("https://", "http://", "#"))]
    assert own
    assert all(target.startswith(BASE + "/") for target in own), own
    return [target for target in own if not target.endswith(("/sign-out", "/consent"))]


async def test_static_files_are_below_the_path(world: World) -> None:
    page = await world.http.get(f"{BASE}/sign-in")
    for address in re.findall(r'(?:href|src)="([^"]+/static/[^"]+)"', page.text):
        response = await world.http.get(address)
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]


async def test_request_uri_of_another_issuer_is_unknown(
    make_world: MakeWorld, empty_database: Path, tmp_path: Path
) -> None:
    """P8, Keycloak #50135: and the browser is sent nowhere."""
    one = await make_world(issuer=ISSUER)
    body = one.app.body(response_type="code", redirect_uri=REDIRECT_URI)
    pushed = await one.http.post(f"{ISSUER}/oauth2/par", data=body)
    assert pushed.status_code == 201
    shutil.copyfile(empty_database, tmp_path / "latchstring.db")
    async with deploy(tmp_path, issuer="https://shared.example/tenants/two") as other:
        app = await other.app(await other.organization())
        for client_id in (one.app.client_id, app.client_id):
            query = {"client_id": client_id, "request_uri": pushed.json()["request_uri"]}
            page = await other.http().get("/oauth2/authorize", params=query)
            assert page.status_code == 400
            assert "location" not in page.headers


def test_templates_have_no_address_without_the_base_path() -> None:
    for template in TEMPLATES_DIRECTORY.glob("*.html"):
        bare = re.findall(r'(?:href|action|src|formaction)="/[^"]*"', template.read_text())
        assert bare == [], f"{template.name}: begin it with {{{{ base_path }}}}"


def test_own_segments_are_those_of_the_paths() -> None:
    paths = [*web_app._MACHINES, *(path for _, path, _ in web_app._PAGES), API, "/static/x"]
    assert {path.split("/")[1] for path in paths} - {""} == OWN_SEGMENTS
