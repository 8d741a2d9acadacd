"""The developer's pages: register an app, see its secret once, change it, replace the secret."""

import re

import httpx
import msgspec
import pytest

from latchstring.authorization_server.events import COMMAND_LINE
from tests.support.deployment import REDIRECT_URI, App
from tests.support.forms import find_form, submit
from tests.support.journey import exchange, follow, grant_code, open_consent
from tests.web.answers import assert_page, assert_refused
from tests.web.conftest import World
from tests.web.state import dump, find_grants

SECRET = re.compile(r'<code id="client-secret"[^>]*>(ls_cs_[0-9A-Za-z]+)</code>')
CLIENT_ID = re.compile(r'<code id="client-id"[^>]*>(oa2client_[0-9A-Za-z]{22})</code>')


async def register(world: World, **values: str) -> httpx.Response:
    """Fill in the form for a new app, as Ann."""
    await world.arrive(world.ann)
    page = await world.http.get("/apps/new")
    assert_page(page, 200)
    given = {"organization_id": world.acorn, "name": "Ledgerly", "redirect_uris": REDIRECT_URI, **values}
    return await submit(world.http, page, find_form(page, "/apps/new"), **given)


def clients(world: World) -> list[tuple]:
    return [row for row in dump(world) if row[0] == "client"]


async def test_app_registered_works_and_shows_its_secret_on_that_page_only(world: World) -> None:
    """DESIGN §1.1, CVE-2026-40166: kept as a hash, never returned again."""
    response = await register(
        world,
        description="Keeps the books.",
        terms_uri="https://app.example/terms",
        policy_uri="https://app.example/privacy",
        redirect_uris=f"  {REDIRECT_URI}\r\n\r\nhttps://app.example/other\r\n{REDIRECT_URI}\r\n",
    )
    assert_page(response, 200)
    (secret,), (client_id,) = SECRET.findall(response.text), CLIENT_ID.findall(response.text)
    record = await world.deployment.store.find_client(client_id)
    assert record is not None
    assert (record.name, record.description, record.organization_id) == ("Ledgerly", "Keeps the books.", world.acorn)
    assert record.redirect_uris == (REDIRECT_URI, "https://app.example/other")
    assert (record.terms_uri, record.policy_uri) == ("https://app.example/terms", "https://app.example/privacy")
    assert (record.created_by, record.is_public, record.is_published) == (world.ann, False, False)
    code = await grant_code(world.deployment, App(record, secret), world.ann, world.birch)
    assert (await exchange(world.http, App(record, secret), code)).status_code == 200
    for path in ("/apps", f"/apps/{client_id}", "/connections"):
        page = await world.http.get(path)
        assert_page(page, 200)
        assert secret not in page.text
        assert not SECRET.search(page.text)
    assert secret not in str(dump(world))
    assert secret[:10] in (await world.http.get(f"/apps/{client_id}")).text, "its first characters tell it apart"


async def test_app_that_cannot_keep_a_secret_gets_none(world: World) -> None:
    response = await register(world, is_public="true")
    assert_page(response, 200)
    (client_id,) = CLIENT_ID.findall(response.text)
    assert not SECRET.search(response.text)
    record = await world.deployment.store.find_client(client_id)
    assert record is not None
    assert (record.is_public, record.secrets) == (True, ())
    token = find_form(response, "/sign-out").fields["csrf_token"]
    replaced = await world.http.post(f"/apps/{client_id}/secret", data={"csrf_token": token})
    assert "ls_cs_" not in replaced.text
    assert await world.deployment.store.find_client(client_id) == record


