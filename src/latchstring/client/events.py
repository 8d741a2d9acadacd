"""What happens to connections, for the app to tell its own people."""

from collections.abc import Callable
from typing import Literal

import msgspec

from latchstring.client.connection import Connection

EventKind = Literal["connected", "recovered", "failing", "lost", "disconnected", "mismatched"]


class Event(msgspec.Struct, frozen=True):
    """A connection after a change that somebody may want to know of.

    `connected`: a person has connected it, for the first time or again. `failing`: a refresh has failed, for a reason
    that may pass or that the developer mends (`connection.failure`); once, until it has `recovered`. `lost`: only the
    person can help, by connecting again. `disconnected`: ended by the app. `mismatched`: whoever was sent to connect it
    again came back with another organization or as another user; it is as it was.
    """

    kind: EventKind
    connection: Connection


Listener = Callable[[Event], None]
