"""What an app may register of itself (RFC 7591 §2, §3.2.2), whichever way it comes: a POST or a document."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.apps import MAX_NAME_LENGTH
from latchstring.authorization_server.identifiers import derive_client_id
from latchstring.authorization_server.records import ClientSecurity
from latchstring.authorization_server.registration import (
    Registration,
    build_client,
    decide_registration,
    find_document_host,
    find_own_links,
)
from latchstring.authorization_server.settings import ScopeDefinition, Settings, validate_settings
from latchstring.protocol.client_metadata import ClientMetadata
from latchstring.protocol.errors import OAuthError
from tests.authorization_server.builders import NOW, REDIRECT_URI
from tests.authorization_server.builders import build_client as build_any
from tests.support.signing import make_key, public_jwk

SETTINGS = validate_settings(
    Settings(
        issuer="https://auth.example",
        scopes={
            "contacts.read": ScopeDefinition(title="Read"),
            "contacts.write": ScopeDefinition(title="Write"),
            "vault": ScopeDefinition(title="Open the vault", is_for_anyone=False),
        },
    )
)
KEYS = {"keys": [public_jwk(make_key(), kid="1")]}


def decide(**given: Any) -> Registration:
    metadata = ClientMetadata(**{"client_name": "Notes", "redirect_uris": [REDIRECT_URI], **given})
    return decide_registration(metadata, SETTINGS, methods=("none", "private_key_jwt"), default_method="none")


def test_registration_of_the_least_has_the_standard_s_defaults():
    assert decide() == Registration("Notes", (REDIRECT_URI,), ("authorization_code",), "none")


def test_registration_of_the_most_keeps_every_member():
    links = {"client_uri": "https://notes.example/", "tos_uri": "https://notes.example/terms"}
    registration = decide(
        **links,
        policy_uri="https://notes.example/privacy",
        client_name="  Notes\n2 ",
        redirect_uris=[REDIRECT_URI, "http://127.0.0.1/", REDIRECT_URI],
        grant_types=["refresh_token", "client_credentials", "authorization_code"],
        response_types=["token", "code"],
        token_endpoint_auth_method="private_key_jwt",
        scope="contacts.write vault offline_access unknown",
        jwks=KEYS,
        token_endpoint_auth_signing_alg="ES256",
        request_object_signing_alg="ES256",
        require_pushed_authorization_requests=True,
        dpop_bound_access_tokens=True,
        tls_client_certificate_bound_access_tokens=True,
        require_signed_request_object=True,
    )
    assert registration == Registration(
        "Notes 2",
        (REDIRECT_URI, "http://127.0.0.1/"),
        ("authorization_code", "refresh_token"),
        "private_key_jwt",
        scope=("contacts.write", "offline_access"),
        client_uri="https://notes.example/",
        terms_uri="https://notes.example/terms",
        policy_uri="https://notes.example/privacy",
        security=ClientSecurity(
            jwks=msgspec.json.encode(KEYS).decode(),
            token_endpoint_auth_signing_alg="ES256",
            request_object_signing_alg="ES256",
            requires_pushed_request=True,
            requires_signed_request=True,
            dpop_bound_access_tokens=True,
            tls_client_certificate_bound_access_tokens=True,
        ),
    )
    assert decide(token_endpoint_auth_method="private_key_jwt", jwks_uri="https://notes.example/k").security == (
        ClientSecurity(jwks_uri="https://notes.example/k")
    )


LINKS = ("client_uri", "tos_uri", "policy_uri", "jwks_uri")
OTHERS = ("scope", "token_endpoint_auth_method", "token_endpoint_auth_signing_alg", "request_object_signing_alg")


@pytest.mark.parametrize("name", [*LINKS, *OTHERS])
def test_member_that_is_empty_is_as_one_left_out(name: str):
    assert decide(**{name: ""}) == decide()


@pytest.mark.parametrize(
    "uri, name",
    [
        ("https://app.example/callback", "app.example"),
        ("com.example.app:/callback", "com.example.app:"),
        (f"https://{'a' * 60}.{'b' * 60}.example/", f"{'a' * 60}.{'b' * 60}"[:MAX_NAME_LENGTH]),
    ],
)
@pytest.mark.parametrize("missing", [None, ""])
def test_app_without_a_name_is_called_by_where_it_sends_people(uri: str, name: str, missing: str | None):
    assert decide(client_name=missing, redirect_uris=[uri, REDIRECT_URI]).name == name


METADATA, URI = "invalid_client_metadata", "invalid_redirect_uri"
NOTHING = "scope has nothing that an app can have which registers itself."


@pytest.mark.parametrize(
    "given, code, why",
    [
        (
            {"token_endpoint_auth_method": "client_secret_jwt"},
            METADATA,
            "token_endpoint_auth_method is not one of: none, private_key_jwt.",
        ),
        (
            {"grant_types": ["refresh_token"]},
            METADATA,
            "grant_types lacks authorization_code, without which no member can consent.",
        ),
        ({"grant_types": []}, METADATA, "grant_types lacks authorization_code, without which no member can consent."),
        (
            {"response_types": ["token"]},
            METADATA,
            "response_types lacks code, which the grant type authorization_code needs.",
        ),
        (
            {"response_types": []},
            METADATA,
            "response_types lacks code, which the grant type authorization_code needs.",
        ),
        ({"redirect_uris": None}, URI, "Give at least one redirect URI."),
        (
            {"redirect_uris": ["https://evil.example/#x"]},
            URI,
            "A redirect URI has no fragment: leave out the # and what follows.",
        ),
        ({"redirect_uris": [REDIRECT_URI, ""]}, URI, "The redirect URI is empty."),
        ({"client_name": "x" * (MAX_NAME_LENGTH + 1)}, METADATA, "Keep the name to 80 characters."),
        ({"tos_uri": "javascript:x"}, METADATA, "tos_uri: give a full web address."),
        ({"policy_uri": "privacy"}, METADATA, "policy_uri: give a full web address."),
        ({"client_uri": "notes"}, METADATA, "client_uri: give a full web address."),
        ({"scope": "vault offline_access"}, METADATA, NOTHING),
        ({"scope": "unknown"}, METADATA, NOTHING),
        ({"scope": "contacts.read,contacts.write"}, METADATA, NOTHING),
        ({"scope": "contacts.read\tcontacts.write"}, METADATA, NOTHING),
        (
            {"token_endpoint_auth_method": "private_key_jwt"},
            METADATA,
            "The client's keys: private_key_jwt needs the client's public keys.",
        ),
        (
            {"jwks": {"keys": []}},
            METADATA,
            "The client's keys: none of its keys is usable: give EC keys on P-256, Ed25519 keys, or RSA keys of 2048 "
            "bits.",
        ),
        ({"software_statement": "x"}, "invalid_software_statement", "software_statement is not a signed JWT."),
        ({"software_statement": {}}, "invalid_software_statement", "software_statement is not a signed JWT."),
        (
            {"software_statement": "x.y.z"},
            "unapproved_software_statement",
            "This server trusts no issuer of software statements.",
        ),
    ],
)
def test_registration_that_cannot_be_trusted_is_refused_with_what_is_wrong(given: dict[str, Any], code: str, why: str):
    with pytest.raises(OAuthError) as refused:
        decide(**given)
    assert (refused.value.code, refused.value.status, refused.value.description) == (code, 400, why)


@pytest.mark.parametrize(
    "scope, got",
    [
        (None, ("contacts.read", "contacts.write", "offline_access")),
        (("contacts.write", "vault", "gone"), ("contacts.write",)),
    ],
)
def test_client_that_registered_itself_is_nobody_s_here_and_has_what_anyone_may_have(scope: Any, got: tuple[str, ...]):
    """G4: what the settings keep from strangers by now is not its own either."""
    registration = msgspec.structs.replace(
        decide(token_endpoint_auth_method="private_key_jwt", jwks=KEYS, client_uri="https://notes.example/"),
        scope=scope,
        terms_uri="https://notes.example/terms",
        policy_uri="https://notes.example/privacy",
    )
    client = build_client(
        registration, public_id="oa2registered_x", settings=SETTINGS, secrets=(), created_at=NOW, expires_at=NOW + 5
    )
    assert client == build_any(
        client_id=derive_client_id("oa2registered_x"),
        organization_id=None,
        scope=got,
        name="Notes",
        grant_types=("authorization_code",),
        token_endpoint_auth_method="private_key_jwt",
        terms_uri="https://notes.example/terms",
        policy_uri="https://notes.example/privacy",
        client_uri="https://notes.example/",
        public_id="oa2registered_x",
        security=registration.security,
        expires_at=NOW + 5,
    )


@pytest.mark.parametrize(
    "public_id, host",
    [
        (None, None),
        ("oa2registered_x", None),
        ("http://notes.example/c", None),
        ("https://notes.example/c", "notes.example"),
        ("https://notes.example:8443/c", "notes.example:8443"),
    ],
)
def test_document_speaks_for_its_host(public_id: str | None, host: str | None):
    assert find_document_host(public_id) == host


OWN, OTHER = "https://app.example/terms", "https://bank.example/privacy"


@pytest.mark.parametrize(
    "public_id, redirect_uris, terms, policy, links",
    [
        pytest.param(None, ("https://x.example/",), OWN, OTHER, (OWN, OTHER), id="of-an-organization"),
        pytest.param("oa2registered_x", (REDIRECT_URI,), OWN, OTHER, (OWN, None), id="of-its-redirect-uri-alone"),
        pytest.param("oa2registered_x", (REDIRECT_URI,), None, OWN, (None, OWN), id="the-other-way-round"),
        pytest.param("https://app.example/c", ("com.example:/",), OWN, OTHER, (OWN, None), id="of-its-document"),
        pytest.param("oa2registered_x", ("http://app.example/",), OWN, None, (None, None), id="not-by-http"),
        pytest.param("oa2registered_x", (), None, None, (None, None), id="none"),
    ],
)
def test_links_of_an_app_that_registered_itself_lead_to_its_own_hosts_alone(
    public_id: str | None, redirect_uris: tuple[str, ...], terms: str | None, policy: str | None, links: Any
):
    client = build_any(public_id=public_id, redirect_uris=redirect_uris, terms_uri=terms, policy_uri=policy)
    assert find_own_links(client) == links
