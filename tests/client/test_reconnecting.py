"""A certain connection, connected again: for its organization and its user, and nobody else's."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from latchstring.client import (
    AsyncOAuthClient,
    CallbackRefused,
    ConnectionKey,
    Misconfigured,
    Provider,
    ReauthorizeRequired,
    Verdict,
)
from latchstring.client.frameworks.arrivals import render_failure
from tests.client.conftest import BROWSER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, Mailloop


@pytest.fixture
def events() -> list[Any]:
    return []


@pytest.fixture
def app(provider, store, clock, events) -> Mailloop:
    return Mailloop(provider, store, clock, on_event=events.append)


def begin(app: Mailloop, key: ConnectionKey) -> str:
    return app.client.begin_reconnect(key, browser_session=BROWSER)


def test_lost_connection_lives_again_under_its_key(app: Mailloop, events):
    key = app.connect(organization_id="orga_birch").key
    for grant in app.provider.grants.values():
        grant.status = "ended"
    with pytest.raises(ReauthorizeRequired):
        app.client.refresh(key)
    url = begin(app, key)
    asked = dict(parse_qsl(urlsplit(url).query))
    assert (asked["organization_id"], asked["scope"]) == ("orga_birch", "all.full_access offline_access")
    again = app.client.complete(app.provider.authorize(url, organization_id="orga_birch"), browser_session=BROWSER)
    assert (again.key, again.verdict) == (key, Verdict.OK)
    assert app.client.token(key) == again.access_token
    assert [event.kind for event in events] == ["connected", "lost", "connected"]


@pytest.mark.parametrize(
    "choice, code",
    [
        ({"organization_id": "orga_acorn"}, "organization_changed"),
        ({"organization_id": "orga_birch", "user_id": "user_bob"}, "user_changed"),
        ({"organization_id": "orga_acorn", "user_id": "user_bob"}, "organization_changed"),
    ],
)
def test_answer_for_another_is_refused_reported_and_handed_back(app: Mailloop, events, choice, code):
    before = app.connect(organization_id="orga_birch")
    events.clear()
    callback = app.provider.authorize(begin(app, before.key), **choice)
    with pytest.raises(CallbackRefused) as refused:
        app.client.complete(callback, browser_session=BROWSER)
    assert refused.value.code == code
    assert (render_failure(refused.value).status, "Nothing was changed" in render_failure(refused.value).text) == (
        403,
        True,
    )
    assert app.client.connections() == [before], "it is as it was, and there is no other"
    assert [(event.kind, event.connection.key) for event in events] == [("mismatched", before.key)]
    statuses = {grant.organization_id + grant.user_id: grant.status for grant in app.provider.grants.values()}
    assert statuses == {
        "orga_birchuser_ann": "active",
        choice["organization_id"] + choice.get("user_id", "user_ann"): "ended",
    }
    assert app.client.token(before.key) == before.access_token
    with pytest.raises(CallbackRefused, match="state_mismatch"):
        app.client.complete(callback, browser_session=BROWSER)


def test_another_connection_of_the_person_s_own_is_left_alone(app: Mailloop):
    """Some providers end all that an app has of a person when one token is revoked."""
    acorn, birch = app.connect(organization_id="orga_acorn"), app.connect(organization_id="orga_birch")
    with pytest.raises(CallbackRefused, match="organization_changed"):
        app.client.complete(
            app.provider.authorize(begin(app, birch.key), organization_id="orga_acorn"), browser_session=BROWSER
        )
    assert sorted(app.client.connections(), key=str) == sorted([acorn, birch], key=str)
    assert {grant.status for grant in app.provider.grants.values()} == {"active"}


def test_what_was_granted_besides_is_asked_for_again(app: Mailloop):
    key = app.connect().key
    connection = app.client.connection(key)
    app.store.commit_connected(connection.replace(scope="all.full_access contacts.write offline_access"))
    asked = dict(parse_qsl(urlsplit(begin(app, key)).query))
    assert asked["scope"] == "all.full_access offline_access contacts.write"


def test_connection_that_was_forgotten_can_be_made_anew_for_its_key_alone(app: Mailloop, events):
    key = app.connect().key
    app.client.forget(key)
    events.clear()
    with pytest.raises(CallbackRefused, match="user_changed"):
        app.client.complete(app.provider.authorize(begin(app, key), user_id="user_bob"), browser_session=BROWSER)
    assert events == []
    assert app.client.complete(app.provider.authorize(begin(app, key)), browser_session=BROWSER).key == key


def test_key_of_another_provider_is_refused(app: Mailloop):
    with pytest.raises(Misconfigured, match="issuer_mismatch"):
        begin(app, ConnectionKey("https://other.example", "orga_acorn", "user_ann"))


@pytest.mark.parametrize("values, sent", [(["fixed", "several"], "fixed"), (["several"], None), ([], None)])
def test_organization_is_fixed_where_the_server_can(app: Mailloop, provider, store, clock, values, sent):
    document = provider.metadata() | {"organization_selection_values_supported": values}
    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=document)))
    key = app.connect().key
    discovering = Mailloop(provider, store, clock)
    discovering.client._context.providers._provider = Provider.discover(provider.issuer, http=http)
    asked = dict(parse_qsl(urlsplit(begin(discovering, key)).query))
    assert asked.get("organization_selection") == sent
    url = discovering.client.begin(browser_session=BROWSER, organization_id="orga_acorn")
    assert "organization_selection" not in url, "an ordinary login leaves the choice"


async def test_async_client_does_the_same(app: Mailloop, provider, store, clock):
    key = app.connect(organization_id="orga_birch").key
    async with AsyncOAuthClient(
        provider.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uri=REDIRECT_URI,
        scope="all.full_access offline_access",
        store=store,
        http=httpx.AsyncClient(transport=provider.transport()),
        clock=clock,
    ) as client:
        url = await client.begin_reconnect(key, browser_session=BROWSER)
        with pytest.raises(CallbackRefused, match="organization_changed"):
            await client.complete(provider.authorize(url), browser_session=BROWSER)
        url = await client.begin_reconnect(key, browser_session=BROWSER)
        again = await client.complete(provider.authorize(url, organization_id="orga_birch"), browser_session=BROWSER)
    assert again.key == key
