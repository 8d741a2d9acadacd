"""The authorization endpoint: a page where nothing is proven, a redirect only afterwards (RFC 6749 §4.1.2.1)."""

from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest

from tests.support.deployment import REDIRECT_URI, App
from tests.support.forms import find_form
from tests.support.journey import answer_of, decide, follow, open_consent, sign_in
from tests.web.answers import assert_leads_nowhere, assert_page, assert_sent_back
from tests.web.conftest import World
from tests.web.state import CHALLENGE, dump, find_grant, find_grants
from tests.web.wire import FORM, ask

SIGNED_IN = pytest.mark.parametrize("signed_in", [False, True], ids=["stranger", "member"])


async def authorize(world: World, app: App | None = None, **parameters: str | None) -> httpx.Response:
    """The authorization request; None leaves a parameter out."""
    app = app or world.app
    given = {"client_id": app.client_id, "response_type": "code", "state": "s t", **parameters}
    query = {name: value for name, value in given.items() if value is not None}
    return await world.http.get("/oauth2/authorize/", params=query)


# -- what must not be redirected


@SIGNED_IN
@pytest.mark.parametrize(
    "client_id",
    [None, "", "oa2client_0000000000000000000000", "x", "<script>alert(1)</script>", "a\0b", "https://evil.example/"],
)
async def test_authorize_unknown_client_is_a_page_without_a_way_on(
    world: World, signed_in: bool, client_id: str | None
) -> None:
    """A1, CVE-2026-41479: before any other rule, whatever else is wrong with the request."""
    if signed_in:
        await world.arrive(world.ann)
    for response_type in ("code", "nonsense", None):
        evil = "https://evil.example/cb"
        response = await authorize(
            world, client_id=client_id, redirect_uri=evil, response_type=response_type, prompt="none"
        )
        assert_page(response, 400)
        assert_leads_nowhere(response, "evil.example")
        assert "<script>alert" not in response.text
    assert await find_grants(world) == []


@SIGNED_IN
@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://evil.example/cb",
        "nonsense",
        "//app.example/callback",
        "javascript:alert(1)",
        "data:text/html,x",
        " ",
        "\\",
    ],
)
async def test_authorize_unregistered_redirect_uri_is_a_page_without_a_way_on(
    world: World, signed_in: bool, redirect_uri: str
) -> None:
    """A2, A7; also with everything else wrong, prompt=none and other response modes (section 0.5)."""
    if signed_in:
        await world.arrive(world.ann)
    for extra in (
        {},
        {"response_type": "nonsense"},
        {"response_type": None},
        {"scope": "nonsense"},
        {"prompt": "none"},
        {"response_mode": "form_post"},
        {"response_mode": "form_post.jwt"},
        {"request_uri": "https://evil.example/request"},
        {"request": "e30.e30."},
    ):
        response = await authorize(world, redirect_uri=redirect_uri, **extra)
        assert_page(response, 400)
        assert_leads_nowhere(response, redirect_uri.strip() or "evil.example")
    assert await find_grants(world) == []


async def test_authorize_missing_redirect_uri_with_several_registered_is_a_page(world: World) -> None:
    """A2."""
    app = await world.deployment.app(world.acorn, redirect_uris=(REDIRECT_URI, "https://app.example/other"))
    await world.arrive(world.ann)
    for redirect_uri in (None, ""):
        response = await authorize(world, app, redirect_uri=redirect_uri)
        assert_page(response, 400)
        assert_leads_nowhere(response, "app.example")
    assert_page(await authorize(world, app, redirect_uri="https://app.example/other"), 200)


