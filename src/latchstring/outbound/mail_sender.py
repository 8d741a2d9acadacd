"""Sends the mail that waits in the store, whichever process finds it: at least once each, never twice at a time."""

import asyncio
import random
from typing import Final

import structlog

from latchstring.authorization_server.mail import (
    MailRecord,
    MailRefused,
    MailStore,
    Post,
    RenderMail,
    SendMail,
    find_next_attempt,
)
from latchstring.authorization_server.ports import Clock
from latchstring.authorization_server.tokens import KeyNotOpened
from latchstring.protocol.errors import StoreUnavailable

log = structlog.get_logger("latchstring.mail")

LEASE: Final = 120
"""Seconds that an attempt has; longer than any timeout of it."""
IDLE_PAUSE: Final = 2.0


class MailSender:
    """Takes one mail after the other. An attempt that dies with its process is made again by another after the lease:
    a mail may come twice then, with the same `Message-ID`, and is never lost."""

    def __init__(self, store: MailStore, post: Post, *, render: RenderMail, send: SendMail, clock: Clock) -> None:
        self._store = store
        self._post = post
        self._render = render
        self._send = send
        self._clock = clock

    async def step(self) -> bool:
        """One mail's attempt; whether there was one."""
        record = await self._store.claim_mail(now=self._clock(), lease=LEASE)
        if record is None:
            return False
        try:
            mail = self._post.open(record)
            await self._send(record.id.hex(), mail.to, self._render(mail))
        except MailRefused as refused:
            await self._delay(record, refused.reason, is_final=refused.is_final)
        except KeyNotOpened as error:
            await self._delay(record, str(error), is_final=False)
        except Exception as error:  # noqa: BLE001 -- a mail that cannot be rendered holds up no other
            await self._delay(record, type(error).__name__, is_final=False)
        else:
            await self._store.end_mail(record)
        return True

    async def _delay(self, record: MailRecord, error: str, *, is_final: bool) -> None:
        now = self._clock()
        due_at = None if is_final else find_next_attempt(record, now, random.random())  # noqa: S311 -- no secret
        told = {"mail": record.id.hex(), "template": record.template, "attempt": record.attempts, "reason": error}
        log.warning("mail_given_up" if due_at is None else "mail_delayed", **told)
        await self._store.delay_mail(record, due_at=due_at, error=error, now=now)

    async def run(self) -> None:
        """Send until cancelled. A failing store is asked again later."""
        while True:
            try:
                is_busy = await self.step()
            except StoreUnavailable:
                is_busy = False
            if not is_busy:
                await asyncio.sleep(IDLE_PAUSE)
