"""The token endpoint: authenticate the client, then let the grant type's flow answer (RFC 6749 §3.2)."""

from collections.abc import Mapping

from latchstring.authorization_server.client_authentication import ClientAuthenticator
from latchstring.authorization_server.flows.flow import Flow
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_request import ClientCredentials, TokenRequest
from latchstring.protocol.token_response import TokenResponse


class TokenEndpoint:
    """Answers token requests; holds no state of its own."""

    def __init__(self, *, authenticator: ClientAuthenticator, flows: Mapping[str, Flow]) -> None:
        self._authenticator = authenticator
        self._flows = flows

    async def answer(self, request: TokenRequest, credentials: ClientCredentials) -> TokenResponse:
        """The answer, or `OAuthError`. A refusal consumes nothing; reuse and replay end the grant."""
        client = await self._authenticator.authenticate(credentials)
        flow = self._flows.get(request.grant_type)
        if flow is None:
            raise OAuthError("unsupported_grant_type", "This grant_type is not supported.")
        if request.grant_type not in client.grant_types:
            raise OAuthError("unauthorized_client", "This client may not use this grant_type.")
        return await flow.answer(request, client, None)
