"""The device authorization grant over HTTP, pages and polls (RFC 8628; D1–D6, section 2F)."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing

import httpx
import pytest

from latchstring.authorization_server.events import COMMAND_LINE, Action, EventFilter
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.organization_policy import OrganizationPolicy
from latchstring.authorization_server.settings import ScopeDefinition
from latchstring.authorization_server.user_codes import MAX_WRONG_CODES
from latchstring.protocol.device_authorization import parse_user_code
from tests.support.deployment import Deployment
from tests.support.device import GRANT_TYPE, allow, answer, ask, enter, open_device, poll
from tests.support.forms import find_form, submit
from tests.support.journey import follow, introspect, refresh
from tests.web.answers import assert_machine_headers, assert_page, assert_refused
from tests.web.state import dump, find_grant, find_grants

INTERVAL = 5


def browser(deployment: Deployment, address: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(deployment.application, client=(address, 5000))
    return httpx.AsyncClient(transport=transport, base_url=deployment.settings.issuer)


# -- the device asks


async def test_device_authorization_answers_both_codes_and_is_never_stored(world):
    """D1, RFC 8628 §3.2."""
    response = await world.http.post("/oauth2/device_authorization", data=world.app.body(scope="all.full_access"))
    assert response.status_code == 200
    assert_machine_headers(response)
    body = response.json()
    assert body.keys() == {
        "device_code",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
        "expires_in",
        "interval",
    }
    assert body["verification_uri"] == "https://auth.example/device"
    assert body["verification_uri_complete"] == f"https://auth.example/device?user_code={body['user_code']}"
    assert (body["expires_in"], body["interval"]) == (600, INTERVAL)
    assert parse_user_code(body["user_code"]) == body["user_code"].replace("-", "")
    assert body["device_code"].startswith("ls_dc_")


@pytest.mark.parametrize(
    "parameters, status, code",
    [
        pytest.param({"client_secret": "wrong"}, 401, "invalid_client", id="secret"),
        pytest.param({"scope": "unknown"}, 400, "invalid_scope", id="scope"),
        pytest.param({"scope": "offline_access"}, 400, "invalid_scope", id="scope-of-nothing"),
        pytest.param({"resource": "https://unknown.example/"}, 400, "invalid_target", id="resource"),
    ],
)
async def test_device_authorization_faulty_request_is_refused_and_keeps_no_row(world, parameters, status, code):
    before = dump(world)
    response = await world.http.post("/oauth2/device_authorization", data=world.app.body(**parameters))
    assert_refused(response, status, code)
    assert dump(world) == before


async def test_device_authorization_by_client_without_the_grant_is_unauthorized(world):
    app = await world.deployment.app(world.acorn, grant_types=("authorization_code", "refresh_token"))
    response = await world.http.post("/oauth2/device_authorization", data=app.body())
    assert_refused(response, 400, "unauthorized_client")
    assert_refused(await poll(world.http, app, "x"), 400, "unauthorized_client")


async def test_device_authorization_of_public_client_needs_its_client_id_only(world):
    app = await world.deployment.app(world.acorn, is_public=True)
    codes = await ask(world.http, app)
    await allow(world.http, codes["user_code"], world.birch)
    response = await poll(world.http, app, codes["device_code"])
    assert response.status_code == 200
    assert response.json()["organization_id"] == world.birch


async def test_device_authorizations_beyond_the_limit_are_429_for_that_client_and_source_alone(world):
    other = await world.deployment.app(world.birch)
    async with browser(world.deployment, "203.0.113.5") as here, browser(world.deployment, "203.0.113.6") as there:
        statuses = Counter(
            [(await here.post("/oauth2/device_authorization", data=world.app.body())).status_code for _ in range(65)]
        )
        assert statuses == {200: 60, 429: 5}
        refused = await here.post("/oauth2/device_authorization", data=world.app.body())
        assert_refused(refused, 429, "temporarily_unavailable")
        assert refused.headers["retry-after"] == "60"
        assert (await there.post("/oauth2/device_authorization", data=world.app.body())).status_code == 200
        assert (await here.post("/oauth2/device_authorization", data=other.body())).status_code == 200


async def test_device_authorizations_that_have_long_expired_are_cleared_away(world):
    await ask(world.http, world.app)
    world.deployment.clock.advance(600 + 601)
    await ask(world.http, world.app)
    with closing(sqlite3.connect(world.deployment.path)) as database:
        assert database.execute("SELECT count(*) FROM device_authorization").fetchone() == (1,)


# -- the person answers


async def test_device_walk_gives_tokens_for_the_chosen_organization(world):
    """The whole way, with an organization chosen of two (A25, CVE-2026-33132)."""
    codes = await ask(world.http, world.app)
    assert_refused(await poll(world.http, world.app, codes["device_code"]), 400, "authorization_pending")
    page = await enter(world.http, codes["user_code"])
    assert_page(page, 200)
    assert find_form(page, "/device/answer").choices["organization_id"] == [world.acorn, world.birch]
    done = await answer(world.http, page, "allow", world.birch)
    assert_page(done, 200)
    assert "You can go back to your device" in done.text
    assert "Birch" in done.text
    response = await poll(world.http, world.app, codes["device_code"])
    assert response.status_code == 200
    assert_machine_headers(response)
    tokens = response.json()
    assert (tokens["organization_id"], tokens["user_id"]) == (world.birch, world.ann)
    assert (await introspect(world.http, world.guard, tokens["access_token"]))["organization_id"] == world.birch
    renewed = await refresh(world.http, world.app, tokens["refresh_token"])
    assert renewed.json()["organization_id"] == world.birch


async def test_device_page_needs_a_sign_in_and_comes_back_with_the_code(world):
    codes = await ask(world.http, world.app)
    response = await world.http.get("/device", params={"user_code": codes["user_code"]})
    assert response.status_code == 303
    assert response.headers["location"].startswith("/sign-in?")
    page = await open_device(world.http, codes["user_code"])
    assert find_form(page, "/device").fields["user_code"] == codes["user_code"]


async def test_complete_address_alone_shows_no_app_and_allows_nothing(world):
    """D6, RFC 8628 §5.4: the code is filled in, and the person asked twice: for the code and for the app."""
    codes = await ask(world.http, world.app)
    before = dump(world)
    await world.arrive(world.ann)
    before = dump(world)
    page = await open_device(world.http, codes["user_code"])
    assert_page(page, 200)
    assert "Mailloop" not in page.text
    assert dump(world) == before
    page = await follow(world.http, await submit(world.http, page, find_form(page, "/device")))
    assert "Mailloop wants to connect" in page.text.replace("<bdi>", "").replace("</bdi>", "")
    assert "Acorn Partners" in page.text
    assert codes["user_code"] in page.text
    assert "Allow only if you have just started this on a device of your own" in page.text
    assert_refused(await poll(world.http, world.app, codes["device_code"]), 400, "authorization_pending")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(str.lower, id="small"),
        pytest.param(lambda code: code.replace("-", ""), id="no-hyphen"),
        pytest.param(lambda code: f" {code.replace('-', ' – ')} ", id="spaces-and-dash"),
        pytest.param(lambda code: "".join(chr(ord(c) + 0xFEE0) for c in code), id="full-width"),
    ],
)
async def test_user_code_is_taken_however_it_is_typed(world, change):
    codes = await ask(world.http, world.app)
    assert_page(await enter(world.http, change(codes["user_code"])), 200)


async def test_declined_device_is_told_and_gets_nothing(world):
    """D2, RFC 8628 §3.5."""
    codes = await ask(world.http, world.app)
    done = await answer(world.http, await enter(world.http, codes["user_code"]), "deny")
    assert_page(done, 200)
    assert "You declined" in done.text
    for _ in range(2):
        assert_refused(await poll(world.http, world.app, codes["device_code"]), 400, "access_denied")
    assert await find_grants(world) == []
    assert_page(await enter(world.http, codes["user_code"]), 422)


async def test_answer_twice_changes_nothing(world):
    codes = await ask(world.http, world.app)
    page = await enter(world.http, codes["user_code"])
    first = await answer(world.http, page, "allow", world.acorn)
    before = dump(world)
    for decision, organization_id in (("allow", world.acorn), ("allow", world.birch), ("deny", world.acorn)):
        again = await answer(world.http, page, decision, organization_id)
        assert_page(again, 200)
        for shown in (first, again):
            assert "You can go back to your device" in shown.text
            assert "Acorn Partners" in shown.text
    assert dump(world) == before


async def test_declined_twice_or_allowed_afterwards_stays_declined(world):
    codes = await ask(world.http, world.app)
    page = await enter(world.http, codes["user_code"])
    for decision in ("deny", "deny", "allow"):
        shown = await answer(world.http, page, decision, world.acorn)
        assert_page(shown, 200)
        assert "You declined" in shown.text
    assert await find_grants(world) == []


async def test_pages_of_the_answer_are_loaded_again_without_answering(world):
    """A phone drops pages while its owner looks at the device."""
    codes = await ask(world.http, world.app)
    page = await enter(world.http, codes["user_code"])
    before = dump(world)
    assert (await world.http.get(page.url)).status_code == 200
    assert dump(world) == before
    done = await answer(world.http, page, "allow", world.acorn)
    assert (await world.http.get(done.url)).status_code == 200
    (grant,) = await find_grants(world)
    await world.deployment.store.end_grant(grant.id, by="x", reason="disconnected", now=1)
    assert_page(await world.http.get(done.url), 400)


async def test_allow_without_an_organization_asks_again(world):
    codes = await ask(world.http, world.app)
    again = await answer(world.http, await enter(world.http, codes["user_code"]), "allow")
    assert_page(again, 422)
    assert "Choose one organization first" in again.text
    assert_page(await answer(world.http, again, "allow", world.acorn), 200)


async def test_scope_beyond_the_role_is_not_granted_to_a_device(make_world):
    scopes = {
        "contacts.read": ScopeDefinition(title="Read"),
        "members.delete": ScopeDefinition(title="R", roles=("admin",)),
    }
    world = await make_world(scopes=scopes)
    app = await world.deployment.app(world.acorn, scope=(*scopes, "offline_access"))
    for organization_id, scope in (
        (world.acorn, {*scopes, "offline_access"}),
        (world.birch, {"contacts.read", "offline_access"}),
    ):
        codes = await ask(world.http, app)
        await allow(world.http, codes["user_code"], organization_id)
        tokens = (await poll(world.http, app, codes["device_code"])).json()
        assert set(tokens["scope"].split()) == scope
        world.deployment.clock.advance(60)


async def test_what_admins_have_approved_the_app_without_is_not_granted_to_a_device(make_world):
    scopes = {"contacts.read": ScopeDefinition(title="Read"), "mail.send": ScopeDefinition(title="Send mail")}
    world = await make_world(scopes=scopes, organization_policy=OrganizationPolicy(low="approval", medium="approval"))
    app = await world.deployment.app(world.acorn, scope=(*scopes, "offline_access"))
    await world.deployment.services.organization_policies.approve(
        world.birch,
        app.client_id,
        scope=("contacts.read", "offline_access"),
        left_out=("mail.send",),
        origin=COMMAND_LINE,
    )
    codes = await ask(world.http, app)
    await allow(world.http, codes["user_code"], world.birch)
    tokens = (await poll(world.http, app, codes["device_code"])).json()
    assert (tokens["organization_id"], tokens["scope"]) == (world.birch, "contacts.read offline_access")


async def test_allow_is_remembered_told_and_kept_as_on_any_consent_page(world):
    """The time that was chosen, the remembered consent, the receipt, and who allowed it from where."""
    codes = await ask(world.http, world.app)
    page = await enter(world.http, codes["user_code"])
    form, now = find_form(page, "/device/answer"), world.deployment.clock.now
    await submit(world.http, page, form, decision="allow", organization_id=world.birch, until="86400")
    tokens = (await poll(world.http, world.app, codes["device_code"])).json()
    grant = await find_grant(world, tokens["refresh_token"])
    assert (grant.absolute_expires_at, grant.code_challenge, grant.redirect_uri) == (now + 86400, None, None)
    store = world.deployment.store
    (consent,) = await store.find_remembered_consents(world.app.client_id, world.ann)
    assert (consent.organization_id, consent.scope, consent.grant_id) == (world.birch, grant.scope, grant.id)
    (told,) = await store.find_events(EventFilter(action=Action.GRANT_CREATED), before=None, at_most=9)
    assert (told.event.origin.actor_kind, told.event.origin.actor_id) == ("user", world.ann)
    receipt = await world.http.get(f"/connections/{render_identifier(GRANT, grant.id)}/receipt")
    assert_page(receipt, 200)
    assert "<bdi>Birch" in receipt.text


async def test_role_lowered_at_the_moment_of_allow_is_asked_anew(make_world, monkeypatch):
    """The write itself holds the role that the scope was worked out for."""
    scopes = {"members.delete": ScopeDefinition(title="Remove members", roles=("admin",))}
    world = await make_world(scopes=scopes)
    app = await world.deployment.app(world.acorn, scope=(*scopes, "offline_access"))
    store = world.deployment.store
    codes = await ask(world.http, app)
    page = await enter(world.http, codes["user_code"])
    commit = store.commit_device_consent

    async def lower_and_commit(*arguments, **given):
        await world.deployment.member(world.ann, world.acorn, "member")
        return await commit(*arguments, **given)

    monkeypatch.setattr(store, "commit_device_consent", lower_and_commit)
    refused = await answer(world.http, page, "allow", world.acorn)
    assert_page(refused, 409)
    assert await find_grants(world) == []


async def test_policy_made_stricter_at_the_moment_of_allow_is_kept(world, monkeypatch):
    """The write itself asks for the organization's word."""
    store = world.deployment.store
    codes = await ask(world.http, world.app)
    page = await enter(world.http, codes["user_code"])
    commit = store.commit_device_consent

    async def forbid_and_commit(*arguments, **given):
        closed = OrganizationPolicy(low="none", medium="none", high="none")
        await store.save_organization_policy(world.birch, closed, now=world.deployment.clock.now, origin=COMMAND_LINE)
        return await commit(*arguments, **given)

    monkeypatch.setattr(store, "commit_device_consent", forbid_and_commit)
    refused = await answer(world.http, page, "allow", world.birch)
    assert refused.status_code in {403, 409}
    assert await find_grants(world) == []


