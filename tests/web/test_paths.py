"""The surface: which paths answer which methods, with and without a trailing slash, and what every answer carries."""

import re

import pytest

from latchstring.web import app as web_app
from tests.support.forms import find_form
from tests.support.journey import exchange, grant_code, open_consent
from tests.support.pages import NOT_PAGES, VISITS
from tests.web.answers import REQUEST_ID, assert_machine_headers, assert_page, assert_page_headers, assert_refused
from tests.web.conftest import MakeWorld, World
from tests.web.state import connect, dump, is_active
from tests.web.wire import FORM, ask

SLASHES = pytest.mark.parametrize("slash", ["", "/"], ids=["bare", "slash"])
MACHINES = ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/oauth2/par"]
PAGES = ["/", "/sign-in", "/connections", "/apps", "/apps/new", "/oauth2/authorize"]
POSTS = ["/sign-in", "/sign-out", "/consent", "/connections/x/disconnect", "/apps/new", "/apps/x", "/apps/x/secret"]


def test_every_page_has_its_row_in_the_browser_tests() -> None:
    """tests/e2e/test_every_page.py looks at each of them."""
    pages = {path for method, path, _ in web_app._PAGES if method == "GET"}
    assert pages == {visit.path for visit in VISITS} | NOT_PAGES.keys()


@SLASHES
async def test_token_path_with_or_without_slash_answers_the_post_itself(world: World, slash: str) -> None:
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    first = await world.http.post(
        f"/oauth2/token{slash}", data=world.app.body(grant_type="authorization_code", code=code)
    )
    assert first.status_code == 200, first.text
    again = await world.http.post(
        f"/oauth2/token{slash}",
        data=world.app.body(grant_type="refresh_token", refresh_token=first.json()["refresh_token"]),
    )
    assert again.status_code == 200


@SLASHES
async def test_introspection_path_with_or_without_slash_answers(world: World, slash: str) -> None:
    token = (await connect(world))["access_token"]
    response = await world.http.post(f"/oauth2/introspect{slash}", data={"token": token}, auth=world.guard)
    assert (response.status_code, response.json()["active"]) == (200, True)


@SLASHES
async def test_revocation_path_with_or_without_slash_answers(world: World, slash: str) -> None:
    token = (await connect(world))["access_token"]
    response = await world.http.post(f"/oauth2/revoke{slash}", data=world.app.body(token=token))
    assert (response.status_code, response.content) == (200, b"")
    assert not await is_active(world, token)


@SLASHES
async def test_metadata_path_with_or_without_slash_answers(world: World, slash: str) -> None:
    response = await world.http.get(f"/.well-known/oauth-authorization-server{slash}")
    assert (response.status_code, response.json()["issuer"]) == (200, "https://auth.example")


@SLASHES
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_authorization_path_with_or_without_slash_asks_the_member(world: World, slash: str, method: str) -> None:
    """A26 too: POST with the same parameters has the same answer."""
    await world.arrive(world.ann)
    parameters = {"client_id": world.app.client_id, "response_type": "code", "state": "s"}
    options = {"params": parameters} if method == "GET" else {"data": parameters}
    response = await world.http.request(method, f"/oauth2/authorize{slash}", **options)
    assert_page(response, 200)
    assert find_form(response, "/consent").choices["organization_id"] == [world.acorn, world.birch]


@pytest.mark.parametrize("path", PAGES)
async def test_page_path_with_slash_answers_as_without(world: World, path: str) -> None:
    await world.arrive(world.ann)
    bare = await world.http.get(path)
    slashed = await world.http.get(path.rstrip("/") + "/")
    assert slashed.status_code == bare.status_code
    assert slashed.headers.get("location") == bare.headers.get("location")


@SLASHES
async def test_post_to_a_page_is_answered_there_and_never_redirected(world: World, slash: str) -> None:
    """A redirected POST loses its body: what is refused is refused at the address itself."""
    before = dump(world)
    for path in POSTS:
        response = await world.http.post(path + slash, data={"name": "x"})
        assert response.status_code in {303, 403}
        if response.status_code == 303:  # nobody is signed in: on to the sign-in page, by GET, with nothing done
            assert response.headers["location"] == "/sign-in"
    assert dump(world) == before


@SLASHES
@pytest.mark.parametrize("path", MACHINES)
async def test_machine_path_other_method_is_refused_405_with_allow(world: World, path: str, slash: str) -> None:
    """T1, V11, N4; and no preflight is ever answered with an Access-Control header."""
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"):
        response = await world.http.request(method, path + slash, headers={"origin": "https://evil.example"})
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert_machine_headers(response)
        if method != "HEAD":
            assert_refused(response, 405, "invalid_request")


