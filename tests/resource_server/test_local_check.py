"""The guard that checks signed access tokens by itself (RFC 9068 §4): S2, S7, S8, S9, S10, S12, S18."""

import asyncio
import builtins
import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

import httpx
import pytest

from latchstring.protocol.errors import ConfigurationError
from latchstring.protocol.jose.claims import MAX_SKEW
from latchstring.resource_server import local_check
from latchstring.resource_server.key_cache import DEFAULT_MAX_AGE, FETCH_INTERVAL, LONGEST_MAX_AGE, STALE_IF_ERROR
from latchstring.resource_server.signed_token import verify_signed
from latchstring.resource_server.verdicts import name_token
from tests.resource_server.fakes import ISSUER, NOW, RESOURCE, Api, browse, make_guard
from tests.resource_server.signed import CLAIMS, JWKS_URI, KEYS, KeyServer, encode, sign
from tests.support.proofs import Prover


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> KeyServer:
    return KeyServer()


class Gate:
    """The API behind its guard; how each token fares."""

    def __init__(self, server: KeyServer, clock: Clock, **settings: Any) -> None:
        self.api = Api()
        self.guard = make_guard(server, **{"jwks_uri": JWKS_URI, "clock": clock} | settings)
        self.http = browse(self.guard.asgi(self.api))

    async def get(self, token: str) -> httpx.Response:
        return await self.http.get("/", headers={"authorization": f"Bearer {token}"})

    async def status(self, token: str) -> int:
        response = await self.get(token)
        if response.status_code != 200:
            error = {401: "invalid_token", 503: "temporarily_unavailable"}[response.status_code]
            assert response.json()["error"] == error
            assert ("retry-after" in response.headers) is (response.status_code == 503)
        return response.status_code


@pytest.fixture
def gate(server: KeyServer, clock: Clock) -> Gate:
    return Gate(server, clock)


# -- good tokens


@pytest.mark.parametrize("name", ["one", "two", "three"])
async def test_signed_token_reaches_the_api_without_a_question(server, gate, name):
    server.published = ["one", "two", "three"]
    assert await gate.status(sign(name)) == 200
    [access] = gate.api.seen
    assert (access.user_id, access.organization_id, access.client_id) == ("user_1", "orga_1", "oa2client_1")
    assert (access.scope, access.token_id) == (("contacts.read", "offline_access"), "0a1b")
    assert server.asked == []


async def test_signed_token_of_a_client_has_no_user(gate):
    assert await gate.status(sign(sub="oa2client_1", grant_id=None)) == 200
    assert gate.api.seen[0].user_id is None


@pytest.mark.parametrize(
    "claims", [{"aud": [RESOURCE]}, {"aud": ["https://x.test", RESOURCE]}, {"iat": NOW + 5}, {"scope": None}]
)
async def test_signed_token_with_other_good_claims_reaches_the_api(gate, claims):
    assert await gate.status(sign(**claims)) == 200


async def test_opaque_token_is_asked_about_as_ever(server, gate):
    assert await gate.status("good") == 200
    assert await gate.status("bad") == 401
    assert (server.asked, server.fetched) == (["good", "bad"], 0)


async def test_signed_token_without_jwks_uri_is_asked_about(server, clock):
    gate = Gate(server, clock, jwks_uri=None)
    token = sign()
    assert await gate.status(token) == 401
    assert (server.asked, server.fetched) == ([token], 0)


# -- bad ones


@pytest.mark.parametrize("typ", ["JWT", "at+jwtx", "dpop+jwt", "logout+jwt", "token-introspection+jwt", 7, None])
async def test_s7_jwt_of_another_type_is_invalid(gate, typ):
    assert await gate.status(sign(header={"typ": typ})) == 401


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT"])
async def test_s7_type_is_a_media_type(gate, typ):
    assert await gate.status(sign(header={"typ": typ})) == 200


PUBLIC_PEM = KEYS["one"][1].as_pem(private=False)


