"""The rules about passkeys: under which issuers there are any, which counts are suspicious, what a name is."""

import pytest

from latchstring.authorization_server.passkey_ports import hash_credential, is_copy_suspected
from latchstring.authorization_server.passkey_verification import RelyingParty
from latchstring.authorization_server.passkeys import (
    MAX_NAME_LENGTH,
    RECENT_SIGN_IN,
    clean_name,
    find_handle,
    find_relying_party,
    is_recent,
)


@pytest.mark.parametrize(
    "issuer, rp_id, origin",
    [
        ("https://auth.example.com", "auth.example.com", "https://auth.example.com"),
        ("https://auth.example.com:443", "auth.example.com", "https://auth.example.com"),
        ("https://auth.example.com:8443", "auth.example.com", "https://auth.example.com:8443"),
        ("https://Auth.Example.com/login", "auth.example.com", "https://auth.example.com"),
        ("https://intranet", "intranet", "https://intranet"),
        ("https://xn--bcher-kva.example", "xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("http://localhost:8400", "localhost", "http://localhost:8400"),
        ("http://localhost:80", "localhost", "http://localhost"),
        ("http://auth.localhost:8400", "auth.localhost", "http://auth.localhost:8400"),
        ("https://localhost", "localhost", "https://localhost"),
    ],
)
def test_relying_party_is_the_issuer_s_host_and_its_very_origin(issuer, rp_id, origin):
    assert find_relying_party(issuer) == RelyingParty(rp_id, origin)


@pytest.mark.parametrize(
    "issuer",
    [
        "http://127.0.0.1:8400",
        "https://127.0.0.1",
        "https://192.0.2.1",
        "https://2130706433",
        "https://0x7f.1",
        "https://127.0x1",
        "https://auth.example.1",
        "https://",
        "http://[::1]:8400",
        "https://[2001:db8::1]",
        "http://auth.example.com",
        "http://notlocalhost:8400",
        "http://localhost.example.com",
    ],
)
def test_issuer_that_browsers_make_no_passkeys_for_has_none(issuer):
    assert find_relying_party(issuer) is None


@pytest.mark.parametrize(
    "known, presented, is_suspected",
    [
        (0, 0, False),
        (0, 1, False),
        (1, 2, False),
        (1, 2**32 - 1, False),
        (1, 1, True),
        (2, 1, True),
        (1, 0, True),
    ],
)
def test_count_has_to_grow_where_there_is_one(known, presented, is_suspected):
    assert is_copy_suspected(known, presented) is is_suspected


def test_recent_is_ten_minutes():
    assert is_recent(1000, 1000 + RECENT_SIGN_IN)
    assert not is_recent(1000, 1001 + RECENT_SIGN_IN)


def test_handle_stays_the_same():
    """Authenticators keep it: with another one, no passkey that was made before would sign in."""
    assert find_handle("user_1").hex() == "9591fe2f2a68a96a7642af137c3890af97b15b6a8e513bcc0f2c4e70791b83d8"


def test_handle_says_nothing_of_its_account():
    handle = find_handle("user_1")
    assert len(handle) == 32
    assert b"user_1" not in handle
    assert handle != find_handle("user_2")
    assert len(hash_credential(bytes(1023))) == 32


@pytest.mark.parametrize(
    "typed, name",
    [
        ("  My\tphone\n", "My phone"),
        ("\u202eevil\0", "evil"),
        ("", ""),
        (" \u2028 ", ""),
        ("x" * 100, "x" * MAX_NAME_LENGTH),
        ("x" * 63 + " y", "x" * 63),
        ("é電話", "é電話"),
    ],
)
def test_name_is_one_bounded_line(typed, name):
    assert clean_name(typed) == name
