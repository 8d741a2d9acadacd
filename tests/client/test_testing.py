"""The fault kit, as an app's own tests use it: every fault does what it says, and the client outlives it."""

import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from latchstring.client import MemoryStore, OAuthClient, ReauthorizeRequired, TemporaryFailure
from latchstring.client.testing import HTML, SERVER_ERROR, Delay, Fault
from latchstring.client.testing.fixtures import fake_provider, fake_provider_server

__all__ = ["fake_provider", "fake_provider_server"]


def connect(provider, **options):
    """A client, and the key of Ann's connection."""
    client = OAuthClient(
        provider.issuer,
        client_id=provider.client_id,
        client_secret=provider.client_secret or None,
        redirect_uri="https://app.example/callback",
        scope="all.full_access offline_access",
        store=MemoryStore(),
        http=httpx.Client(transport=provider.transport()),
        clock=provider.clock,
        **options,
    )
    return client, client.complete(provider.authorize(client.begin(browser_session="ann")), browser_session="ann").key


def call_api(provider, client, key):
    with httpx.Client(transport=provider.transport(), base_url=provider.issuer, auth=client.auth(key)) as api:
        return api.get("/api/v1/me/")


@pytest.mark.parametrize(
    "fault, arrivals, generation",
    [
        (Fault.DROP_REQUEST, 2, 2),  # sent again: the first one never arrived
        (Fault.DROP_ANSWER, 2, 2),  # sent again: the successor is the same
        (Fault.DOUBLE, 1, 2),
        (Fault.ROTATE, 1, 2),
        (Delay(0.01), 1, 2),
    ],
)
def test_fault_that_a_retry_window_heals_costs_nothing(fake_provider, fault, arrivals, generation):
    client, key = connect(fake_provider)
    before = len(fake_provider.requests)
    fake_provider.faults = [fault]
    assert client.refresh(key).generation == 2
    assert len(fake_provider.requests) - before == arrivals
    [grant] = fake_provider.grants.values()
    assert (grant.generation, grant.status) == (generation, "active")
    assert fake_provider.faults == []
    assert call_api(fake_provider, client, key).status_code == 200


@pytest.mark.parametrize("fault", [Fault.DROP_ANSWER, Fault.DOUBLE, Fault.ROTATE])
def test_fault_without_a_retry_window_ends_the_grant(fake_provider, fault):
    client, key = connect(fake_provider)
    fake_provider.retry_window = 0
    fake_provider.faults = [fault]
    with pytest.raises(ReauthorizeRequired, match="superseded"):
        client.refresh(key)
    [grant] = fake_provider.grants.values()
    assert grant.status == "ended"
    assert grant.lost_answers == (fault is Fault.DROP_ANSWER)


def test_revoke_in_flight_gives_tokens_that_are_dead_on_arrival(fake_provider):
    client, key = connect(fake_provider)
    fake_provider.faults = [Fault.REVOKE]
    assert client.refresh(key).generation == 2
    with pytest.raises(ReauthorizeRequired, match="revoked"):
        call_api(fake_provider, client, key)


@pytest.mark.parametrize("fault", [SERVER_ERROR, HTML])
def test_reply_of_a_proxy_is_temporary_and_never_reaches_the_provider(fake_provider, fault):
    client, key = connect(fake_provider)
    fake_provider.faults = [fault, fault]
    with pytest.raises(TemporaryFailure):
        client.refresh(key)
    assert fake_provider.refreshes == 0


def test_delay_longer_than_the_client_s_patience_is_unanswered_and_took_effect(fake_provider_server):
    provider = fake_provider_server
    client, key = connect(provider, time_limit=0.4)
    client._driver._given = httpx.Client()
    provider.faults = [Delay(0.6), Delay(0.6)]
    began = time.monotonic()
    with pytest.raises(TemporaryFailure, match="unanswered"):
        client.refresh(key)
    assert time.monotonic() - began < 2
    [grant] = provider.grants.values()
    assert grant.generation == 2
    assert client.refresh(key).generation == 2


