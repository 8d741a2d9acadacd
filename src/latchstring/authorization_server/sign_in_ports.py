"""What is kept of how people prove themselves: passwords that change, second factors, ways back in."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.mail import MailRecord


class SecondFactorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticator app of a user (RFC 6238), its secret sealed by the keyring."""

    user_id: str
    sealed_secret: bytes
    created_at: int
    recovery_codes: int = 0

    def __repr__(self) -> str:
        return f"SecondFactorRecord(user_id={self.user_id!r})"


class SignInStore(Protocol):
    """Passwords, second factors, resets."""

    async def set_password(
        self,
        user_id: str,
        password_hash: str,
        *,
        kept_session: bytes | None,
        now: int,
        origin: Origin,
        mail: MailRecord,
    ) -> Commit:
        """Another password; every session ends but the one kept, and so does every way back in that was mailed. The
        mail that tells of it is queued in the same transaction. `LOST` if there is no such user."""

    async def end_sessions(self, user_id: str, *, kept_session: bytes | None, now: int, origin: Origin) -> int:
        """End every session of the user's but the one kept; how many there were."""

    async def count_sessions(self, user_id: str, *, now: int) -> int:
        """How many browsers are signed in."""

    async def find_second_factor(self, user_id: str) -> SecondFactorRecord | None:
        """The user's second factor."""

    async def save_second_factor(
        self, factor: SecondFactorRecord, recovery_hashes: Sequence[bytes], *, used_step: int, now: int, origin: Origin
    ) -> Commit:
        """Keep a second factor and its recovery codes; `LOST` if there is one. `used_step` is of its first code."""

    async def replace_recovery_codes(
        self, user_id: str, recovery_hashes: Sequence[bytes], *, now: int, origin: Origin
    ) -> Commit:
        """Other recovery codes; those before are worthless. `LOST` if there is no second factor."""

    async def end_second_factor(self, user_id: str, *, now: int, origin: Origin) -> Commit:
        """Remove the second factor and its recovery codes; `LOST` if there is none."""

    async def count_second_factor_attempt(self, user_id: str, *, now: int, window: int) -> int:
        """Count an attempt, on whichever server; how many there were in the window, this one too."""

    async def use_second_factor(self, user_id: str, step: int) -> Commit:
        """Use up the code of that time step, and forgive the attempts; `LOST` if it or a later one was used before."""

    async def use_recovery_code(self, user_id: str, code_hash: bytes, *, now: int, origin: Origin) -> Commit:
        """Use up a recovery code, and forgive the attempts; `LOST` if there is no such code."""

    async def create_password_reset(
        self, token_hash: bytes, user_id: str, *, expires_at: int, now: int, mail: MailRecord
    ) -> None:
        """Keep a way back in, and queue the mail that carries it; clear away those that have expired."""

    async def find_password_reset(self, token_hash: bytes, *, now: int) -> str | None:
        """Whose way back in it is, while it lasts."""

    async def use_password_reset(
        self,
        token_hash: bytes,
        password_hash: str,
        *,
        ends_passkeys: bool,
        now: int,
        origin: Origin,
        mail: MailRecord,
    ) -> Commit:
        """As `set_password`, by a way back in, which is used up; every passkey goes with it if so wished. `LOST` if it
        has expired or was used."""
