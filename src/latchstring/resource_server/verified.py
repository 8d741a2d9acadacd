"""Which signatures were verified before: what a token's own words are need not be proven twice. Pure, and safe for
threads.

Only the signature and what lies under it are remembered, by the token's SHA-256, never whether the token is good:
its key must still be the server's, and issuer, audience, times, binding, scope and what the revocation feed tells are
judged at each request as ever. Only what a key of the server's has signed gets in, so that nobody else can fill it.
"""

import threading
from collections import OrderedDict
from typing import Final

import msgspec

from latchstring.protocol.introspection import IntrospectionResponse
from latchstring.protocol.jose.keys import PublicKey

MAX_VERIFIED: Final = 20_000


class Verified(msgspec.Struct, frozen=True):
    """What a token says, since when (epoch seconds), and the key that signed it."""

    answer: IntrospectionResponse
    issued_at: int
    key_id: str
    key: PublicKey


class VerifiedTokens:
    """The latest ones that were verified."""

    def __init__(self, max_verified: int = MAX_VERIFIED) -> None:
        self._max_verified = max_verified
        self._lock = threading.Lock()
        self._verified: OrderedDict[bytes, Verified] = OrderedDict()

    def find(self, name: bytes) -> Verified | None:
        """What is remembered of the token with that name. The caller compares the key with the server's of now."""
        return self._verified.get(name)

    def keep(self, name: bytes, verified: Verified) -> None:
        """Remember a token that has just been verified; the one remembered for longest goes."""
        with self._lock:
            self._verified[name] = verified
            self._verified.move_to_end(name)
            while len(self._verified) > self._max_verified:
                self._verified.popitem(last=False)
