"""The pages for connecting: the same table in every framework."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpResponse
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import PlainTextResponse

from latchstring.client import AsyncOAuthClient, MemoryStore, Misconfigured, OAuthClient
from latchstring.client.frameworks import django, flask, starlette
from latchstring.client.testing import SERVICE_UNAVAILABLE, Clock, FakeProvider, Fault
from tests.resource_server.fakes import WsgiTransport
from tests.support.django_site import serve_django

ORIGIN = "https://app.example"
SESSIONS = [Middleware(SessionMiddleware, secret_key="for tests", https_only=True)]


def settings(provider: FakeProvider) -> dict[str, Any]:
    return {
        "client_id": provider.client_id,
        "client_secret": provider.client_secret,
        "redirect_uri": f"{ORIGIN}/oauth/callback",
        "scope": "all.full_access offline_access",
        "store": MemoryStore(),
        "clock": provider.clock,
    }


def start_async(provider: FakeProvider) -> AsyncOAuthClient:
    http = httpx.AsyncClient(transport=provider.transport())
    return AsyncOAuthClient(provider.issuer, http=http, **settings(provider))


def start(provider: FakeProvider) -> OAuthClient:
    return OAuthClient(provider.issuer, http=httpx.Client(transport=provider.transport()), **settings(provider))


def asgi_routes(provider: FakeProvider, *, fails: bool) -> Any:
    async def connected(request, connection):
        return PlainTextResponse(f"Connected to {connection.organization_id}.")

    async def failed(request, error):
        return PlainTextResponse(f"Mine: {error.code}.", 418)

    return starlette.connect_routes(start_async(provider), connected=connected, failed=failed if fails else None)


def build_starlette(provider: FakeProvider, *, fails: bool) -> Any:
    return httpx.ASGITransport(Starlette(routes=asgi_routes(provider, fails=fails), middleware=SESSIONS))


def build_fastapi(provider: FakeProvider, *, fails: bool) -> Any:
    return httpx.ASGITransport(FastAPI(routes=asgi_routes(provider, fails=fails), middleware=SESSIONS))


def build_flask(provider: FakeProvider, *, fails: bool) -> Any:
    app = Flask("app")
    app.secret_key = "for tests"
    blueprint = flask.connect_blueprint(
        start(provider),
        connected=lambda connection: f"Connected to {connection.organization_id}.",
        failed=(lambda error: (f"Mine: {error.code}.", 418)) if fails else None,
    )
    app.register_blueprint(blueprint)
    return WsgiTransport(app)


def build_django(provider: FakeProvider, *, fails: bool) -> Any:
    urlpatterns = django.connect_urls(
        start(provider),
        connected=lambda request, connection: HttpResponse(f"Connected to {connection.organization_id}."),
        failed=(lambda request, error: HttpResponse(f"Mine: {error.code}.", status=418)) if fails else None,
    )
    return WsgiTransport(serve_django(urlpatterns, DjangoSessionMiddleware))


BUILDERS: dict[str, Callable[..., Any]] = {
    "starlette": build_starlette,
    "fastapi": build_fastapi,
    "flask": build_flask,
    "django": build_django,
}


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(clock=Clock())


@pytest.fixture(params=BUILDERS)
def build(request: pytest.FixtureRequest, provider: FakeProvider) -> Callable[..., Any]:
    return lambda *, fails=False: BUILDERS[request.param](provider, fails=fails)


def browse(transport: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=transport, base_url=ORIGIN)


async def begin(browser: httpx.AsyncClient, provider: FakeProvider, **choice: Any) -> str:
    """From the app to the provider; the address that it sends the browser back to."""
    begun = await browser.get("/connect")
    assert begun.status_code == 303
    assert begun.headers["cache-control"] == "no-store"
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert {"state", "code_challenge"} <= set(asked)
    return provider.authorize(begun.headers["location"], **choice)


def redemptions(provider: FakeProvider) -> int:
    return sum(form.get("grant_type") == "authorization_code" for _, form in provider.requests)


async def test_browser_is_sent_away_and_comes_back_connected_once(build, provider):
    async with browse(build()) as browser:
        back = await begin(browser, provider, organization_id="orga_birch")
        answer = await browser.get(back)
        assert (answer.status_code, answer.text) == (200, "Connected to orga_birch.")
        again = await browser.get(back)
        assert (again.status_code, again.headers["referrer-policy"]) == (400, "no-referrer")
        assert again.text == "This link is not for this browser, or it was used. Please connect again."
    assert redemptions(provider) == 1


@pytest.mark.parametrize("purpose", [{"sec-purpose": "prefetch;prerender"}, {"purpose": "prefetch"}, None])
async def test_look_ahead_does_not_burn_the_code(build, provider, purpose):
    async with browse(build()) as browser:
        back = await begin(browser, provider)
        sent = len(provider.requests)
        looked = await browser.head(back) if purpose is None else await browser.get(back, headers=purpose)
        assert (looked.status_code, looked.headers["cache-control"]) == (503, "no-store")
        ahead = await browser.head("/connect") if purpose is None else await browser.get("/connect", headers=purpose)
        assert ahead.status_code == 503
        assert len(provider.requests) == sent
        assert (await browser.get(back)).status_code == 200


async def test_another_browser_is_refused_and_spends_nothing(build, provider):
    transport = build()
    async with browse(transport) as browser, browse(transport) as stranger, browse(transport) as other:
        back = await begin(browser, provider)
        assert (await stranger.get(back)).status_code == 400
        await begin(other, provider)
        assert (await other.get(back)).status_code == 400
        assert redemptions(provider) == 0
        assert (await browser.get(back)).status_code == 200


async def test_declined_is_no_error(build, provider):
    async with browse(build()) as browser:
        answer = await browser.get(await begin(browser, provider, allow=False))
        assert (answer.status_code, answer.text) == (200, "Nothing was connected.")


async def test_provider_that_does_not_answer_is_503(build, provider):
    async with browse(build()) as browser:
        back = await begin(browser, provider)
        provider.faults = [SERVICE_UNAVAILABLE]
        answer = await browser.get(back)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
        provider.faults = [Fault.DROP_ANSWER]
        assert (await browser.get(await begin(browser, provider))).status_code == 503


async def test_wrong_secret_is_502_and_goes_to_the_log(build, provider, caplog):
    async with browse(build()) as browser:
        back = await begin(browser, provider)
        provider.client_secret = "changed"
        answer = await browser.get(back)
        assert answer.status_code == 502
        assert "invalid_client" not in answer.text
    assert "invalid_client" in caplog.text
    assert parse_qs(urlsplit(back).query)["code"][0] not in caplog.text


@pytest.mark.parametrize("query", ["", "code=a&code=b&state=x", "code=%ff&state=%00", "error=access_denied"])
async def test_callback_that_makes_no_sense_is_400(build, provider, query):
    async with browse(build()) as browser:
        await begin(browser, provider)
        assert (await browser.get(f"/oauth/callback?{query}")).status_code == 400


async def test_failure_is_answered_by_the_app_where_it_wants_to(build, provider):
    async with browse(build(fails=True)) as browser:
        answer = await browser.get("/oauth/callback?code=x&state=y")
        assert (answer.status_code, answer.text) == (418, "Mine: state_mismatch.")
        answer = await browser.get(await begin(browser, provider, allow=False))
        assert (answer.status_code, answer.text) == (418, "Mine: access_denied.")


@pytest.mark.parametrize("redirect_uri", ["com.example.app:/callback", "https://app.example", "https://app.example/"])
def test_redirect_uri_without_a_path_is_refused(provider, redirect_uri):
    client = start(provider)
    client._context = type(client._context)(
        settings=type(client._context.settings)(client_id="a", redirect_uri=redirect_uri),
        providers=client._context.providers,
        store=client._context.store,
        clock=client._context.clock,
        entropy=client._context.entropy,
    )
    with pytest.raises(Misconfigured, match="redirect_uri"):
        flask.connect_blueprint(client, connected=lambda connection: "")