async def test_token_endpoint_get_with_valid_parameters_consumes_nothing(world: World) -> None:
    """T1."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    before = dump(world)
    body = world.app.body(grant_type="authorization_code", code=code)
    assert_refused(await world.http.get("/oauth2/token/", params=body), 405, "invalid_request")
    assert dump(world) == before
    assert (await exchange(world.http, world.app, code)).status_code == 200


async def test_token_endpoint_parameters_in_query_of_post_are_not_read(world: World) -> None:
    """T1: credentials never count in a URL."""
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    before = dump(world)
    body = world.app.body(grant_type="authorization_code", code=code)
    refused = await world.http.post("/oauth2/token/", params=body, data={"grant_type": "authorization_code"})
    assert_refused(refused, 401, "invalid_client")
    assert dump(world) == before


@pytest.mark.parametrize("path", ["/oauth2/authorize", "/consent", "/sign-in", "/sign-out", "/apps/new", "/apps/x"])
async def test_page_other_method_is_refused_405_with_allow(world: World, path: str) -> None:
    """A18: a preflight gets a plain 405, whatever its Origin."""
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        response = await world.http.request(method, path, headers=headers)
        assert_page(response, 405)
        assert set(response.headers["allow"].split(", ")) <= {"GET", "HEAD", "POST"}


@pytest.mark.parametrize("path", ["/consent", "/sign-out", "/connections/x/disconnect", "/apps/x/secret"])
async def test_page_that_changes_things_cannot_be_opened_by_get(world: World, path: str) -> None:
    await world.arrive(world.ann)
    before = dump(world)
    response = await world.http.get(path)
    assert_page(response, 405)
    assert response.headers["allow"] == "POST"
    assert dump(world) == before


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_unknown_path_is_a_page_that_says_so(world: World, method: str) -> None:
    for path in ("/nothing", "/oauth2", "/oauth2/token/x", "/oauth2/TOKEN", "//oauth2/token", "/apps/x/y"):
        answer = await ask(world.deployment.application, method, path)
        assert answer.status == 404
        assert REQUEST_ID.fullmatch(answer.find("x-request-id")[0])
        assert not answer.find("location")


async def test_home_leads_to_the_connections(world: World) -> None:
    response = await world.http.get("/")
    assert (response.status_code, response.headers["location"]) == (303, "/connections")
    assert_page_headers(response)


async def test_head_of_a_page_answers_like_get(world: World) -> None:
    response = await world.http.head("/sign-in")
    assert response.status_code == 200
    assert_page_headers(response)


@pytest.mark.parametrize(
    "method, paths", [("GET", [*PAGES, "/nothing", "/apps/x", "/consent"]), ("POST", [*POSTS, *MACHINES])]
)
async def test_request_id_is_on_every_answer_and_never_repeats(world: World, method: str, paths: list[str]) -> None:
    headers = {"x-request-id": "req_chosen"}
    ids = [(await world.http.request(method, path, headers=headers)).headers["x-request-id"] for path in paths * 2]
    assert all(REQUEST_ID.fullmatch(request_id) for request_id in ids), "the caller does not choose it"
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "method, path", [("GET", "/oauth2/authorize?client_id=x"), ("GET", "/consent"), ("POST", "/consent")]
)
async def test_request_id_stands_on_the_error_page_itself(world: World, method: str, path: str) -> None:
    await world.arrive(world.ann)
    response = await world.http.request(method, path)
    assert response.headers["x-request-id"] in response.text


@pytest.mark.parametrize("signed_in", [False, True], ids=["stranger", "member"])
async def test_page_headers_are_on_every_page_and_redirect(world: World, signed_in: bool) -> None:
    """A18, A19, A20."""
    if signed_in:
        await world.arrive(world.ann)
    for path in [*PAGES, "/nothing", "/apps/x", "/consent", "/oauth2/authorize?client_id=x"]:
        response = await world.http.get(path, headers={"origin": "https://evil.example"})
        if response.status_code == 303:
            assert_page_headers(response)
        else:
            assert_page(response, response.status_code)


async def test_page_with_a_form_that_leads_to_an_app_opens_form_action_only_that_far(world: World) -> None:
    """ADR 0005: https anywhere, else only the app's own scheme or loopback; workspace pages lead nowhere else."""

    def form_action(response) -> str:
        found = re.search(r"form-action ([^;]*)", response.headers["content-security-policy"])
        assert found is not None
        return found[1]

    native = await world.deployment.app(world.acorn, redirect_uris=("com.example.app:/cb",))
    local = await world.deployment.app(world.acorn, redirect_uris=("http://127.0.0.1/cb",))
    await world.arrive(world.ann)
    assert form_action(await open_consent(world.http, world.app)) == "'self' https:"
    assert form_action(await open_consent(world.http, native)) == "'self' https: com.example.app:"
    assert "http://127.0.0.1:*" in form_action(await open_consent(world.http, local))
    for path in ("/connections", "/apps", "/apps/new"):
        assert form_action(await world.http.get(path)) == "'self'"


