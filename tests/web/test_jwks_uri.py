"""A client's keys at a host of its own, from the request down to the socket (J5, G7, K5; drill 11)."""

import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest

from latchstring.authorization_server.records import ClientSecurity
from latchstring.outbound.fetcher import Fetcher
from latchstring.protocol.client_assertion import JWT_BEARER_ASSERTION
from tests.support.deployment import App, Deployment, deploy
from tests.support.https import Answer, Host, Internet
from tests.support.signing import key_set, make_key, public_jwk, sign

KEYS = key_set(public_jwk(make_key(), kid="1"))
GOOD = Answer(body=KEYS)


async def make_app(deployment: Deployment, jwks_uri: str) -> App:
    return await deployment.app(
        await deployment.organization(),
        token_endpoint_auth_method="private_key_jwt",
        security=ClientSecurity(jwks_uri=jwks_uri),
    )


async def ask(deployment: Deployment, app: App, token_id: str, **header: Any) -> httpx.Response:
    now = deployment.clock.now
    claims = {"iss": app.client_id, "sub": app.client_id, "aud": deployment.settings.issuer}
    assertion = sign({**claims, "exp": now + 60, "jti": token_id}, make_key(), **{"kid": "1", **header})
    body = {"client_assertion_type": JWT_BEARER_ASSERTION, "client_assertion": assertion}
    async with deployment.http() as http:
        return await http.post("/oauth2/token", data={**body, "grant_type": "client_credentials"})


def assert_unavailable(response: httpx.Response) -> None:
    assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
    assert response.headers["retry-after"] == "10"
    # Of the network behind the server nothing is told.
    assert response.json()["error_description"] == "The client's key set (jwks_uri) cannot be read now."


async def test_keys_at_a_real_host_prove_the_client_and_are_asked_for_once(tmp_path: Path):
    internet = Internet(tmp_path)
    async with internet.host("app.test") as host, deploy(tmp_path, fetch=internet.fetcher()) as deployment:
        host.answer = GOOD
        app = await make_app(deployment, host.url())
        for number in range(5):
            assert (await ask(deployment, app, str(number))).status_code == 200
        assert len(host.requests) == 1
        for number in range(20):
            assert (await ask(deployment, app, f"unknown-{number}", kid=f"unknown-{number}")).status_code in {401, 429}
        assert len(host.requests) == 1, "a storm of unknown key ids is one request an interval"


@pytest.mark.parametrize(
    "answer",
    [
        Answer("302 Found", ("Location: https://other.test/",), KEYS),
        Answer("500 Internal Server Error", body=KEYS),
        Answer("404 Not Found", body=KEYS),
        Answer(body=b"<html>"),
        Answer(body=b'{"keys": ' + b"[" * 30_000),
        Answer(body=KEYS, endless=True),
        Answer(body=KEYS, pause=30),
    ],
    ids=["redirect", "500", "404", "no JSON", "deep JSON", "endless", "slow"],
)
async def test_keys_at_a_host_that_misbehaves_are_a_503_in_bounded_time_and_nothing_is_kept(
    tmp_path: Path, answer: Answer
):
    internet = Internet(tmp_path)
    async with internet.host("app.test") as host, deploy(tmp_path, fetch=internet.fetcher(deadline=3)) as deployment:
        app = await make_app(deployment, host.url())
        host.answer = answer
        began = time.monotonic()
        assert_unavailable(await ask(deployment, app, "once"))
        assert time.monotonic() - began < 10
        host.answer = GOOD
        deployment.clock.advance(31)
        assert (await ask(deployment, app, "once")).status_code == 200, "the assertion was not used up"


async def _by_default(internet: Internet, host: Host) -> Fetcher:
    """The name leads to loopback from the start: the fetcher of the server itself, without a test's allowance."""
    return Fetcher(resolve=internet.resolve, tls=internet.authority.trusting())


async def _by_one_of_many(internet: Internet, host: Host) -> Fetcher:
    internet.addresses[host.name] = [(ip_address("1.1.1.1"), ip_address("169.254.169.254"))] * 3
    return internet.fetcher()


@pytest.mark.parametrize("make", [_by_default, _by_one_of_many])
async def test_keys_at_a_special_use_address_are_never_asked_for(
    tmp_path: Path, make: Callable[[Internet, Host], Awaitable[Fetcher]]
):
    internet = Internet(tmp_path)
    async with internet.host("app.test") as host:
        host.answer = GOOD
        async with deploy(tmp_path, fetch=await make(internet, host)) as deployment:
            app = await make_app(deployment, host.url())
            assert_unavailable(await ask(deployment, app, "once"))
        assert host.requests == []
