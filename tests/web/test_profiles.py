"""What an app is held to, on its page, in the log, and from one request to the next."""

import asyncio
import itertools
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from latchstring.authorization_server.client_keys import clean_key_set
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import ClientSecurity
from latchstring.protocol.client_assertion import JWT_BEARER_ASSERTION
from latchstring.web.allowances import INTERVAL, AllowanceLog
from tests.support.deployment import App, Clock, Deployment
from tests.support.forms import find_form, submit
from tests.support.journey import grant_code, open_consent
from tests.support.proofs import Prover
from tests.support.signing import key_set, make_key, public_jwk, sign
from tests.web.answers import assert_page, assert_refused
from tests.web.conftest import World
from tests.web.state import CHALLENGE, VERIFIER, dump, find_grant, is_active, post

STRICT = ClientSecurity()


async def security_of(deployment: Deployment, client_id: str) -> ClientSecurity:
    client = await deployment.store.find_client(client_id)
    assert client is not None
    return client.security


# -- the app's page


async def test_app_let_off_pkce_says_so_and_its_owner_can_require_it(world: World) -> None:
    """A11: from the next request on; there is no way back on the page."""
    await world.arrive(world.ann)
    path = f"/apps/{world.app.client_id}"
    page = await world.http.get(path)
    assert_page(page, 200)
    assert "It may connect without PKCE." in page.text
    assert (await open_consent(world.http, world.app)).status_code == 200
    saved = await submit(world.http, page, find_form(page, f"{path}/require-pkce"))
    assert (saved.status_code, saved.headers["location"]) == (303, f"{path}?saved")
    page = await world.http.get(saved.headers["location"])
    assert "It has to use PKCE." in page.text
    assert f'action="{path}/require-pkce"' not in page.text
    assert "code_verifier=CODE_VERIFIER" in page.text, "the commands to copy say so, too"
    assert await security_of(world.deployment, world.app.client_id) == STRICT
    refused = await world.http.get(
        "/oauth2/authorize/", params={"client_id": world.app.client_id, "response_type": "code"}
    )
    assert "error=invalid_request" in refused.headers["location"]


async def test_pkce_is_required_by_those_who_may_change_the_app_alone(world: World) -> None:
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.acorn)
    await world.arrive(bob)
    path = f"/apps/{world.app.client_id}"
    page = await world.http.get(path)
    assert_page(page, 200)
    assert f'action="{path}/require-pkce"' not in page.text
    token = find_form(page, "/sign-out").fields["csrf_token"]
    before = dump(world)
    assert_page(await world.http.post(f"{path}/require-pkce", data={"csrf_token": token}), 404)
    assert_page(await world.http.post(f"{path}/require-pkce", data={"csrf_token": "x"}), 403)
    assert dump(world) == before


@pytest.mark.parametrize(
    "security, words",
    [
        (ClientSecurity(profile="legacy"), "It has to use PKCE."),
        (ClientSecurity(dpop_bound_access_tokens=True), "bound to its key (DPoP)."),
        (ClientSecurity(tls_client_certificate_bound_access_tokens=True), "bound to its TLS certificate."),
        (ClientSecurity(profile="fapi2"), "It keeps the FAPI 2.0 security profile."),
    ],
)
async def test_app_page_says_in_words_what_the_app_is_held_to(world: World, security, words: str) -> None:
    changed = replace(world.app.record, security=security)
    assert (
        await world.deployment.store.update_client_security(changed, now=world.deployment.clock.now) is Commit.APPLIED
    )
    await world.arrive(world.ann)
    page = await world.http.get(f"/apps/{world.app.client_id}")
    assert_page(page, 200)
    assert words in page.text


# -- the log


async def test_each_use_of_an_allowance_is_logged_once_a_minute(world: World) -> None:
    await world.arrive(world.ann)

    async def ask(client_id: str = world.app.client_id, **given: str) -> None:
        query = {"client_id": client_id, "response_type": "code", **given}
        await world.http.get("/oauth2/authorize/", params=query)

    other = await world.deployment.app(world.acorn)
    challenge = {"code_challenge": "E" * 43, "code_challenge_method": "S256"}
    with capture_logs() as logs:
        await ask(**challenge)
        await ask()
        await ask()
        await ask(other.client_id)
        world.deployment.clock.advance(INTERVAL - 1)
        await ask()
        world.deployment.clock.advance(1)
        await ask()
    used: list[Any] = [entry for entry in logs if entry["event"] == "allowance_used"]
    assert [entry["client_id"] for entry in used] == [world.app.client_id, other.client_id, world.app.client_id]
    assert {entry["allowance"] for entry in used} == {"code_without_pkce"}


async def test_request_that_is_refused_uses_no_allowance(world: World) -> None:
    with capture_logs() as logs:
        query = {"client_id": world.app.client_id, "response_type": "code", "scope": "unknown"}
        await world.http.get("/oauth2/authorize/", params=query)
    assert not [entry for entry in logs if entry["event"] == "allowance_used"]


