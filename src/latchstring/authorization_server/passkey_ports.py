"""What is kept of passkeys, and what their counts tell."""

import hashlib
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

import msgspec

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.mail import MailRecord


def hash_credential(credential_id: bytes) -> bytes:
    """The name under which a passkey is kept: authenticators choose ids of up to 1,023 bytes."""
    return hashlib.sha256(credential_id).digest()


def is_copy_suspected(known_count: int, sign_count: int) -> bool:
    """Whether the count says that there may be a second one of the authenticator (WebAuthn §6.1.1). Passkeys that are
    synced do not count at all, and a first count is more than none."""
    return known_count > 0 and sign_count <= known_count


class PasskeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A passkey of a user (WebAuthn §4, credential record). `public_key` is a COSE key; `is_synced` says that its
    maker may copy it to other devices; `sign_count` stays 0 where the authenticator does not count."""

    credential_id: bytes
    user_id: str
    name: str
    public_key: bytes
    sign_count: int
    is_synced: bool
    transports: tuple[str, ...] = ()
    created_at: int
    last_used_at: int | None = None

    @property
    def credential_hash(self) -> bytes:
        """The name under which it is kept."""
        return hash_credential(self.credential_id)


class PasskeyUse(Enum):
    """What became of the use of a passkey that had proven itself."""

    COUNTED = "counted"
    LOST = "lost"
    SUSPECTED = "suspected"


class PasskeyStore(Protocol):
    """Passkeys. A challenge counts once, told by its digest."""

    async def find_passkeys(self, user_id: str) -> Sequence[PasskeyRecord]:
        """The user's passkeys, the oldest first."""

    async def find_passkey(self, credential_hash: bytes) -> PasskeyRecord | None:
        """The passkey of that name."""

    async def save_passkey(
        self,
        passkey: PasskeyRecord,
        *,
        challenge_digest: bytes,
        challenge_expires_at: int,
        at_most: int,
        origin: Origin,
        mail: MailRecord,
    ) -> Commit:
        """Keep a passkey, use up its challenge and queue the mail that tells; `LOST` if the challenge was used, the
        credential is known, the user has `at_most` passkeys, or may not sign in."""

    async def use_passkey(
        self,
        credential_hash: bytes,
        sign_count: int,
        *,
        challenge_digest: bytes,
        challenge_expires_at: int,
        now: int,
        origin: Origin,
    ) -> PasskeyUse:
        """Use up the challenge, and note count and time; `LOST` if the challenge was used or the passkey is gone,
        `SUSPECTED` (and recorded) if the count says that there may be a copy. Neither changes the passkey."""

    async def rename_passkey(self, user_id: str, credential_hash: bytes, name: str) -> Commit:
        """Another name; `LOST` if the user has no such passkey."""

    async def end_passkey(
        self, user_id: str, credential_hash: bytes, *, now: int, origin: Origin, mail: MailRecord
    ) -> Commit:
        """Remove a passkey, and queue the mail that tells; `LOST` if the user has no such passkey."""

    async def end_passkeys(self, user_id: str, *, now: int, origin: Origin) -> int:
        """Remove all of a user's; how many there were."""
