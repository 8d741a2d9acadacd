"""Who a `client_id` is (RFC 6749 §2.2)."""

import msgspec

from latchstring.authorization_server.client_documents import DOCUMENT_SCHEME, ClientDocuments
from latchstring.authorization_server.identifiers import derive_client_id
from latchstring.authorization_server.ports import Clock, Store
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.registration import build_client
from latchstring.authorization_server.registration_codec import REGISTERED, RegistrationCodec
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.client_metadata import CLIENT_SECRET_BASIC, CLIENT_SECRET_POST
from latchstring.protocol.errors import OAuthError


class Clients:
    """Finds clients, however they came to be known: by a row, by an id that carries its own registration, or by a
    document at the URL that is their id."""

    def __init__(
        self,
        *,
        store: Store,
        registrations: RegistrationCodec,
        documents: ClientDocuments,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._registrations = registrations
        self._documents = documents
        self._settings = settings
        self._clock = clock

    async def find(self, client_id: str) -> ClientRecord | None:
        """The client that goes by that id, as it was last known, or None. One with a row also goes by the row's short
        id. What a member has connected works on while the host of the client's document is away."""
        if client_id.startswith(REGISTERED):
            return await self._find_registered(client_id)
        if client_id.startswith(DOCUMENT_SCHEME):
            return await self._find_documented(client_id)
        client = await self._store.find_client(client_id)
        return None if client is None or client.ended_at is not None else client

    async def find_current(self, client_id: str) -> ClientRecord | None:
        """The client whom a person is about to be asked about: by the id that it goes by itself, and no other; by its
        document as it is now. `OAuthError` tells why there is none that counts."""
        if client_id.startswith(DOCUMENT_SCHEME):
            documented = await self._documents.find(client_id)
            return _as_held(documented, await self._store.find_client(derive_client_id(client_id)))
        client = await self.find(client_id)
        return None if client is None or client.public_id not in {None, client_id} else client

    async def _find_documented(self, url: str) -> ClientRecord | None:
        row = await self._store.find_client(derive_client_id(url))
        if row is None or row.is_public:
            recalled = self._documents.recall(url)
            return row if recalled is None else _as_held(recalled, row)
        try:
            # Its keys are what its document says now (§8.4.1).
            return _as_held(await self._documents.find(url), row)
        except OAuthError:
            return row

    async def _find_registered(self, client_id: str) -> ClientRecord | None:
        now = self._clock()
        row = await self._store.find_client(derive_client_id(client_id))
        if row is not None:
            is_live = row.ended_at is None and (row.expires_at is None or now < row.expires_at)
            return row if is_live and row.public_id == client_id else None
        carried = self._registrations.parse_client_id(client_id)
        if carried is None or self._settings.registration == "off" or carried.expires_at <= now:
            return None
        has_secret = carried.registration.token_endpoint_auth_method in {CLIENT_SECRET_BASIC, CLIENT_SECRET_POST}
        return build_client(
            carried.registration,
            public_id=client_id,
            settings=self._settings,
            secrets=(self._registrations.hash_client_secret(client_id, carried.issued_at),) if has_secret else (),
            created_at=carried.issued_at,
            expires_at=carried.expires_at,
        )


def _as_held(documented: ClientRecord, row: ClientRecord | None) -> ClientRecord:
    """The client as its document has it, suspended where its row is: no document says that."""
    if row is None or not row.is_suspended:
        return documented
    return msgspec.structs.replace(
        documented,
        suspended_at=row.suspended_at,
        suspended_by=row.suspended_by,
        suspended_reason=row.suspended_reason,
        owner_closed_at=row.owner_closed_at,
    )