def test_revoke_and_rotate_by_somebody_else_are_seen_at_the_next_refresh(fake_provider):
    client, key = connect(fake_provider)
    fake_provider.rotate()
    assert client.refresh(key).verdict.value == "ok"
    for _ in range(2):
        fake_provider.rotate()
    with pytest.raises(ReauthorizeRequired, match="superseded"):
        client.refresh(key)
    client, key = connect(fake_provider)
    fake_provider.revoke()
    with pytest.raises(ReauthorizeRequired, match="revoked"):
        call_api(fake_provider, client, key)


def test_clock_that_runs_ahead_ends_tokens_early_and_is_shown(fake_provider):
    client, key = connect(fake_provider)
    fake_provider.clock_skew = 3600
    refused = client.token(key)
    assert call_api(fake_provider, client, key).status_code == 200
    assert client.token(key) != refused
    answer = httpx.Client(transport=fake_provider.transport()).get(f"{fake_provider.issuer}/api/v1/me/")
    assert (answer.status_code, answer.headers["date"]) == (401, "Sun, 15 Jun 2025 16:06:40 GMT")


@pytest.mark.parametrize("rate, seed", [(0.1, 0), (0.1, 1), (0.5, 0)])
def test_answers_are_dropped_at_the_rate_and_the_same_ones_for_a_seed(fake_provider, rate, seed):
    client, key = connect(fake_provider)
    fake_provider.answer_drop_rate, fake_provider._chance = rate, random.Random(seed)
    expected = random.Random(seed)
    for _ in range(100):
        with suppress(TemporaryFailure):
            client.refresh(key)
    sent = fake_provider.refreshes
    [grant] = fake_provider.grants.values()
    assert grant.lost_answers == sum(expected.random() < rate for _ in range(sent))
    assert grant.status == "active"


def test_public_client_needs_no_secret_and_another_client_is_refused(fake_provider):
    fake_provider.client_secret = ""
    client, key = connect(fake_provider)
    assert client.refresh(key).generation == 2
    fake_provider.client_id = "another"
    with pytest.raises(Exception, match="invalid_client"):
        client.refresh(key)


def test_server_sends_a_browser_back_with_a_code(fake_provider_server):
    provider = fake_provider_server
    client, key = connect(provider)
    with httpx.Client() as browser:
        back = browser.get(client.begin(browser_session="ann")).headers["location"]
        assert parse_qs(urlsplit(back).query)["iss"] == [provider.issuer]
        assert client.complete(back, browser_session="ann").key == key
        assert browser.get(f"{provider.issuer}/oauth2/authorize/?client_id=x").status_code == 400
        assert browser.get(f"{provider.issuer}/nowhere").status_code == 404


# What no client of ours sends: an answer all the same, never a broken server.
@pytest.mark.parametrize(
    "form, status, error",
    [
        ({}, 400, "unsupported_grant_type"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, 400, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "ls_ac_none"}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token"}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "ls_rt_g0001Body0123456789GenxGen"}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token", "client_secret": "wrong"}, 401, "invalid_client"),
    ],
)
def test_request_that_makes_no_sense_is_refused(fake_provider, form, status, error):
    connect(fake_provider)
    credentials = {"client_id": fake_provider.client_id, "client_secret": fake_provider.client_secret}
    with httpx.Client(transport=fake_provider.transport(), base_url=fake_provider.issuer) as http:
        answer = http.post("/oauth2/token/", data=credentials | form)
        assert (answer.status_code, answer.json()["error"]) == (status, error)
        unreadable = http.post("/oauth2/token/", content=b"\xff\xfe", headers={"authorization": "Basic !"})
        assert unreadable.status_code == 401


@pytest.mark.parametrize("missing", ["client_id", "response_type", "redirect_uri"])
def test_authorize_of_a_broken_request_is_an_error_of_the_test(fake_provider, missing):
    client, _ = connect(fake_provider)
    url = httpx.URL(client.begin(browser_session="ann")).copy_remove_param(missing)
    with pytest.raises(ValueError, match="authorization request"):
        fake_provider.authorize(str(url))


def test_fixtures_are_found_where_the_how_to_says(tmp_path: Path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["latchstring.client.testing.fixtures"]\n')
    (tmp_path / "test_app.py").write_text(
        "def test_both(fake_provider, fake_provider_server):\n"
        "    assert fake_provider.issuer != fake_provider_server.issuer\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, "1 passed" in ran.stdout) == (0, True), ran.stdout
