"""What a caller of a guarded API meets (SECURITY-CASES 1G), as plain ASGI."""

import asyncio
import logging
from typing import Any

import httpx
import pytest

from latchstring.resource_server.asgi import ACCESS
from tests.resource_server.fakes import ACTIVE, METADATA_URL, NOW, Api, FakeServer, browse, make_guard

CHALLENGE = f'Bearer realm="api.test", resource_metadata="{METADATA_URL}"'
GOOD = {"authorization": "Bearer good"}


@pytest.fixture
def server():
    return FakeServer()


@pytest.fixture
def api():
    return Api()


async def unused(*_):
    raise AssertionError("nothing is received or sent")


def refusal_of(response, code):
    """What every refusal has in common; returns its body."""
    body = response.json()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-request-id"] == body["request_id"]
    assert body.get("error") == code
    return body


async def test_good_token_reaches_the_api_with_access(server, api):
    async with browse(make_guard(server).asgi(api)) as http:
        response = await http.get("/anything", headers=GOOD)
    assert (response.status_code, response.text, response.headers["x-app"]) == (200, "hello", "1")
    assert response.headers["x-request-id"].startswith("req_")
    [access] = api.seen
    assert (access.user_id, access.organization_id) == ("user_1", "orga_1")
    assert "good" not in repr(access)


async def test_s1_no_credentials_is_challenged_without_error(server, api):
    async with browse(make_guard(server).asgi(api)) as http:
        response = await http.get("/")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == CHALLENGE
    assert set(refusal_of(response, None)) == {"error_description", "request_id"}
    assert (api.seen, server.asked) == ([], [])


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"active": False}, "refresh it, and if that is refused, reconnect"),
        ({"exp": NOW}, "expired: refresh it"),
        ({"aud": ["https://other.test"]}, "for another API"),
    ],
)
async def test_s2_bad_token_is_invalid_token_and_says_what_to_do(server, api, changes, words):
    server.tokens["good"] = ACTIVE | changes
    async with browse(make_guard(server).asgi(api)) as http:
        response = await http.get("/", headers=GOOD)
    assert response.status_code == 401
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="api.test", error="invalid_token", error_description="')
    assert challenge.endswith(f'resource_metadata="{METADATA_URL}"')
    assert words in challenge
    assert words in refusal_of(response, "invalid_token")["error_description"]
    assert api.seen == []


async def test_s3_scope_short_is_insufficient_scope_and_names_all(server, api):
    guarded = make_guard(server).asgi(api, scope=("contacts.read", "contacts.write"))
    async with browse(guarded) as http:
        response = await http.get("/", headers=GOOD)
    assert response.status_code == 403
    challenge = response.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="contacts.read contacts.write"' in challenge
    assert f'resource_metadata="{METADATA_URL}"' in challenge
    refusal_of(response, "insufficient_scope")
    assert api.seen == []


S4_TO_S6 = {
    "S4 two headers": ([(b"authorization", b"Bearer good"), (b"authorization", b"Bearer good")], "/", 400),
    "S4 header and query": ([(b"authorization", b"Bearer good")], "/?access_token=good", 400),
    "S4 repeated parameter": ([(b"authorization", b"Bearer good")], "/?access_token=a&access_token=b", 400),
    "S5 query": ([], "/?access_token=good", 401),
    "S6 tab": ([(b"authorization", b"Bearer\tgood")], "/", 400),
    "S6 comma-joined": ([(b"authorization", b"Bearer good, Bearer good")], "/", 400),
    "S6 empty": ([(b"authorization", b"")], "/", 401),
    "S6 Bearer alone": ([(b"authorization", b"Bearer")], "/", 401),
    "S6 Bearer and a space": ([(b"authorization", b"Bearer ")], "/", 401),
    "S6 bytes": ([(b"authorization", b"Bearer \xff\x00\x80")], "/", 401),
    "S6 another scheme": ([(b"authorization", b"Basic Z29vZDpnb29k")], "/", 401),
}


@pytest.mark.parametrize("headers, path, status", S4_TO_S6.values(), ids=S4_TO_S6)
async def test_s4_s5_s6_malformed_credentials_are_refused_unasked(server, api, headers, path, status):
    async with browse(make_guard(server).asgi(api)) as http:
        response = await http.get(path, headers=headers)
    assert response.status_code == status
    assert response.headers["www-authenticate"].startswith('Bearer realm="api.test"')
    refusal_of(response, response.json().get("error"))
    assert (api.seen, server.asked) == ([], [])