@pytest.mark.parametrize(
    "redirect_uris",
    [
        "",
        "   \r\n ",
        "http://app.example/cb",
        "http://localhost.evil.example/cb",
        "http://localhost:80@evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "myapp:/cb",
        "myapp://cb",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "file:///etc/passwd",
        "vbscript:x",
        "blob:https://app.example/x",
        "about:blank",
        "https://",
        "https:///cb",
        "//app.example/cb",
        "/cb",
        "app.example/cb",
        "https://app.example/cb#",
        "https://app.example/cb#x",
        "https://user@app.example/cb",
        "https://app.example@evil.example/cb",
        "https://*.example/cb",
        "https://app.example/*",
        "https://app.example/a/../b",
        "https://app.example/a/%2e%2e/b",
        "https://app.example/..;/b",
        "https://app.example/cb?code=x",
        "https://app.example/cb?x=1&state=y",
        "https://app.example/cb?error=x",
        "https://app.example\\cb",
        "https://app.example/c b",
        "https://app.example/\tcb",
        "https://аpp.example/cb",
        "https://app.example:port/cb",
        "https://app.example:99999/cb",
        "https://[::1/cb",
        "https://app.example/" + "x" * 2000,
        "\r\n".join(f"https://app.example/{n}" for n in range(51)),
        f"{REDIRECT_URI}\r\nhttp://app.example/cb",
    ],
    ids=lambda value: value[:40],
)
async def test_app_with_an_unusable_redirect_uri_is_refused_and_the_form_keeps_what_was_typed(
    world: World, redirect_uris: str
) -> None:
    """A5, A6, A7, CVE-2026-9689, Authlib 1.8.0."""
    before = len(clients(world))
    response = await register(world, redirect_uris=redirect_uris, description="kept")
    assert_page(response, 422)
    form = find_form(response, "/apps/new")
    assert form.fields["description"].strip() == "kept"
    assert "alert(1)</script>" not in response.text
    assert len(clients(world)) == before


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://app.example",
        "https://app.example:8443/cb?tenant=1",
        "http://127.0.0.1/cb",
        "http://[::1]:8000/cb",
        "http://localhost:3000/cb",
        "com.example.app:/cb",
        "https://app.example/a%20b/(x)~",
    ],
)
async def test_app_with_a_usable_redirect_uri_is_registered_as_typed(world: World, redirect_uri: str) -> None:
    """A4, A5."""
    response = await register(world, redirect_uris=redirect_uri)
    assert_page(response, 200)
    (client_id,) = CLIENT_ID.findall(response.text)
    record = await world.deployment.store.find_client(client_id)
    assert record is not None
    assert record.redirect_uris == (redirect_uri,)


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "\u202e\u200b"},
        {"name": "x" * 81},
        {"description": "x" * 501},
        {"terms_uri": "javascript:alert(1)"},
        {"terms_uri": "example.com"},
        {"policy_uri": "data:text/html,x"},
        {"policy_uri": "https://user@example.com/"},
        {"policy_uri": "https://[x/"},
        {"organization_id": ""},
        {"organization_id": "x"},
        {"organization_id": "orga_9999999999999999999999"},
    ],
    ids=lambda value: f"{next(iter(value))}={next(iter(value.values()))[:20]!r}",
)
async def test_app_with_an_unusable_field_is_refused(world: World, values: dict[str, str]) -> None:
    before = len(clients(world))
    assert_page(await register(world, **values), 422)
    assert len(clients(world)) == before


async def test_app_cannot_be_registered_for_an_organization_that_is_not_ones_own(world: World) -> None:
    """CVE-2026-41427, CVE-2025-61928: the body does not choose whose it is."""
    elsewhere = await world.deployment.organization("Hidden Holdings")
    await world.deployment.store.end_membership(
        user_id=world.ann, organization_id=world.birch, now=world.deployment.clock.now
    )
    before = len(clients(world))
    for organization_id in (elsewhere, world.birch):
        response = await register(world, organization_id=organization_id, created_by="user_x", is_published="true")
        assert_page(response, 422)
        assert "Hidden Holdings" not in response.text
    assert len(clients(world)) == before
    page = await register(world, created_by="user_x", is_published="true", client_id="mine", scope="more")
    (client_id,) = CLIENT_ID.findall(page.text)
    record = await world.deployment.store.find_client(client_id)
    assert record is not None
    assert (record.created_by, record.is_published) == (world.ann, False)
    assert record.scope == ("all.full_access", "offline_access")


async def test_app_cannot_be_registered_by_a_member_of_no_organization(world: World) -> None:
    carl = await world.deployment.user("carl@example.com", "Carl")
    await world.arrive(carl)
    assert_page(await world.http.get("/apps"), 200)
    page = await world.http.get("/apps/new")
    assert_page(page, 403)
    token = find_form(page, "/sign-out").fields["csrf_token"]
    data = {"csrf_token": token, "organization_id": world.acorn, "name": "x", "redirect_uris": REDIRECT_URI}
    before = dump(world)
    assert (await world.http.post("/apps/new", data=data)).status_code in {403, 422}
    assert dump(world) == before


