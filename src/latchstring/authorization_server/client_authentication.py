"""Who calls the token, revocation, introspection and pushed request endpoints (RFC 6749 §2.3)."""

import hashlib
from typing import Final

from latchstring.authorization_server.client_certificates import is_subject
from latchstring.authorization_server.client_keys import ClientKeys
from latchstring.authorization_server.clients import Clients
from latchstring.authorization_server.policy import find_policy
from latchstring.authorization_server.ports import Clock, Commit, NoteSecretHash, NoteSecretUse, Store
from latchstring.authorization_server.records import ClientRecord, ResourceServerRecord, SecretHash
from latchstring.authorization_server.refusals import refuse_forgotten
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.protocol.client_assertion import ASSERTION_TYPES, MAX_ASSERTION_LIFETIME, verify_assertion_claims
from latchstring.protocol.client_metadata import NONE, PRIVATE_KEY_JWT, SELF_SIGNED_TLS_CLIENT_AUTH, TLS_CLIENT_AUTH
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.jose.jws import JwtRefused, parse_jwt
from latchstring.protocol.token_request import ClientCredentials

_BY_CERTIFICATE: Final = (TLS_CLIENT_AUTH, SELF_SIGNED_TLS_CLIENT_AUTH)


def _refuse(reason: str) -> OAuthError:
    # One wording for an unknown client and for a wrong secret, so that client ids cannot be probed.
    return OAuthError("invalid_client", "Client authentication failed: unknown client or wrong secret.", reason)


def _refuse_assertion(reason: str) -> OAuthError:
    return OAuthError(
        "invalid_client", "Client authentication failed: unknown client, or no key of its own signed that.", reason
    )


