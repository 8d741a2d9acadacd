"""What a guard knows of the authorization server's keys, and when it may ask for them again. Pure.

A stranger can name any key in a token. However many do, the key set is fetched once an interval (case S18).
"""

from typing import Final

from latchstring.protocol.jose.keys import PublicKey, parse_jwk_set
from latchstring.resource_server.refusal import Refusal, refuse_unavailable

# Seconds. Between two fetches, whatever is asked; and how long a set may be kept, whatever its server says.
FETCH_INTERVAL: Final = 30
DEFAULT_MAX_AGE: Final = 300
LONGEST_MAX_AGE: Final = 3600
# How long a set that is due may still be used while it cannot be fetched: then nobody can say, and all is 503.
STALE_IF_ERROR: Final = 3600


class KeyCache:
    """One authorization server's keys, as last fetched. `now` is in epoch seconds."""

    def __init__(self) -> None:
        self._keys: dict[str, PublicKey] = {}
        self._fresh_until: float | None = None
        self._tried_at: float | None = None
        self._failure: str | None = None

    def is_due(self, key_id: str, now: float) -> bool:
        """Whether to fetch before a token that names that key is judged."""
        if self._tried_at is not None and 0 <= now - self._tried_at < FETCH_INTERVAL:
            return False
        return self._fresh_until is None or now >= self._fresh_until or key_id not in self._keys

    def begin(self, now: float) -> None:
        """Note that a fetch is under way."""
        self._tried_at, self._failure = now, "it is under way"

    def remember(self, body: bytes, max_age: int | None, now: float) -> None:
        """Take the key set in place of the last one; what is none is a failure."""
        try:
            keys = parse_jwk_set(body)
        except ValueError as error:
            self.fail(str(error))
            return
        self._keys = {key.key_id: key for key in keys if key.key_id is not None}
        self._fresh_until = now + min(DEFAULT_MAX_AGE if max_age is None else max_age, LONGEST_MAX_AGE)
        self._failure = None

    def fail(self, reason: str) -> None:
        """Note why there was no key set; the last one is kept for a while."""
        self._failure = reason

    def find(self, key_id: str, now: float) -> PublicKey:
        """The key. A 401 where the server has no such key; a 503 where nobody can say."""
        if self._fresh_until is None or now >= self._fresh_until + STALE_IF_ERROR:
            raise refuse_unavailable(f"there is no key set: {self._failure}")
        key = self._keys.get(key_id)
        if key is None and self._failure is not None:
            raise refuse_unavailable(f"the key set has no key {key_id[:40]!r}, and no newer one could be had")
        if key is None:
            raise Refusal(
                "invalid_token", "The access token is not signed by a key of the authorization server.", "unknown kid"
            )
        return key
