"""What a DPoP proof must be (S11, S13, S14): the cases of the OpenID Foundation's list, and RFC 9449 §4.3."""

import base64
import hashlib
import hmac
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey

from latchstring.protocol.dpop import (
    MAX_PROOF_AGE,
    REMEMBERED_FOR,
    Expected,
    find_proof,
    normalize_url,
    verify_proof,
)
from latchstring.protocol.dpop_nonce import PERIOD, render_nonce, verify_nonce
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.jose.algorithms import ALGORITHMS, STRICT_ALGORITHMS
from tests.protocol.properties import PROPERTY
from tests.support.proofs import Prover, hash_token, make_okp, make_rsa

NOW = 1_800_000_000
URL = "https://api.example/contacts"
TOKEN = "ls_at_token"
KEY, OTHER, RSA = Prover(), Prover(), make_rsa()
EXPECTED = Expected(method="GET", urls=(URL,), algorithms=ALGORITHMS, access_token=TOKEN)
NONCE_KEYS = (b"\x01" * 32, b"\x02" * 32)
WITH_NONCE = msgspec.structs.replace(EXPECTED, nonce_keys=NONCE_KEYS, requires_nonce=True)


def prove(prover: Prover = KEY, *, method: str = "GET", url: str = URL, now: int = NOW, **given: Any) -> str:
    return prover.prove(method, url, now=now, **{"access_token": TOKEN, **given})


def refuse(text: str, expected: Expected = EXPECTED, code: str = "invalid_dpop_proof", now: int = NOW) -> None:
    with pytest.raises(OAuthError) as caught:
        verify_proof(text, expected, now)
    assert (caught.value.code, caught.value.status) == (code, 400)
    assert "None" not in caught.value.description, "it does not say why"


@pytest.mark.parametrize(
    "prover",
    [KEY, make_okp(), Prover(make_okp().key, "Ed25519"), RSA, Prover(RSA.key, "RS256")],
    ids=lambda prover: prover.algorithm,
)
def test_proof_signed_by_each_algorithm_names_its_key(prover):
    assert verify_proof(prove(prover), EXPECTED, NOW).thumbprint == prover.jkt


