"""A client's metadata, as it is registered or published (RFC 7591 §2), and what the server answers (§3.2.1)."""

from typing import Final

import msgspec

from latchstring.protocol.errors import OAuthError

CLIENT_SECRET_BASIC: Final = "client_secret_basic"
CLIENT_SECRET_POST: Final = "client_secret_post"
PRIVATE_KEY_JWT: Final = "private_key_jwt"
TLS_CLIENT_AUTH: Final = "tls_client_auth"
SELF_SIGNED_TLS_CLIENT_AUTH: Final = "self_signed_tls_client_auth"
NONE: Final = "none"
AUTHENTICATION_METHODS: Final = (
    CLIENT_SECRET_BASIC,
    CLIENT_SECRET_POST,
    PRIVATE_KEY_JWT,
    TLS_CLIENT_AUTH,
    SELF_SIGNED_TLS_CLIENT_AUTH,
    NONE,
)

AUTHORIZATION_CODE: Final = "authorization_code"
REFRESH_TOKEN: Final = "refresh_token"
CLIENT_CREDENTIALS: Final = "client_credentials"
DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GRANT_TYPES: Final = (AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS, DEVICE_CODE, TOKEN_EXCHANGE, JWT_BEARER)
# What an app gets unless told otherwise.
DEFAULT_GRANT_TYPES: Final = (AUTHORIZATION_CODE, REFRESH_TOKEN)

MAX_METADATA_SIZE: Final = 8 * 1024


class ClientMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says of itself, unjudged; what it leaves out has RFC 7591's own default. Unknown members are
    ignored (§2), as are names in further languages."""

    client_id: str | None = None
    client_secret: str | None = None
    client_name: str | None = None
    redirect_uris: list[str] | None = None
    grant_types: list[str] | None = None
    response_types: list[str] | None = None
    token_endpoint_auth_method: str | None = None
    scope: str | None = None
    client_uri: str | None = None
    tos_uri: str | None = None
    policy_uri: str | None = None
    jwks_uri: str | None = None
    jwks: dict[str, object] | None = None
    token_endpoint_auth_signing_alg: str | None = None
    request_object_signing_alg: str | None = None
    require_pushed_authorization_requests: bool = False
    dpop_bound_access_tokens: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    require_signed_request_object: bool = False
    software_statement: object = None
    # What only an answer has: a client must not send it back (RFC 7592 §2.2).
    registration_access_token: object = None
    registration_client_uri: object = None
    client_id_issued_at: object = None
    client_secret_expires_at: object = None

    def __repr__(self) -> str:
        return f"ClientMetadata(client_name={self.client_name!r})"


class ClientInformation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server has registered (RFC 7591 §3.2.1, RFC 7592 §3). `client_id_expires_at` is ours: until then a
    person must have connected the client, or the registration lapses."""

    client_id: str
    client_id_issued_at: int
    registration_client_uri: str
    registration_access_token: str
    client_name: str
    redirect_uris: list[str]
    grant_types: list[str]
    response_types: list[str]
    token_endpoint_auth_method: str
    scope: str
    client_secret: str | None = None
    client_secret_expires_at: int | None = None
    client_id_expires_at: int | None = None
    client_uri: str | None = None
    tos_uri: str | None = None
    policy_uri: str | None = None
    jwks: msgspec.Raw | None = None
    jwks_uri: str | None = None
    token_endpoint_auth_signing_alg: str | None = None
    request_object_signing_alg: str | None = None
    require_pushed_authorization_requests: bool = False
    dpop_bound_access_tokens: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    require_signed_request_object: bool = False

    def __repr__(self) -> str:
        return f"ClientInformation(client_name={self.client_name!r})"


_decoder = msgspec.json.Decoder(ClientMetadata)
_encoder = msgspec.json.Encoder()


def refuse_metadata(description: str) -> OAuthError:
    """`invalid_client_metadata` with that description (RFC 7591 §3.2.2)."""
    return OAuthError("invalid_client_metadata", description)


def parse_client_metadata(body: bytes) -> ClientMetadata:
    """Read a JSON document; `invalid_client_metadata` for what is too large, no JSON object, or of other types."""
    if len(body) > MAX_METADATA_SIZE:
        raise OAuthError("invalid_client_metadata", "The metadata is larger than 8 KiB.", status=413)
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise refuse_metadata(f"The metadata has a member of a wrong type: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise refuse_metadata("The body is not a JSON object (RFC 7591 section 3.1).") from None


def render_client_information(information: ClientInformation) -> bytes:
    """The answer as JSON."""
    return _encoder.encode(information)
