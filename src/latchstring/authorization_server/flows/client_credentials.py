"""Client credentials (RFC 6749 §4.4): minted without a write."""

from latchstring.authorization_server.grants import client_credentials
from latchstring.authorization_server.issuing import TokenIssuer
from latchstring.authorization_server.ports import Store
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.resources import narrow_requested
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.token_request import TokenRequest
from latchstring.protocol.token_response import TokenResponse


class ClientCredentialsFlow:
    """`grant_type=client_credentials`."""

    def __init__(self, *, store: Store, issuer: TokenIssuer) -> None:
        self._store = store
        self._issuer = issuer

    async def answer(
        self, request: TokenRequest, client: ClientRecord, confirmation: Confirmation | None
    ) -> TokenResponse:
        """An access token for the client itself, and never a refresh token."""
        access = client_credentials.decide(request, client)
        resource = await narrow_requested(request, (), self._store) if request.resource else ()
        return self._issuer.issue_to_client(
            client, access.organization_id, scope=access.scope, resource=resource, confirmation=confirmation
        )
