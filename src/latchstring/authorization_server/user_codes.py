"""User codes as people enter them (RFC 8628 §3.3, §5.1): which device is meant, and how often one may guess."""

from typing import Final

from latchstring.authorization_server.login import hash_session
from latchstring.authorization_server.ports import Claim, Clock, Store
from latchstring.authorization_server.records import DeviceAuthorizationRecord
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.device_authorization import parse_user_code

MAX_WRONG_CODES: Final = 5
"""By one account in the lifetime of a code: 2^-32 that one of them hits a given code (RFC 8628 §5.1)."""


class UserCodes:
    """Finds the device that waits under a code, for a person who has signed in and for their browser alone."""

    def __init__(self, *, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    async def claim(self, typed: str, user_id: str, cookie: str) -> DeviceAuthorizationRecord | Claim:
        """The device of that code, from now on this browser's to answer. A code that is wrong, expired, answered or
        another browser's is `UNKNOWN` alike."""
        user_code = parse_user_code(typed)
        if user_code is None:
            return Claim.UNKNOWN  # no guess: no device can have it
        return await self._store.claim_device_authorization(
            user_code,
            user_id=user_id,
            session_hash=hash_session(cookie),
            now=self._clock(),
            window=self._settings.device_code_lifetime,
            max_wrong=MAX_WRONG_CODES,
        )

    async def find_claimed(self, device_id: bytes, cookie: str) -> DeviceAuthorizationRecord | None:
        """The device that this browser has claimed, unless it was allowed."""
        device = await self._store.find_device_authorization(device_id)
        return None if device is None or device.session_hash != hash_session(cookie) else device
