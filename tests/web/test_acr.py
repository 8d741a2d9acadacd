"""How a member signed in, from the page to the token (RFC 9470; GHSA-hp74-gm6m-2qm5: a weak login is no step-up)."""

from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from latchstring.authorization_server.interaction import Visit
from latchstring.authorization_server.records import ClientSecurity
from latchstring.protocol.client_metadata import TOKEN_EXCHANGE
from latchstring.protocol.jose.jws import parse_jwt
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE
from latchstring.web.cookies import session_cookie_name
from latchstring.web.pages.asked import park
from tests.support import device
from tests.support.authenticator import Passkey
from tests.support.deployment import ISSUER, REDIRECT_URI
from tests.support.forms import find_form, submit
from tests.support.journey import answer_of, decide, exchange, follow, introspect, obtain_code, refresh, sign_in
from tests.support.passkeys import SIGN_IN, add_passkey, present, read_question, send
from tests.support.signing import key_set, make_key, public_jwk, sign
from tests.web.answers import assert_page, assert_sent_back, read_elements
from tests.web.conftest import MakeWorld, World
from tests.web.state import CHALLENGE, connect, dump
from tests.web.test_account import enter_password, make_code, turn_on


async def arrive(world: World, acr: str) -> None:
    """Give the browser a session of Ann's who has just signed in like that."""
    cookie = await world.deployment.services.login.begin(world.ann, acr)
    name = session_cookie_name(world.deployment.settings)
    world.http.cookies.clear()
    world.http.cookies.set(name, cookie, domain=httpx.URL(world.deployment.settings.issuer).host)


async def find_acr(world: World) -> str | None:
    """How the browser's session says that Ann signed in."""
    cookie = world.http.cookies["__Host-latchstring_session"]
    signed_in = await world.deployment.services.login.find(cookie)
    assert signed_in is not None
    return signed_in.acr


async def enter_code(world: World, page: httpx.Response, code: str) -> httpx.Response:
    return await submit(world.http, page, find_form(page, "/sign-in/code"), code=code)


# -- what a sign-in yields


@pytest.mark.parametrize("kind", ["password", "authenticator app", "recovery code", "passkey"])
async def test_each_way_of_signing_in_has_its_level_in_session_and_token(world: World, kind: str) -> None:
    expected = {"password": "pwd", "authenticator app": "mfa", "recovery code": "mfa", "passkey": "phr"}[kind]
    if kind == "password":
        await enter_password(world)
    elif kind == "passkey":
        await world.arrive(world.ann)
        passkey, _ = await add_passkey(world.http)
        world.http.cookies.clear()
        await present(world.http, passkey)
    else:
        secret, codes = await turn_on(world)
        page = await enter_password(world)
        code = codes[0] if kind == "recovery code" else make_code(secret, world.deployment.clock.now)
        assert (await enter_code(world, page, code)).status_code == 303
    assert await find_acr(world) == expected
    tokens = (await exchange(world.http, world.app, await obtain_code(world.http, world.app, world.acorn))).json()
    told = await introspect(world.http, world.guard, tokens["access_token"])
    assert (told["acr"], told["auth_time"]) == (expected, world.deployment.clock.now)
    world.http.cookies.clear()
    world.deployment.clock.advance(100)
    await enter_password(world)
    fresh = (await refresh(world.http, world.app, tokens["refresh_token"])).json()
    told = await introspect(world.http, world.guard, fresh["access_token"])
    assert (told["acr"], told["auth_time"]) == (expected, world.deployment.clock.now - 100), "a refresh is no sign-in"


async def test_weaker_sign_in_after_a_strong_one_replaces_level_and_moment_together(world: World) -> None:
    """GHSA-hp74-gm6m-2qm5: the passkey of before lends its strength to no password of now."""
    await world.arrive(world.ann)
    passkey, _ = await add_passkey(world.http)
    world.http.cookies.clear()
    await present(world.http, passkey)
    assert await find_acr(world) == "phr"
    world.deployment.clock.advance(60)
    query = {"client_id": world.app.client_id, "response_type": "code", "prompt": "login"}
    page = await follow(world.http, await world.http.get("/oauth2/authorize/", params=query))
    page = await sign_in(world.http, page, "ann@example.com")
    assert await find_acr(world) == "pwd"
    code = answer_of(await decide(world.http, page, "allow", world.acorn))["code"]
    tokens = (await exchange(world.http, world.app, code)).json()
    told = await introspect(world.http, world.guard, tokens["access_token"])
    assert (told["acr"], told["auth_time"]) == ("pwd", world.deployment.clock.now)


