"""The client credentials grant (RFC 6749 §4.4): an app at work for the organization that owns it, without a member."""

from latchstring.authorization_server.records import ClientRecord
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.scope import OFFLINE_ACCESS, parse_scope
from latchstring.protocol.token_request import TokenRequest


def decide(request: TokenRequest, client: ClientRecord) -> tuple[str, ...]:
    """The scope granted; nothing is written, and there is never a refresh token (RFC 6749 §4.4.3)."""
    if client.is_public:
        raise OAuthError("unauthorized_client", "A public client cannot act on its own.")
    allowed = tuple(value for value in client.scope if value != OFFLINE_ACCESS)
    scope = allowed if request.scope is None else parse_scope(request.scope)
    if not scope or not set(scope) <= set(allowed):
        raise OAuthError("invalid_scope", "The scope is wider than what this client is registered for.")
    return scope