@pytest.mark.parametrize(
    "token",
    [
        f"{encode({'alg': 'none', 'typ': 'at+jwt', 'kid': 'one'})}.{encode(CLAIMS)}.",
        f"{encode({'alg': 'none', 'typ': 'at+jwt', 'kid': 'one'})}.{encode(CLAIMS)}.AAAA",
        f"{encode({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'one'})}.{encode(CLAIMS)}.AAAA",
        sign(header={"crit": ["exp"], "exp": 1}),
        sign("other", header={"kid": "one"}),
        sign("two", header={"kid": "one"}),
        sign(header={"kid": None}),
        sign(header={"kid": 7}),
        sign()[:-1],
        sign() + "A",
        "a.b.c",
        "..",
    ],
)
async def test_s8_signature_that_does_not_count_is_invalid(gate, token):
    assert await gate.status(token) == 401
    assert gate.api.seen == []


async def test_s8_hmac_with_the_public_key_is_invalid(gate):
    """CVE-2024-37568 and its kind."""
    for secret in (PUBLIC_PEM, json.dumps(KEYS["one"][1].as_dict(private=False)).encode()):
        text = f"{encode({'alg': 'HS256', 'kid': 'one', 'typ': 'at+jwt'})}.{encode(CLAIMS)}"
        mac = hmac.digest(secret, text.encode(), "sha256")
        assert await gate.status(f"{text}.{urlsafe_b64encode(mac).decode().rstrip('=')}") == 401


@pytest.mark.parametrize("header", ["jwk", "jku", "x5u", "x5c"])
async def test_s8_header_that_brings_its_own_key_is_invalid(server, gate, header):
    """CVE-2026-27962; and nothing is fetched from where it says."""
    value = KEYS["other"][1].as_dict(private=False) if header == "jwk" else "https://evil.test/keys"
    assert await gate.status(sign("other", header={"kid": "one", header: value})) == 401
    if header != "jwk":  # signed by the server's own key, one that lies beside it does no harm
        assert await gate.status(sign(header={header: value})) == 401
    assert server.fetched == 1


@pytest.mark.parametrize(
    "aud", [None, "https://other.test", RESOURCE + "/", RESOURCE[:-1], RESOURCE.upper(), ["https://other.test"], [], ""]
)
async def test_s9_token_for_another_api_is_invalid(gate, aud):
    assert await gate.status(sign(aud=aud)) == 401


@pytest.mark.parametrize("name", ["iss", "exp", "aud", "sub", "client_id", "iat", "jti", "organization_id"])
async def test_s10_claim_that_is_missing_or_of_the_wrong_type_is_invalid(gate, name):
    wrong: list[Any] = [None, 9.5, {}, [], True, "" if isinstance(CLAIMS[name], str) else str(CLAIMS[name])]
    for value in wrong:
        claims: dict[str, Any] = {name: value}
        assert await gate.status(sign(**claims)) == 401, value


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW},
        {"exp": NOW - 1},
        {"nbf": NOW + 60},
        {"iat": NOW + 60},
        {"iss": "https://evil.test"},
        {"iss": ISSUER + "/"},
    ],
)
async def test_s2_token_of_another_time_or_issuer_is_invalid(gate, claims):
    assert await gate.status(sign(**claims)) == 401


@pytest.mark.parametrize("cnf", [{"jkt": "x"}, {"x5t#S256": "x"}, {"kid": "unknown way"}])
async def test_s12_bound_token_as_bearer_is_invalid(gate, cnf):
    """CVE-2024-49755."""
    assert await gate.status(sign(cnf=cnf)) == 401


async def test_s12_bound_token_with_its_proof_is_taken(gate):
    prover = Prover()
    token = sign(cnf={"jkt": prover.jkt})
    for key, status in ((prover, 200), (Prover(), 401)):
        proof = key.prove("GET", "https://api.test/", now=NOW, access_token=token)
        response = await gate.http.get("/", headers={"authorization": f"DPoP {token}", "dpop": proof})
        assert response.status_code == status


async def test_token_with_too_little_scope_is_403(server, clock):
    gate = Gate(server, clock)
    http = browse(gate.guard.asgi(gate.api, scope=["contacts.write"]))
    response = await http.get("/", headers={"authorization": f"Bearer {sign()}"})
    assert (response.status_code, response.json()["error"]) == (403, "insufficient_scope")


# -- keys


async def test_keys_are_fetched_once_for_many_at_once(server, gate):
    statuses = await asyncio.gather(*(gate.status(sign()) for _ in range(50)))
    assert set(statuses) == {200}
    assert server.fetched == 1


async def test_keys_are_kept_as_long_as_their_server_says(server, gate, clock):
    server.headers = {"cache-control": "public, max-age=120"}
    for now, fetched in ((0, 1), (119, 1), (120, 2), (239, 2), (240, 3)):
        clock.now = NOW + now
        assert await gate.status(sign(exp=clock.now + 60)) == 200
        assert server.fetched == fetched


