"""An app at work for itself (RFC 6749 §4.4), and for a caller of its own (RFC 8693)."""

import httpx
import pytest

from latchstring.client import AsyncOAuthClient, IdentityChanged, MemoryStore, Misconfigured
from latchstring.client.testing import SERVICE_UNAVAILABLE
from latchstring.client.testing.faults import refusal, render_reply
from tests.client.conftest import Mailloop


def test_app_connects_itself_and_asks_again_when_the_token_ends(mailloop: Mailloop):
    connection = mailloop.client.connect_as_app("orga_birch")
    assert (connection.organization_id, connection.user_id) == ("orga_birch", "")
    assert connection.refresh_token is None
    _, form = mailloop.provider.requests[-1]
    assert {name: form[name] for name in ("grant_type", "scope", "organization_id")} == {
        "grant_type": "client_credentials",
        "scope": "all.full_access",
        "organization_id": "orga_birch",
    }
    first = mailloop.client.token(connection.key)
    assert mailloop.client.token(connection.key) == first
    mailloop.clock.advance(3601)
    second = mailloop.client.token(connection.key)
    assert second != first
    assert mailloop.client.connection(connection.key).generation == 2
    assert mailloop.api(connection.key).get("/api/v1/me/").json()["organization_id"] == "orga_birch"


def test_app_s_own_connection_is_renewed_when_the_api_says_that_it_is_bad(mailloop: Mailloop):
    key = mailloop.client.connect_as_app("orga_birch").key
    mailloop.provider.dead_access_tokens.add(mailloop.client.token(key))
    assert mailloop.api(key).get("/api/v1/me/").status_code == 200


def test_app_s_own_connection_stands_beside_a_person_s(mailloop: Mailloop):
    ann, app = mailloop.connect().key, mailloop.client.connect_as_app("orga_acorn").key
    assert ann != app
    assert len(mailloop.client.connections()) == 2


def test_app_takes_the_organization_that_the_provider_names(mailloop: Mailloop):
    assert mailloop.client.connect_as_app().organization_id == "orga_acorn"
    assert "organization_id" not in mailloop.provider.requests[-1][1]


def test_app_refuses_another_organization_than_asked_at_once_and_later(mailloop: Mailloop):
    mailloop.provider.organization_override = "orga_other"
    with pytest.raises(IdentityChanged, match="organization_changed"):
        mailloop.client.connect_as_app("orga_birch")
    assert mailloop.client.connections() == []
    mailloop.provider.organization_override = None
    key = mailloop.client.connect_as_app("orga_birch").key
    mailloop.provider.organization_override = "orga_other"
    with pytest.raises(IdentityChanged, match="organization_changed"):
        mailloop.client.refresh(key)


def test_app_that_is_no_longer_let_in_says_so_and_keeps_the_connection(mailloop: Mailloop):
    key = mailloop.client.connect_as_app("orga_birch").key
    mailloop.clock.advance(3601)
    mailloop.provider.faults = [refusal(400, "unauthorized_client", "The organization has not approved the app.")]
    with pytest.raises(Misconfigured, match="unauthorized_client"):
        mailloop.client.token(key)
    mailloop.clock.advance(61)
    mailloop.provider.faults = [SERVICE_UNAVAILABLE]
    assert mailloop.client.connection(key).failure is not None


async def test_async_app_connects_itself(provider, clock):
    http = httpx.AsyncClient(transport=provider.transport())
    async with AsyncOAuthClient(
        provider.issuer,
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        store=MemoryStore(),
        http=http,
        clock=clock,
    ) as client:
        key = (await client.connect_as_app("orga_birch")).key
        clock.advance(3601)
        assert await client.token(key)
        ours = await client.exchange_token(await client.token(key), resource="https://other.example")
        assert ours.access_token


def test_exchange_sends_what_the_rfc_names_and_stores_nothing(mailloop: Mailloop):
    caller = mailloop.connect()
    exchanged = mailloop.client.exchange_token(
        caller.access_token, resource="https://billing.example", scope="invoices.read", actor_token="ls_at_actor"
    )
    _, form = mailloop.provider.requests[-1]
    assert {name: value for name, value in form.items() if not name.startswith("client_")} == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": caller.access_token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "resource": "https://billing.example",
        "scope": "invoices.read",
        "actor_token": "ls_at_actor",
        "actor_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    assert (exchanged.organization_id, exchanged.user_id) == ("orga_acorn", "user_ann")
    assert exchanged.expires_at == pytest.approx(mailloop.clock() + 3600)
    assert exchanged.access_token not in repr(exchanged)
    assert [each.key for each in mailloop.client.connections()] == [caller.key]


def test_exchange_for_an_audience_leaves_the_client_s_own_resource_out(provider, store, clock):
    app = Mailloop(provider, store, clock, resource="https://api.example")
    caller = app.connect()
    app.client.exchange_token(caller.access_token, audience="billing")
    assert "resource" not in provider.requests[-1][1]
    app.client.exchange_token(caller.access_token)
    assert provider.requests[-1][1]["resource"] == "https://api.example"


def test_exchange_of_a_dead_token_says_so(mailloop: Mailloop):
    caller = mailloop.connect()
    mailloop.provider.revoke()
    with pytest.raises(Misconfigured, match="invalid_request: The subject token"):
        mailloop.client.exchange_token(caller.access_token)


@pytest.mark.parametrize("token_type", ["N_A", "DPoP"])
def test_exchanged_token_of_another_type_is_not_used(mailloop: Mailloop, token_type):
    """L10."""
    caller = mailloop.connect()
    mailloop.provider.faults = [render_reply(200, {"token_type": token_type, "access_token": "x"})]
    with pytest.raises(Misconfigured, match="unsupported_token_type"):
        mailloop.client.exchange_token(caller.access_token)
