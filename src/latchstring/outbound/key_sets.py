"""Key sets that clients publish (`jwks_uri`), kept for a while in each process."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import structlog

from latchstring.authorization_server.ports import Clock, Fetch, FetchRefused
from latchstring.protocol.jose.keys import MAX_KEY_SET_SIZE, PublicKey, parse_jwk_set

log = structlog.get_logger("latchstring.outbound")

MAX_KEPT: Final = 1000
FRESH_FOR: Final = 300
_FRESH_BOUNDS: Final = (60, 3600)
STALE_FOR: Final = 3600
"""How much longer a set counts while its host does not answer."""
ASK_AGAIN_AFTER: Final = 30
"""Seconds between two requests for one URL, whatever asks for it: unknown key ids, or a host that fails."""


class _Kept:
    """What is known of one URL."""

    def __init__(self) -> None:
        self.keys: tuple[PublicKey, ...] | None = None
        self.fresh_until = 0
        self.asked_at: int | None = None
        self.asking: asyncio.Task[None] | None = None
        self.refusal = ""

    def has(self, is_wanted: Callable[[PublicKey], bool] | None, now: int) -> bool:
        """Whether what is kept will do."""
        if self.keys is None or now >= self.fresh_until:
            return False
        return is_wanted is None or any(map(is_wanted, self.keys))


class CachedKeySets:
    """Implements the port `KeySets`. Belongs to one event loop; what is kept is lost with the process.

    Whoever asks while a request for the URL is under way waits for that one. An answer that is no key set is as good
    as none: what was kept before stays.
    """

    def __init__(self, *, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._by_url: OrderedDict[str, _Kept] = OrderedDict()

    async def __call__(
        self, url: str, *, is_wanted: Callable[[PublicKey], bool] | None = None
    ) -> tuple[PublicKey, ...]:
        """The keys at that URL; raises `FetchRefused`."""
        kept = self._by_url.setdefault(url, _Kept())
        self._by_url.move_to_end(url)
        if len(self._by_url) > MAX_KEPT:
            self._by_url.popitem(last=False)
        now = self._clock()
        if not kept.has(is_wanted, now):
            if kept.asking is None and (kept.asked_at is None or not 0 <= now - kept.asked_at < ASK_AGAIN_AFTER):
                kept.asked_at = now
                kept.asking = asyncio.create_task(self._ask(url, kept))
            if kept.asking is not None:
                # The request is everybody's: whoever goes away does not end it.
                await asyncio.shield(kept.asking)
        if kept.keys is None or now >= kept.fresh_until + STALE_FOR:
            raise FetchRefused(kept.refusal or "the key set could not be read a moment ago")
        return kept.keys

    async def _ask(self, url: str, kept: _Kept) -> None:
        try:
            fetched = await self._fetch(url, max_size=MAX_KEY_SET_SIZE)
            keys = parse_jwk_set(fetched.body)
        except (FetchRefused, ValueError) as refused:
            kept.refusal = str(refused)
            log.info("key_set_refused", url=url, reason=kept.refusal)
        else:
            shortest, longest = _FRESH_BOUNDS
            lifetime = FRESH_FOR if fetched.max_age is None else min(max(fetched.max_age, shortest), longest)
            kept.keys, kept.fresh_until = keys, self._clock() + lifetime
        finally:
            kept.asking = None
