"""The device authorization endpoint (RFC 8628 §3.1): a device without a browser asks, a person answers elsewhere."""

from typing import Final
from urllib.parse import urlencode

from latchstring.authorization_server.authorization_endpoint import decide_scope
from latchstring.authorization_server.client_authentication import ClientAuthenticator
from latchstring.authorization_server.identifiers import new_grant_id
from latchstring.authorization_server.ports import Clock, Commit, Entropy, Store
from latchstring.authorization_server.records import DeviceAuthorizationRecord
from latchstring.authorization_server.refusals import refuse_suspended
from latchstring.authorization_server.resources import map_resources, refuse_many, verify_resources
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import ROW_SECRET_SIZE, TokenCodec
from latchstring.protocol.authorization_details import refuse_details
from latchstring.protocol.client_metadata import DEVICE_CODE
from latchstring.protocol.device_authorization import (
    POLL_INTERVAL,
    USER_CODE_ENTROPY_SIZE,
    DeviceAuthorization,
    new_user_code,
    render_user_code,
)
from latchstring.protocol.errors import OAuthError, StoreUnavailable
from latchstring.protocol.parameters import Parameters
from latchstring.protocol.token_request import ClientCredentials

# Two devices with one code are as likely as one guess that hits.
_MAX_ROUNDS: Final = 3


class DeviceAuthorizationEndpoint:
    """Keeps a device's request for the person who enters its code."""

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

    async def answer(self, parameters: Parameters, credentials: ClientCredentials) -> DeviceAuthorization:
        """The two codes; scope and resources are judged now, and can never be widened (RFC 8628 §3.1, §3.2)."""
        client = await self._authenticator.authenticate(credentials)
        if DEVICE_CODE not in client.grant_types:
            raise OAuthError("unauthorized_client", "This client may not use the device authorization grant.")
        if client.is_suspended:
            raise refuse_suspended()
        if "authorization_details" in parameters:
            raise refuse_details("A device cannot ask for authorization_details.")
        scope = decide_scope(parameters.get("scope"), client, self._settings)
        requested = tuple(dict.fromkeys(parameters.lists.get("resource", ())))
        refuse_many(requested)
        resource, of_resource = map_resources(requested, self._settings.organization_resources)
        await verify_resources(resource, self._store, self._settings.api_resource)
        lifetime = self._settings.device_code_lifetime
        for _ in range(_MAX_ROUNDS):
            now = self._clock()
            device = DeviceAuthorizationRecord(
                id=new_grant_id(now, self._entropy(12)),
                client_id=client.client_id,
                user_code=new_user_code(self._entropy(USER_CODE_ENTROPY_SIZE)),
                row_secret=self._entropy(ROW_SECRET_SIZE),
                scope=scope,
                resource=resource,
                organization_id=of_resource or parameters.get("organization_id"),
                is_denied=False,
                session_hash=None,
                interval=POLL_INTERVAL,
                polled_at=None,
                expires_at=now + lifetime,
            )
            if await self._store.create_device_authorization(device, now=now) is Commit.APPLIED:
                return self._render(device, lifetime)
        raise StoreUnavailable("no free user code was found")

    def _render(self, device: DeviceAuthorizationRecord, lifetime: int) -> DeviceAuthorization:
        verification_uri = f"{self._settings.issuer}/device"
        user_code = render_user_code(device.user_code)
        return DeviceAuthorization(
            device_code=self._codec.render_device_code(device.id, device.row_secret),
            user_code=user_code,
            verification_uri=verification_uri,
            verification_uri_complete=f"{verification_uri}?{urlencode({'user_code': user_code})}",
            expires_in=lifetime,
            interval=device.interval,
        )
