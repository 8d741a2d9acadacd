"""Client credentials (RFC 6749 §4.4): minted without a write."""

from latchstring.authorization_server.grants import client_credentials
from latchstring.authorization_server.issuing import TokenIssuer
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.resources import ALL_GRANTED
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.token_request import TokenRequest
from latchstring.protocol.token_response import TokenResponse


class ClientCredentialsFlow:
    """`grant_type=client_credentials`."""

    def __init__(self, *, issuer: TokenIssuer) -> None:
        self._issuer = issuer

    async def answer(
        self, request: TokenRequest, client: ClientRecord, confirmation: Confirmation | None
    ) -> TokenResponse:
        """An access token for the client itself, and never a refresh token."""
        access = client_credentials.decide(request, client)
        audience = ALL_GRANTED
        if request.resource:
            audience = await self._issuer.find_audience(request.resource, ())
        return self._issuer.issue_to_client(
            client, access.organization_id, scope=access.scope, audience=audience, confirmation=confirmation
        )