async def test_app_name_is_one_clean_line_and_its_html_inert_on_every_page(world: World) -> None:
    """G8, CVE-2018-1000088: control and direction characters are gone before anything is kept."""
    nasty = "<img src=x onerror=alert(1)>\u202e\u2066\u0007 {{7*7}}\r\n %(x)s"
    page = await register(world, name=nasty, description="</textarea><script>alert(1)</script>\u202e{{7*7}}")
    (client_id,) = CLIENT_ID.findall(page.text)
    record = await world.deployment.store.find_client(client_id)
    assert record is not None
    assert record.name == "<img src=x onerror=alert(1)> {{7*7}} %(x)s"
    await world.arrive(world.ann)
    pages = [page, await world.http.get("/apps"), await world.http.get(f"/apps/{client_id}")]
    pages.append(await open_consent(world.http, App(record, None)))
    for shown in pages:
        assert_page(shown, 200)
        assert "<img src=x" not in shown.text
        assert "<script>alert" not in shown.text
        assert "{{7*7}}" in shown.text


# -- changing it


async def test_app_saved_keeps_what_was_changed_and_says_so(world: World) -> None:
    await world.arrive(world.ann)
    path = f"/apps/{world.app.client_id}"
    page = await world.http.get(path)
    form = find_form(page, path)
    assert form.fields["redirect_uris"].strip() == REDIRECT_URI
    response = await submit(world.http, page, form, name="Renamed", redirect_uris="https://app.example/moved")
    assert (response.status_code, response.headers["location"]) == (303, f"{path}?saved")
    saved = await follow(world.http, response)
    assert "The changes to <bdi>Renamed</bdi> are saved" in saved.text
    record = await world.deployment.store.find_client(world.app.client_id)
    assert record == msgspec.structs.replace(
        world.app.record, name="Renamed", redirect_uris=("https://app.example/moved",)
    )
    old = await world.http.get(
        "/oauth2/authorize/",
        params={"client_id": world.app.client_id, "response_type": "code", "redirect_uri": REDIRECT_URI},
    )
    assert_page(old, 400)


async def test_app_saved_with_an_error_changes_nothing_and_keeps_what_was_typed(world: World) -> None:
    await world.arrive(world.ann)
    path = f"/apps/{world.app.client_id}"
    page = await world.http.get(path)
    before = dump(world)
    response = await submit(
        world.http, page, find_form(page, path), name="Typed", redirect_uris="http://app.example/cb"
    )
    assert_page(response, 422)
    form = find_form(response, path)
    assert form.fields["name"] == "Typed"
    assert form.fields["redirect_uris"].strip() == "http://app.example/cb"
    assert dump(world) == before


async def test_app_form_cannot_change_what_is_no_field_of_it(world: World) -> None:
    """Mass assignment: owner, publication, scope, secrets stay."""
    await world.arrive(world.ann)
    path = f"/apps/{world.app.client_id}"
    page = await world.http.get(path)
    extra = {
        "organization_id": world.birch,
        "is_published": "",
        "is_public": "true",
        "scope": "everything",
        "grant_types": "password",
        "secrets": "[]",
        "client_id": "other",
        "retry_window": "999999999",
    }
    assert (await submit(world.http, page, find_form(page, path), **extra)).status_code == 303
    assert await world.deployment.store.find_client(world.app.client_id) == world.app.record


# -- the secret


async def test_app_secret_replaced_old_is_dead_new_works_and_is_shown_once(world: World) -> None:
    await world.arrive(world.ann)
    path = f"/apps/{world.app.client_id}"
    page = await world.http.get(path)
    response = await submit(world.http, page, find_form(page, f"{path}/secret"))
    assert_page(response, 200)
    (secret,) = SECRET.findall(response.text)
    assert secret != world.app.secret
    code = await grant_code(world.deployment, world.app, world.ann, world.acorn)
    assert_refused(await exchange(world.http, world.app, code), 401, "invalid_client")
    assert (await exchange(world.http, App(world.app.record, secret), code)).status_code == 200
    assert secret not in (await world.http.get(path)).text
    assert secret not in str(dump(world))


# -- whose it is


