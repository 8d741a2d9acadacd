"""Always a usable token, and a grant that is never lost by a failure that is not its own."""

import httpx
import pytest

from latchstring.client import (
    IdentityChanged,
    MemoryStore,
    Misconfigured,
    ProviderAnswer,
    ReauthorizeRequired,
    TemporaryFailure,
    Verdict,
)
from latchstring.client.testing import HTML, RATE_LIMITED, REDIRECT, SERVICE_UNAVAILABLE, Fault
from latchstring.protocol.errors import StoreUnavailable
from tests.client.conftest import Mailloop

NEAR_ITS_END = 3400
PAST_ITS_END = 3700


def refresh_requests(mailloop: Mailloop) -> list[dict[str, str]]:
    return [form for _, form in mailloop.provider.requests if form.get("grant_type") == "refresh_token"]


def test_token_that_is_fresh_is_returned_without_a_request(mailloop):
    connection = mailloop.connect()
    sent = len(mailloop.provider.requests)
    assert mailloop.client.token(connection.key) == connection.access_token
    assert len(mailloop.provider.requests) == sent


@pytest.mark.parametrize("lifetime,fresh_at,due_at", [(3600, 3290, 3310), (60, 47, 49), ("3600", 3290, 3310)])
def test_token_is_refreshed_before_its_end(mailloop, clock, lifetime, fresh_at, due_at):
    mailloop.provider.expires_in = lifetime
    connection = mailloop.connect()
    clock.advance(fresh_at)
    assert mailloop.client.token(connection.key) == connection.access_token
    clock.advance(due_at - fresh_at)
    assert mailloop.client.token(connection.key) != connection.access_token
    assert len(refresh_requests(mailloop)) == 1


def test_token_without_expires_in_is_used_until_an_api_refuses_it(mailloop, clock):
    mailloop.provider.expires_in = None
    connection = mailloop.connect()
    clock.advance(10 * 86_400)
    assert mailloop.client.token(connection.key) == connection.access_token


def test_refresh_replaces_both_tokens_and_counts_from_the_moment_of_sending(mailloop, clock, monkeypatch):
    first = mailloop.connect()
    asked_at = clock.now
    handle = mailloop.provider.handle

    def slow(*args):
        clock.advance(8)
        return handle(*args)

    monkeypatch.setattr(mailloop.provider, "handle", slow)
    second = mailloop.client.refresh(first.key)
    assert second.expires_at == pytest.approx(asked_at + 3600, abs=0.1)
    assert second.generation == 2
    assert second.refresh_token != first.refresh_token
    third = mailloop.client.refresh(first.key)
    assert [form["refresh_token"] for form in refresh_requests(mailloop)] == [
        first.refresh_token,
        second.refresh_token,
    ]
    assert mailloop.client.connection(first.key) == third


def test_refresh_without_a_new_refresh_token_or_scope_keeps_the_old(mailloop):
    first = mailloop.connect()
    mailloop.provider.faults = [(200, {}, b'{"token_type":"BEARER","access_token":"another","refresh_token":""}')]
    second = mailloop.client.refresh(first.key)
    assert (second.access_token, second.refresh_token, second.scope) == (
        "another",
        first.refresh_token,
        first.scope,
    )


def test_refresh_writes_its_intent_before_it_sends(mailloop, monkeypatch):
    connection = mailloop.connect()
    seen = []
    handle = mailloop.provider.handle

    def look(*args):
        seen.append(mailloop.store.find_connection(connection.key))
        return handle(*args)

    monkeypatch.setattr(mailloop.provider, "handle", look)
    renewed = mailloop.client.refresh(connection.key)
    assert [(each.generation, each.refreshing_since is not None) for each in seen] == [(1, True)]
    assert renewed.refreshing_since is None
    assert mailloop.store.find_connection(connection.key).refreshing_since is None