async def test_setting_up_what_is_stronger_is_no_sign_in_by_it(world: World) -> None:
    await enter_password(world)
    await add_passkey(world.http)
    assert await find_acr(world) == "pwd"


async def test_sign_in_whose_kind_nobody_knows_is_told_of_without_acr(world: World) -> None:
    await world.arrive(world.ann)
    tokens = (await exchange(world.http, world.app, await obtain_code(world.http, world.app, world.acorn))).json()
    told = await introspect(world.http, world.guard, tokens["access_token"])
    assert "acr" not in told
    assert told["auth_time"] == world.deployment.clock.now


@pytest.mark.parametrize("format", ["opaque", "jwt"])
async def test_exchanged_token_tells_of_the_same_sign_in(world: World, format: str) -> None:
    """RFC 8693: another client's token, of the same member's sign-in and no stronger one."""
    files, mail = [f"https://{name}.example/" for name in ("files", "mail")]
    await world.deployment.resource_server(files)
    guard = await world.deployment.resource_server(mail, format)
    acting = await world.deployment.app(world.acorn, grant_types=(TOKEN_EXCHANGE,), acts_for_resource=files)
    signed_in_at = world.deployment.clock.now - 60
    tokens = await connect(world, resource=(files, mail), authenticated_at=signed_in_at, acr="mfa")
    subject = {"subject_token": tokens["access_token"], "subject_token_type": ACCESS_TOKEN_TYPE}
    body = acting.body(grant_type=TOKEN_EXCHANGE, resource=mail, **subject)
    exchanged = (await world.http.post("/oauth2/token/", data=body)).json()["access_token"]
    told = await introspect(world.http, guard, exchanged)
    assert (told["acr"], told["auth_time"], told["client_id"]) == ("mfa", signed_in_at, acting.client_id)
    assert exchanged.startswith("ls_at_") is (format == "opaque")
    if format == "jwt":
        claims = parse_jwt(exchanged).claims
        assert (claims["acr"], claims["auth_time"]) == ("mfa", signed_in_at)


async def test_device_tells_how_its_member_signed_in(world: World) -> None:
    """And takes no `acr_values`: they are passed over, as every parameter that it does not know."""
    codes = await device.ask(world.http, world.app, acr_values="phr")
    await arrive(world, "mfa")
    assert (await device.allow(world.http, codes["user_code"], world.acorn)).status_code == 200
    tokens = (await device.poll(world.http, world.app, codes["device_code"])).json()
    assert (await introspect(world.http, world.guard, tokens["access_token"]))["acr"] == "mfa"


# -- what an app asks for


async def ask(world: World, **parameters: str) -> httpx.Response:
    query = {"client_id": world.app.client_id, "response_type": "code", "state": "s", **parameters}
    return await follow(world.http, await world.http.get("/oauth2/authorize/", params=query))


def is_consent(page: httpx.Response) -> bool:
    return page.status_code == 200 and 'action="/consent"' in page.text


async def sign_in_by_passkey(world: World, page: httpx.Response, passkey: Passkey) -> httpx.Response:
    answer = await send(world.http, page, SIGN_IN, passkey.get(read_question(page), origin=ISSUER))
    return await follow(world.http, answer)


async def find_told(world: World, page: httpx.Response) -> dict[str, Any]:
    """What an API is told after Allow."""
    code = answer_of(await decide(world.http, page, "allow", world.acorn))["code"]
    tokens = (await exchange(world.http, world.app, code)).json()
    return await introspect(world.http, world.guard, tokens["access_token"])


async def test_member_who_signed_in_strongly_enough_is_not_asked_again(world: World) -> None:
    await arrive(world, "phr")
    for wanted in ("phr", "mfa", "pwd", "mfa phr", "urn:example:gold mfa"):
        assert is_consent(await ask(world, acr_values=wanted)), wanted


