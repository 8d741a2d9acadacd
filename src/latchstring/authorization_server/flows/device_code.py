"""Polls for and redeems a device code (RFC 8628 §3.4)."""

from latchstring.authorization_server.binding import find_rebinding
from latchstring.authorization_server.events import SYSTEM, Source
from latchstring.authorization_server.flows.flow import MAX_ROUNDS
from latchstring.authorization_server.grants import device_code
from latchstring.authorization_server.grants.device_code import MAX_INTERVAL, Poll, Redemption
from latchstring.authorization_server.issuing import TokenIssuer
from latchstring.authorization_server.ports import Clock, Commit, Store
from latchstring.authorization_server.records import ClientRecord, DeviceAuthorizationRecord, GrantRecord
from latchstring.authorization_server.refusals import DEVICE_CODE_REPLAYED, refuse_grant
from latchstring.authorization_server.resources import ALL_GRANTED
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.device_authorization import POLL_INTERVAL
from latchstring.protocol.errors import OAuthError, StoreUnavailable
from latchstring.protocol.scope import OFFLINE_ACCESS
from latchstring.protocol.token_request import TokenRequest
from latchstring.protocol.token_response import TokenResponse


class DeviceCodeFlow:
    """`grant_type=urn:ietf:params:oauth:grant-type:device_code`."""

    def __init__(
        self, *, store: Store, codec: TokenCodec, settings: Settings, clock: Clock, issuer: TokenIssuer
    ) -> None:
        self._store = store
        self._codec = codec
        self._settings = settings
        self._clock = clock
        self._issuer = issuer

    async def answer(
        self,
        request: TokenRequest,
        client: ClientRecord,
        confirmation: Confirmation | None,
        origin: Source = SYSTEM,
    ) -> TokenResponse:
        """The tokens once a person has allowed it; until then `authorization_pending`, or `slow_down`."""
        if request.device_code is None:
            raise OAuthError("invalid_request", "device_code is missing.")
        code = self._codec.parse_device_code(request.device_code)
        if code is None:
            raise refuse_grant("The device code is unknown.", "not a device code of this deployment")
        retry_window = self._settings.retry_window if client.retry_window is None else client.retry_window
        # A device code is never good for longer than it was made for.
        retry_window = min(retry_window, self._settings.device_code_lifetime)
        for _ in range(MAX_ROUNDS):
            now = self._clock()
            device = await self._store.find_device_authorization(code.device_id)
            if device is not None:
                poll = device_code.decide_poll(client, code, device, self._codec, now)
                if await self._note_poll(poll, device, now) is Commit.LOST and poll is Poll.PENDING:
                    continue
                if poll is Poll.SLOW_DOWN:
                    raise device_code.refuse_fast()
                raise OAuthError("authorization_pending", "The member has not answered yet.")
            grant = await self._store.find_grant(code.device_id)
            decision = device_code.decide(
                client, code, grant, self._codec, confirmation, retry_window=retry_window, now=now
            )
            assert grant is not None
            if decision is Redemption.END_REPLAYED:
                await self._store.end_grant(
                    grant.id,
                    by=client.client_id,
                    reason=DEVICE_CODE_REPLAYED,
                    now=now,
                    origin=origin.of_client(client.client_id),
                )
                raise refuse_grant(
                    "superseded: the device code was already used, so the grant was ended. Begin again with a new one.",
                    "device code replayed",
                )
            audience = ALL_GRANTED
            if request.resource or grant.resource:
                audience = await self._issuer.find_audience(request.resource, grant.resource, grant.organization_id)
            if decision is Redemption.REDEEM:
                generation = 1 if OFFLINE_ACCESS in grant.scope else 0
                commit = await self._redeem(grant, generation, confirmation, now)
            else:
                generation = grant.generation
                commit = await self._store.commit_retry(grant.id, generation=generation)
            if commit is Commit.APPLIED:
                return self._issuer.issue(
                    grant,
                    generation=generation,
                    narrowed_scope=None,
                    audience=audience,
                    confirmation=confirmation,
                    now=now,
                )
        raise StoreUnavailable("the grant kept changing under a redemption")

    async def _note_poll(self, poll: Poll, device: DeviceAuthorizationRecord, now: int) -> Commit:
        # A device that polls in a frenzy writes once a second at most: nobody but itself waits for its row.
        interval = device.interval
        if poll is Poll.SLOW_DOWN:
            interval = min(interval + POLL_INTERVAL, MAX_INTERVAL)
            if (interval, now) == (device.interval, device.polled_at):
                return Commit.APPLIED
        return await self._store.commit_poll(device, interval=interval, now=now)

    async def _redeem(self, grant: GrantRecord, generation: int, confirmation: Confirmation | None, now: int) -> Commit:
        absolute = self._issuer.find_end(grant, now) if generation else None
        return await self._store.commit_redemption(
            grant.id,
            generation=generation,
            now=now,
            expires_at=self._issuer.next_expiry(now, absolute)
            if generation
            else now + self._settings.access_token_lifetime,
            absolute_expires_at=absolute,
            rebinding=find_rebinding(grant, confirmation),
        )
