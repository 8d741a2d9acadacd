"""What the server says of itself (RFC 8414): everything named works, and nothing unnamed does (M2–M7)."""

import pytest

from latchstring.protocol.client_metadata import TOKEN_EXCHANGE
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE
from tests.support import device
from tests.support.deployment import REDIRECT_URI, App
from tests.support.journey import answer_of, decide, exchange, grant_code, open_consent
from tests.web.answers import REQUEST_ID, assert_refused, assert_sent_back
from tests.web.conftest import MakeWorld, World
from tests.web.state import CHALLENGE, VERIFIER, connect, post
from tests.web.wire import ask

WELL_KNOWN = "/.well-known/oauth-authorization-server"
FORGED = {
    "host": "evil.example",
    "x-forwarded-host": "evil.example",
    "x-forwarded-proto": "http",
    "x-forwarded-prefix": "/evil",
    "x-original-url": "/evil",
    "x-host": "evil.example",
    "forwarded": "host=evil.example;proto=http",
}


async def test_metadata_is_exactly_what_is_supported(world: World) -> None:
    """M2, M4, M5, T12."""
    response = await world.http.get(WELL_KNOWN)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == "*", "browser clients discover, too; it is public"
    assert REQUEST_ID.fullmatch(response.headers["x-request-id"])
    assert "set-cookie" not in response.headers
    assert response.json() == {
        "issuer": "https://auth.example",
        "authorization_endpoint": "https://auth.example/oauth2/authorize/",
        "token_endpoint": "https://auth.example/oauth2/token/",
        "revocation_endpoint": "https://auth.example/oauth2/revoke/",
        "introspection_endpoint": "https://auth.example/oauth2/introspect/",
        "pushed_authorization_request_endpoint": "https://auth.example/oauth2/par/",
        "device_authorization_endpoint": "https://auth.example/oauth2/device_authorization/",
        "jwks_uri": "https://auth.example/oauth2/jwks/",
        "scopes_supported": ["all.full_access", "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ],
        "token_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
            "none",
        ],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"],
        "revocation_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
            "none",
        ],
        "revocation_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"],
        "introspection_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
        ],
        "introspection_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"],
        "introspection_signing_alg_values_supported": ["ES256"],
        "request_parameter_supported": True,
        "request_uri_parameter_supported": False,
        "request_object_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"],
    }


async def test_metadata_by_head_has_the_headers_of_get(world: World) -> None:
    read, head = await world.http.get(WELL_KNOWN), await world.http.head(WELL_KNOWN)
    assert head.status_code == 200
    assert head.headers["content-length"] == read.headers["content-length"]
    assert head.headers["content-type"] == "application/json"


async def test_metadata_by_post_is_405_and_allows_reading(world: World) -> None:
    response = await world.http.post(WELL_KNOWN, data={"a": "b"})
    assert_refused(response, 405, "invalid_request")
    assert response.headers["allow"] == "GET, HEAD"


async def test_metadata_under_forged_host_headers_stays_the_same(world: World) -> None:
    """M7, CVE-2025-64101, GHSA-93m4-mfpg-c3xf."""
    plain = await world.http.get(WELL_KNOWN)
    forged = await world.http.get(WELL_KNOWN, headers=FORGED)
    assert forged.content == plain.content


async def test_everything_else_under_forged_host_headers_stays_the_same(world: World) -> None:
    """M7: redirects, `iss`, cookies and pages know the issuer from the settings alone."""
    world.http.headers.update(FORGED)
    await world.arrive(world.ann)
    page = await open_consent(world.http, world.app, state="s")
    assert "evil.example" not in page.text
    response = await decide(world.http, page, "allow", world.acorn)
    assert "evil.example" not in response.headers["location"]
    assert answer_of(response)["iss"] == "https://auth.example"
    token = (await exchange(world.http, world.app, answer_of(response)["code"])).json()["access_token"]
    told = await world.http.post("/oauth2/introspect/", data={"token": token}, auth=world.guard)
    assert told.json()["iss"] == "https://auth.example"
    for path in ("/apps/" + world.app.client_id, "/connections", "/nothing"):
        assert "evil.example" not in (await world.http.get(path)).text
    fresh = await ask(
        world.deployment.application, "GET", "/", headers=[(k.encode(), v.encode()) for k, v in FORGED.items()]
    )
    assert fresh.find("location") == ["/connections"]
    assert "evil" not in str(fresh.headers)