def encode(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


PUBLIC = KEY.key.as_dict(private=False)
CLAIMS = {"jti": "1", "htm": "GET", "htu": URL, "iat": NOW, "ath": hash_token(TOKEN)}


def forge(header: dict[str, Any], mac_key: bytes | None = None) -> str:
    """A proof that no private key has signed."""
    signing_input = f"{encode(header)}.{encode(CLAIMS)}"
    signature = b"" if mac_key is None else hmac.digest(mac_key, signing_input.encode(), "sha256")
    return f"{signing_input}.{encode(signature)}"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("not a JWT", id="no-jwt"),
        pytest.param(prove() + ", " + prove(), id="two-joined-by-a-comma"),
        pytest.param(prove(header={"typ": None}), id="typ-missing"),
        pytest.param(prove(header={"typ": "JWT"}), id="typ-other"),
        pytest.param(prove(header={"typ": "at+jwt"}), id="typ-of-an-access-token"),
        pytest.param(forge({"typ": "dpop+jwt", "jwk": PUBLIC}), id="alg-missing"),
        pytest.param(forge({"typ": "dpop+jwt", "alg": "none", "jwk": PUBLIC}), id="alg-none"),
        pytest.param(
            forge(
                {"typ": "dpop+jwt", "alg": "HS256", "jwk": OctKey.import_key(b"k" * 32).as_dict(private=True)},
                b"k" * 32,
            ),
            id="alg-symmetric",
        ),
        pytest.param(
            forge({"typ": "dpop+jwt", "alg": "HS256", "jwk": PUBLIC}, KEY.key.as_pem(private=False)),
            id="alg-symmetric-with-the-public-key",
        ),
        pytest.param(prove(header={"jwk": None}), id="jwk-missing"),
        pytest.param(prove(header={"jwk": "key"}), id="jwk-no-object"),
        pytest.param(prove(header={"jwk": KEY.key.as_dict(private=True)}), id="jwk-private"),
        pytest.param(prove(header={"jwk": {**PUBLIC, "x": "AAAA"}}), id="jwk-malformed"),
        pytest.param(prove(header={"jwk": {**PUBLIC, "use": "enc"}}), id="jwk-not-for-signatures"),
        pytest.param(prove(header={"jwk": {**PUBLIC, "alg": "EdDSA"}}), id="jwk-for-another-alg"),
        pytest.param(prove(header={"jwk": None, "kid": KEY.jkt}), id="kid-instead-of-jwk"),
        pytest.param(prove(header={"crit": ["exp"], "exp": 1}), id="crit"),
        pytest.param(prove(signed_by=OTHER), id="signed-by-another-key"),
        pytest.param(prove()[:-4] + "AAAA", id="signature-altered"),
        pytest.param(prove(jti=None), id="jti-missing"),
        pytest.param(prove(jti=""), id="jti-empty"),
        pytest.param(prove(jti=7), id="jti-no-string"),
        pytest.param(prove(jti="x" * 257), id="jti-too-long"),
        pytest.param(prove(htm=None), id="htm-missing"),
        pytest.param(prove(method="POST"), id="htm-other"),
        pytest.param(prove(method="get"), id="htm-in-small-letters"),
        pytest.param(prove(htu=None), id="htu-missing"),
        pytest.param(prove(url="https://api.example/"), id="htu-other-path"),
        pytest.param(prove(url=URL + "/"), id="htu-with-a-slash-more"),
        pytest.param(prove(url="https://other.example/contacts"), id="htu-other-host"),
        pytest.param(prove(url="http://api.example/contacts"), id="htu-other-scheme"),
        pytest.param(prove(url="https://api.example:8443/contacts"), id="htu-other-port"),
        pytest.param(prove(url="https://ann@api.example/contacts"), id="htu-with-user"),
        pytest.param(prove(url="/contacts"), id="htu-relative"),
        pytest.param(prove(url="https://api.example/./contacts"), id="htu-with-dots"),
        pytest.param(prove(htu=[URL]), id="htu-list"),
        pytest.param(prove(access_token=None), id="ath-missing"),
        pytest.param(prove(access_token="ls_at_other"), id="ath-of-another-token"),
        pytest.param(prove(ath=hash_token(TOKEN) + "="), id="ath-padded"),
        pytest.param(prove(ath=7), id="ath-no-string"),
        pytest.param(prove(ath="é"), id="ath-not-ascii"),
        pytest.param(prove(iat=None), id="iat-missing"),
        pytest.param(prove(iat=str(NOW)), id="iat-string"),
        pytest.param(prove(iat=True), id="iat-bool"),
        pytest.param(prove(iat=NOW - MAX_PROOF_AGE - 1), id="iat-past"),
        pytest.param(prove(iat=NOW + 11), id="iat-future"),
        pytest.param(prove(exp=NOW), id="exp-past"),
        pytest.param(prove(nbf=NOW + 11), id="nbf-future"),
    ],
)
def test_s11_proof_with_one_thing_wrong_is_refused(text):
    refuse(text)


def test_s11_proof_in_two_headers_is_refused():
    assert find_proof([]) is None
    assert find_proof([b" a.b.c "]) == "a.b.c"
    assert find_proof([b"\tXa.b.cX"]) == "\tXa.b.cX"
    with pytest.raises(OAuthError, match="invalid_dpop_proof"):
        find_proof([b"a.b.c", b"a.b.c"])


def test_f6_proof_by_rs256_under_the_strict_list_is_refused():
    strict = msgspec.structs.replace(EXPECTED, algorithms=STRICT_ALGORITHMS)
    assert verify_proof(prove(RSA), strict, NOW).thumbprint == RSA.jkt
    refuse(prove(Prover(RSA.key, "RS256")), strict)


