"""When the present began: a database restored from a backup knows nothing of what was used up or revoked after it.

So a restoration begins a new epoch (ADR 0017). It ends every grant of the backup. What stands on no grant's row (access
tokens of clients, nonces, open pages) counts only in the epoch in which it was made: its salt is in their keys. What
others signed, to be used once, counts only if it was made since, or can no longer have been used before.
"""

from typing import Final

import msgspec

from latchstring.protocol.jose.claims import MAX_SKEW

SALT_SIZE: Final = 16


class Epoch(msgspec.Struct, frozen=True):
    """The epoch that a database is in. The first one has no salt; each later one begins with a restoration."""

    salt: bytes = b""
    began_at: int = 0

    def __repr__(self) -> str:
        return f"Epoch(began_at={self.began_at})"

    def is_younger_than(self, seconds: int, now: int) -> bool:
        """Whether something that was good for so long, on a clock that differs, may be older than the epoch."""
        return now < self.began_at + seconds + MAX_SKEW

    def may_have_seen(self, issued_at: int | None, now: int, *, max_lifetime: int) -> bool:
        """Whether a JWT of that `iat`, good for `max_lifetime` seconds at most, may have been used before the epoch
        began: of that time nothing is remembered."""
        if issued_at is not None and issued_at >= self.began_at + MAX_SKEW:
            return False
        return self.is_younger_than(max_lifetime + MAX_SKEW, now)


FIRST_EPOCH: Final = Epoch()