async def test_metadata_issuer_is_the_one_of_the_settings(make_world: MakeWorld) -> None:
    """M2."""
    world = await make_world(issuer="http://127.0.0.1:8400")
    document = (await world.http.get(WELL_KNOWN)).json()
    assert document["issuer"] == "http://127.0.0.1:8400"
    endpoints = [value for name, value in document.items() if name.endswith("_endpoint")]
    assert all(endpoint.startswith("http://127.0.0.1:8400/oauth2/") for endpoint in endpoints)


# -- M6: everything named works


async def advertised(world: World) -> dict[str, list[str]]:
    document: dict[str, list[str]] = (await world.http.get(WELL_KNOWN)).json()
    return document


async def test_every_advertised_endpoint_answers(world: World) -> None:
    document = await advertised(world)
    for name in ("token", "revocation", "introspection", "device_authorization"):
        assert_refused(await post(world, str(document[f"{name}_endpoint"]), {"grant_type": "x"}), 401, "invalid_client")
    assert (await world.http.get(str(document["authorization_endpoint"]))).status_code == 400


async def test_every_advertised_authentication_method_works_and_no_other(world: World) -> None:
    document = await advertised(world)
    public = await world.deployment.app(world.acorn, is_public=True)
    for endpoint in ("token", "revocation", "introspection"):
        url = str(document[f"{endpoint}_endpoint"])
        methods = document[f"{endpoint}_endpoint_auth_methods_supported"]
        for method in ("client_secret_basic", "client_secret_post", "none"):
            app = public if method == "none" else world.app
            tokens = await connect(world, app)
            body = {
                "grant_type": "refresh_token",
                "refresh_token": tokens["refresh_token"],
                "token": tokens["access_token"],
            }
            response = await _authenticated(world, app, method, url, body)
            assert response.status_code == (200 if method in methods else 401), (endpoint, method)
        assertion = {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
        body = {
            **assertion,
            "client_assertion": "e30.e30.e30",
            "client_id": world.app.client_id,
            "grant_type": "refresh_token",
        }
        assert_refused(await post(world, url, {**body, "token": "x"}), 401, "invalid_client")


async def _authenticated(world: World, app: App, method: str, url: str, body: dict[str, str]):
    if method == "client_secret_basic":
        return await post(world, url, body, auth=(app.client_id, app.secret or ""))
    return await post(world, url, app.body(**body))


async def test_every_advertised_grant_type_scope_and_challenge_method_works(world: World) -> None:
    document = await advertised(world)
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["response_types_supported"] == ["code"]
    page = await open_consent(
        world.http,
        world.app,
        response_type="code",
        response_mode=document["response_modes_supported"][0],
        scope=" ".join(document["scopes_supported"]),
        code_challenge=CHALLENGE,
        code_challenge_method="S256",
    )
    code = answer_of(await decide(world.http, page, "allow", world.acorn))["code"]
    tokens = (await exchange(world.http, world.app, code, code_verifier=VERIFIER)).json()
    assert tokens["scope"].split() == document["scopes_supported"]
    codes = await device.ask(world.http, world.app)
    await device.allow(world.http, codes["user_code"], world.acorn)
    given = {
        "authorization_code": {"code": await grant_code(world.deployment, world.app, world.ann, world.acorn)},
        "refresh_token": {"refresh_token": tokens["refresh_token"]},
        "client_credentials": {},
        TOKEN_EXCHANGE: {"subject_token": tokens["access_token"], "subject_token_type": ACCESS_TOKEN_TYPE},
        device.GRANT_TYPE: {"device_code": codes["device_code"]},
    }
    for grant_type in document["grant_types_supported"]:
        body = world.app.body(grant_type=grant_type, **given[grant_type])
        assert (await post(world, "/oauth2/token/", body)).status_code == 200, grant_type


@pytest.mark.parametrize("response_type", ["token", "id_token", "code id_token", "none"])
async def test_response_type_that_is_not_advertised_does_not_work(world: World, response_type: str) -> None:
    """T12: no implicit flow."""
    document = await advertised(world)
    assert response_type not in document["response_types_supported"]
    params = {"client_id": world.app.client_id, "response_type": response_type}
    response = await world.http.get("/oauth2/authorize/", params=params)
    assert_sent_back(response, REDIRECT_URI, "unsupported_response_type")


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/jwks.json",
        "/oauth2/register/",
        "/oauth2/userinfo/",
    ],
)
async def test_endpoint_that_is_not_advertised_does_not_exist(world: World, path: str) -> None:
    document = await advertised(world)
    assert f"https://auth.example{path}" not in document.values()
    assert (await world.http.get(path)).status_code == 404
    assert (await world.http.post(path)).status_code == 404
