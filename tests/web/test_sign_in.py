"""Signing in and out: sessions, their cookies, and where a browser is sent afterwards."""

import re
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.support.deployment import PASSWORD
from tests.support.forms import find_form, read_forms, submit
from tests.support.journey import follow, sign_in
from tests.web.answers import assert_page, assert_page_headers
from tests.web.conftest import MakeWorld, World
from tests.web.state import dump
from tests.web.wire import FORM, ask

NAME = "__Host-latchstring_session"


async def open_sign_in(world: World, http: httpx.AsyncClient | None = None, **query: str) -> httpx.Response:
    page = await (http or world.http).get("/sign-in", params=query)
    assert_page(page, 200)
    return page


def sessions(world: World) -> list[tuple]:
    return [row for row in dump(world) if row[0] == "browser_session"]


async def test_sign_in_page_is_a_plain_form_with_email_password_and_csrf(world: World) -> None:
    form = find_form(await open_sign_in(world), "/sign-in")
    assert form.method == "POST"
    assert {"email", "password", "csrf_token"} <= form.fields.keys()
    assert form.fields["csrf_token"]


@pytest.mark.parametrize("email", ["ann@example.com", "ANN@Example.COM", " ann@example.com "])
async def test_sign_in_right_password_begins_a_session_with_a_fresh_cookie(world: World, email: str) -> None:
    """Session rotation: the cookie from before the sign-in is worth nothing after it."""
    page = await open_sign_in(world)
    before = world.http.cookies[NAME]
    response = await submit(world.http, page, find_form(page, "/sign-in"), email=email, password=PASSWORD)
    assert (response.status_code, response.headers["location"]) == (303, "/connections")
    assert_page_headers(response)
    after = world.http.cookies[NAME]
    assert after != before
    assert "ann@example.com" in (await world.http.get("/connections")).text
    async with world.deployment.http(cookies={NAME: before}) as fixated:
        assert (await fixated.get("/connections")).status_code == 303
    ((_, session_hash, user_id, _, expires_at, acr),) = sessions(world)
    assert (user_id, acr) == (world.ann, "pwd")
    assert expires_at == world.deployment.clock.now + 7 * 24 * 3600
    assert after.encode() not in session_hash, "the database holds a hash only"


@pytest.mark.parametrize(
    "email, password",
    [
        ("ann@example.com", "wrong"),
        ("ann@example.com", ""),
        ("ann@example.com", PASSWORD + " "),
        ("ann@example.com", PASSWORD.upper()),
        ("ann@example.com", "x" * 8000),
        ("nobody@example.com", PASSWORD),
        ("", ""),
        ("' OR 1=1 --", PASSWORD),
        ("ann@example.com\r\nX: y", PASSWORD),
    ],
)
async def test_sign_in_refused_is_422_with_one_text_for_every_cause(world: World, email: str, password: str) -> None:
    """CVE-2026-23511, CVE-2024-41952: an unknown email reads like a wrong password."""
    page = await open_sign_in(world)
    cookie = world.http.cookies[NAME]
    response = await submit(world.http, page, find_form(page, "/sign-in"), email=email, password=password)
    assert_page(response, 422)
    assert "This email address and password do not belong together" in response.text
    assert world.http.cookies[NAME] == cookie
    assert not password.strip() or password not in response.text
    assert sessions(world) == []


async def test_sign_in_refused_pages_differ_in_nothing_but_the_email(world: World) -> None:
    texts = []
    for email in ("ann@example.com", "nob@example.com"):
        page = await open_sign_in(world)
        response = await submit(world.http, page, find_form(page, "/sign-in"), email=email, password="wrong")
        request_id = response.headers["x-request-id"]
        text = re.sub(r'data-passkey="[^"]*"', "", response.text)  # a challenge, random in each
        texts.append(text.replace(email, "EMAIL").replace(request_id, "ID"))
    assert texts[0] == texts[1]


