"""A provider that misbehaves, for the tests of an app: it drops, delays and doubles answers, rotates and revokes
under you, and says 500, 429 or HTML where tokens should be.

provider = FakeProvider()
client = OAuthClient(provider.issuer, client_id=provider.client_id, client_secret=provider.client_secret,
                     http=httpx.Client(transport=provider.transport()), clock=provider.clock, …)
connection = client.complete(provider.authorize(client.begin(browser_session="ann")), browser_session="ann")
provider.faults = [Fault.DROP_ANSWER]
client.refresh(connection.key)             # asks again, and has not lost its grant
"""

from latchstring.client.testing.clock import Clock
from latchstring.client.testing.faults import (
    HTML,
    RATE_LIMITED,
    REDIRECT,
    SERVER_ERROR,
    SERVICE_UNAVAILABLE,
    AnyFault,
    Delay,
    Fault,
    OpenIDFault,
    Reply,
    refusal,
)
from latchstring.client.testing.provider import FakeProvider, Grant

__all__ = [
    "HTML",
    "RATE_LIMITED",
    "REDIRECT",
    "SERVER_ERROR",
    "SERVICE_UNAVAILABLE",
    "AnyFault",
    "Clock",
    "Delay",
    "FakeProvider",
    "Fault",
    "Grant",
    "OpenIDFault",
    "Reply",
    "refusal",
]
