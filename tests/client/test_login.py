"""Connecting: the authorization URL, and every callback there can be."""

from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from latchstring.client import (
    CallbackRefused,
    Declined,
    Misconfigured,
    Provider,
    ReauthorizeRequired,
    TemporaryFailure,
)
from latchstring.client.testing import HTML, FakeProvider, Fault
from latchstring.protocol.pkce import is_code_challenge
from tests.client.conftest import BROWSER, CLIENT_ID, REDIRECT_URI, Mailloop


def with_parameters(url: str, **changes: str | None) -> str:
    """The callback with parameters changed, or left out where None."""
    base, _, query = url.partition("?")
    parameters = dict(parse_qsl(query)) | changes
    return f"{base}?{urlencode({name: value for name, value in parameters.items() if value is not None})}"


def token_requests(mailloop: Mailloop) -> list[dict[str, str]]:
    return [form for path, form in mailloop.provider.requests if path == "/oauth2/token/"]


def test_begin_always_sends_state_and_an_s256_challenge(mailloop):
    seen = set()
    for _ in range(3):
        query = parse_qs(urlsplit(mailloop.client.begin(browser_session=BROWSER)).query)
        assert query["response_type"] == ["code"]
        assert query["client_id"] == [CLIENT_ID]
        assert query["redirect_uri"] == [REDIRECT_URI]
        assert query["scope"] == ["all.full_access offline_access"]
        assert query["code_challenge_method"] == ["S256"]
        assert is_code_challenge(query["code_challenge"][0])
        assert len(query["state"][0]) == 43
        seen |= {query["state"][0], query["code_challenge"][0]}
    assert len(seen) == 6


def test_begin_with_an_organization_hints_it_and_keeps_the_endpoint_s_own_query(mailloop, provider):
    by_hand = Provider(
        issuer=provider.issuer,
        authorization_endpoint=f"{provider.issuer}/oauth2/authorize/?tenant=eu",
        token_endpoint=f"{provider.issuer}/oauth2/token/",
    )
    client = Mailloop(provider, mailloop.store, mailloop.clock).client
    url = client.begin(browser_session=BROWSER, organization_id="orga_birch", parameters={"prompt": "consent"})
    assert parse_qs(urlsplit(url).query)["organization_id"] == ["orga_birch"]
    assert parse_qs(urlsplit(url).query)["prompt"] == ["consent"]
    client._context.providers._provider = by_hand
    url = client.begin(browser_session=BROWSER)
    assert parse_qs(urlsplit(url).query)["tenant"] == ["eu"]


@pytest.mark.parametrize("name", ["state", "code_challenge", "client_id", "redirect_uri"])
def test_begin_with_a_parameter_of_its_own_is_refused(mailloop, name):
    with pytest.raises(Misconfigured, match="argument_refused"):
        mailloop.client.begin(browser_session=BROWSER, parameters={name: "x"})


def test_complete_allowed_stores_the_connection_by_issuer_organization_and_user(mailloop, clock):
    connection = mailloop.connect()
    assert connection.key == mailloop.client.key("orga_acorn", "user_ann")
    assert connection.scope == "all.full_access offline_access"
    assert connection.generation == 1
    assert connection.expires_at == pytest.approx(clock.now + 3600, abs=1)
    assert mailloop.client.connection(connection.key) == connection
    (form,) = token_requests(mailloop)
    assert form["grant_type"] == "authorization_code"
    assert form["redirect_uri"] == REDIRECT_URI
    assert len(form["code_verifier"]) == 43


def test_complete_for_a_second_organization_makes_a_second_connection(mailloop):
    first = mailloop.connect()
    second = mailloop.connect(organization_id="orga_birch")
    assert mailloop.client.connections() == [first, second]
    assert mailloop.client.token(first.key) != mailloop.client.token(second.key)


def test_complete_again_for_the_same_key_raises_the_generation(mailloop):
    first = mailloop.connect()
    again = mailloop.connect()
    assert again.key == first.key
    assert again.generation == 2
    assert mailloop.client.connections() == [again]


def test_complete_takes_parameters_as_well_as_a_url(mailloop):
    callback = mailloop.provider.authorize(mailloop.client.begin(browser_session=BROWSER))
    parameters = dict(parse_qsl(urlsplit(callback).query))
    assert mailloop.client.complete(parameters, browser_session=BROWSER).organization_id == "orga_acorn"


def test_complete_declined_raises_declined_and_stores_nothing(mailloop):
    with pytest.raises(Declined) as caught:
        mailloop.connect(allow=False)
    assert caught.value.code == "access_denied"
    assert caught.value.description == "The member declined."
    assert mailloop.client.connections() == []
    assert token_requests(mailloop) == []