REGISTERED = "https://app.example/Ok/callback?tenant=1&mode=a"
MUTATIONS = {
    "path-case": "https://app.example/ok/callback?tenant=1&mode=a",
    "host-case": "https://APP.example/Ok/callback?tenant=1&mode=a",
    "scheme-case": "HTTPS://app.example/Ok/callback?tenant=1&mode=a",
    "http": "http://app.example/Ok/callback?tenant=1&mode=a",
    "trailing-slash": "https://app.example/Ok/callback/?tenant=1&mode=a",
    "extra-query": "https://app.example/Ok/callback?tenant=1&mode=a&x=1",
    "empty-extra-query": "https://app.example/Ok/callback?tenant=1&mode=a&",
    "reordered-query": "https://app.example/Ok/callback?mode=a&tenant=1",
    "no-query": "https://app.example/Ok/callback",
    "planted-code": "https://app.example/Ok/callback?tenant=1&mode=a&code=evil",
    "planted-state-fragment": "https://app.example/Ok/callback?tenant=1&mode=a#state=evil",
    "path-parameter": "https://app.example/Ok/callback;p=1?tenant=1&mode=a",
    "encoded-dots": "https://app.example/Ok/%2e%2e/Ok/callback?tenant=1&mode=a",
    "dots": "https://app.example/Ok/x/../callback?tenant=1&mode=a",
    "dots-semicolon": "https://app.example/Ok/..;/evil?tenant=1&mode=a",
    "percent-letter": "https://app.example/%4fk/callback?tenant=1&mode=a",
    "user": "https://user@app.example/Ok/callback?tenant=1&mode=a",
    "user-evil": "https://app.example@evil.example/Ok/callback?tenant=1&mode=a",
    "two-ats": "https://a@b@app.example/Ok/callback?tenant=1&mode=a",
    "backslash-at": "https://evil.example\\@app.example/Ok/callback?tenant=1&mode=a",
    "empty-fragment": "https://app.example/Ok/callback?tenant=1&mode=a#",
    "fragment": "https://app.example/Ok/callback?tenant=1&mode=a#x",
    "default-port": "https://app.example:443/Ok/callback?tenant=1&mode=a",
    "other-port": "https://app.example:8443/Ok/callback?tenant=1&mode=a",
    "backslash": "https://app.example\\Ok\\callback?tenant=1&mode=a",
    "tab": "https://app.example/Ok\t/callback?tenant=1&mode=a",
    "crlf": "https://app.example/Ok/callback?tenant=1&mode=a\r\nX: y",
    "nul": "https://app.example/Ok/callback?tenant=1&mode=a\0",
    "trailing-space": "https://app.example/Ok/callback?tenant=1&mode=a ",
    "leading-space": " https://app.example/Ok/callback?tenant=1&mode=a",
    "look-alike": "https://аpp.example/Ok/callback?tenant=1&mode=a",  # Cyrillic а
    "full-width-dot": "https://app。example/Ok/callback?tenant=1&mode=a",
    "suffix-host": "https://app.example.evil.example/Ok/callback?tenant=1&mode=a",
    "prefix-host": "https://evilapp.example/Ok/callback?tenant=1&mode=a",
    "wildcard-dot": "https://appXexample/Ok/callback?tenant=1&mode=a",
    "trailing-dot-host": "https://app.example./Ok/callback?tenant=1&mode=a",
    "no-path": "https://app.example",
    "double-slash": "https://app.example//Ok/callback?tenant=1&mode=a",
    "scheme-relative": "//app.example/Ok/callback?tenant=1&mode=a",
    "prefix": "https://app.example/Ok/callback?tenant=1&mode=",
    "twice": REGISTERED + REGISTERED,
}


@pytest.mark.parametrize("mutated", MUTATIONS.values(), ids=MUTATIONS)
async def test_authorize_mutated_redirect_uri_is_a_page(world: World, mutated: str) -> None:
    """A3 and the redirect rows of 2A: byte for byte, or not at all."""
    app = await world.deployment.app(world.acorn, redirect_uris=(REGISTERED,))
    stranger = await authorize(world, app, redirect_uri=mutated)
    await world.arrive(world.ann)
    for response in (stranger, await authorize(world, app, redirect_uri=mutated)):
        assert_page(response, 400)
        assert_leads_nowhere(response)
    assert await find_grants(world) == []


async def test_authorize_registered_redirect_uri_with_query_gets_the_answer_appended(world: World) -> None:
    """RFC 6749 §3.1.2: the URI's own query is kept."""
    app = await world.deployment.app(world.acorn, redirect_uris=(REGISTERED,))
    await world.arrive(world.ann)
    page = await open_consent(world.http, app, redirect_uri=REGISTERED, state="s")
    response = await decide(world.http, page, "allow", world.acorn)
    assert response.headers["location"].startswith(REGISTERED + "&code=ls_ac_")


