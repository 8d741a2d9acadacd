"""The client credentials grant (RFC 6749 §4.4): an app at work for the organization that owns it, without a member."""

import msgspec

from latchstring.authorization_server.records import ClientRecord
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.scope import OFFLINE_ACCESS, parse_scope
from latchstring.protocol.token_request import TokenRequest


class ClientAccess(msgspec.Struct, frozen=True):
    """What the client gets for itself, and for which organization."""

    organization_id: str
    scope: tuple[str, ...]


def decide(request: TokenRequest, client: ClientRecord) -> ClientAccess:
    """What is granted; nothing is written, and there is never a refresh token (RFC 6749 §4.4.3)."""
    if client.is_public:
        raise OAuthError("unauthorized_client", "A public client cannot act on its own.")
    if client.organization_id is None:
        raise OAuthError("unauthorized_client", "This client belongs to no organization that it could act for.")
    allowed = tuple(value for value in client.scope if value != OFFLINE_ACCESS)
    scope = allowed if request.scope is None else parse_scope(request.scope)
    if not scope or not set(scope) <= set(allowed):
        raise OAuthError("invalid_scope", "The scope is wider than what this client is registered for.")
    return ClientAccess(client.organization_id, scope)