def test_complete_twice_is_refused_and_sends_nothing(mailloop):
    callback = mailloop.provider.authorize(mailloop.client.begin(browser_session=BROWSER))
    mailloop.client.complete(callback, browser_session=BROWSER)
    with pytest.raises(CallbackRefused, match="state_mismatch"):
        mailloop.client.complete(callback, browser_session=BROWSER)
    assert len(token_requests(mailloop)) == 1


def test_complete_in_another_browser_is_refused_and_spends_nothing(mailloop):
    callback = mailloop.provider.authorize(mailloop.client.begin(browser_session=BROWSER))
    with pytest.raises(CallbackRefused, match="state_mismatch"):
        mailloop.client.complete(callback, browser_session="another browser")
    assert token_requests(mailloop) == []
    assert mailloop.client.complete(callback, browser_session=BROWSER).user_id == "user_ann"


@pytest.mark.parametrize(
    "changes,code",
    [
        ({"state": "x" * 43}, "state_mismatch"),
        ({"state": None}, "state_missing"),
        ({"code": None}, "callback_malformed"),
        ({"iss": None}, "issuer_missing"),
        ({"iss": "https://evil.example"}, "issuer_mismatch"),
    ],
)
def test_complete_with_a_changed_callback_is_refused_and_sends_nothing(mailloop, changes, code):
    callback = mailloop.provider.authorize(mailloop.client.begin(browser_session=BROWSER))
    with pytest.raises(CallbackRefused) as caught:
        mailloop.client.complete(with_parameters(callback, **changes), browser_session=BROWSER)
    assert caught.value.code == code
    assert token_requests(mailloop) == []


def test_complete_with_a_repeated_parameter_is_refused(mailloop):
    callback = mailloop.provider.authorize(mailloop.client.begin(browser_session=BROWSER))
    with pytest.raises(CallbackRefused, match="callback_malformed"):
        mailloop.client.complete(callback + "&code=other", browser_session=BROWSER)


def test_complete_too_late_is_refused(mailloop, clock):
    callback = mailloop.provider.authorize(mailloop.client.begin(browser_session=BROWSER))
    clock.advance(601)
    with pytest.raises(CallbackRefused, match="login_expired"):
        mailloop.client.complete(callback, browser_session=BROWSER)
    assert token_requests(mailloop) == []


# RFC 9207 §2.4: whether the metadata announces iss, what came, what becomes of it — of an error too.
@pytest.mark.parametrize("is_error", [False, True])
@pytest.mark.parametrize(
    "announced,sent,code",
    [
        (True, "{issuer}", None),
        (True, None, "issuer_missing"),
        (True, "{issuer}/", "issuer_mismatch"),
        (True, "{issuer_upper}", "issuer_mismatch"),
        (False, "{issuer}", None),
        (False, None, None),
        (False, "https://evil.example", "issuer_mismatch"),
    ],
)
def test_complete_with_iss_follows_the_table(provider, store, clock, announced, sent, code, is_error):
    provider.announces_iss = announced
    mailloop = Mailloop(provider, store, clock)
    callback = provider.authorize(mailloop.client.begin(browser_session=BROWSER), allow=not is_error)
    iss = sent and sent.format(issuer=provider.issuer, issuer_upper=provider.issuer.upper())
    callback = with_parameters(callback, iss=iss)
    if code:
        with pytest.raises(CallbackRefused) as caught:
            mailloop.client.complete(callback, browser_session=BROWSER)
        assert caught.value.code == code
        assert token_requests(mailloop) == []
    elif is_error:
        with pytest.raises(Declined):
            mailloop.client.complete(callback, browser_session=BROWSER)
    else:
        assert mailloop.client.complete(callback, browser_session=BROWSER).generation == 1


@pytest.mark.parametrize(
    "error,kind,code",
    [
        ("invalid_scope", Misconfigured, "invalid_scope"),
        ("unauthorized_client", Misconfigured, "unauthorized_client"),
        ("temporarily_unavailable", TemporaryFailure, "server_unavailable"),
        ("server_error", TemporaryFailure, "server_unavailable"),
        ("login_required", ReauthorizeRequired, "interaction_required"),
        ("unmet_authentication_requirements", ReauthorizeRequired, "unmet_authentication_requirements"),
        ("their_own_word", Misconfigured, "provider_error"),
    ],
)
def test_complete_with_an_error_says_whose_move_it_is(mailloop, error, kind, code):
    callback = mailloop.provider.authorize(mailloop.client.begin(browser_session=BROWSER), allow=False)
    callback = with_parameters(callback, error=error, error_description="<script>\n")
    with pytest.raises(kind) as caught:
        mailloop.client.complete(callback, browser_session=BROWSER)
    assert caught.value.code == code
    assert caught.value.cause.error == error
    assert "\n" not in caught.value.description


def test_complete_with_a_lost_answer_does_not_send_the_code_again(mailloop):
    mailloop.provider.faults = [Fault.DROP_ANSWER]
    with pytest.raises(TemporaryFailure, match="unanswered"):
        mailloop.connect()
    assert len(token_requests(mailloop)) == 1


