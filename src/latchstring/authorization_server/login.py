"""Browser sessions: a random cookie, of which only the hash is kept; a new one at every sign-in."""

import hashlib
from typing import Final

import msgspec

from latchstring.authorization_server.ports import Clock, Entropy, Store
from latchstring.authorization_server.records import SessionRecord, UserRecord
from latchstring.authorization_server.settings import Settings

COOKIE_ENTROPY_SIZE: Final = 32


def hash_session(cookie: str) -> bytes:
    """The name under which a session is kept: a copy of the database signs nobody in."""
    return hashlib.sha256(cookie.encode()).digest()


class SignedIn(msgspec.Struct, frozen=True):
    """Who is signed in with a browser, since when, and how (`acr`; None: unknown)."""

    user: UserRecord
    authenticated_at: int
    acr: str | None


class Login:
    """Begins, finds and ends sessions."""

    def __init__(self, *, store: Store, settings: Settings, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._entropy = entropy

    def new_cookie(self) -> str:
        """A fresh cookie value of 256 random bits."""
        return self._entropy(COOKIE_ENTROPY_SIZE).hex()

    async def begin(self, user_id: str, acr: str | None = None) -> str:
        """A new session; the cookie that carries it. `acr` is how the user has signed in just now, and nothing that was
        shown before: level and moment are of one event (`docs/decisions/0027`)."""
        cookie = self.new_cookie()
        now = self._clock()
        await self._store.create_session(
            SessionRecord(
                session_hash=hash_session(cookie),
                user_id=user_id,
                created_at=now,
                expires_at=now + self._settings.session_lifetime,
                acr=acr,
            )
        )
        return cookie

    async def find(self, cookie: str) -> SignedIn | None:
        """Who is signed in with that cookie, if anyone."""
        session = await self._store.find_session(hash_session(cookie), self._clock())
        user = None if session is None else await self._store.find_user(session.user_id)
        if session is None or user is None or user.disabled_at is not None:
            return None
        return SignedIn(user, session.created_at, session.acr)

    async def end(self, cookie: str) -> None:
        """End the session; the cookie is worth nothing from then on."""
        await self._store.end_session(hash_session(cookie))