async def test_allow_for_a_foreign_or_ended_membership_gives_nothing(world):
    """A25, CVE-2026-33132: the membership is checked in the very write."""
    stranger = await world.deployment.organization("Chestnut")
    codes = await ask(world.http, world.app)
    page = await enter(world.http, codes["user_code"])
    assert_page(await answer(world.http, page, "allow", stranger), 403)
    await world.deployment.store.end_membership(user_id=world.ann, organization_id=world.birch, now=1)
    refused = await answer(world.http, page, "allow", world.birch)
    assert_page(refused, 403)
    assert "no longer an active member" in refused.text
    assert await find_grants(world) == []
    assert_refused(await poll(world.http, world.app, codes["device_code"]), 400, "authorization_pending")


async def test_private_app_of_others_is_a_page_that_says_so(world):
    stranger = await world.deployment.organization("Chestnut")
    app = await world.deployment.app(stranger, is_published=False)
    codes = await ask(world.http, app)
    page = await enter(world.http, codes["user_code"])
    assert_page(page, 403)
    assert "is private" in page.text


async def test_hinted_organization_is_chosen_beforehand(world):
    codes = await ask(world.http, world.app, organization_id=world.birch)
    page = await enter(world.http, codes["user_code"])
    assert find_form(page, "/device/answer").checked["organization_id"] == world.birch