def test_refresh_whose_intent_cannot_be_written_sends_nothing(provider, clock, monkeypatch):
    mailloop = Mailloop(provider, MemoryStore(), clock)
    connection = mailloop.connect()

    def fail(*args, **kwargs):
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(mailloop.store, "commit_lease", fail)
    with pytest.raises(TemporaryFailure) as caught:
        mailloop.client.refresh(connection.key)
    assert caught.value.code == "store_unavailable"
    assert isinstance(caught.value.cause, StoreUnavailable)
    assert refresh_requests(mailloop) == []


def test_refresh_that_cannot_be_saved_is_not_used_and_gets_its_successor_later(provider, clock, monkeypatch):
    mailloop = Mailloop(provider, MemoryStore(), clock)
    connection = mailloop.connect()
    clock.advance(PAST_ITS_END)
    commit = mailloop.store.commit_connection

    def fail(*args, **kwargs):
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(mailloop.store, "commit_connection", fail)
    with pytest.raises(TemporaryFailure, match="store_unavailable"):
        mailloop.client.token(connection.key)
    assert mailloop.client.connection(connection.key).access_token == connection.access_token
    monkeypatch.setattr(mailloop.store, "commit_connection", commit)
    clock.advance(40)  # the lease of the failed attempt is over, the provider's retry window is not
    assert mailloop.client.token(connection.key) != connection.access_token
    assert [form["refresh_token"] for form in refresh_requests(mailloop)] == [connection.refresh_token] * 2
    assert [grant.generation for grant in provider.grants.values()] == [2]


def test_crash_between_answer_and_save_is_made_good_by_the_next_process(provider, store, clock):
    def crash(exchange):
        if exchange.request_form and exchange.request_form["grant_type"] == "refresh_token":
            raise KeyboardInterrupt

    dying = Mailloop(provider, store, clock, on_exchange=crash)
    connection = dying.connect()
    with pytest.raises(KeyboardInterrupt):
        dying.client.refresh(connection.key)
    clock.advance(40)
    heir = Mailloop(provider, store, clock)
    # Nowhere near its end: what makes it due is the unfinished refresh.
    assert heir.client.token(connection.key) != connection.access_token
    saved = heir.client.connection(connection.key)
    assert (saved.generation, saved.refreshing_since, saved.verdict) == (2, None, Verdict.OK)
    assert [grant.generation for grant in provider.grants.values()] == [2]
    assert heir.client.refresh(connection.key).generation == 3


def test_lost_answer_is_asked_for_again_with_the_same_token(mailloop):
    connection = mailloop.connect()
    mailloop.provider.faults = [Fault.DROP_ANSWER]
    renewed = mailloop.client.refresh(connection.key)
    assert [form["refresh_token"] for form in refresh_requests(mailloop)] == [connection.refresh_token] * 2
    assert renewed.generation == 2
    assert [grant.generation for grant in mailloop.provider.grants.values()] == [2]


@pytest.mark.parametrize("fault", [Fault.DROP_REQUEST, Fault.DROP_ANSWER, HTML])
def test_no_answer_twice_is_temporary_and_heals(mailloop, clock, fault):
    connection = mailloop.connect()
    clock.advance(PAST_ITS_END)
    mailloop.provider.faults = [fault, fault]
    with pytest.raises(TemporaryFailure):
        mailloop.client.token(connection.key)
    stored = mailloop.client.connection(connection.key)
    assert stored.verdict is Verdict.TEMPORARY
    assert stored.refreshing_since is not None
    assert stored.refresh_token == connection.refresh_token
    assert len(refresh_requests(mailloop)) == 2
    clock.advance(2)
    assert mailloop.client.token(connection.key) != connection.access_token
    assert mailloop.client.connection(connection.key).verdict is Verdict.OK


def test_lost_answers_past_the_window_end_in_reauthorize_that_says_so(mailloop, clock):
    connection = mailloop.connect()
    mailloop.provider.faults = [Fault.DROP_ANSWER, Fault.DROP_ANSWER]
    with pytest.raises(TemporaryFailure):
        mailloop.client.refresh(connection.key)
    clock.advance(61)
    with pytest.raises(ReauthorizeRequired) as caught:
        mailloop.client.token(connection.key)
    assert caught.value.code == "invalid_grant"
    assert "An earlier answer to this refresh was lost" in caught.value.description


