"""How mail leaves the server."""

from typing import Final, Literal

import msgspec

from latchstring.protocol.errors import ConfigurationError

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class MailSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The SMTP server that takes mail, and in whose name. Without a `host`, mail is written to the console where the
    issuer is an http one, on a developer's own machine, and is not sent anywhere else.

    The password is no setting: it is in `LATCHSTRING_SMTP_PASSWORD`, or in `password_file`. `locale` is for readers
    whose language is not known.
    """

    host: str | None = None
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password_file: str | None = None
    from_address: str | None = None
    locale: str = "en"


def is_mail_address(text: str) -> bool:
    """Whether a mail can be addressed to it: one address, in one line."""
    local, _, domain = text.rpartition("@")
    return bool(local and domain) and text.isprintable() and not any(c in ' ,;:<>()[]\\"' for c in text)


def verify_mail_settings(mail: MailSettings) -> None:
    """Refuse what could not be sent, or would show the password to the network."""
    if mail.host is not None and mail.from_address is None:
        raise ConfigurationError("mail.from_address: name the address that mail comes from")
    if mail.from_address is not None and not is_mail_address(mail.from_address):
        raise ConfigurationError("mail.from_address: give one address, such as latchstring@example.com")
    if not 1 <= mail.port <= 65535:
        raise ConfigurationError("mail.port: give 1 to 65535")
    if mail.username is not None and mail.security == "none" and mail.host not in _LOOPBACK:
        raise ConfigurationError("mail.security: a password is sent over TLS only; use starttls or tls")
