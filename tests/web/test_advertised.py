"""M6: everything that the metadata names works, and nothing that it does not name does, in both directions.

A member of the document is a row: what others have registered with IANA for it (`UNIVERSE`), and how to find out
whether a value works (`TRIALS`). Each value of each row is tried against a server that has everything on, and against
one as it comes. A member without a row fails `test_every_member_has_a_row`.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from latchstring.authorization_server.apps import AppRefused
from latchstring.authorization_server.details_types import DetailsType
from latchstring.authorization_server.records import ClientSecurity
from latchstring.authorization_server.settings import ScopeDefinition
from latchstring.authorization_server.trusted_issuers import TrustedIssuer
from latchstring.protocol.client_certificate import parse_certificate
from latchstring.protocol.jose.jws import parse_jwt
from latchstring.protocol.server_metadata import ServerMetadata
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE
from latchstring.web import app as web_app
from latchstring.web.cookies import session_cookie_name
from tests.support import device
from tests.support.certificates import certificate_jwk, make_certificate, render_rfc9440
from tests.support.deployment import REDIRECT_URI, App
from tests.support.documents import FakeFetch
from tests.support.forms import find_form, submit
from tests.support.journey import follow, grant_code, introspect
from tests.support.signing import Pair, key_set, make_key, public_jwk
from tests.web.conftest import MakeWorld, World
from tests.web.state import CHALLENGE, VERIFIER, connect, post

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
IDP: Final = "https://idp.example"
DOCUMENT: Final = "https://notes.example/client.json"
CONFIGURATIONS: Final[dict[str, dict[str, Any]]] = {
    "as it comes": {},
    "certificates of anybody": {
        "client_certificate_header": "Client-Cert",
        "trusted_proxy_networks": ("127.0.0.1",),
    },
    "everything on": {
        "registration": "open",
        "signing_algorithm": "EdDSA",
        "client_certificate_header": "Client-Cert",
        "trusted_proxy_networks": ("127.0.0.1",),
        "client_certificates_verified": True,
        "trusted_issuers": {
            IDP: TrustedIssuer(
                organizations=("*",), keys=(public_jwk(make_key(), kid="1"),), user_claim="email", user_is="email"
            )
        },
        "authorization_details_types": {"account_information": DetailsType(title="See your accounts")},
        "scopes": {"all.full_access": ScopeDefinition(), "contacts.read": ScopeDefinition(title="Read")},
    },
}

_ALGORITHMS: Final = [
    "none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
    "EdDSA", "Ed25519",
]  # fmt: skip
_AUTH_METHODS: Final = [
    "none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "tls_client_auth",
    "self_signed_tls_client_auth",
]  # fmt: skip

UNIVERSE: Final[dict[str, list[str]]] = {
    "scopes_supported": [
        "all.full_access", "contacts.read", "offline_access", "openid", "profile", "email", "address", "phone",
    ],
    "authorization_details_types_supported": ["payment_initiation", "account_information", "openid_credential"],
    "response_types_supported": [
        "code", "token", "id_token", "code token", "code id_token", "id_token token", "code id_token token", "none",
    ],
    "response_modes_supported": [
        "query", "fragment", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt", "web_message",
    ],
    "grant_types_supported": [
        "authorization_code", "implicit", "password", "client_credentials", "refresh_token",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:saml2-bearer",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:uma-ticket",
        "urn:openid:params:grant-type:ciba",
    ],
    "code_challenge_methods_supported": ["S256", "plain", "S512"],
    "organization_selection_values_supported": ["fixed", "several", "all"],
    # RFC 8176, OpenID EAP ACR Values, ISO 29115, SAML.
    "acr_values_supported": [
        "pwd", "mfa", "phr", "phrh", "otp", "hwk", "0", "1", "2", "urn:oasis:names:tc:SAML:2.0:ac:classes:Password",
    ],
    "token_endpoint_auth_methods_supported": _AUTH_METHODS,
    "revocation_endpoint_auth_methods_supported": _AUTH_METHODS,
    "introspection_endpoint_auth_methods_supported": _AUTH_METHODS,
    "token_endpoint_auth_signing_alg_values_supported": _ALGORITHMS,
    "revocation_endpoint_auth_signing_alg_values_supported": _ALGORITHMS,
    "introspection_endpoint_auth_signing_alg_values_supported": _ALGORITHMS,
    "introspection_signing_alg_values_supported": _ALGORITHMS,
    "request_object_signing_alg_values_supported": _ALGORITHMS,
    "dpop_signing_alg_values_supported": _ALGORITHMS,
}  # fmt: skip

# Where each endpoint of the IANA registry is or would be.
ENDPOINTS: Final[dict[str, str]] = {
    "authorization_endpoint": "/oauth2/authorize",
    "token_endpoint": "/oauth2/token",
    "revocation_endpoint": "/oauth2/revoke",
    "introspection_endpoint": "/oauth2/introspect",
    "pushed_authorization_request_endpoint": "/oauth2/par",
    "device_authorization_endpoint": "/oauth2/device_authorization",
    "registration_endpoint": "/oauth2/register",
    "jwks_uri": "/oauth2/jwks",
    "userinfo_endpoint": "/oauth2/userinfo",
    "end_session_endpoint": "/oauth2/logout",
    "check_session_iframe": "/oauth2/check_session",
    "backchannel_authentication_endpoint": "/oauth2/bc-authorize",
    "challenge_endpoint": "/oauth2/challenge",
    "revocations_endpoint": "/oauth2/revocations",
}

Trial = Callable[[World, str], Awaitable[bool]]


# -- the authorization endpoint


async def _authorize(world: World, **query: str) -> httpx.Response:
    """What Ann, signed in, is shown or sent to."""
    await world.arrive(world.ann)
    query = {"client_id": world.app.client_id, "response_type": "code", **query}
    return await follow(world.http, await world.http.get("/oauth2/authorize", params=query))


def _is_consent(response: httpx.Response) -> bool:
    return response.status_code == 200 and 'action="/consent"' in response.text


def _error_of(response: httpx.Response) -> str | None:
    """The error that the app is sent, by whatever way."""
    if response.status_code == 303:
        return parse_qs(urlsplit(response.headers["location"]).query).get("error", [""])[0]
    found = re.search(r'name="error" value="([^"]+)"', response.text)
    return None if found is None else found[1]


async def try_scope(world: World, value: str) -> bool:
    # `offline_access` alone is no access.
    response = await _authorize(world, scope=" ".join(dict.fromkeys(("all.full_access", value))))
    assert _is_consent(response) or _error_of(response) == "invalid_scope"
    return _is_consent(response)


async def try_details_type(world: World, value: str) -> bool:
    record = world.app.record
    security = msgspec.structs.replace(record.security, authorization_details_types=(value,))
    await world.deployment.store.update_client_security(
        msgspec.structs.replace(record, security=security), now=world.deployment.clock.now
    )
    response = await _authorize(world, authorization_details=msgspec.json.encode([{"type": value}]).decode())
    assert _is_consent(response) or _error_of(response) == "invalid_authorization_details"
    return _is_consent(response)


async def try_response_type(world: World, value: str) -> bool:
    response = await _authorize(world, response_type=value)
    assert _is_consent(response) or _error_of(response) == "unsupported_response_type"
    return _is_consent(response)


async def try_response_mode(world: World, value: str) -> bool:
    page = await _authorize(world, response_mode=value)
    if not _is_consent(page):
        assert _error_of(page) == "invalid_request"
        return False
    form = find_form(page, "/consent")
    answer = await submit(world.http, page, form, decision="allow", organization_id=world.acorn)
    if value == "form_post":
        return f'action="{REDIRECT_URI}"' in answer.text and 'name="code"' in answer.text
    location = urlsplit(answer.headers["location"])
    return "code" in parse_qs({"query": location.query, "fragment": location.fragment}[value])


async def try_challenge_method(world: World, value: str) -> bool:
    challenge = VERIFIER if value == "plain" else CHALLENGE
    page = await _authorize(world, code_challenge=challenge, code_challenge_method=value)
    if not _is_consent(page):
        assert _error_of(page) == "invalid_request"
        return False
    answer = await submit(world.http, page, find_form(page, "/consent"), decision="allow", organization_id=world.acorn)
    code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
    body = world.app.body(grant_type="authorization_code", code=code, code_verifier=VERIFIER)
    return (await post(world, "/oauth2/token", body)).status_code == 200


async def try_organization_selection(world: World, value: str) -> bool:
    page = await _authorize(world, organization_selection=value, organization_id=world.acorn)
    if not _is_consent(page):
        assert _error_of(page) == "invalid_request"
        return False
    return True


async def try_acr_values(world: World, value: str) -> bool:
    cookie = await world.deployment.services.login.begin(world.ann, value)
    world.http.cookies.set(session_cookie_name(world.deployment.settings), cookie, domain="auth.example")
    query = {"client_id": world.app.client_id, "response_type": "code", "acr_values": value}
    response = await world.http.get("/oauth2/authorize", params=query)
    assert _is_consent(response) or _error_of(response) == "unmet_authentication_requirements"
    return _is_consent(response)


# -- the token endpoint


async def try_grant_type(world: World, value: str) -> bool:
    given: dict[str, Callable[[], Awaitable[dict[str, str]]]] = {
        "authorization_code": partial(_give_code, world),
        "refresh_token": partial(_give_refresh_token, world),
        "urn:ietf:params:oauth:grant-type:device_code": partial(_give_device_code, world),
        "urn:ietf:params:oauth:grant-type:token-exchange": partial(_give_subject_token, world),
        "urn:ietf:params:oauth:grant-type:jwt-bearer": partial(_give_assertion, world),
    }
    # What others would answer to: whoever takes the grant type finds in it all that it asks for.
    others = {"username": "ann@example.com", "password": "correct horse battery", "assertion": "e30.e30.e30"}
    body = await given[value]() if value in given else {} if value == "client_credentials" else others
    response = await post(world, "/oauth2/token", world.app.body(grant_type=value, **body))
    assert response.status_code == 200 or response.json()["error"] == "unsupported_grant_type", response.text
    return response.status_code == 200


async def _give_code(world: World) -> dict[str, str]:
    return {"code": await grant_code(world.deployment, world.app, world.ann, world.acorn)}


async def _give_refresh_token(world: World) -> dict[str, str]:
    return {"refresh_token": (await connect(world))["refresh_token"]}


async def _give_device_code(world: World) -> dict[str, str]:
    codes = await device.ask(world.http, world.app)
    await device.allow(world.http, codes["user_code"], world.acorn)
    return {"device_code": codes["device_code"]}


async def _give_subject_token(world: World) -> dict[str, str]:
    return {"subject_token": (await connect(world))["access_token"], "subject_token_type": ACCESS_TOKEN_TYPE}


async def _give_assertion(world: World) -> dict[str, str]:
    now = world.deployment.clock.now
    claims = {
        "iss": IDP,
        "aud": world.deployment.settings.issuer,
        "sub": "ann",
        "email": "ann@example.com",
        "organization_id": world.acorn,
        "jti": "jti",
        "iat": now,
        "exp": now + 60,
    }
    return {"assertion": _sign("ES256", make_key(), "", {"kid": "1", "typ": "JWT"}, claims)}


# -- client authentication


def _make_key(algorithm: str) -> Pair:
    curve = {"ES384": "P-384", "ES512": "P-521"}.get(algorithm)
    return make_key(algorithm) if curve is None else ECKey.generate_key(curve)


def _sign(algorithm: str, key: Pair, secret: str, header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = ({"alg": algorithm, **header}, claims)
    text = ".".join(_encode(msgspec.json.encode(part)) for part in parts)
    if algorithm == "none":
        return f"{text}."
    if algorithm.startswith("HS"):
        return f"{text}.{_encode(hmac.digest(secret.encode(), text.encode(), f'sha{algorithm[2:]}'))}"
    return f"{text}.{_encode(JWSRegistry.algorithms[algorithm].sign(text.encode(), key))}"


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


async def _make_key_app(world: World, key: Pair, method: str) -> App | None:
    """None where no client can register such a key."""
    security = ClientSecurity(jwks=key_set(public_jwk(key, kid="1")).decode())
    try:
        return await world.deployment.app(world.acorn, token_endpoint_auth_method=method, security=security)
    except AppRefused as refused:
        assert [problem.code for problem in refused.problems] == ["keys_unusable"]
        return None


async def _assert_for(world: World, app: App, key: Pair, algorithm: str) -> dict[str, str]:
    now = world.deployment.clock.now
    claims = {
        "iss": app.client_id,
        "sub": app.client_id,
        "aud": world.deployment.settings.issuer,
        "jti": f"jti-{algorithm}",
        "iat": now,
        "exp": now + 60,
    }
    assertion = _sign(algorithm, key, app.secret or "", {"kid": "1", "typ": "JWT"}, claims)
    return {"client_id": app.client_id, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


async def _ask(world: World, endpoint: str, app: App, proof: dict[str, str], **options: Any) -> bool:
    """Whether the caller is let in at the endpoint with that proof."""
    body = {"token": "nobody's"}
    if endpoint == "token":
        code = await grant_code(world.deployment, app, world.ann, world.acorn, code_challenge=CHALLENGE)
        body = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
    response = await post(world, ENDPOINTS[f"{endpoint}_endpoint"], {**body, **proof}, **options)
    if response.status_code != 200:
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    return response.status_code == 200


async def try_auth_method(world: World, value: str, *, endpoint: str) -> bool:
    key = make_key()
    if value == "none":
        app = await world.deployment.app(world.acorn, is_public=True)
        return await _ask(world, endpoint, app, {"client_id": app.client_id})
    if value == "client_secret_basic":
        return await _ask(world, endpoint, world.app, {}, auth=(world.app.client_id, world.app.secret))
    if value == "client_secret_post":
        return await _ask(world, endpoint, world.app, world.app.body())
    if value == "client_secret_jwt":
        return await _ask(world, endpoint, world.app, await _assert_for(world, world.app, key, "HS256"))
    if value == "private_key_jwt":
        key_app = await _make_key_app(world, key, value)
        assert key_app is not None
        return await _ask(world, endpoint, key_app, await _assert_for(world, key_app, key, "ES256"))
    der = make_certificate()
    if value == "tls_client_auth":
        security = ClientSecurity(tls_client_auth_subject_dn=parse_certificate(der).subject_dn)
    else:
        security = ClientSecurity(jwks=key_set(certificate_jwk(der)).decode())
    app = await world.deployment.app(world.acorn, token_endpoint_auth_method=value, security=security)
    headers = {"client-cert": render_rfc9440(der)}  # as a proxy would pass it on
    return await _ask(world, endpoint, app, {"client_id": app.client_id}, headers=headers)


async def try_auth_algorithm(world: World, value: str, *, endpoint: str) -> bool:
    key = _make_key(value)
    app = await _make_key_app(world, key, "private_key_jwt")
    return app is not None and await _ask(world, endpoint, app, await _assert_for(world, app, key, value))


async def try_request_object_algorithm(world: World, value: str) -> bool:
    key = _make_key(value)
    app = await _make_key_app(world, key, "client_secret_post")
    if app is None:
        return False
    now = world.deployment.clock.now
    claims = {
        "iss": app.client_id,
        "aud": world.deployment.settings.issuer,
        "client_id": app.client_id,
        "response_type": "code",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "iat": now,
        "nbf": now,
        "exp": now + 60,
    }
    request = _sign(value, key, app.secret or "", {"kid": "1", "typ": "oauth-authz-req+jwt"}, claims)
    await world.arrive(world.ann)
    response = await world.http.get("/oauth2/authorize", params={"client_id": app.client_id, "request": request})
    response = await follow(world.http, response)
    assert _is_consent(response) or response.status_code == 400
    return _is_consent(response)


async def try_introspection_algorithm(world: World, value: str) -> bool:
    """Which one it is follows from the settings alone."""
    headers = {"accept": "application/token-introspection+jwt"}
    answer = await world.http.post("/oauth2/introspect", data={"token": "x"}, auth=world.guard, headers=headers)
    return bool(parse_jwt(answer.text).header["alg"] == value)


async def try_proof_algorithm(world: World, value: str) -> bool:
    key = _make_key(value)
    now = world.deployment.clock.now
    claims = {"jti": f"jti-{value}", "htm": "POST", "htu": "https://auth.example/oauth2/token", "iat": now}
    header = {"typ": "dpop+jwt", "jwk": key.as_dict(private=False)}
    proof = _sign(value, key, world.app.secret or "", header, claims)
    body = world.app.body(grant_type="client_credentials")
    response = await post(world, "/oauth2/token", body, headers={"dpop": proof})
    assert response.status_code == 200 or response.json()["error"] == "invalid_dpop_proof"
    return response.status_code == 200 and response.json()["token_type"] == "DPoP"


TRIALS: Final[dict[str, Trial]] = {
    "scopes_supported": try_scope,
    "authorization_details_types_supported": try_details_type,
    "response_types_supported": try_response_type,
    "response_modes_supported": try_response_mode,
    "grant_types_supported": try_grant_type,
    "code_challenge_methods_supported": try_challenge_method,
    "organization_selection_values_supported": try_organization_selection,
    "acr_values_supported": try_acr_values,
    "introspection_signing_alg_values_supported": try_introspection_algorithm,
    "request_object_signing_alg_values_supported": try_request_object_algorithm,
    "dpop_signing_alg_values_supported": try_proof_algorithm,
    **{
        f"{endpoint}_endpoint_auth_{what}_supported": partial(trial, endpoint=endpoint)
        for endpoint in ("token", "revocation", "introspection")
        for what, trial in (("methods", try_auth_method), ("signing_alg_values", try_auth_algorithm))
    },
}


# -- what is said by yes or no


async def try_issuer_in_answers(world: World) -> bool:
    page = await _authorize(world)
    answer = await submit(world.http, page, find_form(page, "/consent"), decision="deny")
    return parse_qs(urlsplit(answer.headers["location"]).query).get("iss") == [world.deployment.settings.issuer]


async def try_request_parameter(world: World) -> bool:
    return await try_request_object_algorithm(world, "ES256")


async def try_request_uri_parameter(world: World) -> bool:
    """By reference to a document of the client's; one that was pushed is another matter."""
    await world.arrive(world.ann)
    query = {"client_id": world.app.client_id, "request_uri": "https://app.example/request.jwt"}
    return _is_consent(await follow(world.http, await world.http.get("/oauth2/authorize", params=query)))


