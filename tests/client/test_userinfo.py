"""Userinfo (L16): what the provider says of the person who connected, and of nobody else (OpenID Connect Core §5.3)."""

import json

import pytest

from latchstring.client import IdentityChanged, Misconfigured, ReauthorizeRequired, TemporaryFailure
from latchstring.client.testing import OpenIDFault
from tests.client.conftest import Mailloop

SCOPE = "openid email all.full_access offline_access"
USERINFO = "/oauth2/userinfo/"


@pytest.fixture
def mailloop(provider, store, clock) -> Mailloop:
    return Mailloop(provider, store, clock, scope=SCOPE)


def answer_userinfo(provider, *replies):
    """The next answers there, whatever the token."""
    whole, left = provider._route, list(replies)

    def route(method, target, headers, form):
        return left.pop(0) if target.endswith(USERINFO) and left else whole(method, target, headers, form)

    provider._route = route


def asked(provider) -> int:
    return sum(path == USERINFO for path, _ in provider.requests)


def test_l16_userinfo_is_what_the_provider_says_now_of_who_connected(mailloop, provider):
    provider.claims = {"email": "ann@acorn.example"}
    connection = mailloop.connect()
    provider.claims = {"email": "new@acorn.example", "email_verified": True, "locale": "de"}
    person = mailloop.client.userinfo(connection.key)
    assert (person.sub, person.email, person.email_verified) == ("user_ann", "new@acorn.example", True)
    assert person.claims["locale"] == "de"
    assert "new@acorn.example" not in repr(person)
    assert mailloop.client.connection(connection.key) == connection, "it is not stored"


@pytest.mark.parametrize(
    "fault, said",
    [
        (OpenIDFault.OTHER_USER, "somebody else"),
        (OpenIDFault.SIGNED, "userinfo_signed_response_alg"),
        (OpenIDFault.MISSING, "answered 403"),
    ],
)
def test_l16_userinfo_that_is_not_of_the_person_is_refused(mailloop, provider, fault, said):
    connection = mailloop.connect()
    provider.userinfo_faults = [fault]
    with pytest.raises(Misconfigured, match=said) as caught:
        mailloop.client.userinfo(connection.key)
    assert caught.value.code == "userinfo_refused"
    assert not isinstance(caught.value, IdentityChanged)
    assert mailloop.client.connection(connection.key) == connection


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b"{}", b'{"sub": ["user_ann"]}', b'{"sub": "USER_ANN"}', b"[" * 100_000]
)
def test_l16_userinfo_without_the_subject_is_refused(mailloop, provider, body):
    connection = mailloop.connect()
    answer_userinfo(provider, (200, {"Content-Type": "application/json"}, body))
    with pytest.raises(Misconfigured, match="userinfo_refused"):
        mailloop.client.userinfo(connection.key)


@pytest.mark.parametrize("media_type", ["application/jwt", "APPLICATION/JWT; charset=utf-8"])
def test_l16_signed_userinfo_is_refused_whatever_it_says(mailloop, provider, media_type):
    connection = mailloop.connect()
    answer_userinfo(provider, (200, {"Content-Type": media_type}, json.dumps({"sub": "user_ann"}).encode()))
    with pytest.raises(Misconfigured, match="userinfo_refused"):
        mailloop.client.userinfo(connection.key)


def test_userinfo_refused_for_the_token_is_asked_once_more_with_a_fresh_one(mailloop, provider):
    connection = mailloop.connect()
    provider.dead_access_tokens.add(connection.access_token)
    assert mailloop.client.userinfo(connection.key).sub == "user_ann"
    assert mailloop.client.connection(connection.key).generation == 2
    answer_userinfo(provider, (401, {}, b""), (401, {}, b""))
    with pytest.raises(Misconfigured, match="answered 401"):
        mailloop.client.userinfo(connection.key)
    assert asked(provider) == 4


def test_userinfo_of_a_connection_that_is_gone_says_so(mailloop, provider):
    connection = mailloop.connect()
    provider.revoke()
    with pytest.raises(ReauthorizeRequired, match="revoked"):
        mailloop.client.userinfo(connection.key)


@pytest.mark.parametrize(
    "reply, code", [((503, {"Retry-After": "7"}, b""), "server_unavailable"), ((429, {}, b""), "server_unavailable")]
)
def test_userinfo_that_cannot_be_had_is_temporary(mailloop, provider, reply, code):
    connection = mailloop.connect()
    answer_userinfo(provider, reply)
    with pytest.raises(TemporaryFailure) as caught:
        mailloop.client.userinfo(connection.key)
    assert caught.value.code == code
    assert caught.value.retry_after == (7 if "Retry-After" in reply[1] else None)


def test_userinfo_redirected_is_refused_and_not_followed(mailloop, provider):
    """L7."""
    connection = mailloop.connect()
    answer_userinfo(provider, (302, {"Location": "//evil.example/userinfo"}, b""))
    with pytest.raises(Misconfigured, match="answered 302"):
        mailloop.client.userinfo(connection.key)


def test_userinfo_of_a_connection_without_an_id_token_is_refused(provider, store, clock):
    mailloop = Mailloop(provider, store, clock)
    connection = mailloop.connect()
    with pytest.raises(Misconfigured, match="openid_unsupported"):
        mailloop.client.userinfo(connection.key)
    assert asked(provider) == 0