@pytest.mark.parametrize(
    "registered, requested, is_accepted",
    [
        ("http://127.0.0.1/cb", "http://127.0.0.1:53177/cb", True),
        ("http://127.0.0.1/cb", "http://127.0.0.1/cb", True),
        ("http://[::1]/cb", "http://[::1]:53177/cb", True),
        ("http://127.0.0.1/cb", "http://127.0.0.1:53177/other", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:53177/cb?x=1", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:65536/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:5317７/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:80@evil.example/cb", False),
        ("http://127.0.0.1/cb", "http://[::1]:53177/cb", False),
        ("http://127.0.0.1/cb", "http://localhost:53177/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1.evil.example:53177/cb", False),
        ("http://127.0.0.1/cb", "https://127.0.0.1:53177/cb", False),
        ("http://localhost/cb", "http://localhost:53177/cb", False),
        ("http://localhost/cb", "http://localhost.evil.example/cb", False),
        ("http://127.0.0.1:4000/cb", "http://127.0.0.1:4000/cb", True),
        ("http://127.0.0.1:4000/cb", "http://127.0.0.1:4001/cb", False),
    ],
)
async def test_authorize_loopback_port_may_vary_only_for_an_ip_literal_registered_without(
    world: World, registered: str, requested: str, is_accepted: bool
) -> None:
    """A4, CVE-2024-8883, CVE-2026-18211."""
    app = await world.deployment.app(world.acorn, redirect_uris=(registered,))
    await world.arrive(world.ann)
    response = await authorize(world, app, redirect_uri=requested)
    if is_accepted:
        assert_page(response, 200)
        answer = await decide(world.http, response, "allow", world.acorn)
        assert answer.headers["location"].startswith(requested + "?code=")
    else:
        assert_page(response, 400)
        assert_leads_nowhere(response)


async def test_authorize_request_uri_that_was_not_pushed_is_a_page_and_fetches_nothing(world: World) -> None:
    """A30, CVE-2026-41008: whatever the `redirect_uri` beside it, right or wrong."""
    await world.arrive(world.ann)
    urn = "urn:ietf:params:oauth:request_uri:"
    for request_uri in (
        "https://evil.example/request",
        "http://127.0.0.1/",
        urn,
        urn + "x",
        urn + "é" * 22,
        urn + "0" * 32,
    ):
        for redirect_uri in (REDIRECT_URI, "https://evil.example/cb"):
            response = await authorize(world, request_uri=request_uri, redirect_uri=redirect_uri)
            assert_page(response, 400)
            assert_leads_nowhere(response, "example/cb")


@pytest.mark.parametrize("name", ["client_id", "request_uri"])
async def test_authorize_repeated_client_or_request_uri_is_a_page(world: World, name: str) -> None:
    """A8 for a pushed request: two equal values are still two."""
    body = world.app.body(response_type="code", state="s")
    pushed = (await world.http.post("/oauth2/par/", data=body)).json()
    await world.arrive(world.ann)
    parameters = {"client_id": world.app.client_id, "request_uri": pushed["request_uri"]}
    for second in (parameters[name], "x", ""):
        response = await world.http.get("/oauth2/authorize/", params=[*parameters.items(), (name, second)])
        assert_page(response, 400)
        assert name in response.text
    assert_page(await world.http.get("/oauth2/authorize/", params=parameters), 200)


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
async def test_authorize_repeated_client_or_redirect_uri_is_a_page(world: World, name: str) -> None:
    """A8: two equal values are still two."""
    await world.arrive(world.ann)
    parameters = {"client_id": world.app.client_id, "response_type": "code", "redirect_uri": REDIRECT_URI}
    for second in (parameters[name], "https://evil.example/cb", ""):
        response = await world.http.get("/oauth2/authorize/", params=[*parameters.items(), (name, second)])
        assert_page(response, 400)
        assert_leads_nowhere(response, "evil.example")
        assert name in response.text


@pytest.mark.parametrize(
    "query",
    [
        b"client_id=%zz",
        b"client_id=%",
        b"client_id=%ff",
        b"client_id=\xff",
        b"%ff=1",
        b"state=%00",
        b"&".join([b"a=1"] * 65),
    ],
    ids=["bad-hex", "cut-hex", "not-utf8", "raw-not-utf8", "name-not-utf8", "nul", "too-many"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_authorize_unreadable_request_is_a_page(world: World, query: bytes, method: str) -> None:
    options = {"query": query} if method == "GET" else {"body": query, "headers": [FORM]}
    answer = await ask(world.deployment.application, method, "/oauth2/authorize/", **options)
    assert answer.status == 400
    assert not answer.find("location")


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "scope", "state", "code_challenge", "unknown"])
async def test_authorize_oversized_parameter_is_a_page(world: World, name: str) -> None:
    await world.arrive(world.ann)
    response = await authorize(world, **{name: "x" * 8193})
    assert_page(response, 400)
    assert_leads_nowhere(response)


