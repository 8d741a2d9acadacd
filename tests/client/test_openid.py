"""Connecting at an OpenID Provider (L15): by an ID token that verifies, or not at all."""

import json
import logging
import pprint
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
from rich.pretty import pretty_repr

from latchstring.client import (
    AsyncOAuthClient,
    CallbackRefused,
    Event,
    IdentityChanged,
    MemoryStore,
    Misconfigured,
    OAuthClient,
    Provider,
    TemporaryFailure,
    Verdict,
)
from latchstring.client.provider_keys import FETCH_INTERVAL, KEYS_LIFETIME
from latchstring.client.testing import FakeProvider, OpenIDFault
from latchstring.protocol.jose.jws import parse_jwt
from tests.client.conftest import BROWSER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, Mailloop

SCOPE = "openid email all.full_access offline_access"
ANN = {"email": "ann@acorn.example", "email_verified": True, "name": "Ann Ash"}
KEYS = "/oauth2/keys/"


@pytest.fixture
def mailloop(provider, store, clock) -> Mailloop:
    provider.claims = dict(ANN)
    return Mailloop(provider, store, clock, scope=SCOPE)


def fetches(provider: FakeProvider, path: str = KEYS) -> int:
    return sum(asked == path for asked, _ in provider.requests)


def query_of(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


# -- what is asked, and what comes of it


def test_begin_with_openid_sends_a_fresh_nonce_and_without_it_none(mailloop, provider, store, clock):
    first, second = (query_of(mailloop.client.begin(browser_session=BROWSER)) for _ in range(2))
    assert len(first["nonce"][0]) == 43
    assert len({first["nonce"][0], second["nonce"][0], first["state"][0], second["state"][0]}) == 4
    plain = Mailloop(provider, store, clock).client
    assert "nonce" not in query_of(plain.begin(browser_session=BROWSER))
    with pytest.raises(Misconfigured, match="argument_refused"):
        mailloop.client.begin(browser_session=BROWSER, parameters={"nonce": "chosen"})


def test_l15_complete_knows_the_person_by_the_verified_id_token(mailloop):
    connection = mailloop.connect()
    person = connection.identity
    assert person is not None
    assert (person.sub, person.email, person.email_verified, person.name) == (
        "user_ann", "ann@acorn.example", True, "Ann Ash",
    )  # fmt: skip
    assert person.claims["iss"] == mailloop.provider.issuer
    assert person.claims["aud"] == CLIENT_ID
    assert mailloop.client.connection(connection.key).identity == person
    assert len({connection, mailloop.client.connection(connection.key)}) == 1


async def test_l15_complete_by_asyncio_is_the_same(provider, clock):
    client = AsyncOAuthClient(
        provider.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uri=REDIRECT_URI,
        scope=SCOPE,
        store=MemoryStore(),
        http=httpx.AsyncClient(transport=provider.transport()),
        clock=clock,
    )
    async with client:
        callback = provider.authorize(await client.begin(browser_session=BROWSER))
        connection = await client.complete(callback, browser_session=BROWSER)
        assert connection.identity is not None
        assert (await client.userinfo(connection.key)).sub == connection.identity.sub == "user_ann"
        provider.id_token_faults = [OpenIDFault.WRONG_NONCE]
        callback = provider.authorize(await client.begin(browser_session=BROWSER), user_id="user_bo")
        with pytest.raises(CallbackRefused, match="nonce_mismatch"):
            await client.complete(callback, browser_session=BROWSER)
        provider.id_token_faults = [OpenIDFault.OTHER_USER]
        with pytest.raises(IdentityChanged, match="user_changed"):
            await client.refresh(connection.key)
        assert [each.key for each in await client.connections()] == [connection.key]


def test_login_without_openid_knows_nobody_and_asks_for_no_keys(provider, store, clock):
    mailloop = Mailloop(provider, store, clock)
    assert mailloop.connect().identity is None
    assert fetches(provider) == 0


def test_openid_granted_unasked_is_verified_all_the_same(provider, store, clock):
    mailloop = Mailloop(provider, store, clock, scope="calendar")
    url = mailloop.client.begin(browser_session=BROWSER)
    callback = provider.authorize(url)
    for grant in provider.grants.values():
        grant.scope = "calendar openid"
    connection = mailloop.client.complete(callback, browser_session=BROWSER)
    assert connection.identity is not None
    assert connection.identity.sub == "user_ann"
    provider.id_token_faults = [OpenIDFault.OTHER_KEY]
    callback = provider.authorize(mailloop.client.begin(browser_session=BROWSER))
    provider.grants[max(provider.grants)].scope = "calendar openid"
    with pytest.raises(Misconfigured, match="id_token_refused"):
        mailloop.client.complete(callback, browser_session=BROWSER)


# -- what is wrong with an ID token


@pytest.mark.parametrize(
    "fault, kind, code",
    [
        (OpenIDFault.MISSING, Misconfigured, "id_token_missing"),
        (OpenIDFault.NO_SIGNATURE, Misconfigured, "id_token_refused"),
        (OpenIDFault.SYMMETRIC, Misconfigured, "id_token_refused"),
        (OpenIDFault.OTHER_ALGORITHM, Misconfigured, "id_token_refused"),
        (OpenIDFault.OTHER_KEY, Misconfigured, "id_token_refused"),
        (OpenIDFault.UNKNOWN_KEY, TemporaryFailure, "server_unavailable"),
        (OpenIDFault.WRONG_ISSUER, Misconfigured, "id_token_refused"),
        (OpenIDFault.WRONG_AUDIENCE, Misconfigured, "id_token_refused"),
        (OpenIDFault.OTHER_PARTY, Misconfigured, "id_token_refused"),
        (OpenIDFault.WRONG_NONCE, CallbackRefused, "nonce_mismatch"),
        (OpenIDFault.EXPIRED, Misconfigured, "id_token_refused"),
        (OpenIDFault.WRONG_ACCESS_TOKEN, Misconfigured, "id_token_refused"),
    ],
)
def test_l15_complete_with_an_id_token_that_does_not_verify_stores_nothing(mailloop, provider, fault, kind, code):
    """CVE-2020-26244, CVE-2026-28802, CVE-2026-28498."""
    mailloop.connect(user_id="user_bo")
    provider.id_token_faults = [fault]
    with pytest.raises(kind) as caught:
        mailloop.connect()
    assert caught.value.code == code
    assert [each.user_id for each in mailloop.client.connections()] == ["user_bo"]
    assert provider.id_token_faults == []


@pytest.mark.parametrize("id_token", [None, 7, "", "a.b", "a.b.c", {"sub": "user_ann"}, "x" * 20_000])
def test_l15_complete_with_what_is_no_jwt_is_refused(mailloop, provider, id_token):
    answer = {"token_type": "Bearer", "access_token": "abcdefgh", "organization_id": "o", "user_id": "u"}
    provider.faults = [(200, {}, json.dumps(answer | {"id_token": id_token}).encode())]
    with pytest.raises(Misconfigured, match="id_token_refused"):
        mailloop.connect()
    assert mailloop.client.connections() == []


def test_l15_id_token_of_another_login_of_the_same_browser_is_refused(mailloop, provider):
    """A code of another login, brought to this one: PKCE stops it where the provider checks that, the nonce here."""
    first, second = (mailloop.client.begin(browser_session=BROWSER) for _ in range(2))
    other = query_of(first)["nonce"][0]
    callback = provider.authorize(second)
    for grant in provider.grants.values():
        grant.nonce = other
    with pytest.raises(CallbackRefused, match="nonce_mismatch"):
        mailloop.client.complete(callback, browser_session=BROWSER)
    assert mailloop.client.connections() == []


@pytest.mark.parametrize(
    "verified, shown", [(True, True), ("true", False), ("false", False), (1, False), (None, False)]
)
def test_address_is_verified_by_true_alone(mailloop, provider, verified, shown):
    """CVE-2026-53516, CVE-2026-55076."""
    provider.claims["email_verified"] = verified
    assert mailloop.connect().identity.email_verified is shown


@pytest.mark.parametrize("signed_in_ago, code", [(0, None), (30, None), (400, "sign_in_too_old")])
def test_l15_sign_in_older_than_max_age_is_refused(mailloop, provider, clock, signed_in_ago, code):
    url = mailloop.client.begin(browser_session=BROWSER, parameters={"max_age": "60"})
    assert query_of(url)["max_age"] == ["60"]
    callback = provider.authorize(url)
    for grant in provider.grants.values():
        grant.signed_in_at -= signed_in_ago
    clock.advance(300)  # the person takes a while to read; that makes the sign-in no older than it was asked to be
    if code is None:
        assert mailloop.client.complete(callback, browser_session=BROWSER).identity is not None
        return
    with pytest.raises(CallbackRefused, match=code):
        mailloop.client.complete(callback, browser_session=BROWSER)
    assert mailloop.client.connections() == []


def test_l15_device_is_connected_by_an_id_token_without_a_nonce(mailloop, provider, clock, monkeypatch):
    monkeypatch.setattr("time.sleep", clock.advance)
    for fault in (None, OpenIDFault.OTHER_KEY):
        login = mailloop.client.begin_device()
        provider.answer_device(login.user_code, user_id=f"user_{fault}")
        provider.id_token_faults = [fault] if fault else []
        if fault is None:
            assert mailloop.client.complete_device(login).identity.sub == "user_None"
        else:
            with pytest.raises(Misconfigured, match="id_token_refused"):
                mailloop.client.complete_device(login)
    assert len(mailloop.client.connections()) == 1


def test_app_s_own_connection_does_not_ask_who_somebody_is(mailloop, provider):
    assert mailloop.client.connect_as_app("orga_acorn").identity is None
    assert provider.requests[-1][1]["scope"] == "email all.full_access"


# -- keys


def test_keys_are_fetched_once_and_again_when_they_are_old(mailloop, provider, clock):
    for _ in range(3):
        mailloop.connect()
    assert fetches(provider) == 1
    clock.advance(KEYS_LIFETIME + 1)
    mailloop.connect()
    assert fetches(provider) == 2


def test_keys_are_fetched_once_for_threads_that_all_need_them(provider, clock):
    mailloop = Mailloop(provider, MemoryStore(), clock, scope=SCOPE)
    callbacks = [
        provider.authorize(mailloop.client.begin(browser_session=BROWSER), user_id=f"user_{number}")
        for number in range(8)
    ]
    whole, barrier = provider._route, threading.Barrier(len(callbacks))

    def route(method, target, headers, form):
        answer = whole(method, target, headers, form)
        if "/token/" in target:
            barrier.wait()  # all have their tokens, and nobody has keys
        if KEYS in target:
            time.sleep(0.3)
        return answer

    provider._route = route
    with ThreadPoolExecutor(len(callbacks)) as pool:
        connections = list(pool.map(lambda each: mailloop.client.complete(each, browser_session=BROWSER), callbacks))
    assert {each.identity and each.identity.sub for each in connections} == {f"user_{number}" for number in range(8)}
    assert fetches(provider) == 1


def test_key_that_is_new_is_asked_for_once_within_the_budget(mailloop, provider, clock):
    mailloop.connect()
    provider.rotate_keys()
    with pytest.raises(TemporaryFailure) as caught:
        mailloop.connect()
    assert fetches(provider) == 1
    assert 0 < (caught.value.retry_after or 0) <= FETCH_INTERVAL
    clock.advance(FETCH_INTERVAL)
    assert mailloop.connect().identity is not None
    assert fetches(provider) == 2
    clock.advance(FETCH_INTERVAL)
    provider.id_token_faults = [OpenIDFault.UNKNOWN_KEY]
    with pytest.raises(Misconfigured, match="id_token_refused"):
        mailloop.connect()
    assert fetches(provider) == 3


@pytest.mark.parametrize(
    "status, body, kind, code, asked",
    [
        (503, b"", TemporaryFailure, "server_unavailable", 3),
        (404, b"", Misconfigured, "metadata_malformed", 1),
        (302, b"", Misconfigured, "metadata_malformed", 1),
        (200, b"<html>", Misconfigured, "metadata_malformed", 1),
        (200, b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', Misconfigured, "metadata_malformed", 1),
        (200, b"[" * 60_000, Misconfigured, "metadata_malformed", 1),
        (200, b'{"keys": []}' + b" " * 70_000, Misconfigured, "metadata_malformed", 1),
        (200, b'{"keys": []}' + b" " * 300_000, TemporaryFailure, "unanswered", 3),
    ],
)
def test_l15_keys_that_cannot_be_had_connect_nobody(provider, clock, monkeypatch, status, body, kind, code, asked):
    monkeypatch.setattr("time.sleep", lambda _: None)
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == KEYS:
            seen.append(request.url)
            assert "authorization" not in request.headers
            return httpx.Response(status, content=body, headers={"Location": "//evil.example/keys"})
        return provider.transport().handle_request(request)

    http = httpx.Client(transport=httpx.MockTransport(handler), follow_redirects=True)
    mailloop = Mailloop(provider, MemoryStore(), clock, scope=SCOPE, http=http)
    with pytest.raises(kind) as caught:
        mailloop.connect()
    assert caught.value.code == code
    assert len(seen) == asked
    assert mailloop.client.connections() == []


def test_l8_keys_at_a_private_address_that_only_metadata_names_are_not_fetched(provider, clock, monkeypatch):
    with provider.serve():
        document = provider.metadata() | {"jwks_uri": "https://10.0.0.1/keys"}
        monkeypatch.setattr(provider, "metadata", lambda: document)
        client = Mailloop(provider, MemoryStore(), clock, scope=SCOPE, http=None).client
        with client, pytest.raises(Misconfigured, match="address_refused"):
            client.complete(provider.authorize(client.begin(browser_session=BROWSER)), browser_session=BROWSER)


# -- a refresh


def test_l15_refresh_keeps_who_it_was(mailloop, provider):
    first = mailloop.connect()
    provider.claims["email"] = "new@acorn.example"
    renewed = mailloop.client.refresh(first.key)
    assert renewed.generation == 2
    assert renewed.identity == first.identity
    provider.id_token_faults = [OpenIDFault.MISSING]
    assert mailloop.client.refresh(first.key).generation == 3


@pytest.mark.parametrize(
    "fault, code",
    [
        (OpenIDFault.OTHER_USER, "user_changed"),
        (OpenIDFault.WRONG_ISSUER, "id_token_refused"),
        (OpenIDFault.WRONG_AUDIENCE, "id_token_refused"),
        (OpenIDFault.OTHER_PARTY, "id_token_refused"),
        (OpenIDFault.WRONG_NONCE, "id_token_refused"),
        (OpenIDFault.NO_SIGNATURE, "id_token_refused"),
        (OpenIDFault.SYMMETRIC, "id_token_refused"),
        (OpenIDFault.OTHER_KEY, "id_token_refused"),
        (OpenIDFault.EXPIRED, "id_token_refused"),
    ],
)
def test_l15_refresh_with_another_s_id_token_is_refused_and_reported(mailloop, provider, fault, code):
    """OpenID Connect Core §12.2."""
    told: list[Event] = []
    client = Mailloop(provider, mailloop.store, mailloop.clock, scope=SCOPE, on_event=told.append).client
    first = mailloop.connect()
    provider.id_token_faults = [fault]
    with pytest.raises(IdentityChanged) as caught:
        client.refresh(first.key)
    assert caught.value.code == code
    kept = client.connection(first.key)
    assert (kept.access_token, kept.refresh_token, kept.generation) == (
        first.access_token, first.refresh_token, first.generation,
    )  # fmt: skip
    assert kept.failure is not None
    assert (kept.verdict, kept.failure.code, kept.failure.retry_at) == (Verdict.MISCONFIGURED, code, None)
    assert [event.kind for event in told] == ["failing"]
    with pytest.raises(IdentityChanged, match=code):
        client.token(first.key)


@pytest.mark.parametrize("fault", [None, OpenIDFault.OTHER_USER])
def test_refresh_while_keys_cannot_be_had_loses_no_grant_and_still_compares(mailloop, provider, clock, fault):
    first = mailloop.connect()
    clock.advance(KEYS_LIFETIME + 1)
    whole = provider._route

    def route(method, target, headers, form):
        return (503, {}, b"") if KEYS in target else whole(method, target, headers, form)

    provider._route = route
    provider.id_token_faults = [fault] if fault else []
    if fault is None:
        assert mailloop.client.refresh(first.key).generation == 2
        assert fetches(provider) == 2
    else:
        with pytest.raises(IdentityChanged, match="user_changed"):
            mailloop.client.refresh(first.key)


# -- whom it needs


def test_begin_with_openid_at_a_provider_without_keys_is_refused_unasked(provider, clock):
    bare = Provider(
        issuer=provider.issuer,
        authorization_endpoint=f"{provider.issuer}/oauth2/authorize/",
        token_endpoint=f"{provider.issuer}/oauth2/token/",
        device_authorization_endpoint=f"{provider.issuer}/oauth2/device_authorization/",
    )
    mailloop = Mailloop(provider, MemoryStore(), clock, scope=SCOPE)
    mailloop.client._context.providers._provider = bare
    for begin in (lambda: mailloop.client.begin(browser_session=BROWSER), mailloop.client.begin_device):
        with pytest.raises(Misconfigured, match="openid_unsupported"):
            begin()
    assert provider.requests == []


def test_openid_without_the_library_is_refused_before_anything_is_sent(mailloop, provider, monkeypatch):
    first = mailloop.connect()
    seen = len(provider.requests)
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(Misconfigured, match=r"latchstring\[jwt\]") as caught:
        mailloop.client.begin(browser_session=BROWSER)
    assert caught.value.code == "openid_unsupported"
    with pytest.raises(Misconfigured, match="openid_unsupported"):
        mailloop.client.refresh(first.key)
    assert len(provider.requests) == seen
    monkeypatch.undo()
    assert mailloop.client.refresh(first.key).generation == 2


PLAIN_LOGIN = """
import sys, httpx
from latchstring.client import MemoryStore, OAuthClient
from latchstring.client.testing import FakeProvider
provider = FakeProvider()
client = OAuthClient(provider.issuer, client_id=provider.client_id, client_secret=provider.client_secret,
                     redirect_uri="https://app.example/callback", scope="all.full_access offline_access",
                     store=MemoryStore(), http=httpx.Client(transport=provider.transport()))
key = client.complete(provider.authorize(client.begin(browser_session="ann")), browser_session="ann").key
client.refresh(key)
print(sorted({"joserfc", "cryptography"} & {name.partition(".")[0] for name in sys.modules}))
"""


def test_login_without_openid_loads_no_cryptography():
    run = subprocess.run([sys.executable, "-I", "-c", PLAIN_LOGIN], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


# -- whose tokens they are


def by_id_token(mailloop: Mailloop, **paths: str) -> OAuthClient:
    known = Provider.discover(mailloop.provider.issuer, http=mailloop.http).told_by_id_token(**paths)
    mailloop.client._context.providers._provider = known
    return mailloop.client


def test_user_and_organization_are_those_of_the_id_token_where_the_provider_says_so(mailloop, provider):
    provider.claims |= {"tenant": {"id": "acorn-1"}}
    assert by_id_token(mailloop, organization="tenant.id") is mailloop.client
    connection = mailloop.connect()
    assert (connection.organization_id, connection.user_id) == ("acorn-1", "user_ann")
    provider.organization_override = "orga_birch"  # what the token answer says is nothing here
    assert mailloop.client.refresh(connection.key).generation == 2
    by_id_token(mailloop, user="email")
    connection = mailloop.connect()
    assert (connection.organization_id, connection.user_id) == ("", "ann@acorn.example")


def test_id_token_without_the_claim_or_no_id_token_is_misconfigured(mailloop, provider, store, clock):
    by_id_token(mailloop, organization="tenant.id")
    with pytest.raises(Misconfigured, match="identity_missing"):
        mailloop.connect()
    plain = Mailloop(provider, store, clock, scope="calendar")
    by_id_token(plain)
    with pytest.raises(Misconfigured, match="scope openid"):
        plain.connect()
    assert mailloop.client.connections() == []


def test_provider_with_claims_and_no_keys_or_by_a_secret_is_refused():
    close = Provider.named("close")
    for changes in ({"user_claim": "sub"}, {"organization_claim": "tid"}, {"jwks_uri": "http://op.example/keys"}):
        with pytest.raises(Misconfigured, match="argument_refused"):
            msgspec.structs.replace(close, **changes)
    for algorithm in ("none", "HS256", "RS512", ""):
        with pytest.raises(Misconfigured, match="id_token_signed_response_alg"):
            msgspec.structs.replace(close, id_token_signed_response_alg=algorithm)


@pytest.mark.parametrize(
    "offered, chosen",
    [
        ([], "RS256"),
        (["RS256", "ES256"], "RS256"),
        (["ES256", "RS256"], "RS256"),
        (["none", "HS256", "ES256", "EdDSA"], "ES256"),
        (["none", "HS256"], "RS256"),
    ],
)
def test_l15_algorithm_is_rs256_unless_the_provider_has_no_such_key(provider, offered, chosen):
    document = provider.metadata() | {"id_token_signing_alg_values_supported": offered}
    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=document)))
    found = Provider.discover(provider.issuer, http=http)
    assert found.id_token_signed_response_alg == chosen
    assert found.jwks_uri == f"{provider.issuer}{KEYS}"


