"""The consent page and its click: what it shows, whose click counts, and for which organization (A17, A22–A25)."""

import asyncio
import re
from base64 import urlsafe_b64encode

import httpx
import pytest

from latchstring.authorization_server.login import hash_session
from latchstring.authorization_server.records import SessionRecord
from tests.support.deployment import REDIRECT_URI
from tests.support.forms import Form, find_form, submit
from tests.support.journey import answer_of, decide, exchange, follow, open_consent, sign_in
from tests.web.answers import assert_leads_nowhere, assert_page, assert_page_headers, assert_sent_back
from tests.web.conftest import World
from tests.web.state import CHALLENGE, dump, find_grant, find_grants, is_active

CONSENT = "/consent"


async def ask_ann(world: World, **parameters: str) -> tuple[httpx.Response, Form]:
    """Ann's consent page and its form."""
    await world.arrive(world.ann)
    page = await open_consent(world.http, world.app, **parameters)
    assert_page(page, 200)
    return page, find_form(page, CONSENT)


# -- what it shows


async def test_consent_page_names_app_publisher_host_organizations_scopes_and_the_person(world: World) -> None:
    """A24 and issue 2's list."""
    page, form = await ask_ann(world)
    for text in ("Mailloop", "Acorn Partners", "Birch &amp; Co", "app.example", "ann@example.com", "Northwind CRM"):
        assert text in page.text, text
    assert "Read and change everything you can in" in page.text
    assert "Keep access while you are away" in page.text
    assert re.search(r"by <bdi>Acorn Partners</bdi>", page.text)
    assert form.choices["organization_id"] == [world.acorn, world.birch]
    assert form.checked == {}, "nothing is preselected where there is a choice"
    assert form.method == "POST"
    assert {("decision", "allow"), ("decision", "deny")} <= set(form.buttons)
    assert find_form(page, "/sign-out").fields["continue"], "not you?"


async def test_consent_page_of_a_member_of_one_organization_names_it_and_needs_no_choice(world: World) -> None:
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch)
    await world.arrive(bob)
    page = await open_consent(world.http, world.app)
    form = find_form(page, CONSENT)
    assert form.fields["organization_id"] == world.birch
    assert "Birch &amp; Co" in page.text
    grant = await find_grant(world, answer_of(await decide(world.http, page, "allow"))["code"])
    assert (grant.user_id, grant.organization_id) == (bob, world.birch)


@pytest.mark.parametrize(
    "redirect_uri, shown, warns",
    [
        ("https://app.example/cb", "app.example", False),
        ("https://app.example:8443/cb", "app.example:8443", False),
        ("http://127.0.0.1/cb", "127.0.0.1", True),
        ("http://localhost:3000/cb", "localhost:3000", True),
        ("com.example.app:/cb", "com.example.app:", False),
    ],
)
async def test_consent_page_says_where_the_browser_goes_and_warns_of_a_local_program(
    world: World, redirect_uri: str, shown: str, warns: bool
) -> None:
    """A24."""
    app = await world.deployment.app(world.acorn, redirect_uris=(redirect_uri,))
    await world.arrive(world.ann)
    page = await open_consent(world.http, app)
    assert f"<bdi>{shown}</bdi>" in page.text
    assert ("a program on this computer" in page.text) is warns


async def test_consent_page_without_offline_access_says_that_access_ends_by_itself(world: World) -> None:
    page, _ = await ask_ann(world, scope="all.full_access")
    assert "Keep access while you are away" not in page.text
    assert "Then its access ends by itself" in page.text


async def test_consent_page_makes_an_apps_html_inert_and_its_direction_marks_harmless(world: World) -> None:
    """G8, CVE-2018-1000088."""
    app = await world.deployment.app(world.acorn, name="<script>alert(1)</script>\u202eevil\u2066 &amp; Co")
    await world.arrive(world.ann)
    page = await open_consent(world.http, app)
    assert_page(page, 200)
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; evil &amp;amp; Co" in page.text
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", page.text.replace("\u2068", "").replace("\u2069", ""))


