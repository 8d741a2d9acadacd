"""A server process as far as the outbox goes, which dies by SIGKILL where it is told to.

`python -m tests.drills.outbox_worker URL KEYRING SENT WHEN LATER` sends all that is due, noting each message's id and
body in the file SENT. WHEN is `before` or `after` the first message is out, or `never`; LATER is how many seconds ahead
its clock is.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from latchstring.authorization_server.mail import RenderedMail
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.webhook_records import Posted
from latchstring.outbound.mail_sender import MailSender
from latchstring.outbound.webhook_sender import WebhookSender
from latchstring.storage.url import open_store
from latchstring.wiring import build_post, build_webhooks, epoch_seconds, prepare


class Carrier:
    """Carries mail and webhooks to a file, and dies on the way."""

    def __init__(self, sent: Path, when: str) -> None:
        self._sent = sent
        self._when = when

    def _carry(self, message_id: str, body: str) -> None:
        if self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        with self._sent.open("a") as file:
            file.write(f"{message_id} {body.encode().hex()}\n")
            file.flush()
            os.fsync(file.fileno())
        if self._when == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    async def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Posted:
        self._carry(headers["webhook-id"], body.decode())
        return Posted(204, "")

    async def mail(self, message_id: str, to: str, mail: RenderedMail) -> None:
        self._carry(message_id, mail.text)


async def work(url: str, keyring: Path, carrier: Carrier, later: int) -> None:
    deployment, settings = prepare(url, keyring), Settings(issuer="https://auth.example")
    store = open_store(deployment.database)

    def clock() -> int:
        return epoch_seconds() + later

    webhooks = build_webhooks(store, deployment.codec, settings, clock)
    sender = WebhookSender(store, webhooks, post=carrier.post, clock=clock)
    mails = MailSender(
        store, build_post(deployment.codec, clock), render=lambda mail: RenderedMail("", mail.template, ""),
        send=carrier.mail, clock=clock,
    )  # fmt: skip
    while await sender.step() or await mails.step():
        await sender.settle()
    await store.close()


if __name__ == "__main__":
    url, keyring, sent, when, later = sys.argv[1:]
    asyncio.run(work(url, Path(keyring), Carrier(Path(sent), when), int(later)))
