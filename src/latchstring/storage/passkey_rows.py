"""The store's part about passkeys."""

from collections.abc import Sequence
from functools import partial

import msgspec

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.passkey_ports import PasskeyRecord, PasskeyUse
from latchstring.storage import passkey_operations as operations
from latchstring.storage.engine import Engine, Row
from latchstring.storage.statements import passkeys


def _read(row: Row) -> PasskeyRecord:
    _, credential_id, user_id, name, public_key, sign_count, is_synced, transports, created_at, last_used_at = row
    return PasskeyRecord(
        credential_id=bytes(credential_id),
        user_id=user_id,
        name=name,
        public_key=bytes(public_key),
        sign_count=sign_count,
        is_synced=bool(is_synced),
        transports=msgspec.json.decode(transports, type=tuple[str, ...]),
        created_at=created_at,
        last_used_at=last_used_at,
    )


class PasskeyRows:
    """Implements `authorization_server.passkey_ports.PasskeyStore` on any engine."""

    _engine: Engine

    async def find_passkeys(self, user_id: str) -> Sequence[PasskeyRecord]:
        rows = await self._engine.read_all(passkeys.FIND_PASSKEYS, {"of_user": user_id})
        return [_read(row) for row in rows]

    async def find_passkey(self, credential_hash: bytes) -> PasskeyRecord | None:
        row = await self._engine.read(passkeys.FIND_PASSKEY, {"of_credential": credential_hash})
        return None if row is None else _read(row)

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
        row = {
            "credential_hash": passkey.credential_hash,
            "credential_id": passkey.credential_id,
            "user_id": passkey.user_id,
            "name": passkey.name,
            "public_key": passkey.public_key,
            "sign_count": passkey.sign_count,
            "is_synced": passkey.is_synced,
            "transports": msgspec.json.encode(passkey.transports).decode(),
            "created_at": passkey.created_at,
        }
        save = partial(operations.save_passkey, row, challenge_digest, challenge_expires_at, at_most, origin, mail)
        return await self._engine.commit(save)

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
        use = partial(
            operations.use_passkey, credential_hash, sign_count, challenge_digest, challenge_expires_at, now, origin
        )
        return await self._engine.commit(use)

    async def rename_passkey(self, user_id: str, credential_hash: bytes, name: str) -> Commit:
        renamed = {"of_user": user_id, "of_credential": credential_hash, "new_name": name}
        row = await self._engine.write(passkeys.RENAME_PASSKEY, renamed)
        return Commit.LOST if row is None else Commit.APPLIED

    async def end_passkey(
        self, user_id: str, credential_hash: bytes, *, now: int, origin: Origin, mail: MailRecord
    ) -> Commit:
        return await self._engine.commit(partial(operations.end_passkey, user_id, credential_hash, now, origin, mail))

    async def end_passkeys(self, user_id: str, *, now: int, origin: Origin) -> int:
        return await self._engine.commit(partial(operations.end_passkeys, user_id, now, origin))
