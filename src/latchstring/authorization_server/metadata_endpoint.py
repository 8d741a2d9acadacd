"""What the server says of itself (RFC 8414): everything it names works, and nothing else does."""

from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.sign_in_levels import find_levels
from latchstring.protocol.authorization_request import ORGANIZATION_SELECTIONS
from latchstring.protocol.authorization_response import RESPONSE_MODES
from latchstring.protocol.client_metadata import (
    AUTHENTICATION_METHODS,
    GRANT_TYPES,
    JWT_BEARER,
    NONE,
    SELF_SIGNED_TLS_CLIENT_AUTH,
    TLS_CLIENT_AUTH,
)
from latchstring.protocol.jose.algorithms import ALGORITHMS
from latchstring.protocol.pkce import S256
from latchstring.protocol.server_metadata import ServerMetadata


def _find_authentication_methods(settings: Settings) -> list[str]:
    """Those that can succeed here: certificates come by a proxy, and count by their subject if it has verified them."""
    by_itself = settings.client_certificate_header is not None
    by_subject = by_itself and settings.client_certificates_verified
    possible = {SELF_SIGNED_TLS_CLIENT_AUTH: by_itself, TLS_CLIENT_AUTH: by_subject}
    return [method for method in AUTHENTICATION_METHODS if possible.get(method, True)]


def build_metadata(settings: Settings) -> ServerMetadata:
    """The document, from settings alone: no request header has a part in it. What it names is tried by a test."""
    issuer = settings.issuer
    methods = _find_authentication_methods(settings)
    confidential = [method for method in methods if method != NONE]
    algorithms = list(ALGORITHMS)
    return ServerMetadata(
        issuer=issuer,
        authorization_endpoint=f"{issuer}/oauth2/authorize/",
        token_endpoint=f"{issuer}/oauth2/token/",
        revocation_endpoint=f"{issuer}/oauth2/revoke/",
        introspection_endpoint=f"{issuer}/oauth2/introspect/",
        revocations_endpoint=f"{issuer}/oauth2/revocations/",
        pushed_authorization_request_endpoint=f"{issuer}/oauth2/par/",
        device_authorization_endpoint=f"{issuer}/oauth2/device_authorization/",
        jwks_uri=f"{issuer}/oauth2/jwks/",
        registration_endpoint=None if settings.registration == "off" else f"{issuer}/oauth2/register/",
        scopes_supported=list(settings.scopes_supported),
        response_types_supported=["code"],
        response_modes_supported=list(RESPONSE_MODES),
        grant_types_supported=[name for name in GRANT_TYPES if name != JWT_BEARER or settings.trusted_issuers],
        token_endpoint_auth_methods_supported=methods,
        token_endpoint_auth_signing_alg_values_supported=algorithms,
        revocation_endpoint_auth_methods_supported=methods,
        revocation_endpoint_auth_signing_alg_values_supported=algorithms,
        introspection_endpoint_auth_methods_supported=confidential,
        introspection_endpoint_auth_signing_alg_values_supported=algorithms,
        introspection_signing_alg_values_supported=[settings.signing_algorithm],
        request_parameter_supported=True,
        request_uri_parameter_supported=False,
        request_object_signing_alg_values_supported=algorithms,
        authorization_details_types_supported=list(settings.authorization_details_types),
        code_challenge_methods_supported=[S256],
        authorization_response_iss_parameter_supported=True,
        dpop_signing_alg_values_supported=list(ALGORITHMS),
        tls_client_certificate_bound_access_tokens=settings.client_certificate_header is not None,
        client_id_metadata_document_supported=settings.accepts_metadata_documents,
        organization_selection_values_supported=list(ORGANIZATION_SELECTIONS),
        acr_values_supported=list(find_levels(settings)),
    )
