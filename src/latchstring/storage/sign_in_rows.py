"""The store's part about how people prove themselves."""

from collections.abc import Sequence
from functools import partial

from latchstring.authorization_server.commit import Commit
from latchstring.authorization_server.events import Origin
from latchstring.authorization_server.mail import MailRecord
from latchstring.authorization_server.sign_in_ports import SecondFactorRecord
from latchstring.storage import sign_in_operations as operations
from latchstring.storage.engine import Engine
from latchstring.storage.statements import sign_in


class SignInRows:
    """Implements `authorization_server.sign_in_ports.SignInStore` on any engine."""

    _engine: Engine

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
        change = partial(operations.set_password, user_id, password_hash, kept_session, now, origin, mail)
        return await self._engine.commit(change)

    async def end_sessions(self, user_id: str, *, kept_session: bytes | None, now: int, origin: Origin) -> int:
        return await self._engine.commit(partial(operations.end_sessions, user_id, kept_session, now, origin))

    async def count_sessions(self, user_id: str, *, now: int) -> int:
        row = await self._engine.read(sign_in.COUNT_SESSIONS, {"of_user": user_id, "now": now})
        assert row is not None
        return int(row[0])

    async def find_second_factor(self, user_id: str) -> SecondFactorRecord | None:
        row = await self._engine.read(sign_in.FIND_SECOND_FACTOR, {"of_user": user_id})
        if row is None:
            return None
        return SecondFactorRecord(user_id=row[0], sealed_secret=bytes(row[1]), created_at=row[2], recovery_codes=row[3])

    async def save_second_factor(
        self, factor: SecondFactorRecord, recovery_hashes: Sequence[bytes], *, used_step: int, now: int, origin: Origin
    ) -> Commit:
        save = partial(operations.save_second_factor, factor, recovery_hashes, used_step, now, origin)
        return await self._engine.commit(save)

    async def replace_recovery_codes(
        self, user_id: str, recovery_hashes: Sequence[bytes], *, now: int, origin: Origin
    ) -> Commit:
        replace = partial(operations.replace_recovery_codes, user_id, recovery_hashes, now, origin)
        return await self._engine.commit(replace)

    async def end_second_factor(self, user_id: str, *, now: int, origin: Origin) -> Commit:
        return await self._engine.commit(partial(operations.end_second_factor, user_id, now, origin))

    async def count_second_factor_attempt(self, user_id: str, *, now: int, window: int) -> int:
        attempt = {"of_user": user_id, "now": now, "window_began": now - window}
        row = await self._engine.write(sign_in.COUNT_ATTEMPT, attempt)
        return 0 if row is None else int(row[0])

    async def use_second_factor(self, user_id: str, step: int) -> Commit:
        row = await self._engine.write(sign_in.USE_STEP, {"of_user": user_id, "step": step})
        return Commit.LOST if row is None else Commit.APPLIED

    async def use_recovery_code(self, user_id: str, code_hash: bytes, *, now: int, origin: Origin) -> Commit:
        return await self._engine.commit(partial(operations.use_recovery_code, user_id, code_hash, now, origin))

    async def create_password_reset(
        self, token_hash: bytes, user_id: str, *, expires_at: int, now: int, mail: MailRecord
    ) -> None:
        create = partial(operations.create_password_reset, token_hash, user_id, expires_at, now, mail)
        await self._engine.commit(create)

    async def find_password_reset(self, token_hash: bytes, *, now: int) -> str | None:
        row = await self._engine.read(sign_in.FIND_RESET, {"of_token": token_hash, "now": now})
        return None if row is None else str(row[0])

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
        use = partial(operations.use_password_reset, token_hash, password_hash, ends_passkeys, now, origin, mail)
        return await self._engine.commit(use)
