"""The token endpoint: authenticate the client, then let the grant type's flow answer (RFC 6749 §3.2)."""

from collections.abc import Mapping, Sequence
from typing import Final

from latchstring.authorization_server.client_authentication import ClientAuthenticator
from latchstring.authorization_server.events import SYSTEM, Source
from latchstring.authorization_server.flows.flow import Flow
from latchstring.authorization_server.policy import requires_binding
from latchstring.authorization_server.proofs import Proofs
from latchstring.authorization_server.refusals import refuse_suspended
from latchstring.protocol.authorization_details import refuse_details
from latchstring.protocol.client_metadata import AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_request import ClientCredentials, TokenRequest
from latchstring.protocol.token_response import TokenResponse

TOKEN_PATH: Final = "/oauth2/token"
_OF_GRANTS: Final = frozenset({AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE})
_WITH_DETAILS: Final = frozenset({AUTHORIZATION_CODE, REFRESH_TOKEN})


class TokenEndpoint:
    """Answers token requests; holds no state of its own."""

    def __init__(self, *, authenticator: ClientAuthenticator, proofs: Proofs, flows: Mapping[str, Flow]) -> None:
        self._authenticator = authenticator
        self._proofs = proofs
        self._flows = flows

    async def answer(
        self,
        request: TokenRequest,
        credentials: ClientCredentials,
        proofs: Sequence[bytes] = (),
        origin: Source = SYSTEM,
    ) -> TokenResponse:
        """The answer, or `OAuthError`. A refusal consumes nothing but the proof that came with the request (`proofs`
        are its `DPoP` headers); reuse and replay end the grant."""
        client = await self._authenticator.authenticate(credentials)
        flow = self._flows.get(request.grant_type)
        if flow is None:
            raise OAuthError("unsupported_grant_type", "This grant_type is not supported.")
        if request.grant_type not in client.grant_types:
            raise OAuthError("unauthorized_client", "This client may not use this grant_type.")
        if client.is_suspended:
            raise refuse_suspended(has_grant=request.grant_type in _OF_GRANTS)
        if request.authorization_details is not None and request.grant_type not in _WITH_DETAILS:
            raise refuse_details("authorization_details are granted by a member: there are none for this grant_type.")
        confirmation = None
        if proofs or requires_binding(client):
            confirmation = await self._proofs.confirm(proofs, credentials.certificate, client, TOKEN_PATH)
        return await flow.answer(request, client, confirmation, origin)
