"""A client that does not lose its grant: connect, call, refresh, disconnect, at any OAuth provider.

client = OAuthClient("https://crm.example", client_id=…, client_secret=…, redirect_uri=…,
                     scope="contacts.read offline_access", store=SQLiteStore("connections.db"))
url = client.begin(browser_session=session_id)                     # send the browser there
connection = client.complete(callback_url, browser_session=session_id)
httpx.Client(base_url="https://api.crm.example", auth=client.auth(connection.key)).get("/api/v1/me/")
client.disconnect(connection.key)
"""

from typing import TYPE_CHECKING, Any

from latchstring.client.async_oauth_client import AsyncOAuthClient
from latchstring.client.connection import Connection, ConnectionKey, Failure, PendingLogin
from latchstring.client.device import DeviceLogin
from latchstring.client.errors import (
    CallbackRefused,
    ClientError,
    Declined,
    IdentityChanged,
    Misconfigured,
    ProviderAnswer,
    ReauthorizeRequired,
    TemporaryFailure,
    Verdict,
)
from latchstring.client.events import Event
from latchstring.client.exchange import Exchange, show_response
from latchstring.client.health import Health
from latchstring.client.oauth_client import OAuthClient
from latchstring.client.person import Identity
from latchstring.client.prefetch import is_prefetch
from latchstring.client.provider import Provider
from latchstring.client.redact import redact, redact_token, redact_url
from latchstring.client.step_up import StepUp, find_step_up
from latchstring.client.stores import ConnectionStore, MemoryStore
from latchstring.client.token_exchange import ExchangedToken

if TYPE_CHECKING:
    from latchstring.client.stores import SQLiteStore

__all__ = [
    "AsyncOAuthClient",
    "CallbackRefused",
    "ClientError",
    "Connection",
    "ConnectionKey",
    "ConnectionStore",
    "Declined",
    "DeviceLogin",
    "Event",
    "Exchange",
    "ExchangedToken",
    "Failure",
    "Health",
    "Identity",
    "IdentityChanged",
    "MemoryStore",
    "Misconfigured",
    "OAuthClient",
    "PendingLogin",
    "Provider",
    "ProviderAnswer",
    "ReauthorizeRequired",
    "SQLiteStore",
    "StepUp",
    "TemporaryFailure",
    "Verdict",
    "find_step_up",
    "is_prefetch",
    "redact",
    "redact_token",
    "redact_url",
    "show_response",
]


def __getattr__(name: str) -> Any:
    """`SQLiteStore` is loaded when it is first named: an import of the client brings no database driver along."""
    if name != "SQLiteStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from latchstring.client.stores import SQLiteStore

    return SQLiteStore