# -- Allow and Decline


async def test_consent_allowed_goes_back_by_303_with_code_and_iss_and_leaves_one_pending_grant(world: World) -> None:
    """A15, A17, A25."""
    page, _ = await ask_ann(
        world,
        redirect_uri=REDIRECT_URI,
        state="s",
        scope="all.full_access",
        code_challenge=CHALLENGE,
        code_challenge_method="S256",
    )
    response = await decide(world.http, page, "allow", world.birch)
    assert response.headers["location"].startswith(f"{REDIRECT_URI}?code=ls_ac_")
    assert_page_headers(response)
    answer = answer_of(response)
    assert (answer["state"], answer["iss"]) == ("s", "https://auth.example")
    (grant,) = await find_grants(world)
    assert grant == await find_grant(world, answer["code"])
    assert (grant.status, grant.client_id, grant.user_id, grant.organization_id) == (
        "pending",
        world.app.client_id,
        world.ann,
        world.birch,
    )
    assert (grant.scope, grant.redirect_uri, grant.code_challenge) == (("all.full_access",), REDIRECT_URI, CHALLENGE)
    assert (grant.created_at, grant.expires_at) == (world.deployment.clock.now, world.deployment.clock.now + 60)


async def test_consent_declined_goes_back_with_access_denied_and_leaves_nothing(world: World) -> None:
    """A15, A16."""
    page, _ = await ask_ann(world, state="s")
    before = dump(world)
    for organization_id in (None, world.acorn, "x"):
        answer = assert_sent_back(
            await decide(world.http, page, "deny", organization_id), REDIRECT_URI, "access_denied"
        )
        assert answer["state"] == "s"
    assert dump(world) == before


@pytest.mark.parametrize("chosen", [{}, {"organization_id": ""}])
async def test_consent_allowed_without_an_organization_asks_again_and_leaves_nothing(
    world: World, chosen: dict[str, str]
) -> None:
    page, form = await ask_ann(world, state="s")
    before = dump(world)
    response = await submit(world.http, page, form, decision="allow", **chosen)
    assert_page(response, 422)
    assert "Choose one organization first" in response.text
    assert dump(world) == before
    answer = answer_of(await decide(world.http, response, "allow", world.acorn))
    assert answer["state"] == "s", "and the page that asks again works"


@pytest.mark.parametrize("decision", [None, "", "ALLOW", "yes", "allow "])
async def test_consent_without_a_clear_decision_leaves_nothing(world: World, decision: str | None) -> None:
    page, form = await ask_ann(world)
    before = dump(world)
    given = {} if decision is None else {"decision": decision}
    response = await submit(world.http, page, form, organization_id=world.acorn, **given)
    assert_page(response, 400)
    assert_leads_nowhere(response, "app.example")
    assert dump(world) == before


async def test_consent_for_two_organizations_at_once_is_refused(world: World) -> None:
    """A25: a code carries exactly one."""
    _, form = await ask_ann(world)
    before = dump(world)
    data = {**form.fields, "decision": "allow", "organization_id": [world.acorn, world.birch]}
    response = await world.http.post(CONSENT, data=data)
    assert_page(response, 400)
    assert dump(world) == before


async def test_consent_for_an_organization_that_is_not_ones_own_is_refused(world: World) -> None:
    """A25, CVE-2026-33132: the answer does not tell whether it exists, nor its name."""
    elsewhere = await world.deployment.organization("Hidden Holdings")
    page, _ = await ask_ann(world, state="s")
    before = dump(world)
    texts = []
    for organization_id in (
        elsewhere,
        "orga_9999999999999999999999",
        "x",
        world.ann,
        f"{world.acorn} ",
        world.acorn.upper(),
    ):
        response = await decide(world.http, page, "allow", organization_id)
        assert_page(response, 403)
        assert "That organization is not one of yours" in response.text
        assert "Hidden Holdings" not in response.text
        texts.append(re.sub(r'value="[^"]*"', "", response.text))
    assert len(set(texts)) == 1
    assert dump(world) == before
    answer = answer_of(await decide(world.http, response, "allow", world.acorn))
    assert answer["state"] == "s", "and the page that asks again works"