# -- only the browser that entered the code


async def test_other_browser_cannot_enter_read_or_answer_a_claimed_code(world):
    """D4, CVE-2026-45337, DOT #1819: not even one of the same person."""
    codes = await ask(world.http, world.app)
    page = await enter(world.http, codes["user_code"])
    async with world.deployment.http() as other:
        await world.arrive(world.ann, other)
        assert_page(await enter(other, codes["user_code"]), 422)
        own = await open_device(other)
        stolen = find_form(page, "/device/answer").fields["request"]
        assert_page(await other.get(page.url), 403)
        for decision in ("allow", "deny"):
            data = {
                "csrf_token": find_form(own, "/device").fields["csrf_token"],
                "request": stolen,
                "decision": decision,
                "organization_id": world.acorn,
            }
            assert_page(await other.post("/device/answer", data=data), 403)
    assert_refused(await poll(world.http, world.app, codes["device_code"]), 400, "authorization_pending")
    assert_page(await answer(world.http, page, "allow", world.acorn), 200)


async def test_answer_without_a_form_of_this_browsers_is_refused(world):
    """A22."""
    codes = await ask(world.http, world.app)
    page = await enter(world.http, codes["user_code"])
    form = find_form(page, "/device/answer")
    async with world.deployment.http() as other:
        refused = await other.post(
            "/device/answer", data={**form.fields, "decision": "allow", "organization_id": world.acorn}
        )
        assert_page(refused, 403)
    assert await find_grants(world) == []


