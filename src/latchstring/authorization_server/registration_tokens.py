"""Initial access tokens: who has one may register clients where registration is gated (RFC 7591 §1.2, §3)."""

import hashlib
from collections.abc import Sequence
from typing import Final

from latchstring.authorization_server.ports import Clock, Commit, Entropy, Store
from latchstring.authorization_server.records import RegistrationTokenRecord
from latchstring.authorization_server.tokens import TokenCodec

MAX_REGISTRATIONS: Final = 1_000_000
_ENTROPY_SIZE: Final = 33
_HINT_SIZE: Final = 8


def hash_initial_token(token: str) -> bytes:
    """The name under which an initial access token is kept: a copy of the database registers nobody."""
    return hashlib.sha256(token.encode()).digest()


class RegistrationTokens:
    """Makes, lists and ends initial access tokens."""

    def __init__(self, *, store: Store, codec: TokenCodec, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._codec = codec
        self._clock = clock
        self._entropy = entropy

    async def create(self, *, note: str, count: int, lifetime: int) -> tuple[RegistrationTokenRecord, str]:
        """A new token, shown this once, for so many registrations within so many seconds."""
        now = self._clock()
        token = self._codec.render_credential("ia", self._entropy(_ENTROPY_SIZE))
        hint = token[: token.rindex("_") + 1 + _HINT_SIZE]
        record = RegistrationTokenRecord(
            token_hash=hash_initial_token(token),
            hint=hint,
            note=note,
            remaining=count,
            created_at=now,
            expires_at=now + lifetime,
        )
        await self._store.create_registration_token(record)
        return record, token

    async def find(self) -> Sequence[RegistrationTokenRecord]:
        """All of them, newest first; expired ones until they are swept."""
        return await self._store.find_registration_tokens()

    async def end(self, hint: str) -> bool:
        """Whether there was a token with that hint; from now on it registers nobody."""
        return await self._store.end_registration_token(hint) is Commit.APPLIED