async def test_authorize_post_body_over_the_limit_is_refused_413(world: World) -> None:
    answer = await ask(
        world.deployment.application, "POST", "/oauth2/authorize/", headers=[FORM], body=[b"a=" + b"x" * 40_000] * 2
    )
    assert answer.status == 413
    assert not answer.find("location")


@pytest.mark.parametrize("content_type", [None, b"application/json", b"multipart/form-data; boundary=x", b"text/plain"])
async def test_authorize_post_of_another_content_type_is_a_page(world: World, content_type: bytes | None) -> None:
    body = b"client_id=%s&response_type=code" % world.app.client_id.encode()
    headers = [] if content_type is None else [(b"content-type", content_type)]
    answer = await ask(world.deployment.application, "POST", "/oauth2/authorize/", headers=headers, body=body)
    assert answer.status == 400
    assert not answer.find("location")


async def test_authorize_error_page_shows_the_registered_uris_to_the_apps_own_people_only(world: World) -> None:
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch)
    await world.arrive(bob)
    stranger = await authorize(world, redirect_uri="https://app.example/Callback")
    assert_page(stranger, 400)
    assert REDIRECT_URI not in stranger.text
    await world.arrive(world.ann)
    developer = await authorize(world, redirect_uri="https://app.example/Callback")
    assert_page(developer, 400)
    assert_leads_nowhere(developer)
    assert "https://app.example/<mark>c</mark>allback" in developer.text


# -- what goes back to the app


@SIGNED_IN
@pytest.mark.parametrize(
    "parameters, error",
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": ""}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_type": "CODE"}, "unsupported_response_type"),
        ({"response_mode": "form_post.jwt"}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "query.jwt"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"scope": "unknown"}, "invalid_scope"),
        ({"scope": "all.full_access unknown"}, "invalid_scope"),
        ({"scope": "offline_access"}, "invalid_scope"),
        ({"scope": "all.full_access  offline_access"}, "invalid_scope"),
        ({"scope": 'all.full_access "'}, "invalid_scope"),
        ({"scope": "all.full_access\tx"}, "invalid_scope"),
        ({"scope": "ä"}, "invalid_scope"),
        ({"scope": "x" * 2049}, "invalid_scope"),
        ({"code_challenge": CHALLENGE}, "invalid_request"),
        ({"code_challenge": CHALLENGE, "code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": CHALLENGE, "code_challenge_method": "S512"}, "invalid_request"),
        ({"code_challenge": CHALLENGE, "code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge_method": "S256"}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1], "code_challenge_method": "S256"}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "A", "code_challenge_method": "S256"}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1] + "=", "code_challenge_method": "S256"}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1] + "+", "code_challenge_method": "S256"}, "invalid_request"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(f"{k}={v}" for k, v in value.items())[:60],
)
async def test_authorize_refused_request_goes_back_with_error_state_and_iss(
    world: World, signed_in: bool, parameters: dict[str, str | None], error: str
) -> None:
    """A10, A12, A13, A15, A16, A27–A30 as far as they exist; the same for a stranger and a member."""
    if signed_in:
        await world.arrive(world.ann)
    answer = assert_sent_back(await authorize(world, **parameters), REDIRECT_URI, error)
    assert answer["state"] == "s t"
    assert await find_grants(world) == []


@pytest.mark.parametrize(
    "name",
    [
        "response_type",
        "scope",
        "state",
        "code_challenge",
        "code_challenge_method",
        "response_mode",
        "organization_id",
        "x",
    ],
)
async def test_authorize_repeated_parameter_goes_back_as_invalid_request(world: World, name: str) -> None:
    """A8; a `state` that stands twice is not guessed at, so none comes back."""
    parameters = {
        "client_id": world.app.client_id,
        "response_type": "code",
        "scope": "all.full_access",
        "state": "s t",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "response_mode": "query",
        "organization_id": world.acorn,
        "x": "1",
    }
    response = await world.http.get("/oauth2/authorize/", params=[*parameters.items(), (name, parameters[name])])
    answer = assert_sent_back(response, REDIRECT_URI, "invalid_request")
    assert answer.get("state") == (None if name == "state" else "s t")


@pytest.mark.parametrize("parameters", [{}, {"code_challenge_method": "S256"}, {"code_challenge": ""}])
async def test_authorize_public_client_without_code_challenge_is_refused(
    world: World, parameters: dict[str, str]
) -> None:
    """A11."""
    app = await world.deployment.app(world.acorn, is_public=True)
    await world.arrive(world.ann)
    assert_sent_back(await authorize(world, app, **parameters), REDIRECT_URI, "invalid_request")
    assert_page(await authorize(world, app, code_challenge=CHALLENGE, code_challenge_method="S256"), 200)