async def test_sign_out_lets_go_of_the_code(world):
    """Who was signed in as somebody else enters it once more."""
    codes = await ask(world.http, world.app)
    page = await enter(world.http, codes["user_code"])
    signed_out = await submit(world.http, page, find_form(page, "/sign-out"))
    assert signed_out.status_code == 303
    assert codes["user_code"] in (await open_device(world.http, codes["user_code"])).text
    again = await enter(world.http, codes["user_code"])
    assert_page(again, 200)
    assert_page(await answer(world.http, page, "allow", world.acorn), 403)
    assert_page(await answer(world.http, again, "allow", world.acorn), 200)


# -- guessing


def wrong_codes(count: int) -> list[str]:
    return [f"BBBB-BBB{letter}" for letter in "BCDFGHJKLMNPQRSTVWXZ"[:count]]


async def test_wrong_codes_are_few_for_one_account_wherever_they_come_from(world):
    """D3, RFC 8628 §5.1: kept in the store, so a right code is not looked at any more either."""
    codes = await ask(world.http, world.app)
    for number, code in enumerate(wrong_codes(MAX_WRONG_CODES)):
        async with browser(world.deployment, f"203.0.113.{number}") as http:
            await world.arrive(world.ann, http)
            assert_page(await enter(http, code), 422)
    async with browser(world.deployment, "203.0.113.100") as http:
        await world.arrive(world.ann, http)
        refused = await enter(http, codes["user_code"])
        assert_page(refused, 429)
        assert refused.headers["retry-after"] == "600"
        world.deployment.clock.advance(600)
        later = await ask(http, world.app)
        assert_page(await enter(http, later["user_code"]), 200)


