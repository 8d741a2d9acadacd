"""Connecting a device (RFC 8628): what it shows, how it polls, what the answers mean."""

import httpx
import pytest

from latchstring.client import (
    AsyncOAuthClient,
    Declined,
    MemoryStore,
    Misconfigured,
    OAuthClient,
    Provider,
    ReauthorizeRequired,
    TemporaryFailure,
)
from latchstring.client.testing import SERVER_ERROR, SERVICE_UNAVAILABLE, Fault
from latchstring.client.testing.faults import refusal, render_reply
from tests.client.conftest import Mailloop

SHOWN = {
    "device_code": "dc",
    "user_code": "ABCD",
    "verification_uri": "https://provider.example/device",
    "expires_in": 600,
    "interval": 5,
}


@pytest.fixture
def pauses(monkeypatch, mailloop):
    """Every pause, without the wait: the clock moves on."""
    found: list[float] = []

    def sleep(seconds):
        found.append(seconds)
        mailloop.clock.advance(seconds)

    monkeypatch.setattr("time.sleep", sleep)
    return found


def test_device_that_is_allowed_has_a_connection_like_any_other(mailloop: Mailloop, pauses):
    login = mailloop.client.begin_device(organization_id="orga_birch")
    assert login.user_code in (login.verification_uri_complete or "")
    assert (login.interval, round(login.expires_at - mailloop.clock())) == (5, 600)
    assert mailloop.provider.devices[login.user_code].organization_id == "orga_birch"
    assert login.device_code not in repr(login)
    mailloop.provider.answer_device(login.user_code, organization_id="orga_birch")
    connection = mailloop.client.complete_device(login)
    assert (connection.organization_id, connection.user_id) == ("orga_birch", "user_ann")
    assert connection.asked_scope == connection.scope == "all.full_access offline_access"
    assert mailloop.api(connection.key).get("/api/v1/me/").status_code == 200
    assert mailloop.client.refresh(connection.key).generation == 2
    assert pauses == [5]


def test_poll_keeps_the_interval_and_slows_down_when_told_or_when_nobody_answers(mailloop: Mailloop, pauses):
    login = mailloop.client.begin_device()
    mailloop.provider.answer_device(login.user_code)
    mailloop.provider.faults = [
        refusal(400, "authorization_pending", "Not yet."),
        refusal(400, "slow_down", "More slowly."),
        Fault.DROP_REQUEST,
        SERVER_ERROR,
        SERVICE_UNAVAILABLE,
    ]
    mailloop.client.complete_device(login)
    assert pauses == [5, 5, 10, 15, 20, 25]


def test_interval_never_passes_a_minute(mailloop: Mailloop, pauses):
    login = mailloop.client.begin_device()
    mailloop.provider.answer_device(login.user_code)
    mailloop.provider.faults = [refusal(400, "slow_down", "") for _ in range(13)]
    mailloop.client.complete_device(login)
    assert pauses == [*range(5, 60, 5), 60, 60, 60]


@pytest.mark.parametrize(
    "answer, kind, code",
    [
        (refusal(400, "access_denied", "No."), Declined, "access_denied"),
        (refusal(400, "expired_token", "Late."), ReauthorizeRequired, "login_expired"),
        (refusal(400, "invalid_grant", "Used."), ReauthorizeRequired, "invalid_grant"),
        (refusal(401, "invalid_client", "Who?"), Misconfigured, "invalid_client"),
        (render_reply(200, {"token_type": "Bearer"}), TemporaryFailure, "answer_unreadable"),
    ],
)
def test_final_answer_ends_the_polling_and_stores_nothing(mailloop: Mailloop, pauses, answer, kind, code):
    login = mailloop.client.begin_device()
    mailloop.provider.faults = [answer]
    with pytest.raises(kind) as caught:
        mailloop.client.complete_device(login)
    assert caught.value.code == code
    assert len(pauses) == 1
    assert mailloop.client.connections() == []


def test_declined_device_is_declined(mailloop: Mailloop, pauses):
    login = mailloop.client.begin_device()
    mailloop.provider.answer_device(login.user_code, allow=False)
    with pytest.raises(Declined, match="The member declined"):
        mailloop.client.complete_device(login)


def test_code_that_nobody_enters_expires_here_too(mailloop: Mailloop, pauses):
    login = mailloop.client.begin_device()
    with pytest.raises(ReauthorizeRequired, match="login_expired"):
        mailloop.client.complete_device(login)
    assert sum(pauses) == 600


@pytest.mark.parametrize(
    "answer, kind, code",
    [
        (render_reply(200, SHOWN | {"verification_uri": "file:///etc/passwd"}), Misconfigured, "argument_refused"),
        (
            render_reply(200, SHOWN | {"verification_uri": "https://x.example/;`id`\n"}),
            Misconfigured,
            "argument_refused",
        ),
        (render_reply(200, SHOWN | {"verification_uri_complete": "javascript:1"}), Misconfigured, "argument_refused"),
        (render_reply(200, SHOWN | {"user_code": "\x1b[2J"}), TemporaryFailure, "answer_unreadable"),
        (render_reply(200, SHOWN | {"device_code": None}), TemporaryFailure, "answer_unreadable"),
        (render_reply(200, []), TemporaryFailure, "answer_unreadable"),
        ((200, {}, b"<html>"), TemporaryFailure, "answer_unreadable"),
        (refusal(400, "unauthorized_client", "Not for you."), Misconfigured, "unauthorized_client"),
        (SERVICE_UNAVAILABLE, TemporaryFailure, "server_unavailable"),
        (Fault.DROP_REQUEST, TemporaryFailure, "unanswered"),
    ],
)
def test_device_authorization_that_cannot_be_shown_is_refused(mailloop: Mailloop, answer, kind, code):
    """L6: what people are sent to is a web address, and what they are shown is text."""
    mailloop.provider.faults = [answer]
    with pytest.raises(kind) as caught:
        mailloop.client.begin_device()
    assert caught.value.code == code


def test_answer_without_times_has_the_defaults(mailloop: Mailloop):
    mailloop.provider.faults = [render_reply(200, SHOWN | {"interval": "soon", "expires_in": -5})]
    login = mailloop.client.begin_device()
    assert (login.interval, round(login.expires_at - mailloop.clock())) == (5, 600)


def test_provider_without_the_endpoint_says_so():
    close = OAuthClient(Provider.named("close"), client_id="app", store=MemoryStore())
    with pytest.raises(Misconfigured, match="device_unsupported"):
        close.begin_device()


async def test_async_device_connects(provider, clock, monkeypatch):
    async def sleep(seconds):
        clock.advance(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    http = httpx.AsyncClient(transport=provider.transport())
    async with AsyncOAuthClient(
        provider.issuer,
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        store=MemoryStore(),
        http=http,
        clock=clock,
    ) as client:
        login = await client.begin_device()
        provider.answer_device(login.user_code)
        connection = await client.complete_device(login)
        assert await client.token(connection.key) == connection.access_token