async def test_authorize_client_without_the_grant_type_is_refused(world: World) -> None:
    app = await world.deployment.app(world.acorn, grant_types=("refresh_token",))
    assert_sent_back(await authorize(world, app), REDIRECT_URI, "unauthorized_client")


async def test_authorize_scope_wider_than_the_apps_is_refused(world: World) -> None:
    app = await world.deployment.app(world.acorn, scope=("all.full_access",))
    refused = await authorize(world, app, scope="all.full_access offline_access")
    assert_sent_back(refused, REDIRECT_URI, "invalid_scope")


async def test_authorize_empty_and_unknown_parameters_are_ignored(world: World) -> None:
    """A9."""
    await world.arrive(world.ann)
    nothing = dict.fromkeys(("redirect_uri", "scope", "code_challenge", "response_mode", "organization_id"), "")
    page = await authorize(world, **nothing, ui_locales="de", nonce="n" * 64, display="popup", utm_source="x")
    assert_page(page, 200)
    answer = answer_of(await decide(world.http, page, "allow", world.acorn))
    grant = await find_grant(world, answer["code"])
    assert (grant.scope, grant.redirect_uri) == (("all.full_access", "offline_access"), None)


@pytest.mark.parametrize("resource", ["/relative", "https://api.example/#x", "https://unknown.example/", "x" * 8000])
async def test_authorize_resource_that_is_not_known_goes_back_as_invalid_target(world: World, resource: str) -> None:
    """A27; what a known one does is in test_resources."""
    await world.arrive(world.ann)
    assert_sent_back(await authorize(world, resource=resource), REDIRECT_URI, "invalid_target")
    assert_page(await authorize(world, resource="https://api.example/"), 200)


