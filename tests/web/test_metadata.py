"""What the server says of itself (RFC 8414): M2 to M5, M7. That it is so (M6): `test_advertised.py`."""

from tests.support.journey import answer_of, decide, exchange, open_consent
from tests.web.answers import REQUEST_ID, assert_refused
from tests.web.conftest import MakeWorld, World
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
        "client_id_metadata_document_supported": True,
        "organization_selection_values_supported": ["fixed", "several"],
        "acr_values_supported": ["pwd", "mfa", "phr"],
        "revocations_endpoint": "https://auth.example/oauth2/revocations/",
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
