"""L15: what an ID token must be before anybody is believed to be somebody (OpenID Connect Core §3.1.3.7, §12.2)."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from msgspec.structs import replace

from latchstring.protocol.id_token import (
    MAX_AGE,
    MAX_DEPTH,
    MAX_SKEW,
    Expected,
    NonceMismatch,
    SignInTooOld,
    SubjectChanged,
    find_audiences,
    verify_hash,
    verify_id_token,
    verify_same_person,
)
from latchstring.protocol.jose.jws import JwtRefused, parse_jwt
from latchstring.protocol.jose.keys import PublicKey, parse_jwk

RSA, OTHER, EC, OKP = (
    RSAKey.generate_key(2048), RSAKey.generate_key(2048), ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519"),
)  # fmt: skip
NOW = 1_750_000_000
ISSUER, CLIENT, NONCE, TOKEN, CODE = "https://op.example", "client-1", "n-0S6_WzA2Mj", "ls_at_Access", "ls_ac_Code"
EXPECTED = Expected(issuer=ISSUER, client_id=CLIENT, access_token=TOKEN, code=CODE, nonce=NONCE)
GOOD = {"iss": ISSUER, "sub": "ann", "aud": CLIENT, "exp": NOW + 120, "iat": NOW - 1, "nonce": NONCE}


def public(key: Any, key_id: str = "1") -> PublicKey:
    return parse_jwk({**key.as_dict(private=False), "kid": key_id})


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def sign(header: dict[str, Any], claims: dict[str, Any], key: Any) -> str:
    """By hand: the library would not sign what it knows to be wrong. `key` in bytes is a shared secret."""
    text = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(claims).encode())}"
    if isinstance(key, bytes):
        return f"{text}.{encode(hmac.digest(key, text.encode(), 'sha256'))}"
    return f"{text}.{encode(JWSRegistry.algorithms[header['alg']].sign(text.encode(), key))}"


def half(credential: str, make: Any = hashlib.sha256) -> str:
    digest = make(credential.encode()).digest()
    return encode(digest[: len(digest) // 2])


def judge(
    changes: dict[str, Any] | None = None,
    *,
    header: dict[str, Any] | None = None,
    key: Any = RSA,
    keys: list[PublicKey] | None = None,
    algorithm: str = "RS256",
    expected: Expected = EXPECTED,
    now: float = NOW,
) -> Any:
    """The verdict over the good token with changes; None leaves a claim out."""
    claims = {name: value for name, value in {**GOOD, **(changes or {})}.items() if value is not None}
    text = sign({"alg": algorithm, "kid": "1", **(header or {})}, claims, key)
    known = [public(key)] if keys is None else keys
    return verify_id_token(parse_jwt(text), known, algorithm=algorithm, expected=expected, now=now)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": [CLIENT]},
        {"azp": CLIENT},
        {"aud": [CLIENT, "another"], "azp": CLIENT},
        {"at_hash": half(TOKEN), "c_hash": half(CODE)},
        {"iat": NOW + MAX_SKEW, "nbf": NOW + MAX_SKEW},
        {"iat": NOW - MAX_AGE, "exp": NOW + 1},
        {"sub": "s" * 255},
        {"exp": NOW + 0.5 + 60, "auth_time": NOW - 10_000_000},
    ],
)
def test_l15_token_of_this_login_is_believed(changes: dict[str, Any]) -> None:
    assert judge(changes)["sub"] == changes.get("sub", "ann")


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"iss": None}, "iss"),
        ({"iss": f"{ISSUER}/"}, "iss"),
        ({"iss": ISSUER.upper()}, "iss"),
        ({"iss": "http://op.example"}, "iss"),
        ({"iss": [ISSUER]}, "iss"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": 7}, "sub"),
        ({"sub": "s" * 256}, "sub"),
        ({"sub": "änn"}, "sub"),
        ({"sub": "a\0"}, "sub"),
        ({"aud": None}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": ""}, "aud"),
        ({"aud": "another"}, "aud"),
        ({"aud": f"{CLIENT},another"}, "aud"),
        ({"aud": [CLIENT, 7]}, "aud"),
        ({"aud": {CLIENT: 1}}, "aud"),
        ({"aud": [CLIENT, "another"]}, "azp"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "azp"),
        ({"aud": [CLIENT, CLIENT]}, "azp"),
        ({"azp": "another"}, "azp"),
        ({"azp": [CLIENT]}, "azp"),
        ({"azp": ""}, "azp"),
        ({"exp": None}, "exp"),
        ({"exp": NOW}, "expired"),
        ({"exp": str(NOW + 60)}, "exp"),
        ({"exp": True}, "exp"),
        ({"iat": None}, "iat"),
        ({"iat": str(NOW)}, "iat"),
        ({"iat": NOW + MAX_SKEW + 1}, "future"),
        ({"iat": NOW - MAX_AGE - 1}, "long ago"),
        ({"nbf": NOW + MAX_SKEW + 1}, "future"),
        ({"at_hash": half("another")}, "at_hash"),
        ({"at_hash": half(TOKEN) + "="}, "at_hash"),
        ({"at_hash": half(TOKEN, hashlib.sha512)}, "at_hash"),
        ({"at_hash": ""}, "at_hash"),
        ({"at_hash": True}, "at_hash"),
        ({"c_hash": half("another")}, "c_hash"),
    ],
)
def test_l15_token_that_is_not_for_this_client_and_this_moment_is_refused(changes: dict[str, Any], reason: str) -> None:
    """CVE-2020-26244: a future `iat` too."""
    with pytest.raises(JwtRefused, match=reason):
        judge(changes)


@pytest.mark.parametrize("nonce", [None, "", "of another login", f"{NONCE} ", [NONCE], True])
def test_l15_nonce_of_another_login_is_refused(nonce: object) -> None:
    with pytest.raises(NonceMismatch):
        judge({"nonce": nonce})


def test_l15_nonce_that_was_not_asked_for_is_refused() -> None:
    without = Expected(issuer=ISSUER, client_id=CLIENT, access_token=TOKEN)
    assert judge({"nonce": None}, expected=without)["sub"] == "ann"
    with pytest.raises(NonceMismatch):
        judge(expected=without)


@pytest.mark.parametrize("auth_time, is_good", [(NOW - 5, True), (NOW - 90, True), (NOW - 200, False), (None, False)])
def test_l15_sign_in_before_the_one_asked_for_is_refused(auth_time: int | None, is_good: bool) -> None:
    asked = Expected(issuer=ISSUER, client_id=CLIENT, access_token=TOKEN, nonce=NONCE, signed_in_after=NOW - 100)
    if is_good:
        assert judge({"auth_time": auth_time}, expected=asked)["auth_time"] == auth_time
    else:
        with pytest.raises(SignInTooOld):
            judge({"auth_time": auth_time}, expected=asked)


# -- the signature


@pytest.mark.parametrize("algorithm, key", [("ES256", EC), ("PS256", RSA), ("EdDSA", OKP), ("Ed25519", OKP)])
def test_l15_algorithm_of_the_registration_counts_and_no_other(algorithm: str, key: Any) -> None:
    make = hashlib.sha512 if key is OKP else hashlib.sha256
    assert judge({"at_hash": half(TOKEN, make)}, algorithm=algorithm, key=key)["sub"] == "ann"
    for expected in {"RS256", "ES256", "PS256", "EdDSA"} - {algorithm, "EdDSA" if key is OKP else ""}:
        text = sign({"alg": algorithm, "kid": "1"}, GOOD, key)
        with pytest.raises(JwtRefused, match="alg"):
            verify_id_token(parse_jwt(text), [public(key)], algorithm=expected, expected=EXPECTED, now=NOW)


def test_l15_unsigned_token_is_refused() -> None:
    """CVE-2020-26244, CVE-2026-28802."""
    for algorithm in ("none", "None", "NONE", ""):
        text = f"{encode(json.dumps({'alg': algorithm}).encode())}.{encode(json.dumps(GOOD).encode())}."
        with pytest.raises(JwtRefused, match="alg"):
            verify_id_token(parse_jwt(text), [public(RSA)], algorithm="RS256", expected=EXPECTED, now=NOW)


def test_l15_token_under_a_shared_secret_is_refused_whatever_the_secret() -> None:
    """The public key and the client's secret as an HMAC key (RFC 8725 §2.1; django-oauth-toolkit #1737)."""
    for secret in (RSA.as_pem(private=False), b"the client secret, 32 bytes long."):
        text = sign({"alg": "HS256", "kid": "1"}, GOOD, secret)
        with pytest.raises(JwtRefused, match="alg"):
            verify_id_token(parse_jwt(text), [public(RSA)], algorithm="RS256", expected=EXPECTED, now=NOW)