def test_f6_proof_by_a_short_rsa_key_is_refused():
    refuse(prove(make_rsa(bits=1024)))


@pytest.mark.parametrize("iat", [NOW - MAX_PROOF_AGE, NOW, NOW + 10, NOW + 0.5])
def test_proof_within_the_window_counts(iat):
    verify_proof(prove(iat=iat), EXPECTED, NOW)


@pytest.mark.parametrize("nbf", [NOW - 86_400, NOW, NOW + 10])
def test_proof_after_its_nbf_counts_however_far_a_clock_within_the_skew_is(nbf):
    verify_proof(prove(nbf=nbf), EXPECTED, NOW)


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "HTTPS://API.EXAMPLE/contacts",
        "https://api.example:443/contacts",
        "https://api.example:/contacts",
        URL + "?page=2",
        URL + "#there",
        "https://api.example/%63ontacts",
    ],
)
def test_s13_htu_is_compared_as_a_url_without_query_and_fragment(url):
    verify_proof(prove(url=url), EXPECTED, NOW)


@pytest.mark.parametrize(
    "url, normal",
    [
        ("https://h", "https://h/"),
        ("http://h:80/a", "http://h/a"),
        ("https://h:80/a", "https://h:80/a"),
        ("https://[2001:DB8::1]:443/a", "https://[2001:db8::1]/a"),
        ("https://h/%7Eann%2f%c3%A9", "https://h/~ann%2F%C3%A9"),
        ("https://h/100%", "https://h/100%"),
        ("https://h/%zz", "https://h/%zz"),
        ("https://h/a/../b", "https://h/a/../b"),
    ],
)
def test_s13_normalize_url_is_by_syntax_and_scheme(url, normal):
    assert normalize_url(url) == normal
    assert normalize_url(normal) == normal


@pytest.mark.parametrize(
    "url",
    ["", "h", "ftp://h/", "https://", "https:///a", "https://h:port/", "https://a@h/", "https://h/\tb", " https://h/",
     "https://h/é", "https://[::1/", "urn:x"],
)  # fmt: skip
def test_normalize_url_of_what_is_none_is_none(url):
    assert normalize_url(url) is None


def test_digest_tells_proofs_apart_by_key_id_and_url():
    same = verify_proof(prove(jti="1"), EXPECTED, NOW).digest
    elsewhere = msgspec.structs.replace(EXPECTED, urls=("https://api.example/other",))
    digests = {
        same,
        verify_proof(prove(jti="2"), EXPECTED, NOW).digest,
        verify_proof(prove(OTHER, jti="1"), EXPECTED, NOW).digest,
        verify_proof(prove(jti="1", url="https://api.example/other"), elsewhere, NOW).digest,
    }
    assert len(digests) == 4
    assert verify_proof(prove(jti="1", iat=NOW - 3, url=URL + "?x"), EXPECTED, NOW + 1).digest == same


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@PROPERTY
@given(
    st.dictionaries(st.sampled_from(["typ", "jwk", "kid", "crit", "x5u", "b64"]), _JSON, max_size=2),
    st.dictionaries(st.sampled_from(["jti", "htm", "htu", "iat", "exp", "nbf", "ath", "nonce"]), _JSON, max_size=3),
)
def test_proof_of_any_json_well_signed_holds_or_is_refused(header, claims):
    """Whatever its key's holder puts into it: never anything that becomes a 500."""
    for expected in (EXPECTED, WITH_NONCE):
        try:
            verify_proof(prove(header=header, **claims), expected, NOW)
        except OAuthError as refused:
            assert refused.code in {"invalid_dpop_proof", "use_dpop_nonce"}


@PROPERTY
@given(
    st.text(max_size=80)
    | st.from_regex(r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}", fullmatch=True)
)
def test_proof_of_any_text_is_refused(text):
    refuse(text)


# -- nonces