@pytest.mark.parametrize(
    "role, is_creator, in_organization, sees, edits",
    [
        ("admin", False, "acorn", True, True),
        ("member", True, "acorn", True, True),
        ("member", False, "acorn", True, False),
        ("admin", False, "birch", False, False),
        ("member", True, "birch", False, False),
        (None, True, None, False, False),
    ],
    ids=["admin", "creator", "member", "admin-elsewhere", "creator-who-left-for-elsewhere", "creator-without-any"],
)
async def test_app_is_seen_by_its_organization_and_edited_by_admins_and_its_creator(
    world: World, role, is_creator: bool, in_organization: str | None, sees: bool, edits: bool
) -> None:
    """CVE-2025-64431: 404 for everyone else, as for an app that does not exist."""
    bob = await world.deployment.user("bob@example.com", "Bob")
    if in_organization is not None:
        await world.deployment.member(bob, getattr(world, in_organization), role)
    app = await world.deployment.app(world.acorn, name="Ledgerly", created_by=bob if is_creator else world.ann)
    await world.arrive(bob)
    path = f"/apps/{app.client_id}"
    listed = await world.http.get("/apps")
    assert (path in listed.text) is sees
    page = await world.http.get(path)
    assert_page(page, 200 if sees else 404)
    assert (f'action="{path}"' in page.text) is edits
    assert (f'action="{path}/secret"' in page.text) is edits
    token = find_form(listed, "/sign-out").fields["csrf_token"]
    before = dump(world)
    data = {"csrf_token": token, "name": "Changed", "redirect_uris": REDIRECT_URI}
    saved = await world.http.post(path, data=data)
    replaced = await world.http.post(f"{path}/secret", data={"csrf_token": token})
    if edits:
        assert (saved.status_code, replaced.status_code) == (303, 200)
        assert dump(world) != before
    else:
        missing = await world.http.get("/apps/oa2client_0000000000000000000000")
        for response in (saved, replaced):
            assert_page(response, 404)
            assert "Ledgerly" not in response.text
            texts = [r.text.replace(r.headers["x-request-id"], "") for r in (response, missing)]
            assert texts[0] == texts[1]
        assert dump(world) == before


async def test_app_private_until_published_then_open_to_everyone(world: World) -> None:
    """A private app is its organization's own; publication (by the operator, for now) opens it."""
    response = await register(world)
    (client_id,) = CLIENT_ID.findall(response.text)
    record = await world.deployment.store.find_client(client_id)
    assert record is not None
    assert "Only members of <bdi>Acorn Partners</bdi> can connect it until it is published" in response.text
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch)
    async with world.deployment.http() as http:
        await world.arrive(bob, http)
        refused = await open_consent(http, App(record, None))
        assert_page(refused, 403)
        assert "<bdi>Ledgerly</bdi>" in refused.text
        assert "<bdi>Acorn Partners</bdi>" in refused.text
        assert await find_grants(world) == []
        await world.deployment.store.publish_client(
            record.client_id, is_published=True, now=world.deployment.clock.now, origin=COMMAND_LINE
        )
        assert_page(await open_consent(http, App(record, None)), 200)


async def test_apps_page_lists_every_app_of_ones_organizations_once(world: World) -> None:
    other = await world.deployment.app(world.birch, name="Ledgerly", is_published=False)
    elsewhere = await world.deployment.app(await world.deployment.organization("Elsewhere"), name="Foreign")
    await world.arrive(world.ann)
    page = await world.http.get("/apps")
    assert_page(page, 200)
    for app in (world.app, other):
        assert page.text.count(f'href="/apps/{app.client_id}"') == 1
    assert elsewhere.client_id not in page.text
    assert "Foreign" not in page.text


async def test_app_page_gives_an_address_that_works(world: World) -> None:
    """The developer's first try: the address on the page leads to the consent page."""
    two = await world.deployment.app(
        world.acorn, redirect_uris=("https://app.example/1?a=b&c=d", "https://app.example/2")
    )
    await world.arrive(world.ann)
    for app in (world.app, two):
        page = await world.http.get(f"/apps/{app.client_id}")
        (address,) = re.findall(r'<code id="authorize-url"[^>]*>([^<]*)</code>', page.text)
        assert_page(await world.http.get(address.replace("&amp;", "&")), 200)


@pytest.mark.parametrize(
    "grant_type, shown",
    [
        ("urn:ietf:params:oauth:grant-type:device_code", "/oauth2/device_authorization/"),
        ("client_credentials", "-d grant_type=client_credentials"),
    ],
)
async def test_app_page_of_an_app_without_a_browser_shows_its_own_way(
    world: World, grant_type: str, shown: str
) -> None:
    """It has no redirect URI, so there is no address to try, and saving asks for none."""
    app = await world.deployment.app(world.acorn, redirect_uris=(), grant_types=(grant_type,), created_by=world.ann)
    await world.arrive(world.ann)
    page = await world.http.get(f"/apps/{app.client_id}")
    assert_page(page, 200)
    assert shown in page.text
    assert "authorize-url" not in page.text
    form = find_form(page, f"/apps/{app.client_id}")
    saved = await submit(world.http, page, form, name="Renamed", redirect_uris="")
    assert saved.status_code == 303, saved.text