def test_complete_refused_at_the_door_sends_the_code_again(mailloop):
    mailloop.provider.faults = [Fault.DROP_REQUEST]
    assert mailloop.connect().generation == 1


def test_complete_with_an_answer_in_html_is_temporary(mailloop):
    mailloop.provider.faults = [HTML]
    with pytest.raises(TemporaryFailure, match="answer_unreadable"):
        mailloop.connect()


def test_complete_without_identity_in_the_answer_says_where_to_tell(mailloop):
    answer = b'{"token_type":"bearer","access_token":"abcdefgh","team":{"id":7}}'
    mailloop.provider.faults = [(200, {}, answer)]
    with pytest.raises(Misconfigured, match="identity_missing"):
        mailloop.connect()


def test_complete_with_identity_elsewhere_finds_it(provider, store, clock):
    answer = b'{"token_type":"bearer","access_token":"abcdefgh","team":{"id":7}}'
    by_hand = Provider(
        issuer=provider.issuer,
        authorization_endpoint=f"{provider.issuer}/oauth2/authorize/",
        token_endpoint=f"{provider.issuer}/oauth2/token/",
        organization_field="team.id",
        user_field=None,
    )
    mailloop = Mailloop(provider, store, clock)
    mailloop.client._context.providers._provider = by_hand
    provider.faults = [(200, {}, answer)]
    connection = mailloop.connect()
    assert (connection.organization_id, connection.user_id) == ("7", "")
    assert connection.expires_at is None
    assert mailloop.client.token(connection.key) == "abcdefgh"


def test_complete_with_another_token_type_is_refused(mailloop):
    answer = b'{"token_type":"DPoP","access_token":"abcdefgh","organization_id":"o","user_id":"u"}'
    mailloop.provider.faults = [(200, {}, answer)]
    with pytest.raises(Misconfigured, match="unsupported_token_type"):
        mailloop.connect()
    assert mailloop.client.connections() == []


def test_begin_without_a_browser_session_is_refused(mailloop):
    with pytest.raises(Misconfigured, match="browser_session"):
        mailloop.client.begin(browser_session="")


def test_credentials_of_one_issuer_are_never_sent_to_another(mailloop, clock):
    """L14: a connection is one issuer's and one registration's; others get nothing of it, whoever asks."""
    key = mailloop.connect().key
    other = FakeProvider(issuer="https://other.example", clock=clock)
    moved = Mailloop(other, mailloop.store, clock)
    assert moved.client.connections() == []
    clock.advance(7200)
    for ask in (moved.client.token, moved.client.refresh, moved.client.disconnect, moved.client.connection):
        with pytest.raises(Misconfigured, match="issuer_mismatch"):
            ask(key)
    again = Mailloop(mailloop.provider, mailloop.store, clock, client_id="another").client
    with pytest.raises(Misconfigured, match="client_changed"):
        again.token(key)
    assert not any(form for _, form in other.requests)
    assert not any("refresh_token" in form for _, form in mailloop.provider.requests)


def callback_of_two(mailloop: Mailloop) -> str:
    """One login, allowed for Acorn and for Birch."""
    url = mailloop.client.begin(browser_session=BROWSER, parameters={"organization_selection": "several"})
    first = mailloop.provider.authorize(url)
    further = parse_qs(urlsplit(mailloop.provider.authorize(url, organization_id="orga_birch")).query)["code"][0]
    return with_parameters(first, further_codes=further)


def test_complete_all_redeems_every_code_by_the_same_verifier_and_stores_each(mailloop):
    connections = mailloop.client.complete_all(callback_of_two(mailloop), browser_session=BROWSER)
    assert [connection.organization_id for connection in connections] == ["orga_acorn", "orga_birch"]
    assert mailloop.client.connections() == connections
    first, second = token_requests(mailloop)
    assert first["code"] != second["code"]
    assert first["code_verifier"] == second["code_verifier"]


def test_complete_of_several_stores_all_and_returns_the_first(mailloop):
    connection = mailloop.client.complete(callback_of_two(mailloop), browser_session=BROWSER)
    assert connection.organization_id == "orga_acorn"
    assert len(mailloop.client.connections()) == 2


def test_complete_all_keeps_what_was_connected_before_one_that_fails(mailloop):
    callback = with_parameters(callback_of_two(mailloop), further_codes="ls_ac_unknown")
    with pytest.raises(ReauthorizeRequired):
        mailloop.client.complete_all(callback, browser_session=BROWSER)
    assert [connection.organization_id for connection in mailloop.client.connections()] == ["orga_acorn"]


def test_complete_all_of_an_ordinary_answer_is_one_connection(mailloop):
    callback = mailloop.provider.authorize(mailloop.client.begin(browser_session=BROWSER))
    assert len(mailloop.client.complete_all(callback, browser_session=BROWSER)) == 1
