"""The token endpoint's request and the client credentials in it (RFC 6749 §2.3, §4.1.3, §6)."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from urllib.parse import unquote_plus

import msgspec

from latchstring.protocol.client_certificate import ClientCertificate
from latchstring.protocol.client_metadata import (
    CLIENT_SECRET_BASIC,
    CLIENT_SECRET_POST,
    NONE,
    PRIVATE_KEY_JWT,
    TOKEN_EXCHANGE,
)
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import Parameters
from latchstring.protocol.token_exchange import ExchangeParameters, parse_exchange


class ClientCredentials(msgspec.Struct, frozen=True):
    """Who the caller says it is, and by which method (`token_endpoint_auth_method`).

    `assertion` is a JWT of the client's own, unread. `certificate` is the one that the caller showed to a trusted
    proxy, whatever the method.
    """

    client_id: str
    client_secret: str | None
    method: str
    assertion: str | None = None
    certificate: ClientCertificate | None = None

    def __repr__(self) -> str:
        return f"ClientCredentials(client_id={self.client_id!r}, method={self.method!r})"


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of every supported grant; None where omitted."""

    grant_type: str
    code: str | None = None
    redirect_uri: str | None = None
    code_verifier: str | None = None
    refresh_token: str | None = None
    device_code: str | None = None
    scope: str | None = None
    resource: tuple[str, ...] = ()
    organization_id: str | None = None
    authorization_details: str | None = None
    exchange: ExchangeParameters | None = None
    assertion: str | None = None

    def __repr__(self) -> str:
        return f"TokenRequest(grant_type={self.grant_type!r})"


def _refuse_basic() -> OAuthError:
    return OAuthError("invalid_client", "The Authorization header is malformed.")


def parse_basic(authorization: bytes) -> ClientCredentials:
    """Credentials of HTTP Basic, each form-encoded inside it (RFC 6749 §2.3.1); refuses sloppy Base64."""
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        raise _refuse_basic()
    encoded = encoded.strip(b" ")
    try:
        raw = b64decode(encoded, validate=True)
        text = raw.decode()
    except (Base64Error, ValueError):
        raise _refuse_basic() from None
    client_id, colon, client_secret = text.partition(":")
    if not colon or b64encode(raw) != encoded or "\0" in text or "%00" in text:
        raise _refuse_basic()
    try:
        return ClientCredentials(
            unquote_plus(client_id, errors="strict"), unquote_plus(client_secret, errors="strict"), CLIENT_SECRET_BASIC
        )
    except UnicodeDecodeError:
        raise _refuse_basic() from None


def parse_client_assertion(parameters: Parameters) -> ClientCredentials:
    """Credentials of a client's own JWT (RFC 7521 §4.2); the client is the one that `client_id` or, without it, the
    JWT names, which is for the server to verify."""
    # joserfc: those who only read a secret do without.
    from latchstring.protocol.client_assertion import JWT_BEARER_ASSERTION, find_subject
    from latchstring.protocol.jose.jws import JwtRefused

    assertion, kind = parameters.get("client_assertion"), parameters.get("client_assertion_type")
    if assertion is None or kind is None:
        raise OAuthError("invalid_request", "client_assertion and client_assertion_type go together.")
    if kind != JWT_BEARER_ASSERTION:
        raise OAuthError("invalid_client", "This client_assertion_type is not supported.")
    try:
        client_id = parameters.get("client_id") or find_subject(assertion)
    except JwtRefused as refused:
        raise OAuthError("invalid_client", "The client assertion cannot be read.", str(refused)) from None
    return ClientCredentials(client_id, None, PRIVATE_KEY_JWT, assertion)


def parse_client_credentials(authorization: bytes | None, parameters: Parameters) -> ClientCredentials:
    """The one client authentication of the request; refuses two (RFC 6749 §2.3) and none."""
    client_id = parameters.get("client_id")
    client_secret = parameters.get("client_secret")
    if "client_assertion" in parameters or "client_assertion_type" in parameters:
        if authorization is not None or client_secret is not None:
            raise OAuthError("invalid_request", "The request authenticates the client in more than one way.")
        return parse_client_assertion(parameters)
    if authorization is None:
        if client_id is None:
            raise OAuthError("invalid_client", "The request has no client authentication.")
        return ClientCredentials(client_id, client_secret, NONE if client_secret is None else CLIENT_SECRET_POST)
    if client_secret is not None:
        raise OAuthError("invalid_request", "The request authenticates the client in more than one way.")
    credentials = parse_basic(authorization)
    if client_id is not None and client_id != credentials.client_id:
        raise OAuthError("invalid_request", "client_id differs between the Authorization header and the body.")
    return credentials


def parse_token_request(parameters: Parameters) -> TokenRequest:
    """The token request's parameters; refuses repeats and a missing `grant_type` (RFC 6749 §3.2, §5.2)."""
    parameters.refuse_repeats()
    get = parameters.get
    grant_type = get("grant_type")
    if grant_type is None:
        raise OAuthError("invalid_request", "grant_type is missing.")
    return TokenRequest(
        grant_type=grant_type,
        code=get("code"),
        redirect_uri=get("redirect_uri"),
        code_verifier=get("code_verifier"),
        refresh_token=get("refresh_token"),
        device_code=get("device_code"),
        scope=get("scope"),
        resource=tuple(dict.fromkeys(parameters.lists.get("resource", ()))),
        organization_id=get("organization_id"),
        authorization_details=get("authorization_details"),
        exchange=parse_exchange(parameters) if grant_type == TOKEN_EXCHANGE else None,
        assertion=get("assertion"),
    )