async def test_sign_in_refused_keeps_where_it_was_going(world: World) -> None:
    first = await follow(world.http, await world.http.get("/apps"))
    refused = await submit(world.http, first, find_form(first, "/sign-in"), email="ann@example.com", password="wrong")
    assert_page(refused, 422)
    assert (await sign_in(world.http, refused, "ann@example.com")).url.path == "/apps"


async def test_sign_in_html_in_the_email_is_inert(world: World) -> None:
    page = await open_sign_in(world)
    nasty = '"><script>alert(1)</script>'
    response = await submit(world.http, page, find_form(page, "/sign-in"), email=nasty, password="x")
    assert_page(response, 422)
    assert "<script>alert" not in response.text
    assert find_form(response, "/sign-in").fields["email"] == nasty


async def test_sign_in_over_a_session_ends_the_old_one(world: World) -> None:
    old = await world.arrive(world.ann)
    page = await world.http.get("/connections")
    token = find_form(page, "/sign-out").fields["csrf_token"]
    data = {"email": "ann@example.com", "password": PASSWORD, "csrf_token": token}
    assert (await world.http.post("/sign-in", data=data)).status_code == 303
    assert world.http.cookies[NAME] != old
    async with world.deployment.http(cookies={NAME: old}) as thief:
        assert (await thief.get("/connections")).status_code == 303


async def test_sign_in_while_signed_in_goes_on_at_once(world: World) -> None:
    await world.arrive(world.ann)
    response = await world.http.get("/sign-in")
    assert (response.status_code, response.headers["location"]) == (303, "/connections")


# -- CSRF: every form that posts