def test_l1_openid_provider_is_found_where_openid_clients_look(monkeypatch):
    """OpenID Connect Discovery §4; only where the place of RFC 8414 has nothing, and for itself alone."""
    provider = FakeProvider(issuer="https://op.example/tenant")
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        if request.url.path == "/tenant/.well-known/openid-configuration":
            return httpx.Response(200, json=provider.metadata())
        return httpx.Response(404)

    http = httpx.Client(transport=httpx.MockTransport(handler))
    assert Provider.discover(provider.issuer, http=http).userinfo_endpoint == f"{provider.issuer}/oauth2/userinfo/"
    assert seen == ["/.well-known/oauth-authorization-server/tenant", "/tenant/.well-known/openid-configuration"]
    monkeypatch.setattr(provider, "metadata", FakeProvider(issuer="https://evil.example").metadata)
    with pytest.raises(Misconfigured, match="issuer_mismatch"):
        Provider.discover(provider.issuer, http=http)


# -- what is shown, and kept


def test_nothing_of_a_person_or_an_id_token_is_shown(mailloop, provider, caplog):
    caplog.set_level(logging.DEBUG)
    connection = mailloop.connect()
    mailloop.client.refresh(connection.key)
    provider.id_token_faults = [OpenIDFault.WRONG_ISSUER]
    with pytest.raises(Misconfigured) as caught:
        mailloop.connect()
    shown = [
        repr(connection),
        repr(connection.identity),
        pprint.pformat(connection),
        str(caught.value),
        repr(caught.value),
        repr(caught.value.__cause__),
        caplog.text,
    ]
    wire = "\n".join(map(repr, mailloop.exchanges))
    assert not [word for word in ("ann@acorn.example", "Ann Ash") if word in "\n".join(shown)]
    assert "eyJ" not in "\n".join(shown)
    assert "'id_token': 'eyJh…'" in wire
    assert wire.count("eyJ") == wire.count("eyJh…")


