"""Possession of a key is proved once, at the endpoint that the proof names, and for that client (S11, S12, S14)."""

import pytest

from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.proofs import Proofs
from latchstring.authorization_server.records import ClientSecurity
from latchstring.protocol.client_certificate import ClientCertificate
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.dpop import MAX_PROOF_AGE, REMEMBERED_FOR
from latchstring.protocol.dpop_nonce import PERIOD
from latchstring.protocol.errors import OAuthError
from tests.authorization_server.builders import build_client
from tests.authorization_server.conftest import House
from tests.support.proofs import Prover, make_rsa

ENDPOINT = "/oauth2/token"
KEY = Prover()
CLIENT = build_client(security=ClientSecurity())
FAPI = build_client(security=ClientSecurity(profile="fapi2"))
CERTIFICATE = ClientCertificate("x5t", "CN=app", b"DER")


def make_proofs(house: House) -> Proofs:
    return Proofs(store=house.store, codec=house.codec, settings=house.settings, clock=house.clock)


def prove(house: House, prover: Prover = KEY, *, endpoint: str = ENDPOINT, method: str = "POST", **given) -> bytes:
    url = f"{house.settings.issuer}{endpoint}"
    return prover.prove(method, url, **{"now": house.now, **given}).encode()


async def refuse(house: House, header: bytes, client=CLIENT, code: str = "invalid_dpop_proof", endpoint=ENDPOINT):
    for ask in (make_proofs(house).confirm([header], None, client, endpoint),
                make_proofs(house).find_key([header], client, endpoint)):  # fmt: skip
        with pytest.raises(OAuthError) as caught:
            await ask
        assert caught.value.code == code


async def test_proof_of_nothing_confirms_nothing(house: House):
    assert await make_proofs(house).confirm([], None, CLIENT, ENDPOINT) is None
    assert await make_proofs(house).find_key([], CLIENT, ENDPOINT) is None


@pytest.mark.parametrize("endpoint", [ENDPOINT, f"{ENDPOINT}/"])
async def test_s12_proof_binds_to_its_key_by_either_spelling_of_the_endpoint(house: House, endpoint):
    confirmed = await make_proofs(house).confirm([prove(house, endpoint=endpoint)], None, CLIENT, ENDPOINT)
    assert confirmed == Confirmation(KEY.jkt)
    assert await make_proofs(house).find_key([prove(house, endpoint=endpoint)], CLIENT, ENDPOINT) == KEY.jkt


async def test_certificate_without_a_proof_confirms_by_itself(house: House):
    assert await make_proofs(house).confirm([], CERTIFICATE, FAPI, ENDPOINT) == Confirmation(None, "x5t")


async def test_s11_proof_counts_once_however_it_is_asked_for(house: House):
    first, second = prove(house), prove(house)
    await make_proofs(house).confirm([first], None, CLIENT, ENDPOINT)
    await refuse(house, first)
    await make_proofs(house).find_key([second], CLIENT, ENDPOINT)
    await refuse(house, second)


async def test_s11_proof_is_remembered_until_it_is_too_old(house: House):
    used = prove(house, now=house.now + 10)
    await make_proofs(house).confirm([used], None, CLIENT, ENDPOINT)
    house.now += 10 + MAX_PROOF_AGE
    await refuse(house, used)


async def test_s15_proof_is_kept_for_as_long_as_it_can_count(house: House, monkeypatch):
    kept = []

    async def use_once(digest: bytes, *, expires_at: int, now: int) -> Commit:
        kept.append((len(digest), expires_at, now))
        return Commit.APPLIED

    monkeypatch.setattr(house.store, "use_once", use_once)
    await make_proofs(house).find_key([prove(house)], CLIENT, ENDPOINT)
    assert kept == [(32, house.now + REMEMBERED_FOR, house.now)]


async def test_s11_proof_is_not_used_up_where_something_else_is_missing(house: House):
    mtls = build_client(security=ClientSecurity(tls_client_certificate_bound_access_tokens=True))
    proof = prove(house)
    with pytest.raises(OAuthError, match="invalid_request"):
        await make_proofs(house).confirm([proof], None, mtls, ENDPOINT)
    assert await make_proofs(house).confirm([proof], CERTIFICATE, mtls, ENDPOINT) == Confirmation(KEY.jkt, "x5t")


async def test_s13_proof_for_another_request_is_refused(house: House):
    await refuse(house, prove(house, endpoint="/oauth2/par"))
    await refuse(house, prove(house, method="GET"))
    await refuse(house, KEY.prove("POST", f"https://other.example{ENDPOINT}", now=house.now).encode())
    await refuse(house, prove(house, now=house.now - MAX_PROOF_AGE - 1))


async def test_f6_proof_by_rs256_counts_for_a_plain_client_alone(house: House):
    rs256 = make_rsa("RS256")
    await refuse(house, prove(house, rs256), FAPI)
    assert await make_proofs(house).find_key([prove(house, rs256)], CLIENT, ENDPOINT) == rs256.jkt


async def test_s14_proof_without_the_nonce_that_is_demanded_is_told_so(house: House):
    house.configure(dpop_nonce_required=True)
    await refuse(house, prove(house), code="use_dpop_nonce")
    nonce = make_proofs(house).render_nonce()
    assert await make_proofs(house).find_key([prove(house, nonce=nonce)], CLIENT, ENDPOINT) == KEY.jkt
    house.now += 2 * PERIOD
    await refuse(house, prove(house, nonce=nonce), code="use_dpop_nonce")


async def test_s14_nonce_that_is_not_demanded_must_still_be_ours(house: House):
    await refuse(house, prove(house, nonce="A" * 28), code="use_dpop_nonce")
    nonce = make_proofs(house).render_nonce()
    assert await make_proofs(house).find_key([prove(house, nonce=nonce)], CLIENT, ENDPOINT) == KEY.jkt