@pytest.mark.parametrize(
    "path, data",
    [
        ("/sign-in", {"email": "ann@example.com", "password": PASSWORD}),
        ("/sign-out", {}),
        ("/consent", {"decision": "allow"}),
        ("/apps/new", {"name": "Evil", "redirect_uris": "https://evil.example/cb"}),
        ("/apps/{app}", {"name": "Evil", "redirect_uris": "https://evil.example/cb"}),
        ("/apps/{app}/secret", {}),
        ("/connections/{grant}/disconnect", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_form_without_a_csrf_token_of_this_browser_changes_nothing(
    world: World, path: str, data: dict[str, str]
) -> None:
    """A22 for every POST page; also for the sign-in itself (login CSRF)."""
    from latchstring.authorization_server.identifiers import GRANT, render_identifier
    from tests.web.state import connect, find_grant

    grant = await find_grant(world, (await connect(world))["refresh_token"])
    path = path.format(app=world.app.client_id, grant=render_identifier(GRANT, grant.id))
    async with world.deployment.http() as other:
        foreign = find_form(await other.get("/sign-in"), "/sign-in").fields["csrf_token"]
    await world.arrive(world.ann)
    before = dump(world)
    given = {"organization_id": world.acorn, **data}
    for token in ({}, {"csrf_token": ""}, {"csrf_token": foreign}, {"csrf_token": "x" * 8000}, {"csrf_token": "é"}):
        response = await world.http.post(path, data={**given, **token})
        assert_page(response, 403)
        assert "set-cookie" not in response.headers
    assert dump(world) == before
    async with world.deployment.http() as bare:  # no cookie at all
        response = await bare.post(path, data={**given, "csrf_token": foreign})
        assert response.status_code in {303, 403}
        assert response.headers.get("location", "/sign-in") == "/sign-in"
    assert dump(world) == before


async def test_csrf_token_from_before_the_sign_in_is_worthless_after_it(world: World) -> None:
    page = await open_sign_in(world)
    early = find_form(page, "/sign-in").fields["csrf_token"]
    await sign_in(world.http, page, "ann@example.com")
    response = await world.http.post("/sign-out", data={"csrf_token": early})
    assert_page(response, 403)
    assert len(sessions(world)) == 1


@pytest.mark.parametrize("content_type", [b"application/json", b"text/plain", b"multipart/form-data; boundary=x"])
async def test_form_of_another_content_type_is_refused(world: World, content_type: bytes) -> None:
    cookie = await world.arrive(world.ann)
    token = find_form(await world.http.get("/connections"), "/sign-out").fields["csrf_token"]
    headers = [(b"content-type", content_type), (b"cookie", f"{NAME}={cookie}".encode())]
    answer = await ask(
        world.deployment.application, "POST", "/sign-out", headers=headers, body=f"csrf_token={token}".encode()
    )
    assert answer.status == 400
    assert len(sessions(world)) == 1


async def test_form_over_the_limit_is_refused_413(world: World) -> None:
    cookie = await world.arrive(world.ann)
    headers = [FORM, (b"cookie", f"{NAME}={cookie}".encode())]
    answer = await ask(
        world.deployment.application, "POST", "/apps/new", headers=headers, body=b"description=" + b"x" * 70_000
    )
    assert answer.status == 413


# -- where to go on


@pytest.mark.parametrize(
    "forged",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "/apps",
        "L2FwcHM",
        "x",
        "é",
        "A" * 9000,
    ],
)
async def test_continue_that_we_did_not_seal_leads_home(world: World, forged: str) -> None:
    """GHSA-vp58-j275-797x, CVE-2024-39694: in the address and in the form, signed out and in."""
    page = await open_sign_in(world, **{"continue": forged})
    form = find_form(page, "/sign-in")
    assert form.fields["continue"] == ""
    given = {"email": "ann@example.com", "password": PASSWORD, "continue": forged[:8000]}
    response = await submit(world.http, page, form, **given)
    assert (response.status_code, response.headers["location"]) == (303, "/connections")
    again = await world.http.get("/sign-in", params={"continue": forged})
    assert again.headers["location"] == "/connections"


async def test_continue_with_a_value_sealed_for_something_else_leads_home(world: World) -> None:
    """A CSRF token or a sealed request is no address."""
    page = await open_sign_in(world)
    token = find_form(page, "/sign-in").fields["csrf_token"]
    assert find_form(await open_sign_in(world, **{"continue": token}), "/sign-in").fields["continue"] == ""


async def test_continue_changed_at_any_place_leads_home(world: World) -> None:
    location = (await world.http.get("/apps")).headers["location"]
    (sealed,) = parse_qs(urlsplit(location).query)["continue"]
    for position in range(0, len(sealed), 3):
        changed = sealed[:position] + ("A" if sealed[position] != "A" else "B") + sealed[position + 1 :]
        form = find_form(await open_sign_in(world, **{"continue": changed}), "/sign-in")
        assert form.fields["continue"] == ""


@pytest.mark.parametrize(
    "path",
    [
        "/apps/a%0d%0aSet-Cookie:%20x=1",
        "/apps/%E2%82%AC",
        "/apps/a%3Fb%23c",
        "/apps/%22%3E%3Cb%3E",
    ],
)
async def test_continue_to_an_odd_address_never_breaks_a_header(world: World, path: str) -> None:
    """What was percent-encoded on the way in is so on the way out: no line break, no letter that no header holds."""
    page = await follow(world.http, await world.http.get(path))
    assert page.url.path == "/sign-in"
    form = find_form(page, "/sign-in")
    response = await submit(world.http, page, form, email="ann@example.com", password=PASSWORD)
    assert response.status_code == 303
    location = response.headers["location"]
    assert location.startswith("/apps/")
    assert all(0x21 <= ord(character) < 0x7F for character in location)
    assert_page(await world.http.get(location), 404)


async def test_continue_keeps_the_query(world: World) -> None:
    page = await follow(world.http, await world.http.get("/apps/new?x=%C3%BC&y=a+b%26"))
    response = await submit(world.http, page, find_form(page, "/sign-in"), email="ann@example.com", password=PASSWORD)
    assert response.headers["location"] == "/apps/new?x=%C3%BC&y=a+b%26"


async def test_continue_to_an_address_too_long_to_carry_leads_home(world: World) -> None:
    for path in ("/apps/new?x=" + "x" * 9000, "/apps/" + "x" * 9000):
        async with world.deployment.http() as http:
            page = await follow(http, await http.get(path))
            response = await submit(http, page, find_form(page, "/sign-in"), email="ann@example.com", password=PASSWORD)
            assert (response.status_code, response.headers["location"]) == (303, "/connections")


async def test_page_that_needs_a_session_leads_to_sign_in_and_back(world: World) -> None:
    for path in ("/connections", "/apps", "/apps/new", f"/apps/{world.app.client_id}"):
        async with world.deployment.http() as http:
            response = await http.get(path)
            assert response.status_code == 303
            assert_page_headers(response)
            assert urlsplit(response.headers["location"]).path == "/sign-in"
            page = await sign_in(http, await follow(http, response), "ann@example.com")
            assert (page.status_code, page.url.path) == (200, path)


# -- the end of a session


async def test_sign_out_kills_the_session_on_the_server(world: World) -> None:
    """The cookie brought back is worth nothing."""
    old = await world.arrive(world.ann)
    page = await world.http.get("/connections")
    response = await submit(world.http, page, find_form(page, "/sign-out"))
    assert_page(response, 200)
    assert "You are signed out" in response.text
    assert sessions(world) == []
    assert world.http.cookies[NAME] != old
    for cookie in (old, world.http.cookies[NAME]):
        async with world.deployment.http(cookies={NAME: cookie}) as browser:
            assert (await browser.get("/connections")).status_code == 303


async def test_sign_out_leaves_the_persons_other_browsers_signed_in(world: World) -> None:
    async with world.deployment.http() as other:
        await world.arrive(world.ann, other)
        await world.arrive(world.ann)
        page = await world.http.get("/connections")
        await submit(world.http, page, find_form(page, "/sign-out"))
        assert (await other.get("/connections")).status_code == 200


async def test_session_ends_by_itself(make_world: MakeWorld) -> None:
    world = await make_world(session_lifetime=3600)
    await world.arrive(world.ann)
    world.deployment.clock.advance(3599)
    assert (await world.http.get("/connections")).status_code == 200
    world.deployment.clock.advance(1)
    assert (await world.http.get("/connections")).status_code == 303
    page = await follow(world.http, await world.http.get("/connections"))
    await sign_in(world.http, page, "ann@example.com")
    assert len(sessions(world)) == 1, "the expired one is swept at the next sign-in"


async def test_session_cookie_made_up_signs_nobody_in(world: World) -> None:
    await world.arrive(world.ann)
    for value in ("0" * 64, "f" * 64, world.http.cookies[NAME][:-1] + "0", world.http.cookies[NAME].upper()):
        async with world.deployment.http(cookies={NAME: value}) as thief:
            response = await thief.get("/connections")
            assert value == world.http.cookies[NAME] or response.status_code == 303


async def test_no_page_shows_a_session_cookie_or_password(world: World) -> None:
    """I7 for the pages themselves."""
    await world.arrive(world.ann)
    for path in ("/connections", "/apps", "/apps/new", f"/apps/{world.app.client_id}", "/nothing"):
        text = (await world.http.get(path)).text
        assert world.http.cookies[NAME] not in text
        assert "argon2" not in text
        assert world.app.secret is not None
        assert world.app.secret not in text


async def test_every_form_of_every_page_posts_to_ourselves_with_csrf(world: World) -> None:
    """The no-JavaScript walk: nothing but plain forms, each with its token."""
    pages = [await open_sign_in(world)]
    await world.arrive(world.ann)
    params = {"client_id": world.app.client_id, "response_type": "code"}
    pages += [
        await world.http.get(path, params=params)
        for path in ("/connections", "/apps", "/apps/new", f"/apps/{world.app.client_id}", "/oauth2/authorize")
    ]
    for page in pages:
        for form in read_forms(page.text):
            assert form.method == "POST"
            assert form.action.startswith("/")
            assert not form.action.startswith("//")
            assert form.fields["csrf_token"]
