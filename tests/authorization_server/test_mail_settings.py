"""Where mail may go, and what of its settings could not be sent."""

from typing import Any

import pytest

from latchstring.authorization_server.mail_settings import MailSettings, is_mail_address, verify_mail_settings
from latchstring.protocol.errors import ConfigurationError


@pytest.mark.parametrize(
    "text, is_one",
    [
        ("ann@example.com", True),
        ("a@b@example.com", True),
        ("änn@bücher.example", True),
        ("X@XX", True),
        ("ann", False),
        ("@example.com", False),
        ("ann@", False),
        ("ann@example.com@", False),
        ("", False),
        ("ann@example.com\nBcc: eve@example.com", False),
        *((f"ann{mark}@example.com", False) for mark in ' ,;:<>()[]\\"'),
    ],
)
def test_mail_address_is_one_in_one_line(text: str, is_one: bool) -> None:
    assert is_mail_address(text) is is_one


FROM = "latchstring@example.com"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"host": "smtp.example.com", "from_address": FROM},
        {"host": "smtp.example.com", "from_address": FROM, "port": 1},
        {"host": "smtp.example.com", "from_address": FROM, "port": 65535, "username": "u"},
        {"host": "smtp.example.com", "from_address": FROM, "username": "u", "security": "tls"},
        {"host": "localhost", "from_address": FROM, "username": "u", "security": "none"},
        {"host": "smtp.example.com", "from_address": FROM, "security": "none"},
    ],
)
def test_mail_settings_that_can_be_sent_are_taken(given: dict[str, Any]) -> None:
    verify_mail_settings(MailSettings(**given))


@pytest.mark.parametrize(
    "given, why",
    [
        ({"host": "smtp.example.com"}, "mail.from_address: name"),
        ({"from_address": "nobody"}, "mail.from_address: give one"),
        ({"port": 0}, "mail.port"),
        ({"port": 65536}, "mail.port"),
        ({"host": "smtp.example.com", "from_address": FROM, "username": "u", "security": "none"}, "mail.security"),
    ],
)
def test_mail_settings_that_cannot_be_sent_are_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        verify_mail_settings(MailSettings(**given))
