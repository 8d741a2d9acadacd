"""The embedded directory: users with passwords (argon2id), organizations and memberships in our own store."""

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from latchstring.authorization_server.apps import clean_name
from latchstring.authorization_server.events import SYSTEM, Origin
from latchstring.authorization_server.identifiers import ID_ENTROPY_SIZE, ORGANIZATION, USER, render_identifier
from latchstring.authorization_server.ports import Clock, Commit, Entropy, Store
from latchstring.authorization_server.records import OrganizationRecord, UserRecord

MIN_PASSWORD_LENGTH: Final = 8
MAX_PASSWORD_LENGTH: Final = 1024
_MAX_AT_ONCE: Final = 2


class DirectoryRefused(ValueError):
    """What was entered cannot be kept; the message says why."""


class BuiltInDirectory:
    """Creates and signs in users. Password work runs in threads, a few at a time."""

    def __init__(self, *, store: Store, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._hasher = PasswordHasher()
        self._slots = asyncio.Semaphore(_MAX_AT_ONCE)
        self._decoy = ""

    async def authenticate(self, email: str, password: str) -> UserRecord | None:
        """The user with that email and password, or None. Takes as long where there is no such user."""
        user = await self._store.find_user_by_email(email) if "\0" not in email else None
        if len(password) > MAX_PASSWORD_LENGTH:
            user, password = None, ""
        async with self._slots:
            if not self._decoy:
                self._decoy = await asyncio.to_thread(self._hasher.hash, "no one's password")
            kept = self._decoy if user is None else user.password_hash
            is_match = await asyncio.to_thread(self._verify, kept, password)
        return user if is_match and user is not None else None

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (Argon2Error, InvalidHashError):
            return False

    async def create_user(self, *, email: str, name: str, password: str, origin: Origin = SYSTEM) -> UserRecord:
        """A new user; `DirectoryRefused` if the email is taken or something is unusable."""
        local, at, domain = email.strip().partition("@")
        if not local or not at or not domain or any(c.isspace() or not c.isprintable() for c in email.strip()):
            raise DirectoryRefused(f"{email.strip()!r} is not an email address")
        password_hash = await self.hash_password(password)
        user = UserRecord(
            user_id=render_identifier(USER, self._entropy(ID_ENTROPY_SIZE)),
            email=email.strip(),
            name=clean_name(name) or email.strip(),
            password_hash=password_hash,
            created_at=self._clock(),
        )
        if await self._store.create_user(user, origin=origin) is Commit.LOST:
            raise DirectoryRefused(f"there is a user with the email {user.email} already")
        return user

    async def hash_password(self, password: str) -> str:
        """What is kept of a new password; `DirectoryRefused` if it is too short or too long."""
        if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
            raise DirectoryRefused(f"the password needs {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters")
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def create_organization(self, name: str, *, origin: Origin = SYSTEM) -> OrganizationRecord:
        """A new organization; names need not be unique."""
        if not clean_name(name):
            raise DirectoryRefused("the organization needs a name")
        organization = OrganizationRecord(
            organization_id=render_identifier(ORGANIZATION, self._entropy(ID_ENTROPY_SIZE)),
            name=clean_name(name),
            created_at=self._clock(),
        )
        await self._store.create_organization(organization, origin=origin)
        return organization