async def test_consent_of_a_member_who_left_between_page_and_click_is_refused(world: World) -> None:
    """A25."""
    page, _ = await ask_ann(world)
    now = world.deployment.clock.now
    await world.deployment.store.end_membership(user_id=world.ann, organization_id=world.birch, now=now)
    before = dump(world)
    response = await decide(world.http, page, "allow", world.birch)
    assert_page(response, 403)
    assert "no longer an active member of <bdi>Birch &amp; Co</bdi>" in response.text
    assert find_form(response, CONSENT).fields["organization_id"] == world.acorn
    assert dump(world) == before
    assert answer_of(await decide(world.http, page, "allow", world.acorn))["code"]


async def test_consent_of_a_member_who_left_the_last_organization_is_refused(world: World) -> None:
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch)
    await world.arrive(bob)
    page = await open_consent(world.http, world.app)
    now = world.deployment.clock.now
    await world.deployment.store.end_membership(user_id=bob, organization_id=world.birch, now=now)
    response = await decide(world.http, page, "allow", world.birch)
    assert_page(response, 403)
    assert await find_grants(world) == []


async def test_consent_to_a_private_app_by_someone_who_left_its_owner_is_refused(world: World) -> None:
    """A25: the app's reach is checked in the very write."""
    app = await world.deployment.app(world.acorn, name="Quietly", is_published=False)
    await world.arrive(world.ann)
    page = await open_consent(world.http, app)
    now = world.deployment.clock.now
    await world.deployment.store.end_membership(user_id=world.ann, organization_id=world.acorn, now=now)
    response = await decide(world.http, page, "allow", world.birch)
    assert_page(response, 403)
    assert "Quietly" in response.text
    assert await find_grants(world) == []


async def test_consent_after_the_app_dropped_the_redirect_uri_is_refused(world: World) -> None:
    """A2 at the click: what was proven when the page was made must still hold."""
    from latchstring.authorization_server.apps import AppDetails

    page, _ = await ask_ann(world)
    details = AppDetails(name="Mailloop", redirect_uris=("https://app.example/moved",))
    await world.deployment.services.apps.update(world.app.record, details)
    for decision in ("allow", "deny"):
        response = await decide(world.http, page, decision, world.acorn)
        assert_page(response, 400)
        assert_leads_nowhere(response, "app.example")
    assert await find_grants(world) == []


@pytest.mark.parametrize("age, status", [(3600, 303), (3601, 400)])
async def test_consent_page_is_good_for_an_hour(world: World, age: int, status: int) -> None:
    page, _ = await ask_ann(world)
    world.deployment.clock.advance(age)
    response = await decide(world.http, page, "allow", world.acorn)
    assert response.status_code == status
    assert len(await find_grants(world)) == (status == 303)


# -- forged clicks


async def assert_refused_click(world: World, response: httpx.Response, before: object) -> None:
    """A22: 403, a page that leads nowhere, no code, no grant."""
    assert_page(response, 403)
    assert_leads_nowhere(response, "app.example")
    assert dump(world) == before


async def test_consent_without_csrf_token_is_refused(world: World) -> None:
    """A22, CVE-2014-8144."""
    _, form = await ask_ann(world)
    before = dump(world)
    for token in (
        None,
        "",
        "x",
        form.fields["csrf_token"][:-1],
        form.fields["csrf_token"] + "A",
        form.fields["request"],
    ):
        fields = {**form.fields, "decision": "allow", "organization_id": world.acorn}
        del fields["csrf_token"]
        data = fields if token is None else {**fields, "csrf_token": token}
        await assert_refused_click(world, await world.http.post(CONSENT, data=data), before)