@pytest.mark.parametrize("header", ["bearer good", "BEARER good", "Bearer  good"])
async def test_s6_scheme_is_case_insensitive(server, api, header):
    async with browse(make_guard(server).asgi(api)) as http:
        assert (await http.get("/", headers={"authorization": header})).status_code == 200


@pytest.mark.parametrize(
    "failure", [httpx.ConnectError("refused"), httpx.Response(500), httpx.Response(200, html="<p>Hello")]
)
async def test_s18_server_out_of_reach_is_503_with_retry_after(server, api, failure, caplog):
    server.respond = [failure, failure]
    async with browse(make_guard(server).asgi(api)) as http:
        response = await http.get("/", headers=GOOD)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert "www-authenticate" not in response.headers
    refusal_of(response, "temporarily_unavailable")
    assert api.seen == []
    assert "good" not in caplog.text


async def test_s18_wrong_own_credentials_is_503_and_never_401(server, api, caplog):
    async with browse(make_guard(server, client_secret="wrong").asgi(api)) as http:
        response = await http.get("/", headers=GOOD)
    assert response.status_code == 503
    assert response.headers["retry-after"]
    refusal_of(response, "temporarily_unavailable")
    assert "Guard misconfigured" in caplog.text


async def test_s18_answer_for_another_issuer_is_503_and_named_in_the_log(server, api, caplog):
    server.tokens["good"] = ACTIVE | {"iss": "https://other.test"}
    async with browse(make_guard(server).asgi(api)) as http:
        assert (await http.get("/", headers=GOOD)).status_code == 503
    assert "https://other.test" in caplog.text


async def test_revoked_token_is_dead_at_the_next_request(server, api):
    async with browse(make_guard(server).asgi(api)) as http:
        assert (await http.get("/", headers=GOOD)).status_code == 200
        del server.tokens["good"]
        assert (await http.get("/", headers=GOOD)).status_code == 401
    assert server.asked == ["good", "good"]


@pytest.mark.parametrize("suffix", ["", "/"])
async def test_s21_metadata_is_answered_without_credentials(server, api, suffix):
    async with browse(make_guard(server).asgi(api)) as http:
        response = await http.get(METADATA_URL + suffix)
        head = await http.head(METADATA_URL + suffix)
        posted = await http.post(METADATA_URL + suffix)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "resource": "https://api.test/v1",
        "authorization_servers": ["https://login.test"],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["contacts.read", "contacts.write"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"],
    }
    assert (head.status_code, head.content) == (200, b"")
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
    assert api.seen == []


@pytest.mark.parametrize("path", ["/.well-known/oauth-protected-resource", METADATA_URL + "/x"])
async def test_s21_metadata_of_another_resource_is_not_ours_to_give(server, api, path):
    async with browse(make_guard(server).asgi(api)) as http:
        assert (await http.get(path)).status_code == 401


async def test_s21_metadata_without_scopes_omits_them(server, api):
    guarded = make_guard(server, scopes_supported=[], resource="https://api.test").asgi(api)
    async with browse(guarded) as http:
        response = await http.get("/.well-known/oauth-protected-resource")
    assert "scopes_supported" not in response.json()


async def test_exempt_path_is_open_and_has_no_access(server, api):
    async with browse(make_guard(server).asgi(api, exempt={"/health"})) as http:
        assert (await http.get("/health", headers=GOOD)).status_code == 200
        assert (await http.get("/health?x=/private")).status_code == 200
    assert (api.seen, server.asked) == ([None, None], [])


@pytest.mark.parametrize("path", ["/health/", "//health", "/health/../private", "/Health", "/x?/health", "/x%3F"])
async def test_exempt_path_almost_equal_is_guarded(server, api, path):
    async with browse(make_guard(server).asgi(api, exempt="/health")) as http:
        assert (await http.get(f"https://api.test{path}")).status_code == 401