async def test_wrong_codes_at_once_count_each(world):
    """D3: a hundred guesses in parallel are a hundred guesses."""
    codes = await ask(world.http, world.app)
    browsers = [browser(world.deployment, f"203.0.113.{number}") for number in range(20)]
    forms = []
    for http in browsers:
        await world.arrive(world.ann, http)
        forms.append(await open_device(http))
    guesses = [*wrong_codes(19), codes["user_code"]]
    answers = await asyncio.gather(
        *(
            submit(http, page, find_form(page, "/device"), user_code=guess)
            for http, page, guess in zip(browsers, forms, guesses, strict=True)
        )
    )
    assert Counter(page.status_code for page in answers) == {422: MAX_WRONG_CODES, 429: 20 - MAX_WRONG_CODES}
    for http in browsers:
        await http.aclose()


async def test_right_codes_are_not_counted(world):
    for _ in range(MAX_WRONG_CODES + 1):
        codes = await ask(world.http, world.app)
        assert_page(await enter(world.http, codes["user_code"]), 200)


async def test_codes_of_one_browser_and_of_one_source_are_limited(world):
    """D3: before the store is asked, whoever is signed in."""
    async with browser(world.deployment, "203.0.113.5") as http:
        await world.arrive(world.ann, http)
        page = await open_device(http)
        statuses = [
            (await submit(http, page, find_form(page, "/device"), user_code="1")).status_code for _ in range(22)
        ]
        assert statuses == [422] * 20 + [429] * 2
    for number in range(4):
        async with browser(world.deployment, "203.0.113.5") as http:
            await world.arrive(world.ann, http)
            page = await open_device(http)
            for _ in range(20):
                last = await submit(http, page, find_form(page, "/device"), user_code="1")
            assert last.status_code == (422 if number < 3 else 429)


