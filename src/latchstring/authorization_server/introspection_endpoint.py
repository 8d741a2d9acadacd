"""The introspection endpoint (RFC 7662)."""

import msgspec

from latchstring.authorization_server.access import find_live_access
from latchstring.authorization_server.client_authentication import ClientAuthenticator
from latchstring.authorization_server.connection_ports import USE_NOTED_FOR, NoteGrantUse, ignore_use
from latchstring.authorization_server.identifiers import RESOURCE_SERVER
from latchstring.authorization_server.issuing import find_token_type
from latchstring.authorization_server.ports import Clock, Store
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.signed_access_tokens import SignedAccessTokens
from latchstring.authorization_server.signing_keys import SigningKeys
from latchstring.authorization_server.tokens import AccessToken, TokenCodec
from latchstring.protocol.authorization_details import read_authorization_details
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.introspection import SIGNED_TYPE, IntrospectionResponse, SignedIntrospection
from latchstring.protocol.token_request import ClientCredentials


class OwnApi(msgspec.Struct, frozen=True):
    """In place of credentials: the server itself asks, as the guard of its own API. It judges the audience."""


_INACTIVE = IntrospectionResponse(active=False)


class IntrospectionEndpoint:
    """Tells a guard what an access token stands for, now."""

    def __init__(
        self,
        *,
        authenticator: ClientAuthenticator,
        store: Store,
        codec: TokenCodec,
        signed_access_tokens: SignedAccessTokens,
        signing_keys: SigningKeys,
        settings: Settings,
        clock: Clock,
        note_grant_use: NoteGrantUse = ignore_use,
    ) -> None:
        self._authenticator = authenticator
        self._store = store
        self._codec = codec
        self._signed_access_tokens = signed_access_tokens
        self._signing_keys = signing_keys
        self._settings = settings
        self._clock = clock
        self._note_grant_use = note_grant_use

    async def answer(self, token: str | None, credentials: ClientCredentials | OwnApi) -> IntrospectionResponse:
        """The token's facts, or inactive (RFC 7662 §2.2).

        A resource server learns of every access token that is meant for it (RFC 7662 §4), which one without a
        resource is; a confidential client only of its own.
        Refresh tokens and codes are inactive here: a guard must never take one for an access token.
        """
        own_client_id, own_resource = await self._authenticate(credentials)
        if token is None:
            raise OAuthError("invalid_request", "token is missing.")
        access = self._codec.parse_access_token(token) or await self._signed_access_tokens.parse(token)
        if access is None:
            return _INACTIVE
        now = self._clock()
        live = await find_live_access(access, self._store, now)
        if live is None or (own_client_id is not None and live.client_id != own_client_id):
            return _INACTIVE
        if own_resource is not None and live.resource and own_resource not in live.resource:
            return _INACTIVE
        if now - live.touched_at >= USE_NOTED_FOR and isinstance(access, AccessToken):
            self._note_grant_use(access.grant_id, None, now)
        return IntrospectionResponse(
            active=True,
            scope=live.scope or None,
            client_id=live.client_id,
            token_type=find_token_type(live.confirmation),
            exp=access.expires_at,
            iat=access.issued_at,
            sub=live.sub,
            iss=self._settings.issuer,
            aud=list(live.resource) or None,
            act=None if access.facts is None else msgspec.to_builtins(access.facts.actor),
            cnf=msgspec.to_builtins(live.confirmation),
            jti=access.token_id.hex(),
            organization_id=live.organization_id,
            user_id=live.user_id,
            authorization_details=read_authorization_details(live.authorization_details),
            auth_time=live.authenticated_at,
            acr=live.acr,
        )

    async def answer_signed(self, token: str | None, credentials: ClientCredentials) -> str | IntrospectionResponse:
        """The same as a JWT that a resource server can keep as evidence (RFC 9701 §5); a client gets it plain."""
        response = await self.answer(token, credentials)
        if not _is_resource_server(credentials):
            return response
        claims = SignedIntrospection(
            iss=self._settings.issuer, aud=credentials.client_id, iat=self._clock(), token_introspection=response
        )
        return (await self._signing_keys.find_signer()).sign(claims, type=SIGNED_TYPE)

    async def _authenticate(self, credentials: ClientCredentials | OwnApi) -> tuple[str | None, str | None]:
        """The client whose own tokens alone it may ask about, or the resource for which tokens must be meant."""
        if isinstance(credentials, OwnApi):
            return None, None
        if _is_resource_server(credentials):
            resource_server = await self._authenticator.authenticate_resource_server(credentials)
            return None, resource_server.resource
        client = await self._authenticator.authenticate(credentials)
        if client.is_public:
            raise OAuthError("invalid_client", "Introspection needs a caller that can prove who it is.")
        return client.client_id, None


def _is_resource_server(credentials: ClientCredentials) -> bool:
    return credentials.client_id.startswith(RESOURCE_SERVER + "_")
