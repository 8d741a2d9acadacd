"""How the member is met before the question: prompt, max_age, login_hint, and a sign-in that cannot be skipped, taken
from another or looped (O1–O3); and how a pushed request outlives a slow sign-in (P5)."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from latchstring.web.cookies import session_cookie_name
from tests.support.deployment import REDIRECT_URI
from tests.support.forms import find_form, submit
from tests.support.journey import answer_of, decide, exchange, follow, sign_in
from tests.web.answers import assert_page, assert_sent_back, read_elements
from tests.web.conftest import World
from tests.web.state import find_grant, find_grants

AUTHORIZE = "/oauth2/authorize/"


async def ask(world: World, http: httpx.AsyncClient | None = None, **parameters: str) -> httpx.Response:
    query = {"client_id": world.app.client_id, "response_type": "code", **parameters}
    return await (http or world.http).get(AUTHORIZE, params=query)


def is_consent(page: httpx.Response) -> bool:
    return page.status_code == 200 and 'action="/consent"' in page.text


# -- signing in again


@pytest.mark.parametrize("parameters", [{"prompt": "login"}, {"max_age": "0"}, {"prompt": "login consent"}])
async def test_member_who_is_signed_in_signs_in_again_once(world: World, parameters: dict[str, str]) -> None:
    """O2, O3: the old session does not count, the new one does, and its moment is kept with the grant."""
    old = await world.arrive(world.ann)
    world.deployment.clock.advance(100)
    page = await follow(world.http, await ask(world, **parameters))
    assert_page(page, 200)
    form = find_form(page, "/sign-in")
    assert 'value="ann@example.com"' in page.text  # whose session it is; the password field is empty
    assert form.fields["continue"]
    page = await sign_in(world.http, page, "ann@example.com")
    assert is_consent(page)
    assert is_consent(await world.http.get(str(page.url)))  # reloading asks for nothing again
    assert await world.deployment.services.login.find(old) is None
    grant = await find_grant(world, answer_of(await decide(world.http, page, "allow", world.acorn))["code"])
    assert grant.authenticated_at == world.deployment.clock.now


async def test_wrong_password_on_signing_in_again_is_no_way_on(world: World) -> None:
    await world.arrive(world.ann)
    page = await follow(world.http, await ask(world, prompt="login"))
    again = await submit(world.http, page, find_form(page, "/sign-in"), email="ann@example.com", password="wrong")
    assert_page(again, 422)
    assert find_form(again, "/sign-in").fields["continue"]
    assert is_consent(await sign_in(world.http, again, "ann@example.com"))


async def test_session_older_than_max_age_signs_in_again(world: World) -> None:
    """O2."""
    await world.arrive(world.ann)
    world.deployment.clock.advance(600)
    assert is_consent(await ask(world, max_age="600"))
    world.deployment.clock.advance(1)
    page = await follow(world.http, await ask(world, max_age="600"))
    assert page.url.path == "/sign-in"
    assert is_consent(await sign_in(world.http, page, "ann@example.com"))
    assert is_consent(await ask(world, max_age="600"))


async def test_sign_in_for_one_request_does_not_count_for_another(world: World) -> None:
    """O3: nor for the same request sent again."""
    page = await sign_in(world.http, await follow(world.http, await ask(world, prompt="login")), "ann@example.com")
    assert is_consent(page)
    for state in ("another", None):
        parameters = {"prompt": "login"} if state is None else {"prompt": "login", "state": state}
        assert (await follow(world.http, await ask(world, **parameters))).url.path == "/sign-in"
    query = parse_qs(urlsplit(str(page.url)).query)
    forged = await ask(world, prompt="login", state="another", visit=query["visit"][0])
    assert (await follow(world.http, forged)).url.path == "/sign-in"


async def test_proof_of_a_sign_in_is_worthless_in_another_browser(world: World) -> None:
    """O3: whoever gets hold of the address has to sign in as well."""
    page = await sign_in(world.http, await follow(world.http, await ask(world, prompt="login")), "ann@example.com")
    assert is_consent(page)
    async with world.deployment.http() as other:
        await world.arrive(world.ann, other)
        assert (await follow(other, await other.get(str(page.url)))).url.path == "/sign-in"


async def test_proof_cannot_be_made_by_opening_the_sign_in_page(world: World) -> None:
    """O3: what the sign-in page carries is no proof, be it opened as an address of its own."""
    await world.arrive(world.ann)
    response = await ask(world, prompt="login")
    sealed = parse_qs(urlsplit(response.headers["location"]).query)["continue"][0]
    carried = world.deployment.codec.parse_page_value(b"continue", b"", sealed)
    assert carried is not None
    assert (await follow(world.http, await world.http.get(carried.decode()))).url.path == "/sign-in"


async def test_sign_in_carried_to_another_browser_begins_anew_there(world: World) -> None:
    """The continue address of one browser leads another one to the question, by a sign-in of its own."""
    location = (await ask(world, prompt="login")).headers["location"]
    async with world.deployment.http() as other:
        await world.arrive(world.ann, other)
        page = await follow(other, await other.get(location))
        assert page.url.path == "/sign-in"
        assert is_consent(await sign_in(other, page, "ann@example.com"))


async def test_signing_in_again_as_somebody_else_asks_that_one(world: World) -> None:
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch)
    await world.arrive(world.ann)
    page = await follow(world.http, await ask(world, prompt="login"))
    page = await sign_in(world.http, page, "bob@example.com")
    grant = await find_grant(world, answer_of(await decide(world.http, page, "allow", world.birch))["code"])
    assert grant.user_id == bob


async def test_proof_of_a_sign_in_ends_with_the_hour(world: World) -> None:
    page = await sign_in(world.http, await follow(world.http, await ask(world, prompt="login")), "ann@example.com")
    world.deployment.clock.advance(3601)
    assert (await follow(world.http, await world.http.get(str(page.url)))).url.path == "/sign-in"


# -- choosing an account


async def test_select_account_asks_who_it_is_and_goes_on_with_a_click(world: World) -> None:
    await world.arrive(world.ann)
    page = await ask(world, prompt="select_account")
    assert_page(page, 200)
    assert "ann@example.com" in page.text
    [link] = [a["href"] for tag, a in read_elements(page.text) if tag == "a" and a["href"].startswith(AUTHORIZE)]
    assert is_consent(await world.http.get(link))
    async with world.deployment.http() as other:
        await world.arrive(world.ann, other)
        assert not is_consent(await other.get(link))


async def test_select_account_can_be_another_one(world: World) -> None:
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch)
    await world.arrive(world.ann)
    page = await ask(world, prompt="select_account", state="s")
    page = await follow(world.http, await submit(world.http, page, find_form(page, "/sign-out")))
    page = await sign_in(world.http, page, "bob@example.com")
    answer = answer_of(await decide(world.http, page, "allow", world.birch))
    assert answer["state"] == "s"
    assert (await find_grant(world, answer["code"])).user_id == bob


# -- prompt=none


async def test_o1_prompt_none_is_answered_without_a_page(world: World) -> None:
    assert_sent_back(await ask(world, prompt="none"), REDIRECT_URI, "login_required")
    await world.arrive(world.ann)
    assert_sent_back(await ask(world, prompt="none"), REDIRECT_URI, "consent_required")
    assert_sent_back(await ask(world, prompt="none", max_age="0"), REDIRECT_URI, "login_required")
    assert await find_grants(world) == []


async def test_o1_prompt_none_says_no_more_of_a_member_of_nothing_than_that(world: World) -> None:
    eve = await world.deployment.user("eve@example.com", "Eve")
    await world.arrive(eve)
    assert_sent_back(await ask(world, prompt="none"), REDIRECT_URI, "interaction_required")


# -- login_hint


@pytest.mark.parametrize("hint", ["ann@example.com", "nobody@example.com", '"><script>alert(1)</script>', "+49 30 1"])
async def test_login_hint_prefills_the_form_and_says_nothing_of_who_exists(world: World, hint: str) -> None:
    page = await follow(world.http, await ask(world, login_hint=hint))
    assert_page(page, 200)
    [email] = [a for tag, a in read_elements(page.text) if tag == "input" and a.get("name") == "email"]
    assert email["value"] == hint
    empty = await follow(world.http, await ask(world, login_hint="x@example.com"))
    assert len(empty.text) - len(page.text) < 3000


async def test_login_hint_of_a_pushed_request_prefills_the_form_and_stands_in_no_address(world: World) -> None:
    """Not in clear, nor in the sealed address: what is pushed is pushed to stay out of logs."""
    body = world.app.body(response_type="code", login_hint="ann@example.com")
    request_uri = (await world.http.post("/oauth2/par", data=body)).json()["request_uri"]
    response = await world.http.get(AUTHORIZE, params={"client_id": world.app.client_id, "request_uri": request_uri})
    sealed = parse_qs(urlsplit(response.headers["location"]).query)["continue"][0]
    carried = world.deployment.codec.parse_page_value(b"continue", b"", sealed)
    assert carried is not None
    assert b"ann" not in carried
    page = await follow(world.http, response)
    assert 'value="ann@example.com"' in page.text


# -- a pushed request and its clock


async def push(world: World, **parameters: str) -> str:
    response = await world.http.post("/oauth2/par", data=world.app.body(response_type="code", **parameters))
    assert response.status_code == 201, response.text
    return str(response.json()["request_uri"])


async def visit(world: World, request_uri: str) -> httpx.Response:
    query = {"client_id": world.app.client_id, "request_uri": request_uri}
    return await follow(world.http, await world.http.get(AUTHORIZE, params=query))


async def test_p5_pushed_request_outlives_a_slow_sign_in_once_the_browser_has_come(world: World) -> None:
    request_uri = await push(world)
    page = await visit(world, request_uri)
    world.deployment.clock.advance(15 * 60)
    page = await sign_in(world.http, page, "ann@example.com")
    assert is_consent(page)
    world.deployment.clock.advance(30 * 60)
    code = answer_of(await decide(world.http, page, "allow", world.acorn))["code"]
    assert (await exchange(world.http, world.app, code)).status_code == 200
    assert_page(await visit(world, request_uri), 400)


async def test_p5_pushed_request_outlives_a_change_of_account(world: World) -> None:
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch)
    page = await sign_in(world.http, await visit(world, await push(world, state="s")), "ann@example.com")
    world.deployment.clock.advance(15 * 60)
    page = await follow(world.http, await submit(world.http, page, find_form(page, "/sign-out")))
    world.deployment.clock.advance(15 * 60)
    page = await sign_in(world.http, page, "bob@example.com")
    assert answer_of(await decide(world.http, page, "allow", world.birch))["state"] == "s"


async def test_p5_pushed_request_that_nobody_came_with_in_time_is_dead(world: World) -> None:
    request_uri = await push(world)
    world.deployment.clock.advance(90)
    assert_page(await visit(world, request_uri), 400)


async def test_p5_pushed_request_is_kept_alive_for_an_hour_and_in_that_browser_alone(world: World) -> None:
    page = await visit(world, await push(world))
    address = str(page.url)
    world.deployment.clock.advance(15 * 60)
    async with world.deployment.http() as other:
        await world.arrive(world.ann, other)
        assert (await follow(other, await other.get(address))).status_code == 400
    world.deployment.clock.advance(50 * 60)
    assert_page(await sign_in(world.http, page, "ann@example.com"), 400)


async def test_p6_client_that_must_push_is_refused_without(world: World) -> None:
    import msgspec

    from latchstring.authorization_server.records import ClientSecurity

    security = ClientSecurity(requires_pushed_request=True)
    await world.deployment.store.update_client_security(
        msgspec.structs.replace(world.app.record, security=security), now=world.deployment.clock.now
    )
    challenge = {
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    assert_sent_back(await ask(world, **challenge), REDIRECT_URI, "invalid_request")
    assert_page(await visit(world, await push(world, **challenge)), 200)


async def test_p3_pushes_of_public_clients_are_limited_by_source(world: World) -> None:
    """P3: junk leaves a bounded number of rows; a client that proves itself is not counted."""
    public = await world.deployment.app(world.acorn, is_public=True)
    body = public.body(
        response_type="code",
        code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        code_challenge_method="S256",
    )
    answers = [await world.http.post("/oauth2/par", data=body) for _ in range(61)]
    assert [answer.status_code for answer in answers] == [201] * 60 + [429]
    assert answers[-1].json()["error"] == "temporarily_unavailable"
    assert int(answers[-1].headers["retry-after"]) > 0
    assert await push(world)


async def test_session_cookie_is_replaced_by_signing_in_again(world: World) -> None:
    name = session_cookie_name(world.deployment.settings)
    before = await world.arrive(world.ann)
    page = await follow(world.http, await ask(world, prompt="login"))
    await sign_in(world.http, page, "ann@example.com")
    assert world.http.cookies[name] != before