# -- the device polls


async def test_poll_too_fast_is_told_to_slow_down_and_the_pace_is_kept(world):
    """D2, RFC 8628 §3.5: five seconds more, from then on."""
    codes = await ask(world.http, world.app)
    clock = world.deployment.clock

    async def told() -> str:
        return (await poll(world.http, world.app, codes["device_code"])).json()["error"]

    assert await told() == "authorization_pending"
    clock.advance(INTERVAL)
    assert await told() == "authorization_pending"
    clock.advance(INTERVAL - 1)
    assert await told() == "slow_down"
    clock.advance(INTERVAL)
    assert await told() == "slow_down"
    clock.advance(3 * INTERVAL)
    assert await told() == "authorization_pending"


async def test_polls_in_a_frenzy_write_no_more_than_the_pace(world):
    codes = await ask(world.http, world.app)
    for _ in range(15):
        await poll(world.http, world.app, codes["device_code"])
    before = dump(world)
    for _ in range(15):
        assert_refused(await poll(world.http, world.app, codes["device_code"]), 400, "slow_down")
    assert dump(world) == before


async def test_polls_at_once_before_the_answer_have_one_pending(world):
    codes = await ask(world.http, world.app)
    answers = await asyncio.gather(*(poll(world.http, world.app, codes["device_code"]) for _ in range(100)))
    assert Counter(answer.json()["error"] for answer in answers) == {"authorization_pending": 1, "slow_down": 99}


