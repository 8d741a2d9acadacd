"""Who calls the token, revocation and introspection endpoints (RFC 6749 §2.3)."""

from latchstring.authorization_server.clients import Clients
from latchstring.authorization_server.ports import Store
from latchstring.authorization_server.records import ClientRecord, ResourceServerRecord
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.protocol.client_metadata import NONE
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_request import ClientCredentials


def _refuse(reason: str) -> OAuthError:
    # One wording for an unknown client and for a wrong secret, so that client ids cannot be probed.
    return OAuthError("invalid_client", "Client authentication failed: unknown client or wrong secret.", reason)


class ClientAuthenticator:
    """Proves who calls; the same at every endpoint."""

    def __init__(self, *, clients: Clients, store: Store, codec: TokenCodec) -> None:
        self._clients = clients
        self._store = store
        self._codec = codec

    async def authenticate(self, credentials: ClientCredentials) -> ClientRecord:
        """The client that the credentials prove, or `invalid_client` (RFC 6749 §3.2.1).

        A confidential client proves itself by its secret, in the body or by Basic; a public one only names itself.
        """
        client = await self._clients.find(credentials.client_id)
        if client is None:
            if credentials.client_secret is not None:
                self._codec.verify_client_secret(credentials.client_secret, ())
            raise _refuse("the client is unknown")
        if client.is_public:
            if credentials.method != NONE:
                raise _refuse("a public client sent a secret")
            return client
        if credentials.client_secret is None:
            raise OAuthError("invalid_client", "This client authenticates with its secret; none was sent.")
        if not self._codec.verify_client_secret(credentials.client_secret, client.secrets):
            raise _refuse("the secret is wrong")
        return client

    async def authenticate_resource_server(self, credentials: ClientCredentials) -> ResourceServerRecord:
        """The resource server that the credentials prove, or `invalid_client` (RFC 7662 §2.1)."""
        resource_server = await self._store.find_resource_server(credentials.client_id)
        secrets = () if resource_server is None else resource_server.secrets
        is_match = self._codec.verify_client_secret(credentials.client_secret or "", secrets)
        if resource_server is None or not is_match:
            raise _refuse("the resource server is unknown or its secret wrong")
        return resource_server