def test_s14_proof_without_the_demanded_nonce_is_told_to_use_one():
    refuse(prove(), WITH_NONCE, "use_dpop_nonce")


@pytest.mark.parametrize("nonce", ["", "x", "é" * 28, "A" * 28, "!" * 28, 7, None, ["a"]])
def test_s14_nonce_that_nobody_gave_out_is_refused(nonce):
    refuse(prove(nonce=nonce), WITH_NONCE, "use_dpop_nonce")


@pytest.mark.parametrize("key", NONCE_KEYS)
def test_s14_nonce_of_any_key_counts_in_its_period_and_the_next(key):
    start = NOW - NOW % PERIOD
    nonce = render_nonce(key, start)
    for now in (start - PERIOD, start, start + 2 * PERIOD - 1):
        verify_proof(prove(nonce=nonce, iat=now), WITH_NONCE, now)
    for now in (start - PERIOD - 1, start + 2 * PERIOD):
        refuse(prove(nonce=nonce, iat=now), WITH_NONCE, "use_dpop_nonce", now)


def test_nonce_that_is_offered_and_not_demanded_must_still_be_ours():
    offered = msgspec.structs.replace(EXPECTED, nonce_keys=NONCE_KEYS)
    verify_proof(prove(), offered, NOW)
    refuse(prove(nonce="another"), offered, "use_dpop_nonce")
    verify_proof(prove(nonce="another server's"), EXPECTED, NOW)


def test_nonce_takes_the_place_of_a_wrong_clock():
    """RFC 9449 §4.3: the time of a proof is known by its nonce as well."""
    nonce = render_nonce(NONCE_KEYS[0], NOW)
    for iat in (NOW - 86_400, NOW + 86_400):
        verify_proof(prove(nonce=nonce, iat=iat), WITH_NONCE, NOW)
    refuse(prove(nonce=nonce, iat=None), WITH_NONCE)


def test_s14_nonce_of_another_key_or_of_the_key_for_something_else_is_refused():
    """Its MAC is under the key, over the time, and for nonces alone."""
    body = (NOW // PERIOD).to_bytes(5, "big")

    def make(key: bytes, content: bytes, person: bytes) -> str:
        mac = hashlib.blake2b(content, digest_size=16, key=key, person=person).digest()
        return base64.urlsafe_b64encode(body + mac).decode()

    assert make(NONCE_KEYS[0], body, b"dpop-nonce") == render_nonce(NONCE_KEYS[0], NOW)
    for key, content, person in [
        (b"\x03" * 32, body, b"dpop-nonce"),
        (b"", body, b"dpop-nonce"),
        (NONCE_KEYS[0], b"", b"dpop-nonce"),
        (NONCE_KEYS[0], body, b""),
        (NONCE_KEYS[0], body, b"page-mac"),
    ]:
        assert not verify_nonce(NONCE_KEYS, make(key, content, person), NOW)
    assert not verify_nonce((), render_nonce(NONCE_KEYS[0], NOW), NOW)


@pytest.mark.parametrize("nonce", ["A" * 5 + "!" * 23, "=" * 28, "A" * 27 + "="])
def test_nonce_that_cannot_be_read_is_refused(nonce):
    assert verify_nonce(NONCE_KEYS, nonce, NOW) is False


def test_nonce_altered_in_any_place_is_refused():
    nonce = render_nonce(NONCE_KEYS[0], NOW)
    assert verify_nonce(NONCE_KEYS, nonce, NOW)
    for place in range(len(nonce)):
        altered = nonce[:place] + ("A" if nonce[place] != "A" else "B") + nonce[place + 1 :]
        assert not verify_nonce(NONCE_KEYS, altered, NOW)


def test_s15_proof_is_remembered_for_as_long_as_it_can_count():
    assert REMEMBERED_FOR >= MAX_PROOF_AGE + 10
    assert REMEMBERED_FOR >= 3 * PERIOD
