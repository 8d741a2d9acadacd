"""Makes the token endpoint's answer from what was decided and committed (RFC 6749 §5.1)."""

from collections.abc import Sequence

from latchstring.authorization_server.access import LiveAccess
from latchstring.authorization_server.ports import Clock, Entropy
from latchstring.authorization_server.records import ClientRecord, GrantRecord
from latchstring.authorization_server.resources import Audience, Audiences
from latchstring.authorization_server.scope_roles import limit_to_role
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.signed_access_tokens import render_signed_access_token
from latchstring.authorization_server.tokens import (
    TOKEN_ID_SIZE,
    AccessToken,
    ClientAccessToken,
    TokenCodec,
    TokenFacts,
)
from latchstring.protocol.authorization_details import read_authorization_details
from latchstring.protocol.bearer import BEARER, DPOP
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.scope import render_scope
from latchstring.protocol.token_exchange import ACCESS_TOKEN_TYPE
from latchstring.protocol.token_response import TokenResponse


class TokenIssuer:
    """Mints; writes nothing."""

    def __init__(
        self, *, codec: TokenCodec, audiences: Audiences, settings: Settings, clock: Clock, entropy: Entropy
    ) -> None:
        self._codec = codec
        self._audiences = audiences
        self._settings = settings
        self._clock = clock
        self._entropy = entropy

    def next_expiry(self, now: int, absolute_expires_at: int | None) -> int | None:
        """When a refresh token issued now expires unused, in epoch seconds."""
        return earliest(after(now, self._settings.refresh_token_idle_lifetime), absolute_expires_at)

    def find_end(self, grant: GrantRecord, now: int) -> int | None:
        """When a grant redeemed now ends at the latest: as the member chose, within what the setting allows."""
        return earliest(after(now, self._settings.refresh_token_absolute_lifetime), grant.absolute_expires_at)

    @property
    def own_resource(self) -> str | None:
        """The server's own API, if it has one."""
        return self._settings.api_resource

    def map_own(self, requested: Sequence[str], organization_id: str) -> tuple[str, ...]:
        """The resources that were asked for, each by its API's own identifier."""
        return self._audiences.map_own(requested, organization_id)

    async def find_audience(self, requested: Sequence[str], granted: tuple[str, ...], organization_id: str) -> Audience:
        """What the token will be for, to be asked before a commit: `issue` cannot fail any more. Not needed where no
        resource was requested and none granted: then it is `ALL_GRANTED`."""
        return await self._audiences.find(requested, granted, organization_id)

    async def find_exact_audience(self, resource: tuple[str, ...]) -> Audience:
        """The same for a token that is for exactly these resources, already verified; for every API without any."""
        return Audience(resource, await self._audiences.find_signer(resource))

    def issue(
        self,
        grant: GrantRecord,
        *,
        generation: int,
        narrowed_scope: tuple[str, ...] | None,
        audience: Audience,
        confirmation: Confirmation | None,
        now: int,
        narrowed_details: str | None = None,
    ) -> TokenResponse:
        """Tokens that stand on a grant; `generation` 0 is without a refresh token."""
        codec = self._codec
        if grant.member_role is not None:
            narrowed_scope = limit_to_role(grant.scope, narrowed_scope, grant.member_role, self._settings)
        lifetime = self._settings.access_token_lifetime
        if grant.absolute_expires_at is not None:
            lifetime = min(lifetime, grant.absolute_expires_at - now)
        scope = render_scope(grant.scope if narrowed_scope is None else narrowed_scope)
        token_id = self._entropy(TOKEN_ID_SIZE)
        facts = None
        if confirmation is not None or narrowed_details is not None:
            facts = TokenFacts(confirmation, authorization_details=narrowed_details)
        if audience.signer is None:
            access_token = codec.render_access_token(
                grant.id,
                token_id=token_id,
                issued_at=now,
                lifetime=lifetime,
                scope=None if narrowed_scope is None else scope,
                resource=audience.resource,
                facts=facts,
            )
        else:
            access_token = render_signed_access_token(
                audience.signer,
                self._settings,
                token_id=token_id,
                issued_at=now,
                lifetime=lifetime,
                grant_id=grant.id,
                client_id=grant.client_id,
                sub=grant.user_id,
                organization_id=grant.organization_id,
                scope=scope,
                resource=audience.resource,
                facts=facts,
                authenticated_at=grant.authenticated_at,
                acr=grant.acr,
                authorization_details=grant.authorization_details,
            )
        return TokenResponse(
            token_type=find_token_type(confirmation),
            access_token=access_token,
            expires_in=lifetime,
            refresh_token=codec.render_refresh_token(grant.id, generation, grant.row_secret) if generation else None,
            scope=scope,
            organization_id=grant.organization_id,
            user_id=grant.user_id,
            authorization_details=read_authorization_details(narrowed_details or grant.authorization_details),
        )

    def issue_to_client(
        self,
        client: ClientRecord,
        organization_id: str,
        *,
        scope: tuple[str, ...],
        audience: Audience,
        confirmation: Confirmation | None,
        approval: int | None = None,
    ) -> TokenResponse:
        """An access token for the client itself, at work for an organization. `approval` is the generation of that
        organization's approval, where it does not own the client."""
        lifetime = self._settings.access_token_lifetime
        is_plain = confirmation is None and approval is None
        granted = render_scope(scope)
        return TokenResponse(
            token_type=find_token_type(confirmation),
            access_token=self._render_to_client(
                client.client_id,
                organization_id,
                scope=granted,
                audience=audience,
                facts=None if is_plain else TokenFacts(confirmation, approval=approval),
                lifetime=lifetime,
                now=self._clock(),
            ),
            expires_in=lifetime,
            scope=granted,
            organization_id=organization_id,
        )

    def issue_exchanged(
        self,
        subject: AccessToken | ClientAccessToken,
        live: LiveAccess,
        *,
        scope: tuple[str, ...],
        audience: Audience,
        facts: TokenFacts,
        expires_at: int,
        now: int,
    ) -> TokenResponse:
        """An access token that stands on what the subject token stands on, until `expires_at` at the latest."""
        lifetime = min(self._settings.access_token_lifetime, expires_at - now)
        granted = render_scope(scope)
        if isinstance(subject, ClientAccessToken):
            access_token = self._render_to_client(
                subject.client_id,
                subject.organization_id,
                scope=granted,
                audience=audience,
                facts=facts,
                lifetime=lifetime,
                now=now,
            )
        elif audience.signer is None:
            access_token = self._codec.render_access_token(
                subject.grant_id,
                token_id=self._entropy(TOKEN_ID_SIZE),
                issued_at=now,
                lifetime=lifetime,
                scope=granted,
                resource=audience.resource,
                facts=facts,
            )
        else:
            access_token = render_signed_access_token(
                audience.signer,
                self._settings,
                token_id=self._entropy(TOKEN_ID_SIZE),
                issued_at=now,
                lifetime=lifetime,
                grant_id=subject.grant_id,
                client_id=live.client_id,
                sub=live.sub,
                organization_id=live.organization_id,
                scope=granted,
                resource=audience.resource,
                facts=facts,
                authenticated_at=live.authenticated_at,
                acr=live.acr,
                authorization_details=live.authorization_details,
            )
        return TokenResponse(
            token_type=find_token_type(facts.confirmation),
            access_token=access_token,
            expires_in=lifetime,
            scope=granted,
            organization_id=live.organization_id,
            user_id=live.user_id,
            issued_token_type=ACCESS_TOKEN_TYPE,
            authorization_details=read_authorization_details(live.authorization_details),
        )

    def _render_to_client(
        self,
        client_id: str,
        organization_id: str,
        *,
        scope: str,
        audience: Audience,
        facts: TokenFacts | None,
        lifetime: int,
        now: int,
    ) -> str:
        if audience.signer is None:
            return self._codec.render_client_access_token(
                client_id,
                organization_id,
                token_id=self._entropy(TOKEN_ID_SIZE),
                issued_at=now,
                lifetime=lifetime,
                scope=scope,
                resource=audience.resource,
                facts=facts,
            )
        return render_signed_access_token(
            audience.signer,
            self._settings,
            token_id=self._entropy(TOKEN_ID_SIZE),
            issued_at=now,
            lifetime=lifetime,
            grant_id=None,
            client_id=client_id,
            sub=client_id,
            organization_id=organization_id,
            scope=scope,
            resource=audience.resource,
            facts=facts,
        )


def after(now: int, lifetime: int | None) -> int | None:
    """That many seconds from now; None is never."""
    return None if lifetime is None else now + lifetime


def earliest(one: int | None, other: int | None) -> int | None:
    """The earlier of two moments; None is never."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def find_token_type(confirmation: Confirmation | None) -> str:
    """How an access token that is bound to that is used (RFC 6749 §7.1)."""
    # A certificate is proved by the connection, so the token stays a Bearer (RFC 8705 §3; RFC 9449 §5).
    return BEARER if confirmation is None or confirmation.jkt is None else DPOP
