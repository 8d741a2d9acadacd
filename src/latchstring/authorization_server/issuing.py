"""Makes the token endpoint's answer from what was decided and committed (RFC 6749 §5.1)."""

from latchstring.authorization_server.ports import Clock, Entropy
from latchstring.authorization_server.records import ClientRecord, GrantRecord
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import (
    TOKEN_ID_SIZE,
    AccessToken,
    ClientAccessToken,
    TokenCodec,
    TokenFacts,
)
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.scope import render_scope
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE
from latchstring.protocol.token_response import TokenResponse

BEARER = "Bearer"
DPOP = "DPoP"


class TokenIssuer:
    """Mints; writes nothing."""

    def __init__(self, *, codec: TokenCodec, settings: Settings, clock: Clock, entropy: Entropy) -> None:
        self._codec = codec
        self._settings = settings
        self._clock = clock
        self._entropy = entropy

    def next_expiry(self, now: int, absolute_expires_at: int | None) -> int | None:
        """When a refresh token issued now expires unused, in epoch seconds."""
        idle = after(now, self._settings.refresh_token_idle_lifetime)
        if idle is None or absolute_expires_at is None:
            return absolute_expires_at if idle is None else idle
        return min(idle, absolute_expires_at)

    def issue(
        self,
        grant: GrantRecord,
        *,
        generation: int,
        narrowed_scope: tuple[str, ...] | None,
        resource: tuple[str, ...],
        confirmation: Confirmation | None,
        now: int,
    ) -> TokenResponse:
        """Tokens that stand on a grant; `generation` 0 is without a refresh token."""
        codec = self._codec
        lifetime = self._settings.access_token_lifetime
        scope = render_scope(grant.scope if narrowed_scope is None else narrowed_scope)
        return TokenResponse(
            token_type=_token_type(confirmation),
            access_token=codec.render_access_token(
                grant.id,
                token_id=self._entropy(TOKEN_ID_SIZE),
                issued_at=now,
                lifetime=lifetime,
                scope=None if narrowed_scope is None else scope,
                resource=resource,
                facts=None if confirmation is None else TokenFacts(confirmation),
            ),
            expires_in=lifetime,
            refresh_token=codec.render_refresh_token(grant.id, generation, grant.row_secret) if generation else None,
            scope=scope,
            organization_id=grant.organization_id,
            user_id=grant.user_id,
        )

    def issue_to_client(
        self,
        client: ClientRecord,
        organization_id: str,
        *,
        scope: tuple[str, ...],
        resource: tuple[str, ...],
        confirmation: Confirmation | None,
    ) -> TokenResponse:
        """An access token for the client itself, at work for an organization."""
        lifetime = self._settings.access_token_lifetime
        granted = render_scope(scope)
        return TokenResponse(
            token_type=_token_type(confirmation),
            access_token=self._codec.render_client_access_token(
                client.client_id,
                organization_id,
                token_id=self._entropy(TOKEN_ID_SIZE),
                issued_at=self._clock(),
                lifetime=lifetime,
                scope=granted,
                resource=resource,
                facts=None if confirmation is None else TokenFacts(confirmation),
            ),
            expires_in=lifetime,
            scope=granted,
            organization_id=organization_id,
        )

    def issue_exchanged(
        self,
        subject: AccessToken | ClientAccessToken,
        *,
        organization_id: str,
        user_id: str | None,
        scope: tuple[str, ...],
        resource: tuple[str, ...],
        facts: TokenFacts,
        expires_at: int,
        now: int,
    ) -> TokenResponse:
        """An access token that stands on what the subject token stands on, until `expires_at` at the latest."""
        lifetime = min(self._settings.access_token_lifetime, expires_at - now)
        granted, token_id = render_scope(scope), self._entropy(TOKEN_ID_SIZE)
        if isinstance(subject, ClientAccessToken):
            access_token = self._codec.render_client_access_token(
                subject.client_id,
                subject.organization_id,
                token_id=token_id,
                issued_at=now,
                lifetime=lifetime,
                scope=granted,
                resource=resource,
                facts=facts,
            )
        else:
            access_token = self._codec.render_access_token(
                subject.grant_id,
                token_id=token_id,
                issued_at=now,
                lifetime=lifetime,
                scope=granted,
                resource=resource,
                facts=facts,
            )
        return TokenResponse(
            token_type=_token_type(facts.confirmation),
            access_token=access_token,
            expires_in=lifetime,
            scope=granted,
            organization_id=organization_id,
            user_id=user_id,
            issued_token_type=ACCESS_TOKEN_TYPE,
        )


def after(now: int, lifetime: int | None) -> int | None:
    """That many seconds from now; None is never."""
    return None if lifetime is None else now + lifetime


def _token_type(confirmation: Confirmation | None) -> str:
    # A certificate is proved by the connection, so the token stays a Bearer (RFC 8705 §3; RFC 9449 §5).
    return BEARER if confirmation is None or confirmation.jkt is None else DPOP