def test_unavailable_server_is_temporary_and_the_living_token_is_used(mailloop, clock):
    connection = mailloop.connect()
    clock.advance(NEAR_ITS_END)
    mailloop.provider.faults = [SERVICE_UNAVAILABLE]
    for _ in range(5):
        assert mailloop.client.token(connection.key) == connection.access_token
    assert len(refresh_requests(mailloop)) == 1
    stored = mailloop.client.connection(connection.key)
    assert (stored.verdict, stored.failure.code) == (Verdict.TEMPORARY, "server_unavailable")
    clock.advance(8)
    assert mailloop.client.token(connection.key) != connection.access_token


@pytest.mark.parametrize(
    "fault,code",
    [
        (SERVICE_UNAVAILABLE, "server_unavailable"),
        (RATE_LIMITED, "rate_limited"),
        ((500, {}, b'{"error":"invalid_grant"}'), "server_unavailable"),
        ((502, {}, b"<html>"), "server_unavailable"),
        ((403, {}, b"<html>blocked by the firewall"), "answer_unreadable"),
    ],
)
def test_failure_of_the_moment_is_temporary_and_the_connection_stays(mailloop, clock, fault, code):
    connection = mailloop.connect()
    clock.advance(PAST_ITS_END)
    mailloop.provider.faults = [fault]
    for _ in range(3):
        with pytest.raises(TemporaryFailure) as caught:
            mailloop.client.token(connection.key)
        assert caught.value.code == code
        assert caught.value.verdict is Verdict.TEMPORARY
    assert len(refresh_requests(mailloop)) == 1
    if fault in (SERVICE_UNAVAILABLE, RATE_LIMITED):
        assert caught.value.retry_after == pytest.approx(7, abs=0.1)
    assert mailloop.client.connection(connection.key).refresh_token == connection.refresh_token
    clock.advance(8)
    assert mailloop.client.token(connection.key) != connection.access_token


def test_failures_in_a_row_wait_longer_each_time(mailloop, clock):
    connection = mailloop.connect()
    waits = []
    for _ in range(8):
        mailloop.provider.faults = [(500, {}, b"")]
        with pytest.raises(TemporaryFailure):
            mailloop.client.refresh(connection.key)
        failure = mailloop.client.connection(connection.key).failure
        waits.append(round(failure.retry_at - failure.at))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_redirect_is_misconfigured_and_not_followed(provider, store, clock):
    mailloop = Mailloop(provider, store, clock)
    connection = mailloop.connect()
    provider.faults = [REDIRECT]
    mailloop.http.follow_redirects = True
    with pytest.raises(Misconfigured, match="redirected"):
        mailloop.client.refresh(connection.key)
    assert len(refresh_requests(mailloop)) == 1
    assert all("evil" not in exchange.url for exchange in mailloop.exchanges)


def test_wrong_secret_is_misconfigured_and_the_connection_stays(provider, store, clock):
    connection = Mailloop(provider, store, clock).connect()
    wrong = Mailloop(provider, store, clock, client_secret="ls_cs_WrongSecretWrongSecret")
    clock.advance(PAST_ITS_END)
    with pytest.raises(Misconfigured) as caught:
        wrong.client.token(connection.key)
    assert caught.value.code == "invalid_client"
    assert caught.value.request_id == "req_0001"
    assert isinstance(caught.value.cause, ProviderAnswer)
    assert caught.value.cause.status == 401
    assert wrong.client.connection(connection.key).verdict is Verdict.MISCONFIGURED
    clock.advance(2)
    assert Mailloop(provider, store, clock).client.token(connection.key)