STATES = {
    "reserved": "a b&c=d?e#f/g:h@i+j%20k",
    "quotes": "\"'<script>alert(1)</script>\\",
    "unicode": "ünïcödé 漢字 🔑",
    "controls": "a\r\nSet-Cookie: x=1\tb\x7fc",
    "line-separators": "a\u2028b\u0085c",
    "thousand": "s" * 1000,
    "base64": "eyJhIjoiYiJ9==/+",
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
@pytest.mark.parametrize("decision", ["allow", "deny", "error"])
async def test_authorize_state_comes_back_byte_for_byte(world: World, state: str, decision: str) -> None:
    """A14, A15; through the sign-in page and back."""
    if decision == "error":
        answer = assert_sent_back(await authorize(world, state=state, scope="x"), REDIRECT_URI, "invalid_scope")
    else:
        page = await open_consent(world.http, world.app, state=state)
        assert_page(page, 200)
        assert "<script>alert" not in page.text
        answer = answer_of(await decide(world.http, page, decision, world.acorn))
    assert answer["state"] == state
    assert answer["iss"] == "https://auth.example"


async def test_authorize_without_state_returns_none(world: World) -> None:
    await world.arrive(world.ann)
    page = await authorize(world, state=None)
    assert answer_of(await decide(world.http, page, "allow", world.acorn)).keys() == {"code", "iss"}


@pytest.mark.parametrize("raw", [b"state=\xc3\xbc+1", b"state=a%0D%0Ab", b"state=a\r\nx: y"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_authorize_odd_bytes_survive_the_sign_in(world: World, raw: bytes, method: str) -> None:
    """Bytes that a careful client would have encoded come back in `state`, and never break a header."""
    query = b"client_id=%s&response_type=code&" % world.app.client_id.encode() + raw
    options = {"query": query} if method == "GET" else {"body": query, "headers": [FORM]}
    answer = await ask(world.deployment.application, method, "/oauth2/authorize/", **options)
    assert answer.status == 303
    (location,) = answer.find("location")
    page = await sign_in(world.http, await world.http.get(location), "ann@example.com")
    assert_page(page, 200)
    assert all(0x21 <= ord(c) < 0x7F for c in str(page.url.raw_path, "ascii"))
    back = answer_of(await decide(world.http, page, "allow", world.acorn))
    assert back["state"] == dict(parse_qsl(raw.decode()))["state"]


@pytest.mark.parametrize(
    "letter, size",
    [*(("s", size) for size in (1000, 2000, 4000, 5300, 5500, 6000, 8192)), ("ü", 900), ("ü", 1000), ("🔑", 1000)],
)
async def test_authorize_long_state_either_comes_back_or_is_refused_at_once(
    world: World, letter: str, size: int
) -> None:
    """Never a consent page whose answer cannot be read, nor a sign-in that forgets where it was going."""
    state = letter * size
    response = await authorize(world, state=state)
    assert response.status_code == 303
    if response.headers["location"].startswith(REDIRECT_URI):
        assert letter != "s" or size > 5000
        assert_sent_back(response, REDIRECT_URI, "invalid_request")
        return
    page = await sign_in(world.http, await follow(world.http, response), "ann@example.com")
    assert_page(page, 200)
    answer = answer_of(await decide(world.http, page, "allow", world.acorn))
    assert answer["state"] == state


# -- what a valid request meets


async def test_authorize_signed_out_leads_to_sign_in_and_back(world: World) -> None:
    response = await authorize(world)
    assert response.status_code == 303
    location = urlsplit(response.headers["location"])
    assert (location.scheme, location.netloc, location.path) == ("", "", "/sign-in")
    page = await sign_in(world.http, await world.http.get(response.headers["location"]), "ann@example.com")
    assert page.url.path == "/oauth2/authorize/"
    assert_page(page, 200)


async def test_authorize_post_from_the_app_meets_the_same_sign_in_and_consent(world: World) -> None:
    """A26."""
    parameters = {
        "client_id": world.app.client_id,
        "response_type": "code",
        "state": "s t",
        "redirect_uri": REDIRECT_URI,
    }
    response = await world.http.post("/oauth2/authorize/", data=parameters)
    page = await sign_in(world.http, await follow(world.http, response), "ann@example.com")
    answer = answer_of(await decide(world.http, page, "allow", world.birch))
    assert answer["state"] == "s t"
    assert (await find_grant(world, answer["code"])).organization_id == world.birch


async def test_authorize_post_refused_request_goes_back_by_303(world: World) -> None:
    """A17, A26."""
    parameters = {"client_id": world.app.client_id, "response_type": "token", "state": "s t"}
    response = await world.http.post("/oauth2/authorize/", data=parameters)
    assert_sent_back(response, REDIRECT_URI, "unsupported_response_type")


async def test_authorize_asks_again_though_the_app_was_allowed_before(world: World) -> None:
    """A23, CVE-2023-34246: nothing is approved without a click."""
    app = await world.deployment.app(world.acorn, is_public=True)
    await world.arrive(world.ann)
    for _ in range(2):
        page = await authorize(world, app, code_challenge=CHALLENGE, code_challenge_method="S256")
        assert_page(page, 200)
        assert answer_of(await decide(world.http, page, "allow", world.acorn))["code"]


async def test_authorize_get_writes_nothing(world: World) -> None:
    """A registration-free flood costs no row; only Allow makes a grant."""
    await world.arrive(world.ann)
    before = dump(world)
    for _ in range(3):
        assert_page(await authorize(world), 200)
    assert dump(world) == before


async def test_authorize_member_of_no_organization_is_told_so(world: World) -> None:
    carl = await world.deployment.user("carl@example.com", "Carl")
    await world.arrive(carl)
    response = await authorize(world)
    assert_page(response, 403)
    assert "not in an organization" in response.text
    assert find_form(response, "/sign-out")


async def test_authorize_private_app_names_app_and_organization_to_a_stranger(world: World) -> None:
    app = await world.deployment.app(world.acorn, name="Quietly", is_published=False)
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch)
    await world.arrive(bob)
    response = await authorize(world, app)
    assert_page(response, 403)
    assert_leads_nowhere(response)
    assert "Quietly" in response.text
    assert "Acorn Partners" in response.text
    assert response.headers["x-request-id"] in response.text
    await world.arrive(world.ann)
    assert_page(await authorize(world, app), 200)


async def test_authorize_organization_hint_preselects_only_an_organization_of_ones_own(world: World) -> None:
    elsewhere = await world.deployment.organization("Elsewhere")
    await world.arrive(world.ann)
    for hint, checked in ((world.birch, {"organization_id": world.birch}), (elsewhere, {}), ("x", {}), (None, {})):
        page = await authorize(world, organization_id=hint)
        assert find_form(page, "/consent").checked == checked


async def test_authorize_quotes_in_the_continue_address_are_harmless(world: World) -> None:
    """An address of ours, sealed: what it carries is data all the way."""
    response = await world.http.get(
        f"/oauth2/authorize/?client_id={quote(world.app.client_id)}&response_type=code&x=\"'<>"
    )
    page = await world.http.get(response.headers["location"])
    assert_page(page, 200)