async def test_consent_with_the_csrf_token_of_another_browser_is_refused(world: World) -> None:
    """A22."""
    _, form = await ask_ann(world)
    async with world.deployment.http() as other:
        foreign = find_form(await other.get("/sign-in"), "/sign-in").fields["csrf_token"]
    before = dump(world)
    data = {**form.fields, "csrf_token": foreign, "decision": "allow", "organization_id": world.acorn}
    await assert_refused_click(world, await world.http.post(CONSENT, data=data), before)


async def test_consent_page_taken_to_another_browser_is_refused(world: World) -> None:
    """A22, CVE-2026-27124: an attacker's page, CSRF token and all, in the victim's signed-in browser, and without."""
    _, form = await ask_ann(world)
    data = {**form.fields, "decision": "allow", "organization_id": world.acorn}
    async with world.deployment.http() as other:
        before = dump(world)
        await assert_refused_click(world, await other.post(CONSENT, data=data), before)
        await world.arrive(world.ann, other)
        before = dump(world)
        await assert_refused_click(world, await other.post(CONSENT, data=data), before)


async def test_consent_with_the_sealed_request_of_another_user_is_refused(world: World) -> None:
    """A22: Bob posts Ann's request under his own session and CSRF token."""
    _, form = await ask_ann(world)
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.acorn)
    async with world.deployment.http() as other:
        await world.arrive(bob, other)
        own = find_form(await open_consent(other, world.app), CONSENT)
        before = dump(world)
        data = {**own.fields, "request": form.fields["request"], "decision": "allow", "organization_id": world.acorn}
        await assert_refused_click(world, await other.post(CONSENT, data=data), before)


async def test_consent_with_a_tampered_request_is_refused(world: World) -> None:
    """A22: nothing in the page can be edited, its CSRF token being right."""
    _, form = await ask_ann(world)
    sealed = form.fields["request"]
    before = dump(world)
    tampered = [
        "",
        "x",
        "=",
        sealed[:-4],
        sealed + "AAAA",
        sealed[4:],
        form.fields["csrf_token"],
        "A" * 8192,
        "é",
        "\x7f",
    ]
    tampered += [
        sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :] for at in range(0, len(sealed), 23)
    ]
    tampered.append(urlsafe_b64encode(bytes(22) + b"\x93").decode())
    for request in tampered:
        data = {**form.fields, "request": request, "decision": "allow", "organization_id": world.acorn}
        await assert_refused_click(world, await world.http.post(CONSENT, data=data), before)


async def test_consent_with_a_continue_address_in_place_of_the_request_is_refused(world: World) -> None:
    """Seals are bound to their purpose."""
    page, form = await ask_ann(world)
    sealed = find_form(page, "/sign-out").fields["continue"]
    before = dump(world)
    data = {**form.fields, "request": sealed, "decision": "allow", "organization_id": world.acorn}
    await assert_refused_click(world, await world.http.post(CONSENT, data=data), before)


async def test_consent_after_signing_out_is_refused(world: World) -> None:
    """A22: in the same browser, and with the old cookie brought back."""
    page, form = await ask_ann(world)
    old = dict(world.http.cookies)
    home = await world.http.get("/connections")
    assert (await submit(world.http, home, find_form(home, "/sign-out"))).status_code == 200
    before = dump(world)
    data = {**form.fields, "decision": "allow", "organization_id": world.acorn}
    await assert_refused_click(world, await world.http.post(CONSENT, data=data), before)
    async with world.deployment.http(cookies=old) as thief:
        await assert_refused_click(world, await thief.post(CONSENT, data=data), before)
    assert page.status_code == 200


async def test_consent_of_the_first_user_after_a_second_signed_in_in_another_tab_is_refused(world: World) -> None:
    """Two tabs, two users: the click counts for nobody."""
    page = await open_consent(world.http, world.app)
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.acorn)
    left = await submit(world.http, page, find_form(page, "/sign-out"))
    second = await sign_in(world.http, await follow(world.http, left), "bob@example.com")
    assert "bob@example.com" in second.text
    before = dump(world)
    await assert_refused_click(world, await decide(world.http, page, "allow", world.acorn), before)
    assert answer_of(await decide(world.http, second, "allow"))["code"]
    (grant,) = await find_grants(world)
    assert grant.user_id == bob


