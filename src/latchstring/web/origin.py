"""Where a request came from, for the log of events and for limits."""

from typing import Final

from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.settings import Settings
from latchstring.web.asgi import Scope, find_headers

_MAX_ADDRESS_LENGTH: Final = 64


def find_address(scope: Scope, settings: Settings) -> str:
    """The peer's address, or what the last trusted proxy says of its own peer."""
    client = scope.get("client")
    source: str = client[0] if client else ""
    if settings.trusted_proxies:
        header = b",".join(find_headers(scope, b"x-forwarded-for")).decode("latin-1")
        forwarded = [hop.strip() for hop in header.split(",") if hop.strip()]
        if len(forwarded) >= settings.trusted_proxies:
            source = forwarded[-settings.trusted_proxies]
    return source[:_MAX_ADDRESS_LENGTH]


class ProgramSource:
    """Implements `authorization_server.events.Source`: most token requests leave no event, and pay for none."""

    __slots__ = ("_request_id", "_scope", "_settings")

    def __init__(self, scope: Scope, settings: Settings, request_id: bytes) -> None:
        self._scope = scope
        self._settings = settings
        self._request_id = request_id

    @property
    def address(self) -> str:
        """The network address."""
        return find_address(self._scope, self._settings)

    def of_client(self, client_id: str) -> Origin:
        """The origin, now that the client has proven itself."""
        return Origin("client", client_id, self.address, self._request_id.decode("ascii"))
