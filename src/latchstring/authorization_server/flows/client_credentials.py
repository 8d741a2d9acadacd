"""Client credentials (RFC 6749 §4.4): minted without a write, and without a read for the client's own organization."""

from latchstring.authorization_server.events import SYSTEM, Source
from latchstring.authorization_server.grants import client_credentials
from latchstring.authorization_server.issuing import TokenIssuer
from latchstring.authorization_server.ports import ClientStore
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.resources import ALL_GRANTED
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.token_request import TokenRequest
from latchstring.protocol.token_response import TokenResponse


class ClientCredentialsFlow:
    """`grant_type=client_credentials`."""

    def __init__(self, *, store: ClientStore, issuer: TokenIssuer) -> None:
        self._store = store
        self._issuer = issuer

    async def answer(
        self,
        request: TokenRequest,
        client: ClientRecord,
        confirmation: Confirmation | None,
        origin: Source = SYSTEM,
    ) -> TokenResponse:
        """An access token for the client itself, and never a refresh token."""
        organization_id = request.organization_id
        approval = (
            None
            if organization_id is None or organization_id == client.organization_id
            else await self._store.find_client_approval(client.client_id, organization_id)
        )
        access = client_credentials.decide(request, client, approval)
        audience = ALL_GRANTED
        if request.resource:
            audience = await self._issuer.find_audience(request.resource, (), access.organization_id)
        return self._issuer.issue_to_client(
            client,
            access.organization_id,
            scope=access.scope,
            audience=audience,
            confirmation=confirmation,
            approval=access.approval,
        )
