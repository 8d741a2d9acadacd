"""Refreshes (RFC 6749 §6, RFC 9700 §4.14)."""

from latchstring.authorization_server import authorization_details
from latchstring.authorization_server.binding import find_rebinding
from latchstring.authorization_server.connection_ports import NoteGrantUse
from latchstring.authorization_server.events import SYSTEM, Source
from latchstring.authorization_server.flows.flow import MAX_ROUNDS
from latchstring.authorization_server.grants import refresh_token
from latchstring.authorization_server.issuing import TokenIssuer
from latchstring.authorization_server.ports import Clock, Commit, Store
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.refusals import REFRESH_TOKEN_REUSE, refuse_grant
from latchstring.authorization_server.resources import ALL_GRANTED
from latchstring.authorization_server.rotation import RotationVerdict
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import OAuthError, StoreUnavailable
from latchstring.protocol.token_request import TokenRequest
from latchstring.protocol.token_response import TokenResponse


class RefreshTokenFlow:
    """`grant_type=refresh_token`."""

    def __init__(
        self,
        *,
        store: Store,
        codec: TokenCodec,
        settings: Settings,
        clock: Clock,
        issuer: TokenIssuer,
        note_grant_use: NoteGrantUse,
    ) -> None:
        self._store = store
        self._codec = codec
        self._settings = settings
        self._clock = clock
        self._issuer = issuer
        self._note_grant_use = note_grant_use

    async def answer(
        self,
        request: TokenRequest,
        client: ClientRecord,
        confirmation: Confirmation | None,
        origin: Source = SYSTEM,
    ) -> TokenResponse:
        """A new pair, the same refresh token where it does not rotate, the same successor for a retry (`rotation`).

        Reuse ends the grant.
        """
        if request.refresh_token is None:
            raise OAuthError("invalid_request", "refresh_token is missing.")
        token = self._codec.parse_refresh_token(request.refresh_token)
        if token is None:
            raise refuse_grant("The refresh token is unknown.", "not a refresh token of this deployment")
        retry_window = self._settings.retry_window if client.retry_window is None else client.retry_window
        for _ in range(MAX_ROUNDS):
            now = self._clock()
            grant = await self._store.find_grant(token.grant_id)
            decision = refresh_token.decide(
                request,
                client,
                token,
                grant,
                self._codec,
                retry_window=retry_window,
                now=now,
                confirmation=confirmation,
            )
            assert grant is not None
            if decision.verdict is RotationVerdict.REUSE:
                await self._store.end_grant(
                    grant.id,
                    by=client.client_id,
                    reason=REFRESH_TOKEN_REUSE,
                    now=now,
                    origin=origin.of_client(client.client_id),
                )
                raise refuse_grant(
                    "superseded: this refresh token was replaced by a newer one; as it came again, "
                    "the grant was ended. Send the member to connect again.",
                    "refresh token reuse",
                )
            narrowed_details = None
            if request.authorization_details is not None:
                granted = grant.authorization_details
                narrowed_details = authorization_details.narrow(request.authorization_details, granted, request.scope)
            audience = ALL_GRANTED
            if request.resource or grant.resource:
                audience = await self._issuer.find_audience(request.resource, grant.resource, grant.organization_id)
            if decision.verdict is RotationVerdict.ROTATE:
                commit = await self._store.commit_rotation(
                    grant.id,
                    generation=grant.generation,
                    now=now,
                    expires_at=self._issuer.next_expiry(now, grant.absolute_expires_at),
                    rebinding=find_rebinding(grant, confirmation),
                )
                generation = grant.generation + 1
            elif decision.verdict is RotationVerdict.KEEP:
                commit = await self._store.commit_renewal(
                    grant.id,
                    generation=grant.generation,
                    expires_at=self._issuer.next_expiry(now, grant.absolute_expires_at),
                    rebinding=find_rebinding(grant, confirmation),
                )
                generation = grant.generation
            else:
                commit = await self._store.commit_retry(grant.id, generation=grant.generation)
                generation = grant.generation
            if commit is Commit.APPLIED:
                self._note_grant_use(grant.id, origin.address, now)
                return self._issuer.issue(
                    grant,
                    generation=generation,
                    narrowed_scope=decision.narrowed_scope,
                    narrowed_details=narrowed_details,
                    audience=audience,
                    confirmation=confirmation,
                    now=now,
                )
        raise StoreUnavailable("the grant kept changing under a refresh")