async def test_consent_pages_in_two_tabs_of_one_user_both_count(world: World) -> None:
    other = await world.deployment.app(world.birch, name="Other", redirect_uris=("https://other.example/cb",))
    await world.arrive(world.ann)
    first = await open_consent(world.http, world.app, state="1")
    second = await open_consent(world.http, other, state="2")
    one = await decide(world.http, first, "allow", world.acorn)
    two = await decide(world.http, second, "allow", world.birch)
    assert (answer_of(one)["state"], answer_of(two)["state"]) == ("1", "2")
    assert two.headers["location"].startswith("https://other.example/cb?")
    assert (await find_grant(world, answer_of(two)["code"])).client_id == other.client_id


async def test_consent_not_you_signs_out_and_comes_back_to_the_same_request(world: World) -> None:
    page = await open_consent(world.http, world.app, state="s")
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch)
    left = await submit(world.http, page, find_form(page, "/sign-out"))
    second = await sign_in(world.http, await follow(world.http, left), "bob@example.com")
    answer = answer_of(await decide(world.http, second, "allow"))
    assert answer["state"] == "s"
    assert (await find_grant(world, answer["code"])).user_id == bob


async def test_consent_clicked_fifty_times_at_once_yields_one_grant_and_the_same_code(world: World) -> None:
    """As C4: a question is answered once."""
    page, _ = await ask_ann(world)
    responses = await asyncio.gather(*(decide(world.http, page, "allow", world.acorn) for _ in range(50)))
    codes = {answer_of(response)["code"] for response in responses}
    assert len(codes) == len(await find_grants(world)) == 1
    assert (await exchange(world.http, world.app, codes.pop())).status_code == 200


async def test_consent_clicked_again_after_the_code_was_redeemed_is_calm_and_ends_nothing(world: World) -> None:
    """The same code again would be a replay, which ends the grant (C2)."""
    page, _ = await ask_ann(world)
    code = answer_of(await decide(world.http, page, "allow", world.acorn))["code"]
    tokens = (await exchange(world.http, world.app, code)).json()
    assert_page(await decide(world.http, page, "allow", world.acorn), 400)
    [grant] = await find_grants(world)
    assert grant.status == "active"
    assert await is_active(world, tokens["access_token"])


async def test_consent_clicked_again_for_another_organization_is_refused(world: World) -> None:
    """A25: one question, one organization."""
    page, _ = await ask_ann(world)
    answer_of(await decide(world.http, page, "allow", world.acorn))
    assert_page(await decide(world.http, page, "allow", world.birch), 400)
    [grant] = await find_grants(world)
    assert grant.organization_id == world.acorn


async def test_consent_clicked_again_after_the_code_expired_is_refused(world: World) -> None:
    page, _ = await ask_ann(world)
    answer_of(await decide(world.http, page, "allow", world.acorn))
    world.deployment.clock.advance(61)
    assert_page(await decide(world.http, page, "allow", world.acorn), 400)
    assert len(await find_grants(world)) == 1


async def test_consent_expired_session_is_refused(world: World) -> None:
    page, _ = await ask_ann(world)
    world.deployment.clock.advance(7 * 24 * 3600)
    before = dump(world)
    await assert_refused_click(world, await decide(world.http, page, "allow", world.acorn), before)


async def test_consent_of_another_user_under_the_very_same_cookie_is_refused(world: World) -> None:
    """A22: were a session ever to change hands, the page would still be for whom it was made."""
    page, _ = await ask_ann(world)
    cookie = next(iter(world.http.cookies.values()))
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.acorn)
    store, now = world.deployment.store, world.deployment.clock.now
    await store.end_session(hash_session(cookie))
    session = SessionRecord(session_hash=hash_session(cookie), user_id=bob, created_at=now, expires_at=now + 3600)
    await store.create_session(session)
    before = dump(world)
    await assert_refused_click(world, await decide(world.http, page, "allow", world.acorn), before)
