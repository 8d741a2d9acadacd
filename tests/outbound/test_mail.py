"""Sending mail: what is put into it, what an SMTP server hears, what happens when it refuses or does not answer."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from latchstring.authorization_server.mail import (
    Mail,
    MailKey,
    MailRefused,
    Post,
    RenderedMail,
    find_next_attempt,
)
from latchstring.authorization_server.mail_settings import MailSettings
from latchstring.outbound.mail_sender import LEASE, MailSender
from latchstring.outbound.smtp import ConsoleMailer, NoMailer, SmtpMailer, build_message
from latchstring.protocol.errors import ConfigurationError
from latchstring.storage.store import SqlStore
from latchstring.storage.url import migrate, open_store
from latchstring.web.rendering.mails import MAILS, MailRenderer
from latchstring.web.rendering.renderer import PageRenderer
from latchstring.wiring import load_settings
from tests.authorization_server.builders import NOW, build_codec

RENDERED = RenderedMail("A subject", "Text.\n", "<p>Text.</p>")


class SmtpServer:
    """As much of RFC 5321 as a mail needs; `refusals` answer a command otherwise."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.commands: list[str] = []
        self.refusals: dict[str, str] = {}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := await reader.readline():
            command = line.decode().strip()
            self.commands.append(command)
            verb = command[:4].upper()
            if verb in self.refusals:
                writer.write(self.refusals[verb].encode() + b"\r\n")
            elif verb == "EHLO":
                writer.write(b"250-test\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n")
            elif verb == "AUTH":
                writer.write(b"235 fine\r\n")
            elif verb == "DATA":
                writer.write(b"354 go\r\n")
                self.messages.append(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(b"250 taken\r\n")
            elif verb == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 fine\r\n")
        writer.close()


@asynccontextmanager
async def smtp_server() -> AsyncIterator[tuple[SmtpServer, MailSettings]]:
    smtp = SmtpServer()
    server = await asyncio.start_server(smtp.answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield smtp, MailSettings(host="127.0.0.1", port=port, security="none", from_address="crm@example.com")


def build_mailer(settings: MailSettings) -> SmtpMailer:
    return SmtpMailer(settings, sender_name="Northwind CRM", password="hush")


async def test_smtp_server_is_given_the_message() -> None:
    async with smtp_server() as (smtp, settings):
        await build_mailer(settings)("abc", "ann@example.com", RENDERED)
    message = message_from_bytes(smtp.messages[0], policy=policy.default)
    assert message["From"] == "Northwind CRM <crm@example.com>"
    assert (message["To"], message["Subject"]) == ("ann@example.com", "A subject")
    assert message["Message-ID"] == "<abc@example.com>"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert not any(command.startswith("AUTH") for command in smtp.commands)


@pytest.mark.parametrize(
    "refusals, is_final",
    [
        ({"RCPT": "550 nobody here"}, True),
        ({"RCPT": "450 try later"}, False),
        ({"MAIL": "451 busy"}, False),
        ({"DATA": "554 spam"}, True),
        ({"EHLO": "421 down", "HELO": "421 down"}, False),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value),
)
async def test_smtp_server_that_refuses_says_if_it_is_final(refusals: dict[str, str], is_final: bool) -> None:
    async with smtp_server() as (smtp, settings):
        smtp.refusals = refusals
        with pytest.raises(MailRefused) as refused:
            await build_mailer(settings)("abc", "ann@example.com", RENDERED)
    assert refused.value.is_final is is_final
    assert "ann@example.com" not in refused.value.reason


async def test_smtp_server_without_tls_is_given_no_password_where_starttls_is_asked() -> None:
    async with smtp_server() as (smtp, settings):
        asked = MailSettings(host=settings.host, port=settings.port, username="crm", from_address="crm@example.com")
        with pytest.raises(MailRefused):
            await build_mailer(asked)("abc", "ann@example.com", RENDERED)
    assert not smtp.messages
    assert not any(command.startswith("AUTH") for command in smtp.commands)


async def test_smtp_server_that_is_away_is_tried_again() -> None:
    async with smtp_server() as (_, settings):
        pass
    with pytest.raises(MailRefused) as refused:
        await build_mailer(settings)("abc", "ann@example.com", RENDERED)
    assert not refused.value.is_final


@pytest.mark.parametrize(
    "to",
    [
        "ann@example.com\r\nBcc: eve@example.com",
        "ann@example.com, eve@example.com",
        "ann",
        "",
        "a b@example.com",
        "<a@b>",
    ],
)
def test_address_that_is_not_one_address_is_refused(to: str) -> None:
    with pytest.raises(MailRefused) as refused:
        build_message("crm@example.com", "CRM", "abc", to, RENDERED)
    assert refused.value.is_final


def test_header_cannot_be_injected_by_a_subject_or_a_name() -> None:
    subject = "Hello\r\nBcc: eve@example.com\r\n\r\nBody"
    message = build_message(
        "crm@example.com", "C\r\nBcc: eve@x", "abc", "ann@example.com", RenderedMail(subject, "", "")
    )
    parsed = message_from_bytes(bytes(message), policy=policy.default)
    assert parsed["Bcc"] is None
    assert parsed["Subject"] == "Hello Bcc: eve@example.com Body"


def test_mailers_and_mail_tell_no_secret_in_their_repr() -> None:
    mail = Mail(to="ann@example.com", template="test", values={"link": "https://auth.example/reset?s=hush"})
    shown = repr(mail) + repr(build_mailer(MailSettings(host="smtp.example", from_address="a@b.example")))
    assert "hush" not in shown
    assert "ann@" not in shown


# -- words


@pytest.fixture(scope="module")
def render() -> MailRenderer:
    return MailRenderer(PageRenderer("Northwind CRM"), deployment_name="Northwind CRM", locale="en")


@pytest.mark.parametrize("template", sorted(MAILS))
@pytest.mark.parametrize("locale", ["en", "de", "es", "fr", "ja", "zh_Hans"])
def test_every_mail_renders_in_every_language(render: MailRenderer, template: MailKey, locale: str) -> None:
    words = MAILS[template]
    import re

    names = {name for text in (words.subject, *words.paragraphs) for name in re.findall(r"%\((\w+)\)s", text)}
    values = {name: f"<{name}>" for name in names} | {"link": "https://auth.example/x"}
    mail = render(Mail(to="ann@example.com", template=template, locale=locale, values=values))
    assert "\n" not in mail.subject
    assert "Northwind CRM" in mail.subject + mail.text
    for name in names - {"deployment"}:
        assert f"<{name}>" not in mail.html
        assert f"&lt;{name}&gt;" in mail.html or f"<{name}>" in mail.subject
    if words.action is not None:
        assert "https://auth.example/x" in mail.text
        assert 'href="https://auth.example/x"' in mail.html


def test_mail_in_an_unknown_language_is_in_the_deployments(render: MailRenderer) -> None:
    assert render(Mail(to="a@b.example", template="test", locale="tlh")).subject.startswith("A test")
    german = MailRenderer(PageRenderer("CRM"), deployment_name="CRM", locale="de")
    assert german(Mail(to="a@b.example", template="test")).subject.startswith("Test-E-Mail")


# -- the loop


@asynccontextmanager
async def mail_store(directory: Path) -> AsyncIterator[SqlStore]:
    url = f"sqlite:///{directory}/latchstring.db"
    migrate(url)
    store = open_store(url)
    try:
        yield store
    finally:
        await store.close()


class Carrier:
    def __init__(self, *refusals: MailRefused | Exception) -> None:
        self.refusals = list(refusals)
        self.sent: list[tuple[str, str, str]] = []

    async def __call__(self, message_id: str, to: str, mail: RenderedMail) -> None:
        self.sent.append((message_id, to, mail.subject))
        if self.refusals:
            raise self.refusals.pop(0)


async def test_sender_sends_what_waits_and_forgets_it(tmp_path: Path, render: MailRenderer) -> None:
    async with mail_store(tmp_path) as store:
        post, carrier = Post(codec=build_codec(), clock=lambda: NOW, entropy=os.urandom), Carrier()
        sender = MailSender(store, post, render=render, send=carrier, clock=lambda: NOW)
        assert await sender.step() is False
        await store.queue_mail(post.seal(Mail(to="ann@example.com", template="test")))
        assert await sender.step() is True
        assert await sender.step() is False
        assert [one[1:] for one in carrier.sent] == [("ann@example.com", "A test of mail from Northwind CRM")]
        assert await store.count_mail() == (0, 0, None)


async def test_sender_tries_again_with_the_same_id_and_logs_no_address(tmp_path: Path, render: MailRenderer) -> None:
    async with mail_store(tmp_path) as store:
        now = NOW
        post = Post(codec=build_codec(), clock=lambda: now, entropy=os.urandom)
        carrier = Carrier(MailRefused("SMTPDataError: 451"), RuntimeError("secret words"))
        sender = MailSender(store, post, render=render, send=carrier, clock=lambda: now)
        await store.queue_mail(post.seal(Mail(to="ann@example.com", template="test")))
        with capture_logs() as logs:
            assert await sender.step() is True
            assert await sender.step() is False
            now += 100
            assert await sender.step() is True
            now += 1000
            assert await sender.step() is True
        assert len({one[0] for one in carrier.sent}) == 1
        assert len(carrier.sent) == 3
        assert await store.count_mail() == (0, 0, None)
    assert [line["reason"] for line in logs] == ["SMTPDataError: 451", "RuntimeError"]
    assert "ann@" not in str(logs)


async def test_sender_gives_up_what_is_refused_for_good_and_what_is_three_days_old(
    tmp_path: Path, render: MailRenderer
) -> None:
    async with mail_store(tmp_path) as store:
        now = NOW
        post = Post(codec=build_codec(), clock=lambda: now, entropy=os.urandom)
        carrier = Carrier(MailRefused("recipient refused: 550", is_final=True), *[MailRefused("away")] * 100)
        sender = MailSender(store, post, render=render, send=carrier, clock=lambda: now)
        for _ in range(2):
            await store.queue_mail(post.seal(Mail(to="ann@example.com", template="test")))
        await sender.step()
        assert (await store.count_mail())[1] == 1
        for _ in range(100):
            if not await sender.step():
                now += 3600
        assert await store.count_mail() == (0, 2, None)
        assert 20 <= len(carrier.sent) <= 40


async def test_attempt_has_a_longer_lease_than_its_timeouts() -> None:
    from latchstring.outbound import smtp

    assert LEASE > 3 * smtp._TIMEOUT


def test_next_attempt_comes_later_each_time_and_ends_after_three_days() -> None:
    record = Post(codec=build_codec(), clock=lambda: NOW, entropy=os.urandom).seal(
        Mail(to="a@b.example", template="test")
    )
    import msgspec

    pauses = [find_next_attempt(msgspec.structs.replace(record, attempts=n), NOW, 0.0) for n in range(1, 8)]
    assert [pause - NOW for pause in pauses if pause] == [60, 300, 900, 3600, 10800, 10800, 10800]
    assert find_next_attempt(record, NOW + 3 * 24 * 3600, 0.5) is None


async def test_console_shows_mail_line_by_line() -> None:
    written: list[str] = []
    await ConsoleMailer(written.append)("abc", "ann@example.com", RENDERED)
    assert "".join(written).splitlines() == [
        "mail | To: ann@example.com",
        "mail | Subject: A subject",
        "mail | ",
        "mail | Text.",
        "mail | ",
    ]


async def test_mail_without_a_server_waits() -> None:
    with pytest.raises(MailRefused) as refused:
        await NoMailer()("abc", "ann@example.com", RENDERED)
    assert not refused.value.is_final


# -- settings


@pytest.mark.parametrize(
    "mail, named",
    [
        ({"host": "smtp.example"}, "mail.from_address"),
        ({"host": "smtp.example", "from_address": "nobody"}, "mail.from_address"),
        ({"from_address": "a@b.example\r\nBcc: c"}, "mail.from_address"),
        ({"host": "smtp.example", "from_address": "a@b.example", "port": 0}, "mail.port"),
        ({"host": "smtp.example", "from_address": "a@b.example", "security": "none", "username": "x"}, "mail.security"),
        ({"host": "smtp.example", "from_address": "a@b.example", "password": "x"}, "password"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mail_settings_that_cannot_work_are_refused_by_name(mail: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        load_settings(None, issuer="https://auth.example", mail=mail)
