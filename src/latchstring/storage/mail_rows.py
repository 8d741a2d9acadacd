"""The store's mail that waits."""

from collections.abc import Sequence

from latchstring.authorization_server.mail import FailedMail, MailRecord
from latchstring.authorization_server.ports import Commit
from latchstring.storage.engine import Engine
from latchstring.storage.recording import write_mail
from latchstring.storage.statements import mails


class MailRows:
    """Implements `authorization_server.mail.MailStore` on any engine."""

    _engine: Engine

    async def queue_mail(self, mail: MailRecord) -> None:
        await self._engine.write(mails.INSERT_MAIL, write_mail(mail))

    async def claim_mail(self, *, now: int, lease: int) -> MailRecord | None:
        if await self._engine.read(mails.FIND_DUE_MAIL, {"now": now}) is None:
            return None  # by a read alone: an idle server writes nothing
        row = await self._engine.write(mails.CLAIM_MAIL, {"now": now, "until": now + lease})
        if row is None:
            return None
        return MailRecord(id=bytes(row[0]), template=row[1], sealed=bytes(row[2]), created_at=row[3], attempts=row[4])

    async def end_mail(self, mail: MailRecord) -> Commit:
        row = await self._engine.write(mails.END_MAIL, {"of_mail": mail.id, "of_attempt": mail.attempts})
        return Commit.LOST if row is None else Commit.APPLIED

    async def delay_mail(self, mail: MailRecord, *, due_at: int | None, error: str, now: int) -> Commit:
        delay = {"of_mail": mail.id, "of_attempt": mail.attempts, "new_due_at": due_at, "error": error[:64], "now": now}
        row = await self._engine.write(mails.DELAY_MAIL, delay)
        return Commit.LOST if row is None else Commit.APPLIED

    async def find_failed_mail(self) -> Sequence[FailedMail]:
        """What was given up, the newest first, at most 1,000."""
        return [
            FailedMail(
                MailRecord(id=bytes(row[0]), template=row[1], sealed=b"", created_at=row[2], attempts=row[3]),
                error=row[4],
                failed_at=row[5],
            )
            for row in await self._engine.read_all(mails.FIND_FAILED_MAIL, {})
        ]

    async def count_mail(self) -> tuple[int, int, int | None]:
        """How many wait, how many were given up, and since when the first of those that wait is due."""
        row = await self._engine.read(mails.COUNT_MAIL, {})
        assert row is not None
        return row[0], row[1], row[2]
