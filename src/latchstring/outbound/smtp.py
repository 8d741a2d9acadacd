"""Hands mail to an SMTP server, or writes it to the console."""

import asyncio
import smtplib
import ssl
import sys
from collections.abc import Callable
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from latchstring.authorization_server.mail import MailRefused, RenderedMail
from latchstring.authorization_server.mail_settings import MailSettings, is_mail_address

_TIMEOUT: Final = 20.0
CONSOLE_MARK: Final = "mail | "


def build_message(sender: str, sender_name: str, message_id: str, to: str, mail: RenderedMail) -> EmailMessage:
    """The mail as a message (RFC 5322): text, and the same as HTML. No value can end a header's line."""
    if not is_mail_address(to):
        raise MailRefused("the address is not one", is_final=True)
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = Address(_in_one_line(sender_name), addr_spec=sender)
        message["To"] = Address(addr_spec=to)
        message["Subject"] = _in_one_line(mail.subject)
        message["Message-ID"] = f"<{message_id}@{sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
    except (ValueError, IndexError):
        raise MailRefused("the address or a header is not one", is_final=True) from None
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def _in_one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


class SmtpMailer:
    """Implements the port `SendMail`: one connection a mail, in a thread."""

    def __init__(
        self, settings: MailSettings, *, sender_name: str, password: str | None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._settings = settings
        self._sender_name = sender_name
        self._password = password
        self._tls = tls

    def __repr__(self) -> str:
        return f"SmtpMailer(host={self._settings.host!r})"

    async def __call__(self, message_id: str, to: str, mail: RenderedMail) -> None:
        """Taken by the server when this returns; `MailRefused` names the kind of failure and none of the content."""
        message = build_message(self._settings.from_address or "", self._sender_name, message_id, to, mail)
        try:
            await asyncio.to_thread(self._send, message, to)
        except smtplib.SMTPRecipientsRefused as error:
            code = max(refusal[0] for refusal in error.recipients.values())
            raise MailRefused(f"recipient refused: {code}", is_final=code >= 500) from None
        except smtplib.SMTPResponseException as error:
            is_final = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500
            raise MailRefused(f"{type(error).__name__}: {error.smtp_code}", is_final=is_final) from None
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            raise MailRefused(type(error).__name__) from None

    def _send(self, message: EmailMessage, to: str) -> None:
        settings, tls = self._settings, self._tls or ssl.create_default_context()
        host = settings.host or ""
        if settings.security == "tls":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(host, settings.port, timeout=_TIMEOUT, context=tls)
        else:
            connection = smtplib.SMTP(host, settings.port, timeout=_TIMEOUT)
        with connection:
            if settings.security == "starttls":
                connection.starttls(context=tls)
            if settings.username is not None:
                connection.login(settings.username, self._password or "")
            connection.send_message(message, settings.from_address or "", [to])


class ConsoleMailer:
    """Implements the port `SendMail` on a developer's own machine: mail is shown, and goes nowhere."""

    def __init__(self, write: Callable[[str], object] = sys.stdout.write) -> None:
        self._write = write

    async def __call__(self, message_id: str, to: str, mail: RenderedMail) -> None:
        """Each line marked, so that `make run` can show it among the server's others."""
        lines = [f"To: {_in_one_line(to)}", f"Subject: {_in_one_line(mail.subject)}", "", *mail.text.splitlines(), ""]
        self._write("".join(f"{CONSOLE_MARK}{line}\n" for line in lines))
        sys.stdout.flush()


class NoMailer:
    """Implements the port `SendMail` where no SMTP server is named: mail waits until one is, for as long as it may."""

    async def __call__(self, message_id: str, to: str, mail: RenderedMail) -> None:
        """Refuses: the operator is told by `latchstring doctor`."""
        raise MailRefused("no mail.host is set")
