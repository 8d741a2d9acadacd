"""What the server says of itself (RFC 8414; M2, M4, M5, M6, M7)."""

import msgspec
import pytest

from latchstring.authorization_server.metadata_endpoint import build_metadata
from latchstring.authorization_server.settings import ScopeDefinition, Settings, validate_settings
from latchstring.protocol.client_metadata import GRANT_TYPES, JWT_BEARER
from latchstring.protocol.server_metadata import render_server_metadata

SETTINGS = Settings(issuer="https://auth.example:8443", scopes={"a.read": ScopeDefinition()})


def test_metadata_is_all_under_the_issuer_and_says_what_works():
    document = msgspec.json.decode(render_server_metadata(build_metadata(SETTINGS)))
    assert document["issuer"] == SETTINGS.issuer
    endpoints = {name: value for name, value in document.items() if name.endswith("_endpoint")}
    assert set(endpoints) >= {
        "authorization_endpoint",
        "token_endpoint",
        "revocation_endpoint",
        "introspection_endpoint",
    }
    assert all(value.startswith("https://auth.example:8443/oauth2/") for value in endpoints.values())
    assert document["response_types_supported"] == ["code"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["scopes_supported"] == ["a.read", "offline_access"]
    assert document["grant_types_supported"] == [name for name in GRANT_TYPES if name != JWT_BEARER]
    assert not set(document["grant_types_supported"]) & {"password", "implicit"}


def test_metadata_introspection_needs_a_secret_or_a_key_and_no_list_is_empty():
    """M4; N1: `none` is no way to ask about tokens."""
    document = msgspec.json.decode(render_server_metadata(build_metadata(SETTINGS)))
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    assert document["introspection_endpoint_auth_methods_supported"] == methods
    assert "none" in document["token_endpoint_auth_methods_supported"]
    assert all(value for name, value in document.items() if name != "request_uri_parameter_supported")


@pytest.mark.parametrize(
    "given, methods",
    [
        ({}, []),
        ({"client_certificate_header": "Client-Cert"}, ["self_signed_tls_client_auth"]),
        (
            {"client_certificate_header": "Client-Cert", "client_certificates_verified": True},
            ["tls_client_auth", "self_signed_tls_client_auth"],
        ),
    ],
)
def test_metadata_names_certificates_only_where_a_proxy_passes_them_on(given, methods):
    """M6; by the subject only where their issuer is verified."""
    networks = ("127.0.0.1",) if given else ()
    settings = validate_settings(Settings(issuer="https://auth.example", trusted_proxy_networks=networks, **given))
    metadata = build_metadata(settings)
    told = [method for method in metadata.token_endpoint_auth_methods_supported if "tls" in method]
    assert told == methods