@pytest.mark.parametrize(
    "stated, kept", [("", DEFAULT_MAX_AGE), ("max-age=999999999", LONGEST_MAX_AGE), ("max-age=x", DEFAULT_MAX_AGE)]
)
async def test_keys_are_kept_within_bounds_whatever_their_server_says(server, gate, clock, stated, kept):
    server.headers = {"cache-control": stated}
    await gate.status(sign())
    clock.now = NOW + kept - 1
    assert (await gate.status(sign(exp=clock.now + 60)), server.fetched) == (200, 1)
    clock.now = NOW + kept
    assert (await gate.status(sign(exp=clock.now + 60)), server.fetched) == (200, 2)


async def test_s18_storm_of_unknown_keys_fetches_once_an_interval(server, gate, clock):
    """S18, drill 7: honest callers notice nothing."""
    for second in range(FETCH_INTERVAL * 3):
        clock.now = NOW + second
        junk = [sign("other", header={"kid": f"junk-{second}-{n}"}) for n in range(5)]
        statuses = await asyncio.gather(*(gate.status(token) for token in [*junk, sign(exp=clock.now + 60)]))
        assert statuses == [401] * 5 + [200]
    assert server.fetched == 3


async def test_key_published_since_is_found_at_once(server, gate, clock):
    """O9: a rotation needs no restart."""
    assert await gate.status(sign()) == 200
    server.published = ["one", "two"]
    clock.now += FETCH_INTERVAL
    assert await gate.status(sign("two")) == 200
    assert server.fetched == 2


async def test_key_withdrawn_is_dead_once_the_set_is_old(server, gate, clock):
    await gate.status(sign())
    server.published = ["two"]
    clock.now += 300
    assert await gate.status(sign(exp=clock.now + 60)) == 401


FAULTS = [
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("slow"),
    httpx.Response(500),
    httpx.Response(404),
    httpx.Response(302, headers={"location": "https://evil.test/"}),
    httpx.Response(200, text="no JSON"),
    httpx.Response(200, json={"keys": "x"}),
    httpx.Response(200, json={"keys": [KEYS["one"][1].as_dict(private=True)]}),
    httpx.Response(200, content=b" " * 70_000),
    httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"x")),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: repr(fault)[:40])
async def test_s18_without_keys_every_token_is_503_and_the_server_is_not_stormed(server, gate, clock, fault):
    """S18: nobody can say, so nobody is told that a good token is bad."""
    server.fault = fault
    statuses = await asyncio.gather(*(gate.status(sign()) for _ in range(20)))
    assert set(statuses) == {503}
    assert server.fetched == 1
    assert await gate.status("a.b.c") == 401, "that it is no JWT needs no key"
    server.fault = None
    clock.now += FETCH_INTERVAL
    assert await gate.status(sign()) == 200


async def test_keys_that_cannot_be_renewed_are_used_for_a_bounded_time(server, gate, clock):
    """S18, drill 11: stale-if-error has an end."""
    await gate.status(sign())
    server.fault = httpx.ConnectError("down")
    for age, status in ((300, 200), (300 + STALE_IF_ERROR - 1, 200), (300 + STALE_IF_ERROR, 503), (10**6, 503)):
        clock.now = NOW + age
        assert await gate.status(sign(exp=clock.now + 60)) == status, age
        assert await gate.status(sign("two", exp=clock.now + 60)) == 503, "it may be a newer key"
    server.fault = None
    clock.now += FETCH_INTERVAL
    assert await gate.status(sign(exp=clock.now + 60)) == 200


async def test_caller_that_hangs_up_leaves_the_fetch_to_the_others(server, gate):
    first = asyncio.create_task(gate.guard.check([f"Bearer {sign()}".encode()]))
    second = asyncio.create_task(gate.guard.check([f"Bearer {sign()}".encode()]))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).user_id == "user_1"
    assert server.fetched == 1


# -- configuration


@pytest.mark.parametrize("uri", ["", "http://login.test/jwks", "file:///etc/keys", "login.test/jwks"])
def test_jwks_uri_that_cannot_be_used_is_refused(server, clock, uri):
    """CVE-2026-48522."""
    with pytest.raises(ConfigurationError, match="jwks_uri"):
        make_guard(server, jwks_uri=uri)


