"""Who a `client_id` is (RFC 6749 §2.2)."""

from latchstring.authorization_server.ports import Store
from latchstring.authorization_server.records import ClientRecord


class Clients:
    """Finds clients, however they came to be known."""

    def __init__(self, *, store: Store) -> None:
        self._store = store

    async def find(self, client_id: str) -> ClientRecord | None:
        """The client that goes by that id, or None."""
        return await self._store.find_client(client_id)
