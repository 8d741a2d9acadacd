"""Redeems an authorization code (RFC 6749 §4.1.3)."""

from latchstring.authorization_server import authorization_details
from latchstring.authorization_server.binding import find_rebinding
from latchstring.authorization_server.connection_ports import NoteGrantUse
from latchstring.authorization_server.events import SYSTEM, Source
from latchstring.authorization_server.flows.flow import MAX_ROUNDS
from latchstring.authorization_server.grants import authorization_code
from latchstring.authorization_server.issuing import TokenIssuer
from latchstring.authorization_server.ports import Clock, Commit, Store
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.refusals import CODE_REPLAYED, refuse_grant
from latchstring.authorization_server.resources import ALL_GRANTED
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import OAuthError, StoreUnavailable
from latchstring.protocol.token_request import TokenRequest
from latchstring.protocol.token_response import TokenResponse


class AuthorizationCodeFlow:
    """`grant_type=authorization_code`."""

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
        """The code's tokens; a code used a second time, with everything else right, ends its grant."""
        if request.code is None:
            raise OAuthError("invalid_request", "code is missing.")
        code = self._codec.parse_code(request.code)
        if code is None:
            raise refuse_grant("The authorization code is unknown.", "not a code of this deployment")
        for _ in range(MAX_ROUNDS):
            now = self._clock()
            grant = await self._store.find_grant(code.grant_id)
            decision = authorization_code.decide(request, client, code, grant, self._codec, now, confirmation)
            assert grant is not None
            if isinstance(decision, authorization_code.EndReplayed):
                ended = await self._store.end_grant(
                    grant.id,
                    by=client.client_id,
                    reason=CODE_REPLAYED,
                    now=now,
                    origin=origin.of_client(client.client_id),
                )
                if ended is Commit.LOST:
                    continue
                raise refuse_grant(
                    "superseded: the authorization code was already used, so the grant was ended. "
                    "Send the member to connect again.",
                    "code replayed",
                )
            narrowed_details = None
            if request.authorization_details is not None:
                granted = grant.authorization_details
                narrowed_details = authorization_details.narrow(request.authorization_details, granted, None)
            audience = ALL_GRANTED
            if request.resource or grant.resource:
                audience = await self._issuer.find_audience(request.resource, grant.resource, grant.organization_id)
            generation = decision.generation
            absolute = self._issuer.find_end(grant, now) if generation else None
            commit = await self._store.commit_redemption(
                grant.id,
                generation=generation,
                now=now,
                expires_at=self._issuer.next_expiry(now, absolute)
                if generation
                else now + self._settings.access_token_lifetime,
                absolute_expires_at=absolute,
                rebinding=find_rebinding(grant, confirmation),
                replacing=None if grant.replaces is None else grant,
                origin=SYSTEM if grant.replaces is None else origin.of_client(client.client_id),
            )
            if commit is Commit.APPLIED:
                self._note_grant_use(grant.id, origin.address, now)
                return self._issuer.issue(
                    grant,
                    generation=generation,
                    narrowed_scope=None,
                    narrowed_details=narrowed_details,
                    audience=audience,
                    confirmation=confirmation,
                    now=now,
                )
        raise StoreUnavailable("the grant kept changing under a redemption")