async def test_require_inside_a_guard_asks_the_server_once(server, api):
    guard = make_guard(server)
    async with browse(guard.asgi(guard.require("contacts.read")(api))) as http:
        assert (await http.get("/", headers=GOOD)).status_code == 200
    assert server.asked == ["good"]
    async with browse(guard.asgi(guard.require("contacts.write")(api))) as http:
        response = await http.get("/", headers=GOOD | {"x-request-id": "from-the-client"})
    assert response.status_code == 403
    assert 'scope="contacts.write"' in response.headers["www-authenticate"]
    assert response.headers.get_list("x-request-id") == ["from-the-client"]
    assert server.asked == ["good", "good"]


async def test_require_without_a_guard_before_it_checks_by_itself(server, api):
    async with browse(make_guard(server).require("contacts.read")(api)) as http:
        assert (await http.get("/")).status_code == 401
        assert (await http.get("/", headers=GOOD)).status_code == 200


async def test_access_from_another_guard_is_not_taken_over(server, api):
    other = make_guard(server, resource="https://other.test")
    server.tokens["good"] = ACTIVE | {"aud": "https://other.test"}
    async with browse(other.asgi(make_guard(server).asgi(api))) as http:
        assert (await http.get("/", headers=GOOD)).status_code == 401
    assert api.seen == []


async def test_s20_two_users_on_a_shared_state_are_never_mixed(server):
    """Some servers give the requests of one connection one state (CVE-2026-25536)."""
    seen = {}
    both_inside = asyncio.Barrier(2)

    async def api(scope, receive, send):
        await both_inside.wait()
        seen[scope["path"]] = scope["state"][ACCESS].user_id

    server.tokens |= {name: ACTIVE | {"user_id": name} for name in ("ann", "ben")}
    guarded = make_guard(server).asgi(api)
    shared: dict[str, Any] = {}

    async def call(name):
        scope = {
            "type": "http",
            "method": "GET",
            "path": name,
            "headers": [(b"authorization", b"Bearer " + name.encode())],
            "state": shared,
        }
        await guarded(scope, unused, unused)

    await asyncio.gather(call("ann"), call("ben"))
    assert seen == {"ann": "ann", "ben": "ben"}
    assert shared == {}


@pytest.mark.parametrize("sent", ["short", "x" * 129, 'inject"ed-request', "line one", ""])
async def test_request_id_from_the_caller_is_replaced_when_malformed(server, api, sent):
    async with browse(make_guard(server).asgi(api)) as http:
        response = await http.get("/", headers={"x-request-id": sent})
    assert response.headers["x-request-id"] == response.json()["request_id"] != sent


async def test_refusal_is_logged_with_its_request_id_and_without_the_token(server, api, caplog):
    caplog.set_level(logging.DEBUG)
    async with browse(make_guard(server).asgi(api)) as http:
        response = await http.get("/", headers={"authorization": "Bearer s3cr3t-t0ken"})
    assert response.json()["request_id"] in caplog.text
    assert "s3cr3t-t0ken" not in caplog.text


async def call_websocket(app, headers=(), extensions=None):
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "websocket", "path": "/ws", "headers": list(headers), "extensions": extensions}
    await app(scope, receive, send)
    return sent


async def test_websocket_without_token_never_opens(server, api):
    guarded = make_guard(server).asgi(api)
    assert await call_websocket(guarded) == [{"type": "websocket.close", "code": 1008}]
    start, body = await call_websocket(guarded, extensions={"websocket.http.response": {}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert body["type"] == "websocket.http.response.body"
    assert api.seen == []


async def test_websocket_with_token_reaches_the_api(server, api):
    await call_websocket(make_guard(server).asgi(api), [(b"authorization", b"Bearer good")])
    assert [access.user_id for access in api.seen] == ["user_1"]


async def test_lifespan_passes_and_closes_the_connections(server, api):
    guard = make_guard(server, http_client=None, introspection_endpoint="http://127.0.0.1:9/")
    received = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive():
        return received.pop(0)

    async def send(message):
        sent.append(message["type"])

    client = guard._connections.find()
    await guard.asgi(api)({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert client.is_closed


async def test_unknown_scope_type_is_let_nowhere(server, api):
    with pytest.raises(RuntimeError, match="does not know"):
        await make_guard(server).asgi(api)({"type": "webtransport", "path": "/"}, unused, unused)
    assert api.types == []