async def try_certificate_binding(world: World) -> bool:
    security = ClientSecurity(tls_client_certificate_bound_access_tokens=True)
    app = await world.deployment.app(world.acorn, security=security)
    headers = {"client-cert": render_rfc9440(make_certificate())}
    response = await post(world, "/oauth2/token", app.body(grant_type="client_credentials"), headers=headers)
    if response.status_code != 200:
        return False
    told = await introspect(world.http, world.guard, response.json()["access_token"])
    return "x5t#S256" in told["cnf"]


async def try_metadata_document(world: World) -> bool:
    query = {"client_id": DOCUMENT, "code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    return _is_consent(await _authorize(world, **query))


FLAGS: Final[dict[str, Callable[[World], Awaitable[bool]]]] = {
    "authorization_response_iss_parameter_supported": try_issuer_in_answers,
    "request_parameter_supported": try_request_parameter,
    "request_uri_parameter_supported": try_request_uri_parameter,
    "tls_client_certificate_bound_access_tokens": try_certificate_binding,
    "client_id_metadata_document_supported": try_metadata_document,
}


# -- the tests


@pytest.fixture(params=CONFIGURATIONS)
async def world(request: pytest.FixtureRequest, make_world: MakeWorld) -> World:
    document = {"client_id": DOCUMENT, "redirect_uris": [REDIRECT_URI]}
    fetch = FakeFetch({DOCUMENT: msgspec.json.encode(document)})
    world = await make_world(fetch=fetch, **CONFIGURATIONS[request.param])
    scope = (*world.deployment.settings.scopes_supported,)
    world.app = await world.deployment.app(world.acorn, scope=scope)
    return world


async def read_metadata(world: World) -> dict[str, Any]:
    document: dict[str, Any] = (await world.http.get("/.well-known/oauth-authorization-server")).json()
    return document


@pytest.mark.parametrize("member, value", [(member, value) for member, values in UNIVERSE.items() for value in values])
async def test_value_works_exactly_if_it_is_advertised(world: World, member: str, value: str) -> None:
    is_advertised = value in (await read_metadata(world)).get(member, [])
    assert await TRIALS[member](world, value) is is_advertised


@pytest.mark.parametrize("member", FLAGS)
async def test_flag_says_what_is_so(world: World, member: str) -> None:
    assert await FLAGS[member](world) is (await read_metadata(world)).get(member, False)


@pytest.mark.parametrize("member", ENDPOINTS)
async def test_endpoint_exists_exactly_if_it_is_advertised(world: World, member: str) -> None:
    document = await read_metadata(world)
    path = ENDPOINTS[member]
    statuses = [
        (await world.http.request(method, path + slash)).status_code
        for method in ("GET", "POST")
        for slash in ("", "/")
    ]
    assert all(status != 404 for status in statuses) if member in document else set(statuses) == {404}
    assert document.get(member, f"https://auth.example{path}/") == f"https://auth.example{path}/"


async def test_everything_advertised_was_tried(world: World) -> None:
    for member, value in (await read_metadata(world)).items():
        if isinstance(value, list):
            assert set(value) <= set(UNIVERSE[member]), member
            assert value, f"{member}: an empty list is left out (M4)"


def test_every_member_has_a_row() -> None:
    # What clients read of OpenID Providers: this server is none.
    others = {"id_token_signing_alg_values_supported"}
    members = {field.name for field in msgspec.structs.fields(ServerMetadata)} - {"issuer"} - others
    assert members <= UNIVERSE.keys() | FLAGS.keys() | ENDPOINTS.keys()
    assert TRIALS.keys() == UNIVERSE.keys()


def test_every_path_of_the_protocol_is_advertised() -> None:
    served = {path for path in web_app._MACHINES if path.startswith("/oauth2/") and "{" not in path}
    assert served <= set(ENDPOINTS.values())
