"""Failed attempts are limited by whom and from where (T8); nobody can lock an honest caller out."""

import httpx
import pytest

from latchstring.authorization_server.client_keys import clean_key_set
from latchstring.authorization_server.records import ClientSecurity
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.client_assertion import JWT_BEARER_ASSERTION
from latchstring.web.throttle import find_source
from tests.support.deployment import PASSWORD, Deployment
from tests.support.device import ENDPOINT
from tests.support.forms import find_form, submit
from tests.support.signing import key_set, make_key, public_jwk, sign
from tests.web.conftest import World


def program(deployment: Deployment, address: str) -> httpx.AsyncClient:
    """A caller at that address."""
    transport = httpx.ASGITransport(deployment.application, client=(address, 5000))
    return httpx.AsyncClient(transport=transport, base_url=deployment.settings.issuer)


async def refresh(http: httpx.AsyncClient, world: World, secret: str) -> httpx.Response:
    body = {"client_id": world.app.client_id, "client_secret": secret, "grant_type": "refresh_token"}
    return await http.post("/oauth2/token/", data=body)


@pytest.mark.parametrize("path", ["/oauth2/token/", "/oauth2/revoke/", "/oauth2/introspect/", "/oauth2/par/", ENDPOINT])
async def test_wrong_secrets_beyond_the_limit_are_429_with_retry_after(world, path):
    """T8: counted together over the endpoints that authenticate clients."""
    async with program(world.deployment, "203.0.113.5") as http:
        body = {"client_id": world.app.client_id, "client_secret": "wrong", "grant_type": "refresh_token", "token": "x"}
        answers = [await http.post(path, data=body) for _ in range(25)]
    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 5
    assert answers[-1].headers["retry-after"] == "60"
    assert answers[-1].headers["cache-control"] == "no-store"
    assert answers[-1].json()["error"] == "temporarily_unavailable"


async def test_failed_assertions_beyond_the_limit_are_429_and_a_right_one_is_heard(world):
    """T8 holds for a client that proves itself by a key, too; whose client_id stands in the assertion alone."""
    security = ClientSecurity(jwks=clean_key_set(key_set(public_jwk(make_key()))))
    app = await world.deployment.app(world.acorn, token_endpoint_auth_method="private_key_jwt", security=security)
    now = world.deployment.clock.now
    claims = {"iss": app.client_id, "sub": app.client_id, "aud": "https://auth.example", "exp": now + 60}
    body = {"grant_type": "client_credentials", "client_assertion_type": JWT_BEARER_ASSERTION}

    async def ask(http: httpx.AsyncClient, number: int, key: int) -> httpx.Response:
        assertion = sign({**claims, "jti": str(number)}, make_key(number=key))
        return await http.post("/oauth2/token", data={**body, "client_assertion": assertion})

    async with program(world.deployment, "203.0.113.5") as http:
        answers = [await ask(http, number, 2) for number in range(22)]
        assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 2
        assert answers[-1].headers["retry-after"] == "60"
        assert (await ask(http, 100, 1)).status_code == 200


async def test_right_secret_is_heard_from_the_attackers_own_address_and_from_another(world):
    """T8: a right secret is never counted, and never refused."""
    async with program(world.deployment, "203.0.113.5") as attacker, program(world.deployment, "203.0.113.6") as other:
        for _ in range(25):
            await refresh(attacker, world, "wrong")
        for http in (attacker, other):
            answer = await refresh(http, world, world.app.secret)
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert (await refresh(other, world, "wrong")).status_code == 401


async def test_right_passwords_are_never_too_many_and_forgive_no_wrong_one(world):
    """A person who signs in and out all day is heard; so is one whom a success of another's cannot help to guess."""
    async with program(world.deployment, "203.0.113.9") as http:
        for _ in range(9):
            page = await http.get("/sign-in")
            refused = await submit(http, page, find_form(page, "/sign-in"), email="ann@example.com", password="wrong")
            assert refused.status_code == 422
        for _ in range(15):
            http.cookies.clear()
            page = await http.get("/sign-in")
            form = find_form(page, "/sign-in")
            assert (await submit(http, page, form, email="ann@example.com", password=PASSWORD)).status_code == 303
        http.cookies.clear()
        page = await http.get("/sign-in")
        form = find_form(page, "/sign-in")
        answers = [await submit(http, page, form, email="ann@example.com", password="wrong") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [422, 429]


async def test_sign_ins_to_one_account_are_limited_by_source(world):
    """Ten a five minutes; from elsewhere the member signs in all the same."""
    async with program(world.deployment, "203.0.113.5") as attacker, program(world.deployment, "203.0.113.6") as other:
        page = await attacker.get("/sign-in")
        form = find_form(page, "/sign-in")
        answers = [await submit(attacker, page, form, email="ANN@example.com", password="guess") for _ in range(11)]
        assert [answer.status_code for answer in answers] == [422] * 10 + [429]
        refused = await submit(attacker, page, form, email="ann@example.com", password=PASSWORD)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "300")
        assert "Too many attempts" in refused.text
        page = await other.get("/sign-in")
        signed_in = await submit(other, page, find_form(page, "/sign-in"), email="ann@example.com", password=PASSWORD)
        assert signed_in.status_code == 303


@pytest.mark.parametrize(
    "peer, forwarded, proxies, source",
    [
        ("203.0.113.5", None, 0, "203.0.113.5"),
        ("203.0.113.5", "198.51.100.1", 0, "203.0.113.5"),
        ("10.0.0.1", "198.51.100.1", 1, "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", 1, "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", 2, "198.51.100.1"),
        ("10.0.0.1", None, 1, "10.0.0.1"),
        ("2001:db8:1:2:3::4", None, 0, "2001:db8:1:2::/64"),
        ("10.0.0.1", "2001:db8:1:2:ffff::1", 1, "2001:db8:1:2::/64"),
        ("10.0.0.1", "garbage" * 50, 1, ("garbage" * 50)[:64]),
    ],
)
def test_source_is_what_the_last_trusted_proxy_says(peer, forwarded, proxies, source):
    """CVE-2026-45364: IPv6 addresses of one /64 are one source. A header that nobody trusted is not read."""
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    scope = {"client": (peer, 1), "headers": headers}
    assert find_source(scope, Settings(issuer="https://auth.example", trusted_proxies=proxies)) == source


def test_source_of_a_unix_socket_is_one():
    assert find_source({"client": None, "headers": []}, Settings(issuer="https://auth.example")) == ""