def test_rich_shows_nothing_of_a_person(mailloop):
    assert pretty_repr(mailloop.connect().identity) == "Identity(sub='user_ann')"


def test_every_store_keeps_who_it_was_and_the_nonce(any_store, provider, clock):
    provider.claims = {**ANN, "groups": ["a", {"b": 1}], "big": 2**70, "half": 0.5}
    mailloop = Mailloop(provider, any_store, clock, scope=SCOPE)
    connection = mailloop.connect()
    assert mailloop.client.connection(connection.key).identity == connection.identity
    assert connection.identity is not None
    assert connection.identity.claims["big"] == 2**70


def test_fault_kit_signs_as_it_says(mailloop, provider, monkeypatch):
    """What the how-to promises: the algorithm of the token that each fault makes."""
    tokens = []
    render = provider._render_id_token

    def keep(*arguments):
        tokens.append(render(*arguments))
        return tokens[-1]

    monkeypatch.setattr(provider, "_render_id_token", keep)
    mailloop.connect()
    for fault in (OpenIDFault.NO_SIGNATURE, OpenIDFault.SYMMETRIC, OpenIDFault.OTHER_ALGORITHM):
        provider.id_token_faults = [fault]
        with pytest.raises(Misconfigured, match="alg"):
            mailloop.connect()
    assert [parse_jwt(token).header["alg"] for token in tokens] == ["RS256", "none", "HS256", "ES256"]