def test_revoked_grant_is_reauthorize_and_stays_and_is_not_asked_about_again(mailloop, clock):
    connection = mailloop.connect()
    (grant,) = mailloop.provider.grants.values()
    grant.status = "ended"
    clock.advance(NEAR_ITS_END)
    for _ in range(3):
        with pytest.raises(ReauthorizeRequired) as caught:
            mailloop.client.token(connection.key)
        assert caught.value.code == "invalid_grant"
        assert caught.value.description == "revoked: a person disconnected the app."
        assert caught.value.request_id == "req_0001"
    assert len(refresh_requests(mailloop)) == 1
    stored = mailloop.client.connection(connection.key)
    assert stored.verdict is Verdict.REAUTHORIZE
    assert stored.refresh_token == connection.refresh_token
    # Membership restored, say: asked by name it is tried again; connecting again mends it in any case.
    grant.status = "active"
    assert mailloop.client.refresh(connection.key).verdict is Verdict.OK
    assert mailloop.connect().verdict is Verdict.OK


def test_invalid_grant_after_another_process_refreshed_adopts_its_token(mailloop, monkeypatch):
    connection = mailloop.connect()
    theirs = connection.replace(access_token="theirs", refresh_token="theirs too", generation=2)
    handle = mailloop.provider.handle

    def overtaken(*args):
        assert mailloop.store.commit_connection(theirs, generation=1, holder="another process")
        next(iter(mailloop.provider.grants.values())).status = "ended"
        return handle(*args)

    monkeypatch.setattr(mailloop.provider, "handle", overtaken)
    assert mailloop.client.refresh(connection.key) == theirs
    assert mailloop.client.connection(connection.key).verdict is Verdict.OK


def test_answer_after_another_process_refreshed_adopts_its_token(mailloop, monkeypatch):
    connection = mailloop.connect()
    theirs = connection.replace(access_token="theirs", refresh_token="theirs too", generation=2)
    handle = mailloop.provider.handle

    def overtaken(*args):
        assert mailloop.store.commit_connection(theirs, generation=1, holder="another process")
        return handle(*args)

    monkeypatch.setattr(mailloop.provider, "handle", overtaken)
    assert mailloop.client.refresh(connection.key) == theirs


def test_answer_after_another_process_gave_up_is_saved_all_the_same(mailloop, monkeypatch):
    connection = mailloop.connect()
    handle = mailloop.provider.handle
    other = Mailloop(mailloop.provider, mailloop.store, mailloop.clock)

    def overtaken(*args):
        monkeypatch.setattr(mailloop.provider, "handle", handle)
        mailloop.clock.advance(40)  # our lease runs out while we wait for the answer
        mailloop.provider.faults = [(400, {}, b'{"error":"invalid_grant"}')]
        with pytest.raises(ReauthorizeRequired):
            other.client.refresh(connection.key)
        return handle(*args)

    monkeypatch.setattr(mailloop.provider, "handle", overtaken)
    renewed = mailloop.client.refresh(connection.key)
    assert mailloop.client.connection(connection.key) == renewed
    assert renewed.verdict is Verdict.OK


@pytest.mark.parametrize(
    "answer,code",
    [
        (b'"organization_id":"orga_other","user_id":"user_ann"', "organization_changed"),
        (b'"organization_id":"orga_acorn","user_id":"user_bob"', "user_changed"),
    ],
)
def test_refresh_for_another_identity_is_refused_and_reported(mailloop, clock, answer, code):
    connection = mailloop.connect()
    body = b'{"token_type":"Bearer","access_token":"foreign","refresh_token":"foreign2",' + answer + b"}"
    mailloop.provider.faults = [(200, {}, body)]
    clock.advance(NEAR_ITS_END)
    for _ in range(3):
        with pytest.raises(IdentityChanged) as caught:
            mailloop.client.token(connection.key)
        assert caught.value.code == code
    assert len(refresh_requests(mailloop)) == 1
    stored = mailloop.client.connection(connection.key)
    assert (stored.access_token, stored.generation) == (connection.access_token, 1)
    assert stored.verdict is Verdict.MISCONFIGURED


