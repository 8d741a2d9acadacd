"""How connections fare at a glance, and what the app is told of as it happens."""

import pytest

from latchstring.client import Event, Misconfigured, ReauthorizeRequired, TemporaryFailure, Verdict
from latchstring.client.testing import SERVICE_UNAVAILABLE
from latchstring.client.testing.faults import refusal
from tests.client.conftest import Mailloop

LINK = "https://app.example/connect?organization={organization_id}&user={user_id}"


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def app(provider, store, clock, told) -> Mailloop:
    return Mailloop(provider, store, clock, reconnect_url=LINK, on_event=told.append)


def kinds(told: list[Event]) -> list[str]:
    return [event.kind for event in told]


def test_health_has_those_first_that_need_somebody(app: Mailloop):
    fine = app.connect(organization_id="orga_fine").key
    waits = app.connect(organization_id="orga_waits").key
    lost = app.connect(organization_id="orga lost&").key
    wrong = app.connect(organization_id="orga_wrong").key
    app.provider.faults = [SERVICE_UNAVAILABLE]
    with pytest.raises(TemporaryFailure):
        app.client.refresh(waits)
    app.provider.faults = [refusal(400, "invalid_grant", "revoked: a person disconnected the app.")]
    with pytest.raises(ReauthorizeRequired) as caught:
        app.client.refresh(lost)
    assert caught.value.reconnect_url == "https://app.example/connect?organization=orga%20lost%26&user=user_ann"
    app.provider.faults = [refusal(401, "invalid_client", "The client secret is wrong.")]
    with pytest.raises(Misconfigured):
        app.client.refresh(wrong)
    health = app.client.health()
    assert [(each.key, each.verdict, each.code) for each in health] == [
        (lost, Verdict.REAUTHORIZE, "invalid_grant"),
        (wrong, Verdict.MISCONFIGURED, "invalid_client"),
        (waits, Verdict.TEMPORARY, "server_unavailable"),
        (fine, Verdict.OK, None),
    ]
    assert health[0].reconnect_url == caught.value.reconnect_url
    assert [each.reconnect_url for each in health[1:]] == [None] * 3
    assert (health[0].request_id, health[0].failures) == ("req_0001", 1)
    assert "revoked" in (health[0].reason or "")
    assert health[2].retry_at is not None
    app.client.disconnect(fine)
    assert {each.code for each in app.client.health() if each.key == fine} == {"disconnected"}


def test_app_is_told_once_of_each_change(app: Mailloop, told: list[Event]):
    key = app.connect().key
    assert kinds(told) == ["connected"]
    for _ in range(3):
        app.provider.faults = [SERVICE_UNAVAILABLE]
        with pytest.raises(TemporaryFailure):
            app.client.refresh(key)
    assert kinds(told) == ["connected", "failing"]
    app.client.refresh(key)
    app.client.refresh(key)
    assert kinds(told) == ["connected", "failing", "recovered"]
    app.provider.revoke()
    for _ in range(2):
        with pytest.raises(ReauthorizeRequired):
            app.client.refresh(key)
    assert kinds(told) == ["connected", "failing", "recovered", "lost"]
    assert told[-1].connection.failure is not None
    app.connect()
    app.client.disconnect(key)
    assert kinds(told)[4:] == ["connected", "disconnected"]
    assert {event.connection.key for event in told} == {key}


def test_listener_that_fails_costs_nothing(provider, store, clock, caplog):
    def fail(event: Event) -> None:
        raise RuntimeError(event.connection.access_token)

    app = Mailloop(provider, store, clock, on_event=fail)
    key = app.connect().key
    assert app.client.token(key)
    assert "listener failed" in caplog.text


def test_error_has_no_link_where_the_app_named_none(mailloop: Mailloop):
    key = mailloop.connect().key
    mailloop.provider.revoke()
    with pytest.raises(ReauthorizeRequired) as caught:
        mailloop.client.refresh(key)
    assert caught.value.reconnect_url is None