def test_allowance_log_stays_bounded() -> None:
    log = AllowanceLog(Clock())
    with capture_logs() as logs:
        for number in range(25_000):
            log.note(f"client {number}", "code_without_pkce")
    assert len(logs) == 25_000
    assert len(log._noted_at) <= 10_000


# -- refresh tokens that stay the same

KEY = Prover()
_JWKS = clean_key_set(key_set(public_jwk(make_key(), kid="1")))
FAPI = ClientSecurity(profile="fapi2", jwks=_JWKS)
OAUTH = ClientSecurity(jwks=_JWKS)
_numbers = itertools.count(1)


class KeyApp:
    """An app that proves itself by a key, and its tokens to one."""

    def __init__(self, world: World, app: App) -> None:
        self.world = world
        self.app = app

    async def hold_to(self, security: ClientSecurity) -> None:
        client = await self.world.deployment.store.find_client(self.app.client_id)
        assert client is not None
        await self.world.deployment.services.apps.update_security(client, security)

    async def ask(self, path: str = "/oauth2/token/", **form: str) -> httpx.Response:
        now, issuer = self.world.deployment.clock.now, self.world.deployment.settings.issuer
        claims = {"iss": self.app.client_id, "sub": self.app.client_id, "aud": issuer, "exp": now + 60}
        assertion = sign({**claims, "jti": f"jti-{next(_numbers)}"}, make_key(), kid="1")
        form |= {"client_assertion": assertion, "client_assertion_type": JWT_BEARER_ASSERTION}
        return await post(self.world, path, form, headers={"dpop": KEY.prove(now=now)})

    async def refresh(self, refresh_token: str) -> httpx.Response:
        return await self.ask(grant_type="refresh_token", refresh_token=refresh_token)

    async def connect(self) -> str:
        given = {"code_challenge": CHALLENGE}
        code = await grant_code(self.world.deployment, self.app, self.world.ann, self.world.acorn, **given)
        answer = await self.ask(grant_type="authorization_code", code=code, code_verifier=VERIFIER)
        assert answer.status_code == 200, answer.text
        refresh_token: str = answer.json()["refresh_token"]
        return refresh_token


@pytest.fixture
async def key_app(world: World) -> KeyApp:
    given: Any = {"token_endpoint_auth_method": "private_key_jwt", "security": FAPI}
    return KeyApp(world, await world.deployment.app(world.acorn, **given))


async def test_f5_refresh_token_that_stays_is_sent_many_times_at_once(world: World, key_app: KeyApp) -> None:
    """Every answer has the same refresh token, and nothing counts as a retry or as reuse."""
    first = await key_app.connect()
    answers = await asyncio.gather(*(key_app.refresh(first) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["refresh_token"] for answer in answers} == {first}
    assert len({answer.json()["access_token"] for answer in answers}) == 10
    grant = await find_grant(world, first)
    assert (grant.generation, grant.retry_count, grant.rotated_at, grant.status) == (1, 0, None, "active")


async def test_f5_refresh_moves_the_idle_expiry(world: World, key_app: KeyApp) -> None:
    first = await key_app.connect()
    before = await find_grant(world, first)
    world.deployment.clock.advance(24 * 3600)
    assert (await key_app.refresh(first)).status_code == 200
    after = await find_grant(world, first)
    assert before.expires_at is not None
    assert after.expires_at == before.expires_at + 24 * 3600


async def test_f5_refresh_tokens_of_before_the_profile_are_judged_as_ever(world: World, key_app: KeyApp) -> None:
    """The predecessor within the window gets the newest one; later it is reuse."""
    await key_app.hold_to(OAUTH)
    first = await key_app.connect()
    newest = (await key_app.refresh(first)).json()["refresh_token"]
    assert newest != first
    await key_app.hold_to(FAPI)
    assert (await key_app.refresh(newest)).json()["refresh_token"] == newest
    assert (await key_app.refresh(first)).json()["refresh_token"] == newest
    world.deployment.clock.advance(61)
    assert_refused(await key_app.refresh(first), 400, "invalid_grant", "superseded:")
    assert_refused(await key_app.refresh(newest), 400, "invalid_grant", "superseded:")


async def test_f5_refresh_token_that_stays_rotates_when_the_profile_ends(world: World, key_app: KeyApp) -> None:
    first = await key_app.connect()
    assert (await key_app.refresh(first)).json()["refresh_token"] == first
    await key_app.hold_to(OAUTH)
    second = (await key_app.refresh(first)).json()["refresh_token"]
    assert second != first
    assert (await find_grant(world, second)).generation == 2


async def test_f5_revoked_refresh_token_that_stays_is_dead(world: World, key_app: KeyApp) -> None:
    first = await key_app.connect()
    answer = (await key_app.refresh(first)).json()
    assert (await key_app.ask("/oauth2/revoke/", token=first)).status_code == 200
    assert_refused(await key_app.refresh(first), 400, "invalid_grant", "revoked:")
    assert not await is_active(world, answer["access_token"])