async def test_member_with_a_second_factor_shows_it_and_the_token_says_so(world: World) -> None:
    secret, _ = await turn_on(world)
    await arrive(world, "pwd")
    page = await ask(world, acr_values="mfa")
    assert page.url.path == "/sign-in"
    assert "a code of your authenticator app" in page.text
    page = await sign_in(world.http, page, "ann@example.com")
    page = await follow(world.http, await enter_code(world, page, make_code(secret, world.deployment.clock.now)))
    assert is_consent(page)
    told = await find_told(world, page)
    assert (told["acr"], told["auth_time"]) == ("mfa", world.deployment.clock.now)


async def test_weak_login_is_no_step_up(world: World) -> None:
    """GHSA-hp74-gm6m-2qm5: as fresh as can be, and for this very request; but by password alone."""
    await arrive(world, "pwd")
    passkey, _ = await add_passkey(world.http)
    page = await ask(world, acr_values="phr", max_age="60", prompt="login")
    for _ in range(2):
        assert page.url.path == "/sign-in"
        assert "sign in with a passkey" in page.text
        page = await sign_in(world.http, page, "ann@example.com")
        assert not is_consent(page)
    page = await sign_in_by_passkey(world, page, passkey)
    assert is_consent(page)
    assert (await find_told(world, page))["acr"] == "phr"


async def test_strong_login_of_before_is_no_fresh_one(world: World) -> None:
    """`max_age` and `acr_values` are both held, by one sign-in."""
    await arrive(world, "phr")
    passkey, _ = await add_passkey(world.http)
    world.deployment.clock.advance(61)
    page = await ask(world, acr_values="phr", max_age="60")
    assert page.url.path == "/sign-in"
    page = await sign_in(world.http, page, "ann@example.com")
    assert page.url.path == "/sign-in", "a fresh password with the passkey of before"
    page = await sign_in_by_passkey(world, page, passkey)
    assert is_consent(page)
    told = await find_told(world, page)
    assert (told["acr"], told["auth_time"]) == ("phr", world.deployment.clock.now)


async def test_step_up_in_another_tab_counts_here_too(world: World) -> None:
    await arrive(world, "pwd")
    passkey, _ = await add_passkey(world.http)
    page = await ask(world, acr_values="phr")
    assert page.url.path == "/sign-in"
    await sign_in_by_passkey(world, await ask(world, acr_values="phr", state="other"), passkey)
    assert is_consent(await ask(world, acr_values="phr"))


@pytest.mark.parametrize("wanted, ways", [("mfa", 2), ("phr", 1), ("phr mfa", 2)])
async def test_member_who_has_nothing_stronger_is_told_where_to_set_it_up(world: World, wanted: str, ways: int) -> None:
    await arrive(world, "pwd")
    page = await ask(world, acr_values=wanted)
    assert_page(page, 403)
    assert "A stronger sign-in is needed" in page.text
    links = [a["href"] for tag, a in read_elements(page.text) if tag == "a" and a["href"].startswith("/account")]
    assert links == ["/account/passkeys", "/account"][:ways]
    before = dump(world)
    back = await submit(world.http, page, find_form(page, "/consent"), decision="unmet")
    assert_sent_back(back, REDIRECT_URI, "unmet_authentication_requirements")
    assert dump(world) == before


async def test_member_sets_it_up_and_goes_on_from_the_page(world: World) -> None:
    await arrive(world, "pwd")
    page = await ask(world, acr_values="phr")
    assert page.status_code == 403
    passkey, _ = await add_passkey(world.http)
    assert not is_consent(await ask(world, acr_values="phr")), "to set it up is no sign-in by it"
    [again] = [a["href"] for tag, a in read_elements(page.text) if tag == "a" and a["href"].startswith("/sign-in?")]
    page = await sign_in_by_passkey(world, await world.http.get(again), passkey)
    assert is_consent(page)
    assert (await find_told(world, page))["acr"] == "phr"


@pytest.mark.parametrize("decision", ["allow", "approve", "request"])
async def test_page_that_says_so_cannot_be_answered_by_an_allow(world: World, decision: str) -> None:
    """GHSA-hp74-gm6m-2qm5: what the page carries for its way back is no way on."""
    await arrive(world, "pwd")
    page = await ask(world, acr_values="mfa")
    before = dump(world)
    form = find_form(page, "/consent")
    answer = await submit(world.http, page, form, decision=decision, organization_id=world.acorn)
    assert_page(answer, 400)
    assert dump(world) == before


