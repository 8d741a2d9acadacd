"""The registration endpoint and each client's own configuration endpoint (RFC 7591 §3, RFC 7592 §2).

Nothing is kept of a registration until a person consents to the client: the id that is issued carries it. Only what
cannot stand in an id any more is a row before that, and only until the id would have lapsed: a registration that was
changed, or one that was deleted (ADR 0014).
"""

from typing import Final

import msgspec

from latchstring.authorization_server.clients import Clients
from latchstring.authorization_server.events import SYSTEM, Source
from latchstring.authorization_server.ports import Clock, Commit, Entropy, Store
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.refusals import REGISTRATION_DELETED
from latchstring.authorization_server.registration import REGISTRABLE_METHODS, build_client, decide_registration
from latchstring.authorization_server.registration_codec import (
    MAX_REGISTERED_ID_LENGTH,
    REGISTRATION_NONCE_SIZE,
    CarriedRegistration,
    RegistrationCodec,
)
from latchstring.authorization_server.registration_tokens import hash_initial_token
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.protocol.client_metadata import (
    CLIENT_SECRET_BASIC,
    ClientInformation,
    ClientMetadata,
    refuse_metadata,
)
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.scope import render_scope


def _refuse_token(description: str) -> OAuthError:
    return OAuthError("invalid_token", description)


# One wording for a wrong token, a deleted client and one that never was (RFC 7592 §2.1).
_UNKNOWN: Final = "The registration access token is not this client's, or the client is gone."


