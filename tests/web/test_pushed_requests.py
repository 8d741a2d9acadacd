"""Pushed authorization requests (RFC 9126): P1–P5 and single use, counted at the answer and not at the first visit."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.support.deployment import REDIRECT_URI, App
from tests.support.journey import answer_of, decide, exchange, follow, open_consent, sign_in
from tests.web.conftest import World


async def push(world: World, app: App | None = None, **parameters: str) -> httpx.Response:
    return await world.http.post("/oauth2/par/", data=(app or world.app).body(response_type="code", **parameters))


async def open_pushed(world: World, request_uri: str, client_id: str | None = None) -> httpx.Response:
    query = {"client_id": client_id or world.app.client_id, "request_uri": request_uri}
    page = await follow(world.http, await world.http.get("/oauth2/authorize/", params=query))
    return await sign_in(world.http, page, "ann@example.com") if page.url.path == "/sign-in" else page


async def test_push_valid_request_is_kept_and_leads_to_a_code(world):
    """P1, RFC 9126 §2.2."""
    response = await push(world, state="s1", redirect_uri=REDIRECT_URI)
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["expires_in"] == 90
    page = await open_pushed(world, response.json()["request_uri"])
    answer = answer_of(await decide(world.http, page, "allow", world.acorn))
    assert answer["state"] == "s1"
    assert (await exchange(world.http, world.app, answer["code"], redirect_uri=REDIRECT_URI)).status_code == 200


@pytest.mark.parametrize("decision", ["allow", "deny"])
async def test_pushed_request_answered_once_is_used_up(world, decision):
    """P5: two visits before the answer are fine, a second answer is not."""
    request_uri = (await push(world)).json()["request_uri"]
    first = await open_pushed(world, request_uri)
    second = await open_pushed(world, request_uri)
    assert (first.status_code, second.status_code) == (200, 200)
    answer_of(await decide(world.http, first, decision, world.acorn))
    again = await decide(world.http, second, "allow", world.acorn)
    assert again.status_code == 400
    assert "location" not in again.headers
    assert (await open_pushed(world, request_uri)).status_code == 400


async def test_pushed_request_expired_or_of_another_client_is_a_page(world):
    """P5, RFC 9126 §4: nothing is redirected."""
    other = await world.deployment.app(world.birch)
    request_uri = (await push(world)).json()["request_uri"]
    of_another = "The request_uri is unknown, expired, answered or another client"
    none_of_ours = "Only the request_uri of a pushed request counts; none is fetched."
    for client_id, path, why in (
        (other.client_id, request_uri, of_another),
        (world.app.client_id, request_uri[:-1] + "g", none_of_ours),
    ):
        page = await open_pushed(world, path, client_id)
        assert (page.status_code, "location" in page.headers) == (400, False)
        assert "invalid_request_uri" in page.text
        assert why in page.text
    world.deployment.clock.advance(90)
    assert (await open_pushed(world, request_uri)).status_code == 400


async def test_pushed_request_beside_a_request_object_tells_the_developer_why(world):
    """RFC 9101 §5."""
    request_uri = (await push(world)).json()["request_uri"]
    query = {"client_id": world.app.client_id, "request_uri": request_uri, "request": "x.y.z"}
    page = await world.http.get("/oauth2/authorize", params=query)
    assert (page.status_code, "location" in page.headers) == (400, False)
    assert "request and request_uri stand together (RFC 9101 section 5)." in page.text
    assert (await open_pushed(world, request_uri)).status_code == 200, "it is not used up"


async def test_push_of_a_request_that_no_redirect_could_answer_says_what_is_wrong(world):
    refused = await push(world, redirect_uri="https://other.example/")
    assert refused.json()["error_description"] == "redirect_uri is not registered for this client."


async def test_pushed_request_parameters_outside_it_do_not_count(world):
    """RFC 9126 §4 with RFC 9101 §6.3."""
    request_uri = (await push(world, state="inside")).json()["request_uri"]
    query = {"client_id": world.app.client_id, "request_uri": request_uri, "state": "outside"}
    page = await follow(world.http, await world.http.get("/oauth2/authorize/", params=query))
    page = await sign_in(world.http, page, "ann@example.com")
    assert answer_of(await decide(world.http, page, "deny"))["state"] == "inside"


@pytest.mark.parametrize(
    "parameters, status, code",
    [
        pytest.param({"request_uri": "urn:x"}, 400, "invalid_request", id="P2-request_uri"),
        pytest.param({"redirect_uri": "https://evil.example/"}, 400, "invalid_request", id="A2-redirect_uri"),
        pytest.param({"scope": "unknown"}, 400, "invalid_scope", id="A16-scope"),
        pytest.param({"code_challenge": "x"}, 400, "invalid_request", id="A12-challenge"),
        pytest.param({"client_secret": "wrong"}, 401, "invalid_client", id="P4-secret"),
    ],
)
async def test_push_faulty_request_is_refused_at_once(world, parameters, status, code):
    response = await push(world, **parameters)
    assert (response.status_code, response.json()["error"]) == (status, code)


async def test_push_by_get_is_405(world):
    """P3."""
    assert (await world.http.get("/oauth2/par")).status_code == 405


async def test_sign_out_during_pushed_request_comes_back_to_it(world):
    page = await open_consent(world.http, world.app)
    assert page.status_code == 200
    request_uri = (await push(world)).json()["request_uri"]
    location = (await open_pushed(world, request_uri)).request.url
    assert parse_qs(urlsplit(str(location)).query)["request_uri"] == [request_uri]