async def test_consent_that_is_remembered_does_not_stand_in_for_a_stronger_sign_in(world: World) -> None:
    await arrive(world, "pwd")
    await find_told(world, await ask(world))
    here = {"organization_id": world.acorn}
    assert "code" in answer_of(await ask(world, **here)), "remembered"
    assert (await ask(world, acr_values="mfa", **here)).status_code == 403
    assert_sent_back(await ask(world, acr_values="mfa", prompt="none", **here), REDIRECT_URI, "login_required")
    await arrive(world, "mfa")
    code = answer_of(await ask(world, acr_values="mfa", prompt="none", **here))["code"]
    tokens = (await exchange(world.http, world.app, code)).json()
    assert (await introspect(world.http, world.guard, tokens["access_token"]))["acr"] == "mfa"


async def test_acr_values_that_nobody_can_meet_go_back_to_the_app_at_once(world: World) -> None:
    await arrive(world, "phr")
    for wanted in ("urn:example:gold", "phrh", "PHR"):
        answer = await ask(world, acr_values=wanted)
        assert_sent_back(answer, REDIRECT_URI, "unmet_authentication_requirements")
    assert_sent_back(await ask(world, acr_values="mfa  phr"), REDIRECT_URI, "invalid_request")


async def test_pushed_acr_values_are_held_and_judged_as_they_are_pushed(world: World) -> None:
    body = world.app.body(response_type="code", acr_values="mfa")
    pushed = await world.http.post("/oauth2/par/", data=body)
    assert pushed.status_code == 201
    request_uri = {"request_uri": pushed.json()["request_uri"]}
    page = await ask(world, **request_uri)
    assert "a code of your authenticator app" in page.text
    page = await sign_in(world.http, page, "ann@example.com")
    assert page.status_code == 403
    await arrive(world, "mfa")
    assert is_consent(await ask(world, **request_uri))
    refused = await world.http.post("/oauth2/par/", data={**body, "acr_values": "gold"})
    assert (refused.status_code, refused.json()["error"]) == (400, "unmet_authentication_requirements")


async def test_signed_acr_values_are_held_and_those_beside_them_are_not(world: World) -> None:
    key = make_key()
    security = ClientSecurity(jwks=key_set(public_jwk(key, kid="1")).decode())
    app = await world.deployment.app(world.acorn, security=security)
    now = world.deployment.clock.now
    claims: dict[str, Any] = {"iss": app.client_id, "aud": ISSUER, "client_id": app.client_id, "response_type": "code"}
    claims |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    claims |= {"acr_values": "mfa", "iat": now, "nbf": now, "exp": now + 60}
    request = sign(claims, key, kid="1", typ="oauth-authz-req+jwt")
    query = {"client_id": app.client_id, "request": request, "acr_values": "pwd"}
    await arrive(world, "pwd")
    page = await follow(world.http, await world.http.get("/oauth2/authorize/", params=query))
    assert page.status_code == 403
    await arrive(world, "mfa")
    assert is_consent(await follow(world.http, await world.http.get("/oauth2/authorize/", params=query)))


async def test_request_that_waited_for_an_admin_still_asks_for_as_much(world: World) -> None:
    prompt = AuthorizationPrompt(
        client_id=world.app.client_id,
        redirect_uri=REDIRECT_URI,
        sent_redirect_uri=None,
        state=None,
        scope=("all.full_access",),
        code_challenge=None,
        organization_id=None,
        acr_values=("phr", "mfa"),
    )
    parked = park(prompt, Visit(world.deployment.clock.now))
    assert parse_qs(parked.query)["acr_values"] == ["phr mfa"]


async def test_server_without_passkeys_asks_for_none(make_world: MakeWorld) -> None:
    world = await make_world(issuer="http://127.0.0.1:8000")
    await arrive(world, "pwd")
    assert answer_of(await ask(world, acr_values="phr"))["error"] == "unmet_authentication_requirements"
    page = await ask(world, acr_values="phr mfa")
    assert page.status_code == 403
    assert "/account/passkeys" not in page.text
