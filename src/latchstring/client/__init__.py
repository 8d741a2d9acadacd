"""A client that does not lose its grant: connect, call, refresh, disconnect, at any OAuth provider.

client = OAuthClient("https://crm.example", client_id=…, client_secret=…, redirect_uri=…,
                     scope="contacts.read offline_access", store=SQLiteStore("connections.db"))
url = client.begin(browser_session=session_id)                     # send the browser there
connection = client.complete(callback_url, browser_session=session_id)
httpx.Client(base_url="https://api.crm.example", auth=client.auth(connection.key)).get("/api/v1/me/")
client.disconnect(connection.key)
"""

from latchstring.client.connection import Connection, ConnectionKey, Failure, PendingLogin
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
from latchstring.client.exchange import Exchange, show_response
from latchstring.client.oauth_client import AsyncOAuthClient, OAuthClient
from latchstring.client.prefetch import is_prefetch
from latchstring.client.provider import Provider
from latchstring.client.redact import redact, redact_token, redact_url
from latchstring.client.stores import ConnectionStore, MemoryStore, SQLiteStore

__all__ = [
    "AsyncOAuthClient",
    "CallbackRefused",
    "ClientError",
    "Connection",
    "ConnectionKey",
    "ConnectionStore",
    "Declined",
    "Exchange",
    "Failure",
    "IdentityChanged",
    "MemoryStore",
    "Misconfigured",
    "OAuthClient",
    "PendingLogin",
    "Provider",
    "ProviderAnswer",
    "ReauthorizeRequired",
    "SQLiteStore",
    "TemporaryFailure",
    "Verdict",
    "is_prefetch",
    "redact",
    "redact_token",
    "redact_url",
    "show_response",
]