async def test_polls_at_once_after_the_answer_have_one_token(world):
    """D5: a hundred at once, one 200."""
    codes = await ask(world.http, world.app)
    await allow(world.http, codes["user_code"], world.acorn)
    answers = await asyncio.gather(*(poll(world.http, world.app, codes["device_code"]) for _ in range(100)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 99}
    assert {answer.json()["error"] for answer in answers if answer.status_code == 400} == {"slow_down"}
    (grant,) = await find_grants(world)
    assert (grant.status, grant.generation, grant.retry_count) == ("active", 1, 0)


async def test_lost_answer_is_given_again_with_the_same_refresh_token(world):
    """As after a lost refresh (DESIGN §5): the device is not stranded, and there is one chain."""
    codes = await ask(world.http, world.app)
    await allow(world.http, codes["user_code"], world.acorn)
    first = (await poll(world.http, world.app, codes["device_code"])).json()
    world.deployment.clock.advance(INTERVAL)
    again = await poll(world.http, world.app, codes["device_code"])
    assert again.status_code == 200
    assert again.json()["refresh_token"] == first["refresh_token"]
    assert again.json()["access_token"] != first["access_token"]
    grant = await find_grant(world, first["refresh_token"])
    assert (grant.generation, grant.retry_count) == (1, 1)


@pytest.mark.parametrize("case", ["after the window", "after a refresh"])
async def test_device_code_again_later_ends_the_grant(world, case):
    """D5: once its tokens have been used, or the window has passed, somebody else has the code."""
    codes = await ask(world.http, world.app)
    await allow(world.http, codes["user_code"], world.acorn)
    tokens = (await poll(world.http, world.app, codes["device_code"])).json()
    if case == "after a refresh":
        tokens = (await refresh(world.http, world.app, tokens["refresh_token"])).json()
        world.deployment.clock.advance(INTERVAL)
    else:
        world.deployment.clock.advance(61)
    refused = await poll(world.http, world.app, codes["device_code"])
    assert_refused(refused, 400, "invalid_grant", "superseded")
    grant = await find_grant(world, tokens["refresh_token"])
    assert (grant.status, grant.ended_reason) == ("ended", "device_code_replayed")
    (told,) = await world.deployment.store.find_events(EventFilter(action=Action.GRANT_ENDED), before=None, at_most=9)
    assert (told.event.origin.actor_kind, told.event.origin.actor_id) == ("client", world.app.client_id)
    assert told.event.origin.address == "127.0.0.1"
    assert not (await introspect(world.http, world.guard, tokens["access_token"]))["active"]


async def test_device_code_of_another_client_is_refused_and_not_used_up(world):
    """D5."""
    other = await world.deployment.app(world.birch)
    codes = await ask(world.http, world.app)
    assert_refused(await poll(world.http, other, codes["device_code"]), 400, "invalid_grant")
    await allow(world.http, codes["user_code"], world.acorn)
    before = dump(world)
    assert_refused(await poll(world.http, other, codes["device_code"]), 400, "invalid_grant")
    assert dump(world) == before
    assert (await poll(world.http, world.app, codes["device_code"])).status_code == 200


async def test_expired_device_code_is_expired_token_whether_or_not_allowed(world):
    """D2."""
    clock = world.deployment.clock
    codes, allowed = await ask(world.http, world.app), await ask(world.http, world.app)
    await allow(world.http, allowed["user_code"], world.acorn)
    clock.advance(600)
    for each in (codes, allowed):
        assert_refused(await poll(world.http, world.app, each["device_code"]), 400, "expired_token")
    assert_page(await enter(world.http, codes["user_code"]), 422)
    clock.advance(601)
    await ask(world.http, world.app)
    assert_refused(await poll(world.http, world.app, codes["device_code"]), 400, "invalid_grant")


async def test_page_open_past_the_codes_end_changes_nothing(world):
    codes = await ask(world.http, world.app)
    page = await enter(world.http, codes["user_code"])
    world.deployment.clock.advance(600)
    for decision in ("allow", "deny"):
        assert_page(await answer(world.http, page, decision, world.acorn), 400)
    assert await find_grants(world) == []


async def test_membership_ended_between_answer_and_poll_is_invalid_grant(world):
    """A25, C13."""
    codes = await ask(world.http, world.app)
    await allow(world.http, codes["user_code"], world.birch)
    now = world.deployment.clock.now
    await world.deployment.store.end_membership(user_id=world.ann, organization_id=world.birch, now=now)
    refused = await poll(world.http, world.app, codes["device_code"])
    assert_refused(refused, 400, "invalid_grant", "membership_ended")


async def test_scope_is_fixed_when_the_device_asks(world):
    """D5, CVE-2024-52287: what a poll says of scope is not heard."""
    app = await world.deployment.app(world.acorn, scope=("all.full_access", "offline_access"))
    codes = await ask(world.http, app, scope="all.full_access")
    await allow(world.http, codes["user_code"], world.acorn)
    response = await poll(world.http, app, codes["device_code"], scope="all.full_access offline_access")
    assert response.status_code == 200
    assert response.json()["scope"] == "all.full_access"
    assert "refresh_token" not in response.json()


async def test_resource_of_the_device_binds_its_tokens(world):
    """RFC 8707."""
    await world.deployment.services.apps.create_resource_server("Other", "https://other.example/")
    codes = await ask(world.http, world.app, resource="https://api.example/")
    await allow(world.http, codes["user_code"], world.acorn)
    wide = await poll(world.http, world.app, codes["device_code"], resource="https://other.example/")
    assert_refused(wide, 400, "invalid_target")
    tokens = (await poll(world.http, world.app, codes["device_code"])).json()
    grant = await find_grant(world, tokens["access_token"])
    assert grant.resource == ("https://api.example/",)


@pytest.mark.parametrize(
    "parameters, code",
    [
        pytest.param({}, "invalid_request", id="missing"),
        pytest.param({"device_code": "nonsense"}, "invalid_grant", id="nonsense"),
        pytest.param({"device_code": "{altered}"}, "invalid_grant", id="altered"),
    ],
)
async def test_poll_with_a_faulty_code_is_refused(world, parameters, code):
    codes = await ask(world.http, world.app)
    altered = codes["device_code"][:-9] + ("A" if codes["device_code"][-9] != "A" else "B") + codes["device_code"][-8:]
    sent = {name: value.format(altered=altered) for name, value in parameters.items()}
    response = await world.http.post("/oauth2/token/", data=world.app.body(grant_type=GRANT_TYPE, **sent))
    assert_refused(response, 400, code)
