"""One table of what a caller of a guarded API meets (SECURITY-CASES 1G), held in every framework; each refuses byte for
byte as plain ASGI does."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from django.http import HttpResponse
from django.urls import path as django_path
from fastapi import FastAPI, WebSocket
from flask import Flask
from litestar import Litestar, websocket
from litestar import WebSocket as WebSocketOfLitestar
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient as LitestarClient
from starlette.testclient import TestClient, WebSocketDenialResponse

from latchstring.protocol.client_certificate import certificate_thumbprint
from latchstring.protocol.errors import ConfigurationError
from latchstring.resource_server import Access, Dpop
from latchstring.resource_server import wsgi as plain_wsgi
from latchstring.resource_server.connections import Connections
from latchstring.resource_server.frameworks import django, fastapi, flask, litestar, starlette
from latchstring.resource_server.key_cache import FETCH_INTERVAL
from latchstring.resource_server.replay import ProcessMemory, ThreadMemory
from tests.resource_server import sites
from tests.resource_server.fakes import (
    ACTIVE,
    METADATA_URL,
    NOW,
    FakeServer,
    browse,
    browse_wsgi,
    make_guard,
    make_sync_guard,
)
from tests.resource_server.signed import CLAIMS, JWKS_URI, KeyServer, sign
from tests.resource_server.sites import READ, WRITE, build_wsgi, make_fastapi, show, whole
from tests.support.certificates import make_certificate, render_rfc9440
from tests.support.django_site import serve_django
from tests.support.proofs import Prover

KEY = Prover()
SECRET = "a secret of thirty-two characters"
BOUND = ACTIVE | {"token_type": "DPoP", "cnf": {"jkt": KEY.jkt}}


def bearer(token: str | bytes) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + (token.encode() if isinstance(token, str) else token)


def answers(*make: Callable[[], Any]) -> Callable[[KeyServer], None]:
    return lambda server: server.respond.extend(each() for each in make)


def good_with(**changes: Any) -> Callable[[KeyServer], None]:
    return lambda server: server.tokens.update(good=ACTIVE | changes)


def sign_with(name: str, value: Any) -> str:
    changes: dict[str, Any] = {name: value}
    return sign(**changes)


def busy() -> httpx.Response:
    return httpx.Response(503, headers={"retry-after": "7"})


def html() -> httpx.Response:
    return httpx.Response(200, html="<p>Hello")


def without_keys(server: KeyServer) -> None:
    server.fault = httpx.ConnectError("refused")


def nothing(server: KeyServer) -> None:
    pass


GOOD = bearer("good")
INVALID = (401, "invalid_token")
STALE = (401, "insufficient_user_authentication")
UNAVAILABLE = (503, "temporarily_unavailable")

# What the server is like, what is sent, where to: status and error.
REFUSED: dict[str, tuple[Callable[[KeyServer], None], list[Any], str, tuple[int, str | None]]] = {
    "S1 no credentials": (nothing, [], "/read", (401, None)),
    "S1 another scheme": (nothing, [(b"authorization", b"Basic Z29vZDpnb29k")], "/read", (401, None)),
    "S2 unknown": (nothing, [bearer("unknown")], "/read", INVALID),
    "S2 expired": (good_with(exp=NOW), [GOOD], "/read", INVALID),
    "S2 not yet valid": (good_with(nbf=NOW + 60), [GOOD], "/read", INVALID),
    "S2 signed, expired": (nothing, [bearer(sign(exp=NOW))], "/read", INVALID),
    "S3 scope short": (nothing, [GOOD], "/write", (403, "insufficient_scope")),
    "S3 signed, scope short": (nothing, [bearer(sign())], "/write", (403, "insufficient_scope")),
    "S3 no scope": (good_with(scope=None), [GOOD], "/read", (403, "insufficient_scope")),
    "RFC 9470, signed in too long ago": (good_with(auth_time=NOW - 301), [GOOD], "/fresh", STALE),
    "RFC 9470, signed, signed in too long ago": (nothing, [bearer(sign(auth_time=NOW - 301))], "/fresh", STALE),
    "RFC 9470, nobody signed in": (good_with(user_id=None), [GOOD], "/fresh", STALE),
    "GHSA-hp74, signed in just now by password": (good_with(auth_time=NOW, acr="pwd"), [GOOD], "/strong", STALE),
    "GHSA-hp74, signed, by password": (nothing, [bearer(sign(auth_time=NOW, acr="pwd"))], "/strong", STALE),
    "RFC 9470, signed in nobody knows how": (good_with(auth_time=NOW), [GOOD], "/strong", STALE),
    "RFC 9470, strongly and too long ago": (good_with(auth_time=NOW - 301, acr="phr"), [GOOD], "/strong", STALE),
    "S4 two headers": (nothing, [GOOD, GOOD], "/read", (400, "invalid_request")),
    "S4 two schemes": (nothing, [(b"authorization", b"Basic Z29vZA=="), GOOD], "/read", (400, "invalid_request")),
    "S4 header and query": (nothing, [GOOD], "/read?access_token=good", (400, "invalid_request")),
    "S4 escaped in the query": (nothing, [GOOD], "/read?x=%FF&access%5Ftoken=good", (400, "invalid_request")),
    "S5 query": (nothing, [], "/read?access_token=good", (401, None)),
    "S6 tab": (nothing, [(b"authorization", b"Bearer\tgood")], "/read", (400, "invalid_request")),
    "S6 comma-joined": (nothing, [bearer("good, Bearer good")], "/read", (400, "invalid_request")),
    "S6 empty": (nothing, [(b"authorization", b"")], "/read", (401, None)),
    "S6 Bearer alone": (nothing, [(b"authorization", b"Bearer")], "/read", INVALID),
    "S6 bytes": (nothing, [bearer(b"\xff\x00\x80")], "/read", INVALID),
    "S6 too long": (nothing, [bearer("a" * 9000)], "/read", INVALID),
    "S9 another API": (good_with(aud=["https://other.test"]), [GOOD], "/read", INVALID),
    "S9 prefix of ours": (good_with(aud="https://api.test"), [GOOD], "/read", INVALID),
    "S9 signed, another API": (nothing, [bearer(sign(aud="https://other.test"))], "/read", INVALID),
    "S9 signed, no aud": (nothing, [bearer(sign(aud=None))], "/read", INVALID),
    "S12 bound, as Bearer": (lambda server: server.tokens.update(good=BOUND), [GOOD], "/read", INVALID),
    "S12 signed, bound": (nothing, [bearer(sign(cnf={"jkt": KEY.jkt}))], "/read", INVALID),
    "S11 without a proof": (
        lambda server: server.tokens.update(good=BOUND), [(b"authorization", b"DPoP good")], "/read",
        (401, "invalid_dpop_proof"),
    ),
    "S18 server out of reach": (answers(*[lambda: httpx.ConnectError("refused")] * 2), [GOOD], "/read", UNAVAILABLE),
    "S18 server fails": (answers(lambda: httpx.Response(500)), [GOOD], "/read", UNAVAILABLE),
    "S18 server is busy": (answers(busy), [GOOD], "/read", UNAVAILABLE),
    "S18 no introspection answer": (answers(html), [GOOD], "/read", UNAVAILABLE),
    "S18 own credentials refused": (answers(lambda: httpx.Response(401)), [GOOD], "/read", UNAVAILABLE),
    "S18 another issuer's answer": (good_with(iss="https://other.test"), [GOOD], "/read", UNAVAILABLE),
    "S18 no keys": (without_keys, [bearer(sign())], "/read", UNAVAILABLE),
} | {
    f"S10 {name} {'missing' if value is None else repr(value)}": (
        nothing, [bearer(sign_with(name, value))], "/read", INVALID,
    )
    for name in ("iss", "exp", "sub", "client_id", "iat", "jti")
    for value in (None, str(CLAIMS[name]) if isinstance(CLAIMS[name], int) else 9)
}  # fmt: skip


@pytest.mark.parametrize("state, headers, path, expected", REFUSED.values(), ids=REFUSED)
async def test_bad_request_is_refused_as_in_plain_asgi(site, plain, state, headers, path, expected):
    for each in (site, plain):
        state(each.server)
    response = await site.call(*headers, path=path)
    status, error = expected
    assert (response.status_code, response.json().get("error")) == (status, error)
    assert response.headers["cache-control"] == "no-store"
    assert (response.headers["x-request-id"], response.json()["request_id"]) == ("from-the-client", "from-the-client")
    assert ("retry-after" in response.headers) == (status == 503)
    challenges = response.headers.get_list("www-authenticate")
    assert len(challenges) == (0 if status == 503 else 1)
    assert all(each.endswith(f'resource_metadata="{METADATA_URL}"') for each in challenges)
    assert all(('error="' in each) == (error is not None) for each in challenges)
    assert all(('scope="' in each) == (status == 403 or path in {"/fresh", "/strong"}) for each in challenges)
    assert all(('max_age="300"' in each) == (path in {"/fresh", "/strong"}) for each in challenges)
    assert all(('acr_values="mfa urn:example:gold"' in each) == (path == "/strong") for each in challenges)
    assert whole(response) == whole(await plain.call(*headers, path=path))
    assert site.server.asked == plain.server.asked


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("token", ["good", sign()], ids=["opaque", "signed"])
async def test_good_token_reaches_the_endpoint_with_access(site, token, method):
    response = await site.bear(token, method=method)
    assert (response.status_code, response.text) == (200, "user_1 orga_1 oa2client_1 contacts.read offline_access")
    assert response.headers.get_list("x-request-id") == ["from-the-client"]
    assert "dpop-nonce" not in response.headers


@pytest.mark.parametrize("header", [b"bearer good", b"BEARER good", b"Bearer  good"])
async def test_s6_scheme_is_case_insensitive(site, header):
    assert (await site.call((b"authorization", header))).status_code == 200


async def test_enough_scope_reaches_the_endpoint(site):
    site.server.tokens["good"] = ACTIVE | {"scope": "contacts.write"}
    assert (await site.bear("good", "/write")).text.endswith("contacts.write")


async def test_scope_that_implies_the_one_asked_for_reaches_the_endpoint(site):
    site.set_up(implied_scopes={"contacts.admin": [WRITE], WRITE: [READ]})
    site.server.tokens["good"] = ACTIVE | {"scope": "contacts.admin"}
    assert (await site.bear("good")).text.endswith(" contacts.admin"), "what was granted, as it was granted"
    assert (await site.bear("good", "/write")).status_code == 200
    site.server.tokens["good"] = ACTIVE | {"scope": READ}
    refused = await site.bear("good", "/write")
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert 'scope="contacts.write"' in refused.headers["www-authenticate"]


async def test_member_who_signed_in_lately_reaches_the_endpoint_that_asks_for_it(site):
    site.server.tokens["good"] = ACTIVE | {"auth_time": NOW - 300}
    for token in ("good", sign(auth_time=NOW - 300)):
        assert (await site.bear(token, "/fresh")).status_code == 200
    assert (await site.bear(sign(auth_time=NOW - 301))).status_code == 200, "only there"


async def test_member_who_signed_in_strongly_reaches_the_endpoint_that_asks_for_it(site):
    for acr in ("mfa", "phr", "urn:example:gold"):
        site.server.tokens["good"] = ACTIVE | {"auth_time": NOW - 300, "acr": acr}
        for token in ("good", sign(auth_time=NOW - 300, acr=acr)):
            assert (await site.bear(token, "/strong")).status_code == 200


async def test_endpoint_that_requires_nothing_is_open(site):
    response = await site.call(path="/open")
    assert (response.status_code, response.text, site.server.asked) == (200, "open", [])
    assert response.headers.get_list("x-request-id") == ["from-the-client"]
    assert (await site.http.get("/open")).headers["x-request-id"].startswith("req_")


async def test_s17_revoked_token_is_dead_at_the_next_request(site):
    assert (await site.bear("good")).status_code == 200
    assert (await site.bear("good", "/write")).status_code == 403
    del site.server.tokens["good"]
    assert (await site.bear("good")).status_code == 401
    assert site.server.asked == ["good", "good", "good"]


async def test_s18_storm_of_unknown_keys_fetches_once_an_interval(site):
    for second in (0, 1, FETCH_INTERVAL - 1, FETCH_INTERVAL):
        site.now = NOW + second
        tokens = [sign("other", header={"kid": f"junk-{second}-{n}"}) for n in range(4)]
        responses = await asyncio.gather(*(site.bear(token) for token in [*tokens, sign(exp=NOW + 90)]))
        assert [response.status_code for response in responses] == [401] * 4 + [200]
    assert site.server.fetched == 2


@pytest.mark.parametrize("token", ["good", sign()], ids=["opaque", "signed"])
async def test_s19_guard_hands_on_nothing_that_could_be_passed_on(site, token, monkeypatch):
    """What the API is given has the token in no member, and the guard shows it to its own server alone."""
    monkeypatch.setattr(sites, "show", lambda access: f"{access!r} {msgspec.json.encode(access).decode()}")
    response = await site.bear(token)
    assert response.status_code == 200
    assert '"organization_id":"orga_1"' in response.text
    assert not [part for part in token.split(".") if part in response.text]
    assert not [value for value in response.headers.values() if token in value]
    assert site.server.asked == (["good"] if token == "good" else [])  # which fails for any other address


async def test_s20_access_is_the_token_s_and_never_the_connection_s_or_the_cookie_s(site):
    site.server.tokens |= {name: ACTIVE | {"user_id": name} for name in ("ann", "ben")}
    site.http.cookies.set("session", "ann")
    responses = await asyncio.gather(*(site.bear(name) for name in ("ann", "ben") * 8))
    assert [response.text.split()[0] for response in responses] == ["ann", "ben"] * 8
    assert (await site.call()).status_code == 401


@pytest.mark.parametrize("suffix", ["", "/"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
async def test_s21_metadata_is_answered_without_credentials_as_in_plain_asgi(site, plain, suffix, method):
    response = await site.http.request(method, METADATA_URL + suffix)
    assert whole(response) == whole(await plain.http.request(method, METADATA_URL + suffix))
    if method == "GET":
        assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
        assert response.json()["authorization_servers"] == ["https://login.test"]
        assert response.json()["scopes_supported"] == [READ, WRITE]


@pytest.mark.parametrize("make", [make_guard, make_sync_guard])
@pytest.mark.parametrize("resource", ["", None, "relative", "http://api.test"])
def test_s9_guard_without_an_audience_refuses_to_start(make, resource):
    with pytest.raises(ConfigurationError, match="resource"):
        make(FakeServer(), resource=resource)


REQUIRING = [
    (make_guard, starlette.require),
    (make_guard, fastapi.require),
    (make_guard, litestar.require),
    (make_sync_guard, flask.require),
    (make_sync_guard, django.require),
]


@pytest.mark.parametrize("make, require", REQUIRING, ids=[require.__module__[-9:] for _, require in REQUIRING])
def test_require_of_an_impossible_scope_refuses_to_start(make, require):
    with pytest.raises(ConfigurationError, match="scope names"):
        require(make(FakeServer()), "two words")


# -- tokens bound to a key


def prove(path: str = "/read", **claims: Any) -> tuple[tuple[str, str], tuple[str, str]]:
    proof = KEY.prove("GET", f"https://api.test{path}", now=NOW, access_token="bound", **claims)
    return ("authorization", "DPoP bound"), ("dpop", proof)


async def test_s12_s15_bound_token_with_its_proof_is_taken_once(site, plain):
    sent = prove()
    for each in (site, plain):
        each.server.tokens["bound"] = BOUND
        assert (await each.call(*sent)).status_code == 200
    again = await site.call(*sent)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_dpop_proof")
    assert whole(again) == whole(await plain.call(*sent))
    assert (await site.call(*prove("/other"))).status_code == 401


async def test_s15_proof_sent_many_times_at_once_counts_once(site):
    site.server.tokens["bound"] = BOUND
    sent = prove()
    responses = await asyncio.gather(*(site.call(*sent) for _ in range(20)))
    assert sorted(response.status_code for response in responses) == [200] + [401] * 19


async def test_s14_nonce_is_demanded_and_renewed_as_in_plain_asgi(site, plain):
    for each in (site, plain):
        each.server.tokens["bound"] = BOUND
        each.set_up(dpop=Dpop(nonce_secret=SECRET))
    sent = prove()
    refused = await site.call(*sent)
    assert (refused.status_code, refused.json()["error"]) == (401, "use_dpop_nonce")
    assert whole(refused) == whole(await plain.call(*sent))
    [nonce] = refused.headers.get_list("dpop-nonce")
    taken = await site.call(*prove(nonce=nonce))
    assert (taken.status_code, len(taken.headers.get_list("dpop-nonce"))) == (200, 1)


@pytest.mark.parametrize("make, memory", [(make_guard, ThreadMemory()), (make_sync_guard, ProcessMemory())])
def test_replay_memory_of_the_wrong_kind_refuses_to_start(make, memory):
    """A coroutine that nobody awaits would be taken for True."""
    with pytest.raises(ConfigurationError, match="use_once"):
        make(FakeServer(), dpop=Dpop(memory=memory))


# -- what each framework has of its own


def test_fastapi_shows_the_scheme_and_the_scopes_in_openapi():
    document = make_fastapi(make_guard(FakeServer())).openapi()
    assert document["components"]["securitySchemes"] == {
        "latchstring": {
            "type": "oauth2",
            "flows": {
                "authorizationCode": {
                    "authorizationUrl": "https://login.test/oauth2/authorize/",
                    "tokenUrl": "https://login.test/oauth2/token/",
                    "refreshUrl": "https://login.test/oauth2/token/",
                    "scopes": {READ: "", WRITE: ""},
                }
            },
        }
    }
    paths = document["paths"]
    assert paths["/read"]["get"]["security"] == [{"latchstring": [READ]}]
    assert paths["/write"]["post"]["security"] == [{"latchstring": [WRITE]}]
    assert "security" not in paths["/open"]["get"]
    assert "parameters" not in paths["/read"]["get"]


async def test_fastapi_asks_the_server_once_and_for_every_scope_of_the_dependencies():
    server = FakeServer()
    guard = make_guard(server)
    app = FastAPI(dependencies=[fastapi.require(guard, READ)])
    fastapi.guard_app(app, guard)

    @app.get("/")
    async def both(access: Annotated[Access, fastapi.require(guard, WRITE)]) -> str:
        return show(access)

    async with browse(app) as http:
        refused = await http.get("/", headers={"authorization": "Bearer good"})
        server.tokens["good"] = ACTIVE | {"scope": f"{READ} {WRITE}"}
        assert (await http.get("/", headers={"authorization": "Bearer good"})).status_code == 200
    assert (refused.status_code, server.asked) == (403, ["good", "good"])


async def test_fastapi_without_guard_app_fails_loudly_and_lets_nobody_in():
    app = FastAPI()
    guard = make_guard(FakeServer())
    app.get("/", dependencies=[fastapi.require(guard, READ)])(lambda: "in")
    async with browse(app) as http:
        with pytest.raises(RuntimeError, match="guard_app"):
            await http.get("/", headers={"authorization": "Bearer good"})


def test_fastapi_websocket_is_refused_before_it_opens():
    app = FastAPI()
    guard = make_guard(FakeServer())
    fastapi.guard_app(app, guard)

    @app.websocket("/")
    async def talk(websocket: WebSocket, access: Annotated[Access, fastapi.require(guard, READ)]) -> None:
        await websocket.accept()
        await websocket.send_text(show(access))
        await websocket.close()

    http = TestClient(app)
    with pytest.raises(WebSocketDenialResponse) as refused, http.websocket_connect("/"):
        pass
    assert (refused.value.status_code, refused.value.headers["www-authenticate"][:7]) == (401, "Bearer ")
    with http.websocket_connect("/", headers={"authorization": "Bearer good"}) as websocket:
        assert websocket.receive_text().startswith("user_1 orga_1")


async def test_litestar_websocket_is_refused_before_it_opens():
    guard = make_guard(FakeServer())

    @websocket("/", guards=[litestar.require(guard, READ)])
    async def talk(socket: WebSocketOfLitestar[Any, Any, Any], access: NamedDependency[Access]) -> None:
        await socket.accept()
        await socket.send_text(show(access))
        await socket.close()

    app = Litestar([talk], plugins=[litestar.GuardPlugin(guard)])
    with LitestarClient(app) as http:
        with pytest.raises(WebSocketDisconnect) as refused, http.websocket_connect("/"):
            pass
        assert refused.value.code == 1008
        with http.websocket_connect("/", headers={"authorization": "Bearer good"}) as socket:
            assert socket.receive_text().startswith("user_1 orga_1")


@pytest.mark.parametrize("is_async", [False, True])
async def test_django_middleware_guards_all_but_the_exempt_paths(is_async):
    server = FakeServer()

    def view(request: Any) -> HttpResponse:
        return HttpResponse("in")

    patterns = [django_path("health", view), django_path("all", view)]
    guarded = django.middleware(make_sync_guard(server), scope=[READ], exempt={"/health"})
    app = serve_django(patterns, guarded, is_async=is_async)
    async with browse(app) if is_async else browse_wsgi(app) as http:
        assert (await http.get("/health")).text == "in"
        for path in ("/all", "/nowhere", "/health/", "//health"):
            assert (await http.get(f"https://api.test{path}")).status_code == 401, path
        assert (await http.get("/all", headers={"authorization": "Bearer good"})).text == "in"
        assert (await http.get("/nowhere", headers={"authorization": "Bearer good"})).status_code == 404
        assert (await http.get(METADATA_URL)).json()["resource"] == "https://api.test/v1"
    assert server.asked == ["good", "good"]


def test_django_sync_view_takes_no_guard_for_asyncio():
    guard = make_guard(FakeServer())
    with pytest.raises(ConfigurationError, match="SyncGuard"):
        django.require(guard, READ)(lambda request: None)
    with pytest.raises(ConfigurationError, match="SyncGuard"):
        serve_django([], django.middleware(guard))


async def test_wsgi_guards_all_but_the_exempt_paths():
    server = FakeServer()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Request-Id", "of the app")])
        return [b"in"]

    guard = make_sync_guard(server)
    async with browse_wsgi(guard.wsgi(guard.require(READ)(app), exempt="/health")) as http:
        for path in ("/health/", "//health", "/Health", "/x%3F"):
            assert (await http.get(f"https://api.test{path}")).status_code == 401, path
        response = await http.get("/x", headers={"authorization": "Bearer good"})
    assert (response.text, response.headers.get_list("x-request-id")) == ("in", ["of the app"])
    assert server.asked == ["good"], "the inner guard takes the outer one's word"
    guard.close()


async def test_access_of_another_guard_is_not_taken_over():
    other = make_sync_guard(server := FakeServer(), resource="https://other.test")
    server.tokens["good"] = ACTIVE | {"aud": "https://other.test"}
    app = other.wsgi(make_sync_guard(server).require(READ)(lambda environ, start_response: []))
    async with browse_wsgi(app) as http:
        assert (await http.get("/", headers={"authorization": "Bearer good"})).status_code == 401


def test_current_access_without_a_guard_fails_loudly():
    with pytest.raises(RuntimeError, match="No guard"):
        plain_wsgi.find_access({})


DER = make_certificate()


async def test_s16_certificate_is_taken_from_a_trusted_proxy_alone():
    server = FakeServer()
    server.tokens["good"] = ACTIVE | {"cnf": {"x5t#S256": certificate_thumbprint(DER)}}
    sent = {"authorization": "Bearer good", "client-cert": render_rfc9440(DER)}
    for networks, status in (["127.0.0.0/8"], 200), (["10.0.0.0/8"], 401):
        guard = make_sync_guard(server, client_certificate_header="client-cert", trusted_proxy_networks=networks)
        async with build_wsgi(guard) as http:
            assert (await http.get("/read", headers=sent)).status_code == status
            assert (await http.get("/read", headers={"authorization": "Bearer good"})).status_code == 401


async def test_s13_path_of_a_proof_is_that_of_the_url():
    server = FakeServer()
    server.tokens["bound"] = BOUND
    guard = make_sync_guard(server)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"in"]

    async with browse_wsgi(guard.wsgi(app)) as http:
        for path in ("/~ann/a%20b", "/caf%C3%A9", "/"):
            assert (await http.get(path, headers=dict(prove(path)))).status_code == 200, path
        assert (await http.get("/other", headers=dict(prove("/read")))).status_code == 401


# -- a guard before the whole app, and an endpoint that needs more


def guarded_wsgi(guard: Any) -> httpx.AsyncClient:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"in"]

    return browse_wsgi(guard.wsgi(guard.require(WRITE)(app)))


def guarded_flask(guard: Any) -> httpx.AsyncClient:
    app = Flask(__name__)
    app.get("/")(flask.require(guard, WRITE)(lambda: "in"))
    return browse_wsgi(guard.wsgi(app))


def guarded_django(guard: Any) -> httpx.AsyncClient:
    def view(request: Any) -> HttpResponse:
        return HttpResponse("in")

    return browse_wsgi(serve_django([django_path("", django.require(guard, WRITE)(view))], django.middleware(guard)))


def guarded_django_async(guard: Any) -> httpx.AsyncClient:
    async def view(request: Any) -> HttpResponse:
        return HttpResponse("in")

    patterns = [django_path("", django.require(guard, WRITE)(view))]
    return browse(serve_django(patterns, django.middleware(guard), is_async=True))


@pytest.mark.parametrize(
    "make, build",
    [
        (make_sync_guard, guarded_wsgi),
        (make_sync_guard, guarded_flask),
        (make_sync_guard, guarded_django),
        (make_guard, guarded_django_async),
        (make_sync_guard, guarded_django_async),
    ],
)
async def test_s3_endpoint_inside_a_guard_needs_its_own_scopes_and_the_server_is_asked_once(make, build):
    server = FakeServer()
    async with build(make(server)) as http:
        refused = await http.get("/", headers={"authorization": "Bearer good"})
        server.tokens["good"] = ACTIVE | {"scope": WRITE}
        taken = await http.get("/", headers={"authorization": "Bearer good"})
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert f'scope="{WRITE}"' in refused.headers["www-authenticate"]
    assert (taken.status_code, taken.text) == (200, "in")
    assert server.asked == ["good", "good"]


# -- threads


def in_threads(times: int, call: Callable[[], Any]) -> list[Any]:
    begin = threading.Barrier(times)

    def run(_: int) -> Any:
        begin.wait()
        return call()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


def test_s15_thread_memory_takes_a_proof_once_from_threads_that_race():
    class SlowSet(set[bytes]):
        def __contains__(self, digest: object) -> bool:
            known = super().__contains__(digest)
            time.sleep(0.005)  # another thread may come in between
            return known

    memory = ThreadMemory()
    memory._digests = SlowSet()
    assert sorted(in_threads(8, lambda: memory.use_once(b"d", expires_at=NOW + 1, now=NOW))) == [False] * 7 + [True]


def test_s18_keys_are_fetched_once_for_threads_that_race():
    class SlowServer(KeyServer):
        def _handle(self, request: httpx.Request) -> httpx.Response:
            time.sleep(0.02)
            return super()._handle(request)

    server = SlowServer()
    guard = make_sync_guard(server, jwks_uri=JWKS_URI)
    token = bearer(sign())[1]
    users = in_threads(8, lambda: guard.check([token]).user_id)
    assert (users, server.fetched) == (["user_1"] * 8, 1)


def test_connections_made_before_a_fork_are_not_the_child_s(monkeypatch):
    connections = Connections("https://login.test/", None)
    client = connections.find()
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: 0)
        assert connections.find() is not client
        connections.close()
    assert not client.is_closed, "its sockets are the parent's too"
    client.close()
