"""Limits on failed attempts, by whom and from where. Each process counts for itself, in bounded memory.

With N worker processes an attacker gets at most N times as many attempts; a restart forgives.
"""

import ipaddress
from typing import Final
from zlib import crc32

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from latchstring.authorization_server.settings import Settings
from latchstring.protocol.errors import OAuthError
from latchstring.web.asgi import Scope
from latchstring.web.origin import find_address

WRONG_SECRETS: Final = RateLimitItemPerMinute(20)
REGISTRATIONS: Final = RateLimitItemPerMinute(30)
SIGN_INS_TO_ACCOUNT: Final = RateLimitItemPerMinute(10, 5)
SIGN_INS_FROM_SOURCE: Final = RateLimitItemPerMinute(100, 5)
DOCUMENTS: Final = RateLimitItemPerMinute(60)
PUSHES_WITHOUT_PROOF: Final = RateLimitItemPerMinute(60)
RESETS_TO_ACCOUNT: Final = RateLimitItemPerMinute(3, 30)
RESETS_FROM_SOURCE: Final = RateLimitItemPerMinute(30, 30)
RETRY_SIGN_IN_SECONDS: Final = 300
# Each is a row for some minutes; behind one address there may be many devices of an app.
DEVICE_AUTHORIZATIONS: Final = RateLimitItemPerMinute(60)
# Before the account's own limit, which is in the store: so that no browser, and no source, has it asked without end.
USER_CODES_FROM_BROWSER: Final = RateLimitItemPerMinute(20, 10)
USER_CODES_FROM_SOURCE: Final = RateLimitItemPerMinute(100, 10)
RETRY_USER_CODE_SECONDS: Final = 600
# Each may be a mail to every admin.
ACCESS_REQUESTS_OF_USER: Final = RateLimitItemPerHour(10)
ACCESS_REQUESTS_FROM_SOURCE: Final = RateLimitItemPerHour(100)
_RETRY_AFTER: Final = 60
# Names that callers make up must not fill the memory: they share this many counters for each source.
_BUCKETS: Final = 1024


def find_source(scope: Scope, settings: Settings) -> str:
    """Where the request comes from, for counting: an IPv6 source is its /64, as whoever has one address there has all
    of them."""
    source = find_address(scope, settings)
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if address.version == 6:
        return str(ipaddress.ip_network(f"{address}/64", strict=False))
    return str(address)


class Throttle:
    """Counts attempts. Belongs to one event loop."""

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def _hit(self, item: RateLimitItem, kind: str, name: str, source: str, cost: int = 1) -> bool:
        bucket = str(crc32(name.encode()) % _BUCKETS) if name else ""
        return await self._limiter.hit(item, kind, bucket, source, cost=cost)

    async def count_wrong_secret(self, client_id: str, source: str) -> None:
        """Count a failed client authentication; 429 beyond the limit. A right secret never comes here, so nobody
        can lock an honest caller out."""
        if not await self._hit(WRONG_SECRETS, "secret", client_id, source):
            raise OAuthError(
                "temporarily_unavailable",
                "Too many failed client authentications. Wait a minute.",
                status=429,
                retry_after=_RETRY_AFTER,
            )

    async def count_registration(self, source: str) -> None:
        """Count a client that registers, changes or deletes itself; 429 beyond the limit."""
        if not await self._hit(REGISTRATIONS, "registration", "", source):
            raise OAuthError(
                "temporarily_unavailable",
                "Too many registrations from here. Wait a minute.",
                status=429,
                retry_after=_RETRY_AFTER,
            )

    async def count_document(self, source: str) -> None:
        """Count a request that names a client by the URL of its document, which may have to be fetched; 429 beyond the
        limit."""
        if not await self._hit(DOCUMENTS, "document", "", source):
            raise OAuthError(
                "temporarily_unavailable",
                "Too many clients from here are named by a document. Wait a minute.",
                status=429,
                retry_after=_RETRY_AFTER,
            )

    async def count_push(self, source: str) -> None:
        """Count a request that was pushed by a client that cannot prove itself; 429 beyond the limit. Each leaves a row
        until it expires."""
        if not await self._hit(PUSHES_WITHOUT_PROOF, "push", "", source):
            raise OAuthError(
                "temporarily_unavailable",
                "Too many pushed requests from this address. Wait a minute.",
                status=429,
                retry_after=_RETRY_AFTER,
            )

    async def count_device_authorization(self, client_id: str, source: str) -> None:
        """Count a device's request; 429 beyond the limit of its client and source."""
        if not await self._hit(DEVICE_AUTHORIZATIONS, "device", client_id, source):
            raise OAuthError(
                "temporarily_unavailable",
                "Too many device codes were asked for from here. Wait a minute.",
                status=429,
                retry_after=_RETRY_AFTER,
            )

    async def may_enter_user_code(self, cookie: str, source: str) -> bool:
        """Whether one more user code may be tried in this browser, and from there at all (RFC 8628 §5.1)."""
        browser = await self._hit(USER_CODES_FROM_BROWSER, "browser", cookie, source)
        return await self._hit(USER_CODES_FROM_SOURCE, "user code", "", source) and browser

    async def may_request_access(self, user_id: str, source: str) -> bool:
        """Whether one more request may go to an organization's admins."""
        user = await self._hit(ACCESS_REQUESTS_OF_USER, "access request", user_id, "")
        return await self._hit(ACCESS_REQUESTS_FROM_SOURCE, "access requests", "", source) and user

    async def may_sign_in(self, email: str, source: str) -> bool:
        """Whether one more password may be tried for this account from there, and from there at all."""
        return await self._count_sign_in(email, source, 1)

    async def may_present_passkey(self, source: str) -> bool:
        """Whether one more passkey may be tried from there. Nobody guesses one; each try costs a signature's check."""
        return await self._hit(SIGN_INS_FROM_SOURCE, "source", "", source)

    async def take_back_passkey(self, source: str) -> None:
        """A passkey that counted takes back its own try."""
        await self._hit(SIGN_INS_FROM_SOURCE, "source", "", source, -1)

    async def may_send_reset(self, email: str, source: str) -> bool:
        """Whether one more mail may go to that address, and from there at all."""
        account = await self._hit(RESETS_TO_ACCOUNT, "reset", email.casefold(), "")
        return await self._hit(RESETS_FROM_SOURCE, "resets", "", source) and account

    async def take_back_sign_in(self, email: str, source: str) -> None:
        """A right password is no attempt at guessing: it takes back its own count, and no other's."""
        await self._count_sign_in(email, source, -1)

    async def _count_sign_in(self, email: str, source: str, cost: int) -> bool:
        account = await self._hit(SIGN_INS_TO_ACCOUNT, "account", email.strip().casefold(), source, cost)
        return await self._hit(SIGN_INS_FROM_SOURCE, "source", "", source, cost) and account
