"""Mail to people: named by its words, language and values, kept sealed until it is sent, in the transaction of what it
tells of (`storage/recording.queue_mail`)."""

from collections.abc import Mapping
from typing import Final, Literal, Protocol

import msgspec

from latchstring.authorization_server.ports import Clock, Commit, Entropy
from latchstring.authorization_server.sealing import NONCE_SIZE, Sealer
from latchstring.authorization_server.tokens import TokenCodec

MailKey = Literal[
    "access_approved",
    "access_declined",
    "access_requested",
    "passkey_added",
    "passkey_removed",
    "password_changed",
    "password_reset",
    "review_approved",
    "review_declined",
    "test",
    "webhook_disabled",
]
"""Every mail there is; its words are in `web/rendering/mails.py`."""

_ID_ENTROPY_SIZE: Final = 11
_GIVEN_UP_AFTER: Final = 3 * 24 * 3600
_BACK_OFF: Final = (60, 300, 900, 3600, 3 * 3600)
"""Seconds after the first, second … attempt; the last one from then on."""


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One mail. `locale` is the reader's, where it is known. `values` go into its words; `link` is where its button
    leads."""

    to: str
    template: MailKey
    locale: str | None = None
    values: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"Mail(template={self.template!r})"


class MailRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as kept. `attempts` counts those begun, this one too: it also tells whose turn this attempt is."""

    id: bytes
    template: str
    sealed: bytes
    created_at: int
    attempts: int = 0

    def __repr__(self) -> str:
        return f"MailRecord(id={self.id.hex()}, template={self.template!r})"


class FailedMail(msgspec.Struct, frozen=True):
    """A mail that was given up, when and why."""

    record: MailRecord
    error: str
    failed_at: int


class RenderedMail(msgspec.Struct, frozen=True):
    """A mail in the reader's language; nothing in it is markup but `html`."""

    subject: str
    text: str
    html: str


class RenderMail(Protocol):
    """Puts a mail into words."""

    def __call__(self, mail: Mail) -> RenderedMail:
        """The mail in its language."""


class MailRefused(Exception):
    """The mail was not taken. `reason` is fit for a log; `is_final` says that to try again is of no use."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final


class SendMail(Protocol):
    """Hands a mail over to whoever carries it."""

    async def __call__(self, message_id: str, to: str, mail: RenderedMail) -> None:
        """Taken when this returns; `MailRefused` otherwise."""


class MailStore(Protocol):
    """Mail that waits. A mail is one attempt's at a time; an attempt that dies is another's turn after its lease."""

    async def queue_mail(self, mail: MailRecord) -> None:
        """Keep a mail that tells of nothing else that is written."""

    async def claim_mail(self, *, now: int, lease: int) -> MailRecord | None:
        """One that is due, for the next `lease` seconds; None where none is."""

    async def end_mail(self, mail: MailRecord) -> Commit:
        """It was sent; `LOST` if the turn has passed to another attempt."""

    async def delay_mail(self, mail: MailRecord, *, due_at: int | None, error: str, now: int) -> Commit:
        """Try again later, or never where `due_at` is None: then it stays for the operator to see."""


class Post:
    """Seals and opens mail."""

    def __init__(self, *, codec: TokenCodec, clock: Clock, entropy: Entropy) -> None:
        self._sealer = Sealer(codec, b"mail-seal")
        self._clock = clock
        self._entropy = entropy

    def seal(self, mail: Mail) -> MailRecord:
        """The mail as it is kept; queue it in the transaction of what it tells of."""
        now = self._clock()
        mail_id = now.to_bytes(5, "big") + self._entropy(_ID_ENTROPY_SIZE)
        sealed = self._sealer.seal(mail_id, msgspec.json.encode(mail), self._entropy(NONCE_SIZE))
        return MailRecord(id=mail_id, template=mail.template, sealed=sealed, created_at=now)

    def open(self, record: MailRecord) -> Mail:
        """The mail once more, or `KeyNotOpened`."""
        return msgspec.json.decode(self._sealer.open(record.id, record.sealed), type=Mail)


def find_next_attempt(record: MailRecord, now: int, jitter: float) -> int | None:
    """When to try again after an attempt that has failed; None after three days. `jitter` is 0 to 1, so that mail that
    failed together does not come back together."""
    if now - record.created_at >= _GIVEN_UP_AFTER:
        return None
    pause = _BACK_OFF[min(record.attempts, len(_BACK_OFF)) - 1]
    return now + pause + int(pause * jitter / 4)
