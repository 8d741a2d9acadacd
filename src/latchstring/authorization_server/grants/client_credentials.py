"""The client credentials grant (RFC 6749 §4.4): an app at work without a member, for the organization that owns it or
for one that has approved it."""

import msgspec

from latchstring.authorization_server.records import ClientApprovalRecord, ClientRecord
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.scope import OFFLINE_ACCESS, parse_scope
from latchstring.protocol.token_request import TokenRequest


class ClientAccess(msgspec.Struct, frozen=True):
    """What the client gets for itself, for which organization, and under which generation of its approval (None for the
    owner)."""

    organization_id: str
    scope: tuple[str, ...]
    approval: int | None = None


def decide(request: TokenRequest, client: ClientRecord, approval: ClientApprovalRecord | None) -> ClientAccess:
    """What is granted; nothing is written, and there is never a refresh token (RFC 6749 §4.4.3).

    `approval` is that of the organization that the request names, where it is not the owner.
    """
    if client.is_public:
        raise OAuthError("unauthorized_client", "A public client cannot act on its own.")
    allowed = tuple(value for value in client.scope if value != OFFLINE_ACCESS)
    if request.organization_id is None or request.organization_id == client.organization_id:
        if client.organization_id is None:
            raise OAuthError("unauthorized_client", "This client belongs to no organization that it could act for.")
        return ClientAccess(client.organization_id, _narrow(request, allowed))
    if approval is None or approval.ended_at is not None:
        raise OAuthError("unauthorized_client", "The organization has not approved this client.")
    allowed = tuple(value for value in allowed if value in approval.scope)
    return ClientAccess(approval.organization_id, _narrow(request, allowed), approval.generation)


def _narrow(request: TokenRequest, allowed: tuple[str, ...]) -> tuple[str, ...]:
    scope = allowed if request.scope is None else parse_scope(request.scope)
    if not scope or not set(scope) <= set(allowed):
        raise OAuthError("invalid_scope", "The scope is wider than what this client is registered or approved for.")
    return scope