class ClientAuthenticator:
    """Proves who calls; the same at every endpoint.

    A client proves itself by the method that it is registered for and by no other; the two ways to send a secret are
    one. What its profile asks is asked of the method that was proven, not of the one that was named.
    """

    def __init__(
        self,
        *,
        clients: Clients,
        store: Store,
        codec: TokenCodec,
        keys: ClientKeys,
        settings: Settings,
        clock: Clock,
        note_secret_use: NoteSecretUse,
        note_secret_hash: NoteSecretHash,
    ) -> None:
        self._clients = clients
        self._store = store
        self._codec = codec
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._note_secret_use = note_secret_use
        self._note_secret_hash = note_secret_hash

    async def authenticate(self, credentials: ClientCredentials) -> ClientRecord:
        """The client that the credentials prove, or `invalid_client` (RFC 6749 §3.2.1)."""
        if credentials.assertion is not None:
            client = await self._authenticate_by_assertion(credentials, credentials.assertion)
        else:
            client = await self._authenticate_by_name(credentials)
        method = credentials.method if client.has_secret else client.token_endpoint_auth_method
        if method not in find_policy(client).authentication_methods:
            raise _refuse(f"the client's profile does not allow {method}")
        return client

    async def _authenticate_by_name(self, credentials: ClientCredentials) -> ClientRecord:
        """The client that the request names. A confidential one proves itself by its secret, in the body or by Basic,
        or by its certificate; a public one only names itself."""
        client = await self._clients.find(credentials.client_id)
        if client is None:
            if credentials.client_secret is not None:
                self._codec.verify_client_secret(credentials.client_secret, (), 0)
            raise _refuse("the client is unknown")
        if client.is_public:
            if credentials.method != NONE:
                raise _refuse("a public client sent a secret")
            return client
        if client.token_endpoint_auth_method in _BY_CERTIFICATE:
            await self._verify_certificate(client, credentials)
            return client
        if not client.has_secret:
            raise _refuse(f"the client authenticates by {client.token_endpoint_auth_method}")
        if credentials.client_secret is None:
            raise OAuthError("invalid_client", "This client authenticates with its secret; none was sent.")
        now = self._clock()
        secret = self._verify_secret(client, credentials.client_secret, now)
        if secret is None:
            raise _refuse("the secret is wrong, or has ended")
        self._note_secret_use(client.client_id, secret.secret_id, now)
        return client

    async def _verify_certificate(self, client: ClientRecord, credentials: ClientCredentials) -> None:
        """Refuse a caller whose TLS connection does not show the client's certificate (RFC 8705 §2).

        By its subject the certificate counts only where the proxy has verified who issued it: anybody can write any
        subject into one of their own. By its thumbprint it is the very certificate that the client has published.
        """
        certificate = credentials.certificate
        if credentials.method != NONE:
            raise _refuse("a client of certificates sent a secret")
        if certificate is None:
            raise OAuthError("invalid_client", "This client authenticates with its certificate; none was shown.")
        if client.token_endpoint_auth_method == SELF_SIGNED_TLS_CLIENT_AUTH:
            is_own = await self._keys.has_certificate(client, certificate.thumbprint)
        else:
            is_own = self._settings.client_certificates_verified and is_subject(certificate, client.security)
        if not is_own:
            raise OAuthError("invalid_client", "Client authentication failed: the certificate is not the client's.")

    async def _authenticate_by_assertion(self, credentials: ClientCredentials, assertion: str) -> ClientRecord:
        """The client whose key signed the JWT, for this server, just now and for the first time (RFC 7523 §3).

        What the JWT says is judged before anybody is looked for, so that the answer can tell what is wrong with it.
        """
        now = self._clock()
        try:
            jwt = parse_jwt(assertion)
            token_id, expires_at = verify_assertion_claims(
                jwt.claims, credentials.client_id, self._settings.issuer, now
            )
        except JwtRefused as refused:
            raise OAuthError("invalid_client", f"The client assertion does not count: {refused}.") from None
        client = await self._clients.find(credentials.client_id)
        if client is None:
            raise _refuse_assertion("the client is unknown")
        if client.token_endpoint_auth_method != PRIVATE_KEY_JWT:
            raise _refuse_assertion(f"the client authenticates by {client.token_endpoint_auth_method}")
        own = client.security.token_endpoint_auth_signing_alg
        allowed = find_policy(client).signing_algorithms
        algorithms = allowed if own is None else [algorithm for algorithm in allowed if algorithm == own]
        try:
            await self._keys.verify(client, jwt, algorithms=algorithms, types=ASSERTION_TYPES)
        except JwtRefused as refused:
            raise _refuse_assertion(f"the assertion: {refused}") from None
        refuse_forgotten(jwt.claims, self._codec.epoch, now, max_lifetime=MAX_ASSERTION_LIFETIME)
        digest = hashlib.sha256(b"\0".join((b"client_assertion", client.client_id.encode(), token_id.encode())))
        if await self._store.use_once(digest.digest(), expires_at=expires_at, now=now) is Commit.LOST:
            raise OAuthError("invalid_client", "The client assertion was used before: its jti counts once.")
        return client

    async def authenticate_resource_server(self, credentials: ClientCredentials) -> ResourceServerRecord:
        """The resource server that the credentials prove, or `invalid_client` (RFC 7662 §2.1)."""
        resource_server = await self._store.find_resource_server(credentials.client_id)
        given = credentials.client_secret or ""
        if resource_server is None:
            self._codec.verify_client_secret(given, (), 0)
        elif self._verify_secret(resource_server, given, self._clock()) is not None:
            return resource_server
        raise _refuse("the resource server is unknown or its secret wrong")

    def _verify_secret(self, holder: ClientRecord | ResourceServerRecord, given: str, now: int) -> SecretHash | None:
        """The holder's secret that this is. One that an older key of the keyring hashed is hashed anew, so that the key
        can go one day."""
        secret = self._codec.verify_client_secret(given, holder.secrets, now)
        if secret is not None and secret.key_id != self._codec.key_id:
            self._note_secret_hash(holder.client_id, secret, self._codec.renew_client_secret_hash(secret, given))
        return secret