async def test_cookie_on_https_is_host_bound_secure_and_out_of_reach(world: World) -> None:
    response = await world.http.get("/sign-in")
    (cookie,) = response.headers.get_list("set-cookie")
    name_value, *attributes = cookie.split("; ")
    name, _, value = name_value.partition("=")
    assert name == "__Host-latchstring_session"
    assert re.fullmatch(r"[0-9a-f]{64}", value)
    assert set(attributes) == {"Path=/", "HttpOnly", "SameSite=Lax", "Secure", "Max-Age=604800"}


async def test_cookie_on_plain_http_has_no_host_prefix_and_no_secure(make_world: MakeWorld) -> None:
    """A `__Host-` cookie without Secure would be dropped: the demo on 127.0.0.1 must still sign people in."""
    world = await make_world(issuer="http://127.0.0.1:8400")
    response = await world.http.get("/sign-in")
    (cookie,) = response.headers.get_list("set-cookie")
    assert cookie.startswith("latchstring_session=")
    assert set(cookie.split("; ")[1:]) == {"Path=/", "HttpOnly", "SameSite=Lax", "Max-Age=604800"}
    assert "strict-transport-security" not in response.headers


async def test_cookie_is_given_once_and_kept(world: World) -> None:
    assert "set-cookie" in (await world.http.get("/sign-in")).headers
    assert "set-cookie" not in (await world.http.get("/sign-in")).headers


async def test_cookie_of_another_form_is_replaced(world: World) -> None:
    for value in ("", "x", "A" * 64, "g" * 64, "0" * 63, "0" * 65, '"' + "0" * 62 + '"', "é" * 64):
        headers = [(b"cookie", b"__Host-latchstring_session=" + value.encode())]
        answer = await ask(world.deployment.application, "GET", "/sign-in", headers=headers)
        assert answer.status == 200
        assert re.match(r"__Host-latchstring_session=[0-9a-f]{64};", answer.find("set-cookie")[0])


@pytest.mark.parametrize("path", ["/oauth2/authorize", "/consent", "/sign-in", "/sign-out", "/apps/new", "/nothing"])
async def test_cross_site_post_does_not_overwrite_the_browsers_cookie(world: World, path: str) -> None:
    """SameSite=Lax keeps the cookie at home on a cross-site post; an answer that set a fresh one would sign the
    member out of the session they have."""
    body = b"client_id=%s&response_type=code" % world.app.client_id.encode()
    headers = [FORM, (b"origin", b"https://evil.example")]
    answer = await ask(world.deployment.application, "POST", path, headers=headers, body=body)
    assert answer.status in {303, 403, 404}
    assert not answer.find("set-cookie")


async def test_static_file_is_served_with_its_type_and_nosniff(world: World) -> None:
    for name, content_type in (("latchstring.css", "text/css"), ("latchstring.js", "text/javascript")):
        response = await world.http.get(f"/static/{name}")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(content_type)
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-cache"


async def test_static_path_outside_the_folder_is_not_found(world: World) -> None:
    outside = ("../app.py", "..%2fapp.py", "../templates/base.html", "\\..\\app.py", "/etc/passwd")
    for name in ("", "x.css", "latchstring.css/", "%00", "latchstring.css\0", *outside):
        answer = await ask(world.deployment.application, "GET", f"/static/{name}")
        assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize("path", [*MACHINES, "/consent", "/sign-in", "/oauth2/authorize"])
async def test_caller_that_hangs_up_midway_is_not_answered(world: World, path: str) -> None:
    from tests.web.wire import call

    before = dump(world)
    assert (
        await call(world.deployment.application, "POST", path, headers=[FORM], body=b"client_id=", ends=False) is None
    )
    assert dump(world) == before
