"""The token endpoint: authenticate the client, read one grant, decide, commit once (RFC 6749 §3.2)."""

from typing import Final

from latchstring.authorization_server.client_authentication import ClientAuthenticator
from latchstring.authorization_server.grants import authorization_code, client_credentials, refresh_token
from latchstring.authorization_server.ports import Clock, Commit, Entropy, Store
from latchstring.authorization_server.records import ClientRecord, GrantRecord
from latchstring.authorization_server.refusals import CODE_REPLAYED, REFRESH_TOKEN_REUSE, refuse_grant
from latchstring.authorization_server.resources import narrow_resources, verify_resources
from latchstring.authorization_server.rotation import RotationVerdict
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import TOKEN_ID_SIZE, TokenCodec
from latchstring.protocol.client_metadata import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    GRANT_TYPES,
    REFRESH_TOKEN,
)
from latchstring.protocol.errors import OAuthError, StoreUnavailable
from latchstring.protocol.scope import render_scope
from latchstring.protocol.token_request import ClientCredentials, TokenRequest
from latchstring.protocol.token_response import TokenResponse

# A loser reads again and decides again; whatever beat it moved the grant forward, so a few rounds end it.
_MAX_ROUNDS: Final = 5


class TokenEndpoint:
    """Answers token requests through a store; holds no state of its own."""

    def __init__(
        self,
        *,
        authenticator: ClientAuthenticator,
        store: Store,
        codec: TokenCodec,
        settings: Settings,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._authenticator = authenticator
        self._store = store
        self._codec = codec
        self._settings = settings
        self._clock = clock
        self._entropy = entropy

    async def answer(self, request: TokenRequest, credentials: ClientCredentials) -> TokenResponse:
        """The answer, or `OAuthError`. A refusal consumes nothing; reuse and replay end the grant."""
        client = await self._authenticator.authenticate(credentials)
        if request.grant_type not in GRANT_TYPES:
            raise OAuthError("unsupported_grant_type", "This grant_type is not supported.")
        if request.grant_type not in client.grant_types:
            raise OAuthError("unauthorized_client", "This client may not use this grant_type.")
        if request.grant_type == AUTHORIZATION_CODE:
            return await self._redeem_code(request, client)
        if request.grant_type == REFRESH_TOKEN:
            return await self._refresh(request, client)
        assert request.grant_type == CLIENT_CREDENTIALS
        access = client_credentials.decide(request, client)
        return self._issue_to_client(client, access, await self._narrow(request, ()))

    async def _redeem_code(self, request: TokenRequest, client: ClientRecord) -> TokenResponse:
        if request.code is None:
            raise OAuthError("invalid_request", "code is missing.")
        code = self._codec.parse_code(request.code)
        if code is None:
            raise refuse_grant("The authorization code is unknown.", "not a code of this deployment")
        settings = self._settings
        for _ in range(_MAX_ROUNDS):
            now = self._clock()
            grant = await self._store.find_grant(code.grant_id)
            decision = authorization_code.decide(request, client, code, grant, self._codec, now)
            assert grant is not None
            if isinstance(decision, authorization_code.EndReplayed):
                ended = await self._store.end_grant(grant.id, by=client.client_id, reason=CODE_REPLAYED, now=now)
                if ended is Commit.LOST:
                    continue
                raise refuse_grant(
                    "superseded: the authorization code was already used, so the grant was ended. "
                    "Send the member to connect again.",
                    "code replayed",
                )
            resource = await self._narrow(request, grant.resource)
            absolute = _after(now, settings.refresh_token_absolute_lifetime) if decision.generation else None
            commit = await self._store.commit_redemption(
                grant.id,
                generation=decision.generation,
                now=now,
                expires_at=self._next_expiry(now, absolute)
                if decision.generation
                else now + settings.access_token_lifetime,
                absolute_expires_at=absolute,
            )
            if commit is Commit.APPLIED:
                return self._issue(grant, decision.generation, None, resource, now)
        raise StoreUnavailable("the grant kept changing under a redemption")

    async def _refresh(self, request: TokenRequest, client: ClientRecord) -> TokenResponse:
        if request.refresh_token is None:
            raise OAuthError("invalid_request", "refresh_token is missing.")
        token = self._codec.parse_refresh_token(request.refresh_token)
        if token is None:
            raise refuse_grant("The refresh token is unknown.", "not a refresh token of this deployment")
        retry_window = self._settings.retry_window if client.retry_window is None else client.retry_window
        for _ in range(_MAX_ROUNDS):
            now = self._clock()
            grant = await self._store.find_grant(token.grant_id)
            decision = refresh_token.decide(
                request, client, token, grant, self._codec, retry_window=retry_window, now=now
            )
            assert grant is not None
            if decision.verdict is RotationVerdict.REUSE:
                await self._store.end_grant(grant.id, by=client.client_id, reason=REFRESH_TOKEN_REUSE, now=now)
                raise refuse_grant(
                    "superseded: this refresh token was replaced by a newer one; as it came again, "
                    "the grant was ended. Send the member to connect again.",
                    "refresh token reuse",
                )
            resource = await self._narrow(request, grant.resource)
            if decision.verdict is RotationVerdict.ROTATE:
                commit = await self._store.commit_rotation(
                    grant.id,
                    generation=grant.generation,
                    now=now,
                    expires_at=self._next_expiry(now, grant.absolute_expires_at),
                )
                generation = grant.generation + 1
            else:
                commit = await self._store.commit_retry(grant.id, generation=grant.generation)
                generation = grant.generation
            if commit is Commit.APPLIED:
                return self._issue(grant, generation, decision.narrowed_scope, resource, now)
        raise StoreUnavailable("the grant kept changing under a refresh")

    async def _narrow(self, request: TokenRequest, granted: tuple[str, ...]) -> tuple[str, ...]:
        if not request.resource:
            return ()
        return narrow_resources(await verify_resources(request.resource, self._store), granted)

    def _next_expiry(self, now: int, absolute_expires_at: int | None) -> int | None:
        idle = _after(now, self._settings.refresh_token_idle_lifetime)
        if idle is None or absolute_expires_at is None:
            return absolute_expires_at if idle is None else idle
        return min(idle, absolute_expires_at)

    def _issue(
        self,
        grant: GrantRecord,
        generation: int,
        narrowed_scope: tuple[str, ...] | None,
        resource: tuple[str, ...],
        now: int,
    ) -> TokenResponse:
        codec = self._codec
        lifetime = self._settings.access_token_lifetime
        scope = render_scope(grant.scope if narrowed_scope is None else narrowed_scope)
        return TokenResponse(
            token_type="Bearer",
            access_token=codec.render_access_token(
                grant.id,
                token_id=self._entropy(TOKEN_ID_SIZE),
                issued_at=now,
                lifetime=lifetime,
                scope=None if narrowed_scope is None else scope,
                resource=resource,
            ),
            expires_in=lifetime,
            refresh_token=codec.render_refresh_token(grant.id, generation, grant.row_secret) if generation else None,
            scope=scope,
            organization_id=grant.organization_id,
            user_id=grant.user_id,
        )

    def _issue_to_client(
        self, client: ClientRecord, access: client_credentials.ClientAccess, resource: tuple[str, ...]
    ) -> TokenResponse:
        lifetime = self._settings.access_token_lifetime
        granted = render_scope(access.scope)
        return TokenResponse(
            token_type="Bearer",
            access_token=self._codec.render_client_access_token(
                client.client_id,
                access.organization_id,
                token_id=self._entropy(TOKEN_ID_SIZE),
                issued_at=self._clock(),
                lifetime=lifetime,
                scope=granted,
                resource=resource,
            ),
            expires_in=lifetime,
            scope=granted,
            organization_id=access.organization_id,
        )


def _after(now: int, lifetime: int | None) -> int | None:
    return None if lifetime is None else now + lifetime