class RegistrationEndpoint:
    """Registers clients and looks after what they registered."""

    def __init__(
        self,
        *,
        clients: Clients,
        store: Store,
        codec: TokenCodec,
        registrations: RegistrationCodec,
        settings: Settings,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._clients = clients
        self._store = store
        self._codec = codec
        self._registrations = registrations
        self._settings = settings
        self._clock = clock
        self._entropy = entropy

    async def register(self, metadata: ClientMetadata, initial_token: str | None) -> ClientInformation:
        """The new client with its credentials, and no row of it; an initial access token is used up last."""
        now = self._clock()
        token_hash = None
        if self._settings.registration == "gated":
            token_hash = await self._verify_initial_token(initial_token, now)
        registration = decide_registration(
            metadata, self._settings, methods=REGISTRABLE_METHODS, default_method=CLIENT_SECRET_BASIC
        )
        expires_at = now + self._settings.registration_lifetime
        carried = CarriedRegistration(now, expires_at, registration)
        client_id = self._registrations.render_client_id(carried, self._entropy(REGISTRATION_NONCE_SIZE))
        if len(client_id) > MAX_REGISTERED_ID_LENGTH:
            raise refuse_metadata("The metadata is too long for a registration. Register fewer redirect URIs.")
        if token_hash is not None and await self._store.use_registration_token(token_hash, now=now) is Commit.LOST:
            raise _refuse_token("The initial access token has been used up.")
        client = build_client(
            registration,
            public_id=client_id,
            settings=self._settings,
            secrets=(),
            created_at=now,
            expires_at=expires_at,
        )
        secret = None if not client.has_secret else self._registrations.derive_client_secret(client_id)
        return self._describe(client, client_secret=secret)

    async def _verify_initial_token(self, initial_token: str | None, now: int) -> bytes:
        """The hash by which the token is kept."""
        if initial_token is None:
            raise _refuse_token("Registering a client needs an initial access token (RFC 7591 section 3).")
        token_hash = hash_initial_token(initial_token)
        if not await self._store.has_registration_token(token_hash, now=now):
            raise _refuse_token("The initial access token is unknown, expired or used up.")
        return token_hash

    async def find(self, client_id: str, token: str | None) -> ClientInformation:
        """What is registered (RFC 7592 §2.1); the secret was shown once and is not shown again."""
        return self._describe(await self._authenticate(client_id, token))

    async def replace(self, client_id: str, token: str | None, metadata: ClientMetadata) -> ClientInformation:
        """What is registered from now on: all of the metadata, verified like a new registration (RFC 7592 §2.2).
        How the client proves itself stays as it is."""
        client = await self._authenticate(client_id, token)
        self._verify_own(client, metadata)
        registration = decide_registration(
            metadata, self._settings, methods=REGISTRABLE_METHODS, default_method=client.token_endpoint_auth_method
        )
        if registration.token_endpoint_auth_method != client.token_endpoint_auth_method:
            raise refuse_metadata("token_endpoint_auth_method stays as it was registered.")
        changed = build_client(
            registration,
            public_id=client_id,
            settings=self._settings,
            secrets=client.secrets,
            created_at=client.created_at,
            expires_at=client.expires_at,
        )
        if await self._store.save_registered_client(changed) is Commit.LOST:
            raise _refuse_token(_UNKNOWN)
        return self._describe(changed)

    async def end(self, client_id: str, token: str | None, origin: Source = SYSTEM) -> None:
        """The client is gone, and its tokens with it, when this returns (RFC 7592 §2.3)."""
        client = await self._authenticate(client_id, token)
        carried = self._registrations.parse_client_id(client_id)
        assert carried is not None
        # The id still carries the registration: until it lapses, the row is what says that it is gone.
        ended = msgspec.structs.replace(client, expires_at=carried.expires_at)
        await self._store.end_registered_client(
            ended, reason=REGISTRATION_DELETED, now=self._clock(), origin=origin.of_client(client.client_id)
        )

    async def _authenticate(self, client_id: str, token: str | None) -> ClientRecord:
        if token is None:
            raise _refuse_token("This endpoint needs the registration access token (RFC 7592 section 2).")
        if not self._registrations.verify_registration_token(client_id, token):
            raise _refuse_token(_UNKNOWN)
        client = await self._clients.find(client_id)
        if client is None:
            raise _refuse_token(_UNKNOWN)
        return client

    def _verify_own(self, client: ClientRecord, metadata: ClientMetadata) -> None:
        """Refuse an update that is not of this very client (RFC 7592 §2.2)."""
        if metadata.client_id != client.public_id:
            raise refuse_metadata("client_id is not the one that was issued.")
        secret = metadata.client_secret
        if secret is not None and not self._codec.verify_client_secret(secret, client.secrets, self._clock()):
            raise refuse_metadata("client_secret is not the one that was issued.")
        answered = ("registration_access_token", "registration_client_uri", "client_id_issued_at")
        sent = [name for name in (*answered, "client_secret_expires_at") if getattr(metadata, name) is not None]
        if sent:
            raise refuse_metadata(f"An update does not contain {', '.join(sent)} (RFC 7592 section 2.2).")

    def _describe(self, client: ClientRecord, *, client_secret: str | None = None) -> ClientInformation:
        assert client.public_id is not None
        security = client.security
        return ClientInformation(
            client_id=client.public_id,
            client_id_issued_at=client.created_at,
            client_id_expires_at=client.expires_at,
            client_secret=client_secret,
            client_secret_expires_at=None if client_secret is None else 0,
            registration_client_uri=f"{self._settings.issuer}/oauth2/register/{client.public_id}",
            registration_access_token=self._registrations.derive_registration_token(client.public_id),
            client_name=client.name,
            redirect_uris=list(client.redirect_uris),
            grant_types=list(client.grant_types),
            response_types=["code"],
            token_endpoint_auth_method=client.token_endpoint_auth_method,
            scope=render_scope(client.scope),
            client_uri=client.client_uri,
            tos_uri=client.terms_uri,
            policy_uri=client.policy_uri,
            jwks=None if security.jwks is None else msgspec.Raw(security.jwks.encode()),
            jwks_uri=security.jwks_uri,
            token_endpoint_auth_signing_alg=security.token_endpoint_auth_signing_alg,
            request_object_signing_alg=security.request_object_signing_alg,
            require_pushed_authorization_requests=security.requires_pushed_request,
            dpop_bound_access_tokens=security.dpop_bound_access_tokens,
            tls_client_certificate_bound_access_tokens=security.tls_client_certificate_bound_access_tokens,
            require_signed_request_object=security.requires_signed_request,
        )
