"""Disconnecting: the provider first, and no success that it did not confirm."""

import threading

import pytest

from latchstring.client import Misconfigured, Provider, ReauthorizeRequired, TemporaryFailure, Verdict
from latchstring.client.testing import REDIRECT, SERVICE_UNAVAILABLE, Fault
from tests.client.conftest import Mailloop


def revocations(mailloop):
    return [form for path, form in mailloop.provider.requests if path == "/oauth2/revoke/"]


def test_disconnect_revokes_the_refresh_token_and_erases_the_tokens(mailloop):
    connection = mailloop.connect()
    ended = mailloop.client.disconnect(connection.key)
    assert [form["token"] for form in revocations(mailloop)] == [connection.refresh_token]
    assert revocations(mailloop)[0]["token_type_hint"] == "refresh_token"
    assert (ended.access_token, ended.refresh_token) == ("", None)
    assert ended.disconnected_at is not None
    assert ended.verdict is Verdict.REAUTHORIZE
    assert mailloop.client.connection(connection.key) == ended
    assert [grant.status for grant in mailloop.provider.grants.values()] == ["ended"]
    for call in (mailloop.client.token, mailloop.client.refresh):
        with pytest.raises(ReauthorizeRequired, match="disconnected"):
            call(connection.key)


def test_disconnect_without_a_refresh_token_revokes_the_access_token(provider, store, clock):
    mailloop = Mailloop(provider, store, clock, scope="all.full_access")
    connection = mailloop.connect()
    mailloop.client.disconnect(connection.key)
    assert [form["token"] for form in revocations(mailloop)] == [connection.access_token]


def test_disconnect_twice_asks_once(mailloop):
    connection = mailloop.connect()
    ended = mailloop.client.disconnect(connection.key)
    assert mailloop.client.disconnect(connection.key) == ended
    assert len(revocations(mailloop)) == 1


def test_disconnect_then_connect_again_is_a_new_generation(mailloop):
    connection = mailloop.connect()
    mailloop.client.disconnect(connection.key)
    again = mailloop.connect()
    assert (again.key, again.generation, again.verdict) == (connection.key, 3, Verdict.OK)


@pytest.mark.parametrize(
    "faults,kind,code",
    [
        ([SERVICE_UNAVAILABLE], TemporaryFailure, "server_unavailable"),
        ([Fault.DROP_REQUEST, Fault.DROP_REQUEST], TemporaryFailure, "unanswered"),
        ([(401, {}, b'{"error":"invalid_client"}')], Misconfigured, "invalid_client"),
        ([REDIRECT], Misconfigured, "redirected"),
        ([(404, {}, b"")], Misconfigured, "endpoint_refused"),
    ],
)
def test_disconnect_that_the_provider_does_not_confirm_is_reported_and_undone(mailloop, faults, kind, code):
    connection = mailloop.connect()
    mailloop.provider.faults = list(faults)
    with pytest.raises(kind) as caught:
        mailloop.client.disconnect(connection.key)
    assert caught.value.code == code
    assert mailloop.client.connection(connection.key) == connection
    assert mailloop.client.token(connection.key) == connection.access_token
    mailloop.provider.faults = []
    assert mailloop.client.disconnect(connection.key).disconnected_at is not None


def test_disconnect_with_a_lost_answer_asks_again(mailloop):
    connection = mailloop.connect()
    mailloop.provider.faults = [Fault.DROP_ANSWER]
    assert mailloop.client.disconnect(connection.key).disconnected_at is not None
    assert len(revocations(mailloop)) == 2


def test_disconnect_during_a_refresh_waits_for_it_and_ends_what_it_brought(mailloop, clock):
    connection = mailloop.connect()
    mailloop.provider.latency = 0.2
    thread = threading.Thread(target=mailloop.client.refresh, args=(connection.key,))
    thread.start()
    while not mailloop.provider.in_flight:
        pass
    mailloop.client.disconnect(connection.key)
    thread.join()
    stored = mailloop.client.connection(connection.key)
    assert stored.disconnected_at is not None
    assert stored.refresh_token is None
    assert [form["token"] for form in revocations(mailloop)] != [connection.refresh_token]
    assert [grant.status for grant in mailloop.provider.grants.values()] == ["ended"]


def test_refresh_overtaken_by_a_disconnect_hands_its_tokens_back(mailloop, clock, monkeypatch):
    connection = mailloop.connect()
    other = Mailloop(mailloop.provider, mailloop.store, clock)
    handle = mailloop.provider.handle

    def overtaken(*args):
        answer = handle(*args)
        monkeypatch.setattr(mailloop.provider, "handle", handle)
        clock.advance(40)  # past our lease
        other.client.disconnect(connection.key)
        return answer

    monkeypatch.setattr(mailloop.provider, "handle", overtaken)
    with pytest.raises(ReauthorizeRequired, match="disconnected"):
        mailloop.client.refresh(connection.key)
    stored = mailloop.client.connection(connection.key)
    assert (stored.disconnected_at is not None, stored.refresh_token) == (True, None)
    assert len(revocations(mailloop)) == 2


def test_disconnect_at_a_provider_without_revocation_says_so_and_forget_erases(mailloop):
    connection = mailloop.connect()
    issuer = mailloop.provider.issuer
    mailloop.client._context.providers._provider = Provider(
        issuer=issuer,
        authorization_endpoint=f"{issuer}/oauth2/authorize/",
        token_endpoint=f"{issuer}/oauth2/token/",
    )
    with pytest.raises(Misconfigured, match="revocation_unsupported"):
        mailloop.client.disconnect(connection.key)
    assert mailloop.client.connection(connection.key) == connection
    mailloop.client.forget(connection.key)
    assert mailloop.client.connections() == []