@pytest.mark.parametrize(
    "header, keys",
    [
        ({}, [public(OTHER)]),
        ({}, []),
        ({"kid": "2"}, [public(RSA)]),
        ({"kid": 7}, [public(RSA)]),
        ({"jwk": RSA.as_dict(private=False)}, []),
        ({"jku": "https://evil.example/keys"}, [public(RSA)]),
        ({"crit": ["exp"]}, [public(RSA)]),
        ({"typ": "at+jwt"}, [public(RSA)]),
        ({"typ": "logout+jwt"}, [public(RSA)]),
        ({"typ": "dpop+jwt"}, [public(RSA)]),
    ],
)
def test_l15_token_of_another_key_or_kind_is_refused(header: dict[str, Any], keys: list[PublicKey]) -> None:
    """CVE-2026-27962, CVE-2025-59420."""
    with pytest.raises(JwtRefused):
        judge(header=header, keys=keys)


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"typ": "jwt"}, {"typ": "application/jwt"}])
def test_l15_usual_header_is_accepted(header: dict[str, Any]) -> None:
    assert judge(header=header)["sub"] == "ann"


def test_l15_claims_that_are_nested_too_deeply_are_refused() -> None:
    def nest(depth: int, kind: type) -> Any:
        value: Any = "bottom"
        for _ in range(depth):
            value = {"a": value} if kind is dict else [value]
        return value

    for kind in (dict, list):
        assert judge({"deep": nest(MAX_DEPTH - 1, kind)})["sub"] == "ann"
        with pytest.raises(JwtRefused, match="deep"):
            judge({"deep": nest(MAX_DEPTH, kind)})


