"""A person's own account: another password, a way back in by mail, every browser signed out."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.login import hash_session
from latchstring.authorization_server.mail import Mail, Post
from latchstring.authorization_server.ports import Clock, Entropy, PeopleStore
from latchstring.authorization_server.records import UserRecord
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.sign_in_ports import SignInStore

RESET_LIFETIME: Final = 1800
_TOKEN_SIZE: Final = 32

HashPassword = Callable[[str], Awaitable[str]]
"""The password's slow hash, or a `ValueError` that says why it cannot be one."""


def hash_reset(token: str) -> bytes:
    """The name under which a way back in is kept: a copy of the database lets nobody in."""
    return hashlib.sha256(b"password-reset\0" + token.encode()).digest()


class AccountStore(SignInStore, PeopleStore, Protocol):
    """What accounts are kept in."""


class Accounts:
    """Changes what a person signs in with."""

    def __init__(
        self,
        *,
        store: AccountStore,
        post: Post,
        hash_password: HashPassword,
        settings: Settings,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._post = post
        self._hash_password = hash_password
        self._settings = settings
        self._clock = clock
        self._entropy = entropy

    async def change_password(
        self, user: UserRecord, password: str, *, cookie: str, locale: str, origin: Origin
    ) -> None:
        """Another password; every other browser is signed out, and a mail says so."""
        hashed = await self._hash_password(password)
        mail = self._post.seal(self._tell_of_change(user, locale))
        await self._store.set_password(
            user.user_id, hashed, kept_session=hash_session(cookie), now=self._clock(), origin=origin, mail=mail
        )

    async def sign_out_elsewhere(self, user_id: str, *, cookie: str, origin: Origin) -> int:
        """Sign out every browser but this one; how many there were."""
        return await self._store.end_sessions(
            user_id, kept_session=hash_session(cookie), now=self._clock(), origin=origin
        )

    async def count_sessions(self, user_id: str) -> int:
        """How many browsers are signed in, this one too."""
        return await self._store.count_sessions(user_id, now=self._clock())

    async def send_reset(self, email: str, *, locale: str) -> None:
        """Mail a way back in, where there is such an account: nobody is told whether there is."""
        user = await self._store.find_user_by_email(email)
        if user is None or user.disabled_at is not None:
            return
        token, now = self._entropy(_TOKEN_SIZE).hex(), self._clock()
        link = f"{self._settings.issuer}/reset/{token}"
        mail = Mail(to=user.email, template="password_reset", locale=locale, values={"link": link, "name": user.name})
        await self._store.create_password_reset(
            hash_reset(token), user.user_id, expires_at=now + RESET_LIFETIME, now=now, mail=self._post.seal(mail)
        )

    async def find_reset(self, token: str) -> UserRecord | None:
        """Whose way back in it is, while it lasts."""
        user_id = await self._store.find_password_reset(hash_reset(token), now=self._clock())
        return None if user_id is None else await self._store.find_user(user_id)

    async def reset(self, token: str, password: str, *, ends_passkeys: bool, locale: str, origin: Origin) -> bool:
        """Another password by a way back in, once; every browser is signed out. False if it has expired or was used.
        Passkeys stay unless the person says that somebody else may have added one."""
        user = await self.find_reset(token)
        if user is None:
            return False
        hashed = await self._hash_password(password)
        mail = self._post.seal(self._tell_of_change(user, locale))
        commit = await self._store.use_password_reset(
            hash_reset(token), hashed, ends_passkeys=ends_passkeys, now=self._clock(), origin=origin, mail=mail
        )
        return commit is Commit.APPLIED

    def _tell_of_change(self, user: UserRecord, locale: str) -> Mail:
        values = {"name": user.name, "link": f"{self._settings.issuer}/reset"}
        return Mail(to=user.email, template="password_changed", locale=locale, values=values)
