"""The client authentication of a request: its `Authorization` header and its body, never both (RFC 6749 §2.3)."""

from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import Parameters
from latchstring.protocol.token_request import ClientCredentials, parse_client_credentials
from latchstring.web.asgi import Scope, find_headers


def find_credentials(scope: Scope, parameters: Parameters) -> ClientCredentials:
    """The one set of credentials of the request."""
    headers = find_headers(scope, b"authorization")
    if len(headers) > 1:
        raise OAuthError("invalid_request", "There is more than one Authorization header.")
    return parse_client_credentials(headers[0] if headers else None, parameters)