def test_connection_without_offline_access_lives_until_its_end(provider, store, clock):
    mailloop = Mailloop(provider, store, clock, scope="all.full_access")
    connection = mailloop.connect()
    assert connection.refresh_token is None
    clock.advance(NEAR_ITS_END)
    assert mailloop.client.token(connection.key) == connection.access_token
    clock.advance(PAST_ITS_END - NEAR_ITS_END)
    with pytest.raises(ReauthorizeRequired, match="no_refresh_token"):
        mailloop.client.token(connection.key)
    assert refresh_requests(mailloop) == []


def test_connection_of_another_client_id_is_misconfigured_and_nothing_is_sent(provider, store, clock):
    connection = Mailloop(provider, store, clock).connect()
    other = Mailloop(provider, store, clock, client_id="oa2client_staging")
    clock.advance(PAST_ITS_END)
    with pytest.raises(Misconfigured, match="client_changed"):
        other.client.token(connection.key)
    assert refresh_requests(other) == []
    assert Mailloop(provider, store, clock).client.token(connection.key)


def test_unknown_connection_is_not_connected(mailloop):
    with pytest.raises(ReauthorizeRequired, match="not_connected"):
        mailloop.client.token(mailloop.client.key("orga_acorn", "user_nobody"))


def test_lease_of_a_dead_process_does_not_hold_up_a_living_token(mailloop, clock, monkeypatch):
    connection = mailloop.connect()
    clock.advance(NEAR_ITS_END)
    assert mailloop.store.commit_lease(
        connection.key, generation=1, holder="dead", now=clock(), until=clock() + 36, refreshes=True
    )
    monkeypatch.setattr("time.sleep", clock.advance)
    asked_at = clock.now
    assert mailloop.client.token(connection.key) == connection.access_token
    assert clock.now - asked_at < 4
    clock.advance(40)
    assert mailloop.client.token(connection.key) != connection.access_token


def test_lease_that_never_ends_is_temporary(mailloop, clock, monkeypatch):
    connection = mailloop.connect()
    clock.advance(PAST_ITS_END)
    mailloop.store.commit_lease(
        connection.key, generation=1, holder="other", now=clock(), until=clock() + 9999, refreshes=True
    )
    monkeypatch.setattr("time.sleep", clock.advance)
    with pytest.raises(TemporaryFailure, match="busy"):
        mailloop.client.token(connection.key)
    assert refresh_requests(mailloop) == []


def test_refresh_by_basic_authentication_sends_the_secret_in_the_header_only(mailloop):
    connection = mailloop.connect()
    source = mailloop.client._context.providers
    import msgspec

    source._provider = msgspec.structs.replace(source._provider, token_endpoint_auth_method="client_secret_basic")
    assert mailloop.client.refresh(connection.key).generation == 2
    assert "client_secret" not in refresh_requests(mailloop)[0]
    assert mailloop.exchanges[-1].request_headers["Authorization"].startswith("Basic b2Ey")


def test_observer_that_fails_costs_nothing(provider, store, clock):
    def broken(exchange):
        raise ValueError("observer")

    mailloop = Mailloop(provider, store, clock, on_exchange=broken)
    connection = mailloop.connect()
    assert mailloop.client.refresh(connection.key).generation == 2


def test_retry_after_as_a_date_is_understood(mailloop, clock):
    connection = mailloop.connect()
    clock.advance(PAST_ITS_END)
    from email.utils import formatdate

    mailloop.provider.faults = [(503, {"Retry-After": formatdate(clock.now + 30, usegmt=True)}, b"")]
    with pytest.raises(TemporaryFailure) as caught:
        mailloop.client.token(connection.key)
    assert caught.value.retry_after == pytest.approx(30, abs=1.5)


def test_http_client_s_own_headers_and_cookies_are_not_sent(provider, store, clock):
    seen = []
    mailloop = Mailloop(provider, store, clock)
    mailloop.http.headers["Authorization"] = "Bearer somebody else's"
    mailloop.http.cookies.set("session", "x")
    mailloop.http.auth = httpx.BasicAuth("a", "b")
    mailloop.http.event_hooks = {"request": [lambda request: seen.append(request.headers)]}
    mailloop.connect()
    assert all("authorization" not in headers and "cookie" not in headers for headers in seen)