def test_jwks_uri_without_its_extra_says_what_to_install(server, monkeypatch):
    import sys

    find = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("joserfc"):
            raise ModuleNotFoundError("No module named 'joserfc'", name="joserfc")
        return find(name, *arguments, **options)

    for name in [
        name for name in sys.modules if name.startswith(("latchstring.resource_server.", "latchstring.proto"))
    ]:
        if name.rpartition(".")[2] in {"local_check", "key_cache", "signed_token", "keys", "jws", "claims"}:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"joserfc.*latchstring\[jwt\]"):
        make_guard(server, jwks_uri=JWKS_URI)
    make_guard(server)


# -- signatures that were verified before


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The id of the key of each signature that was verified."""
    seen: list[str] = []

    def counting(jwt: Any, key: Any, **given: Any) -> Any:
        seen.append(key.key_id)
        return verify_signed(jwt, key, **given)

    monkeypatch.setattr(local_check, "verify_signed", counting)
    return seen


async def test_signature_is_verified_once_and_everything_else_each_time(server, gate, clock, verifications):
    token = sign(exp=NOW + 60)
    assert [await gate.status(token) for _ in range(3)] == [200, 200, 200]
    assert verifications == ["one"]
    clock.now = NOW + 59
    assert await gate.status(token) == 200
    clock.now = NOW + 60
    assert await gate.status(token) == 401, "expired"
    clock.now = NOW - 60 - MAX_SKEW - 1
    assert await gate.status(token) == 401, "of the future, if the clock stepped back"
    assert verifications == ["one"]


async def test_s8_token_that_differs_from_a_verified_one_is_verified(gate, verifications):
    token = sign()
    assert await gate.status(token) == 200
    text, _, signature = token.rpartition(".")
    other = sign(scope="contacts.write").rpartition(".")[0]
    for forged in (f"{text}.{signature[:-4]}AAAA", f"{other}.{signature}", f"{text}."):
        assert await gate.status(forged) == 401
    assert len(verifications) == 4


async def test_verified_token_of_a_key_that_was_replaced_or_withdrawn_is_dead(server, gate, clock):
    """CVE-2026-48523 and its kind: the key must be the server's of now, by more than its name."""
    token = sign(exp=NOW + 9999)
    assert await gate.status(token) == 200
    clock.now += DEFAULT_MAX_AGE
    server.fault = httpx.Response(
        200, json={"keys": [{**KEYS["other"][1].as_dict(private=False), "kid": "one", "alg": "ES256", "use": "sig"}]}
    )
    assert await gate.status(token) == 401
    clock.now += DEFAULT_MAX_AGE
    server.fault = None
    assert await gate.status(token) == 200, "the first key is back"
    server.published = ["two"]
    clock.now += DEFAULT_MAX_AGE
    assert await gate.status(token) == 401


async def test_s18_verified_token_without_keys_is_a_503(server, gate, clock):
    token = sign(exp=NOW + 99999)
    assert await gate.status(token) == 200
    server.fault = httpx.ConnectError("refused")
    clock.now += DEFAULT_MAX_AGE + STALE_IF_ERROR
    assert await gate.status(token) == 503


async def test_s12_verified_token_that_is_bound_still_needs_its_proof(gate):
    prover = Prover()
    token = sign(cnf={"jkt": prover.jkt})
    proof = prover.prove("GET", "https://api.test/", now=NOW, access_token=token)
    headers = {"authorization": f"DPoP {token}", "dpop": proof}
    assert (await gate.http.get("/", headers=headers)).status_code == 200
    assert await gate.status(token) == 401
    assert (await gate.http.get("/", headers=headers)).status_code == 401, "used before"


async def test_memory_of_signatures_is_bounded_and_strangers_do_not_fill_it(gate, monkeypatch):
    remembered = gate.guard._local_check._verified
    remembered._max_verified = 3
    for number in range(5):
        assert await gate.status(sign("other", header={"kid": "one"}, jti=f"forged {number}")) == 401
    assert len(remembered._verified) == 0
    tokens = [sign(jti=f"good {number}") for number in range(5)]
    assert [await gate.status(token) for token in tokens] == [200] * 5
    assert list(remembered._verified) == [name_token(token) for token in tokens[2:]]
    assert not [name for name in remembered._verified if any(token.encode() in name for token in tokens)]
