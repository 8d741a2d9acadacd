"""The revocation endpoint (RFC 7009)."""

from latchstring.authorization_server.access import find_holder
from latchstring.authorization_server.client_authentication import ClientAuthenticator
from latchstring.authorization_server.events import SYSTEM, Source
from latchstring.authorization_server.ports import Clock, Store
from latchstring.authorization_server.refusals import REVOKED_BY_CLIENT
from latchstring.authorization_server.signed_access_tokens import SignedAccessTokens
from latchstring.authorization_server.tokens import ClientAccessToken, TokenCodec
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_request import ClientCredentials


class RevocationEndpoint:
    """Ends what a token stands for: a refresh token its whole grant, an access token itself alone."""

    def __init__(
        self,
        *,
        authenticator: ClientAuthenticator,
        store: Store,
        codec: TokenCodec,
        signed_access_tokens: SignedAccessTokens,
        clock: Clock,
    ) -> None:
        self._authenticator = authenticator
        self._store = store
        self._codec = codec
        self._signed_access_tokens = signed_access_tokens
        self._clock = clock

    async def answer(self, token: str | None, credentials: ClientCredentials, source: Source = SYSTEM) -> None:
        """Dead at once, on every node, when this returns (RFC 7009 §2.2).

        Unknown, expired and another client's tokens are answered like revoked ones, and left alone. The
        token's own form tells its kind, so `token_type_hint` is not needed.
        """
        client = await self._authenticator.authenticate(credentials)
        if token is None:
            raise OAuthError("invalid_request", "token is missing.")
        refresh = self._codec.parse_refresh_token(token)
        if refresh is not None:
            grant = await self._store.find_grant(refresh.grant_id)
            if (
                grant is not None
                and grant.client_id == client.client_id
                and 1 <= refresh.generation <= grant.generation
                and self._codec.verify_refresh_token(refresh, grant.row_secret)
            ):
                await self._store.end_grant(
                    grant.id,
                    by=client.client_id,
                    reason=REVOKED_BY_CLIENT,
                    now=self._clock(),
                    origin=source.of_client(client.client_id),
                )
            return
        access = self._codec.parse_access_token(token) or await self._signed_access_tokens.parse(token)
        now = self._clock()
        if access is None or access.expires_at <= now:
            return
        origin, until = source.of_client(client.client_id), access.expires_at
        if isinstance(access, ClientAccessToken):
            if find_holder(access, access.client_id) == client.client_id:
                await self._store.revoke_client_access_token(
                    access.client_id,
                    access.token_id,
                    organization_id=access.organization_id,
                    expires_at=until,
                    now=now,
                    origin=origin,
                )
            return
        grant = await self._store.find_grant(access.grant_id)
        if grant is not None and find_holder(access, grant.client_id) == client.client_id:
            await self._store.revoke_access_token(grant.id, access.token_id, expires_at=until, now=now, origin=origin)
