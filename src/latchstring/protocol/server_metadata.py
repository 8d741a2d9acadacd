"""Authorization server metadata (RFC 8414 §2)."""

import msgspec


class ServerMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a server says of itself. Empty lists are omitted (RFC 8414 §3.2)."""

    issuer: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    jwks_uri: str | None = None
    userinfo_endpoint: str | None = None
    registration_endpoint: str | None = None
    scopes_supported: list[str] = []
    response_types_supported: list[str] = []
    response_modes_supported: list[str] = []
    grant_types_supported: list[str] = []
    token_endpoint_auth_methods_supported: list[str] = []
    token_endpoint_auth_signing_alg_values_supported: list[str] = []
    revocation_endpoint_auth_methods_supported: list[str] = []
    revocation_endpoint_auth_signing_alg_values_supported: list[str] = []
    introspection_endpoint_auth_methods_supported: list[str] = []
    introspection_endpoint_auth_signing_alg_values_supported: list[str] = []
    introspection_signing_alg_values_supported: list[str] = []
    request_parameter_supported: bool = False
    request_uri_parameter_supported: bool | None = None  # left out, it would mean true (OpenID Connect Discovery §3)
    request_object_signing_alg_values_supported: list[str] = []
    authorization_details_types_supported: list[str] = []
    code_challenge_methods_supported: list[str] = []
    authorization_response_iss_parameter_supported: bool = False
    dpop_signing_alg_values_supported: list[str] = []
    tls_client_certificate_bound_access_tokens: bool = False
    client_id_metadata_document_supported: bool = False
    organization_selection_values_supported: list[str] = []
    acr_values_supported: list[str] = []  # OpenID Connect Discovery §3, RFC 9470 §7
    id_token_signing_alg_values_supported: list[str] = []
    # Ours: what guards read to keep up with what has ended (`revocation_feed`).
    revocations_endpoint: str | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ServerMetadata)


def render_server_metadata(metadata: ServerMetadata) -> bytes:
    """The document as JSON."""
    return _encoder.encode(metadata)


def parse_server_metadata(body: bytes) -> ServerMetadata:
    """Read a metadata document; raises `ValueError` for anything else. The caller compares `issuer` (§3.3)."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("not authorization server metadata") from error


def metadata_url(issuer: str) -> str:
    """Where an issuer's document is: the well-known part is inserted before the issuer's path (RFC 8414 §3.1)."""
    scheme, _, rest = issuer.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}/.well-known/oauth-authorization-server{slash}{path}".rstrip("/")


def openid_configuration_url(issuer: str) -> str:
    """Where an OpenID Provider's document is: appended to the issuer (OpenID Connect Discovery §4)."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"