# -- hashes


def test_l15_hash_that_cannot_be_made_again_is_refused() -> None:
    """CVE-2026-28498: an unknown algorithm fails closed, and so does a hash of what never came."""
    with pytest.raises(JwtRefused, match="at_hash cannot be checked"):
        verify_hash({"at_hash": half(TOKEN)}, "at_hash", TOKEN, "ES256K")
    with pytest.raises(JwtRefused, match="c_hash cannot be checked"):
        verify_hash({"c_hash": half(CODE)}, "c_hash", None, "RS256")
    verify_hash({}, "at_hash", TOKEN, "ES256K")


@pytest.mark.parametrize(
    "name, credential, half_of_hash",
    [
        ("at_hash", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"),
        ("c_hash", "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk", "LDktKdoQak3Pk0cnXxCltA"),
    ],
)
def test_l15_hashes_of_the_specification_s_examples_are_right(name: str, credential: str, half_of_hash: str) -> None:
    """OpenID Connect Core, appendices A.3, A.4 and A.6."""
    verify_hash({name: half_of_hash}, name, credential, "RS256")
    with pytest.raises(JwtRefused, match=name):
        verify_hash({name: half_of_hash}, name, credential[:-1], "RS256")


# -- a refresh


@pytest.mark.parametrize(
    "changes", [{}, {"nonce": None}, {"aud": [CLIENT]}, {"iat": NOW + 1}, {"auth_time": 1}, {"email": "new"}]
)
def test_l15_refresh_for_the_same_person_is_taken(changes: dict[str, Any]) -> None:
    verify_same_person({name: value for name, value in {**GOOD, **changes}.items() if value is not None}, GOOD)


@pytest.mark.parametrize(
    "changes, kind",
    [
        ({"sub": "mallory"}, SubjectChanged),
        ({"sub": None}, SubjectChanged),
        ({"iss": "https://evil.example"}, JwtRefused),
        ({"aud": "another"}, JwtRefused),
        ({"aud": [CLIENT, "another"]}, JwtRefused),
        ({"aud": []}, JwtRefused),
        ({"nonce": "of another login"}, NonceMismatch),
    ],
)
def test_l15_refresh_for_anybody_else_is_refused(changes: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        verify_same_person({**GOOD, **changes}, GOOD)


def test_nothing_of_what_is_expected_prints() -> None:
    assert TOKEN not in repr(EXPECTED)
    assert CODE not in repr(EXPECTED)


@pytest.mark.parametrize("said", [None, [], "", [""], ["a", ""], ["a", 1], 1, [["a"]], {"a": 1}])
def test_audiences_are_strings_and_one_at_least(said: object) -> None:
    with pytest.raises(JwtRefused, match="aud is missing or not of strings"):
        find_audiences({"aud": said})


def test_l15_clock_of_the_provider_may_differ_by_a_minute_in_when_the_person_signed_in() -> None:
    expected = replace(EXPECTED, signed_in_after=NOW)
    assert judge({"auth_time": NOW - MAX_SKEW}, expected=expected)["sub"] == "ann"
    with pytest.raises(SignInTooOld, match="auth_time is before the sign-in that was asked for"):
        judge({"auth_time": NOW - MAX_SKEW - 1}, expected=expected)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"sub": "ben"}, "sub is somebody else's than before"),
        ({"iss": "https://other.example"}, "iss is another issuer than before"),
        ({"aud": "other"}, "aud is another one than before"),
        ({"nonce": "other"}, "nonce is not that of the login"),
    ],
)
def test_l15_refusal_of_a_refresh_says_what_changed(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(JwtRefused, match=f"^{reason}$"):
        verify_same_person({**GOOD, **changes}, GOOD)


def test_l15_refusal_of_a_nonce_says_so() -> None:
    with pytest.raises(NonceMismatch, match="^nonce is not that of this login$"):
        judge({"nonce": "other"})
