"""Public keys as others publish them (RFC 7517): what each may check, its certificate, and its name."""

import base64
import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from latchstring.protocol.client_certificate import certificate_thumbprint
from latchstring.protocol.jose.keys import (
    MAX_KEY_ID_LENGTH,
    MAX_KEY_SET_SIZE,
    MAX_KEYS,
    PublicKey,
    generate_private_key,
    parse_jwk,
    parse_jwk_set,
    select_by_id,
)

EC = ECKey.generate_key("P-256").as_dict(private=False)
DER = b"\x30\x03\x01\x02\x03"
X5C = base64.b64encode(DER).decode()


def encode(number: int) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize("curve", ["X25519", "Ed448", "X448"])
def test_jwk_of_another_curve_of_edwards_or_montgomery_is_refused(curve: Any) -> None:
    with pytest.raises(ValueError, match="not supported"):
        parse_jwk(OKPKey.generate_key(curve).as_dict(private=False))


@pytest.mark.parametrize(
    "bits, exponent, counts",
    [
        (2047, 65537, False),
        (2048, 65537, True),
        (8192, 65537, True),
        (8193, 65537, False),
        (2048, 2**32 - 1, True),
        (2048, 2**32 + 1, False),
    ],
)
def test_jwk_of_rsa_is_capped_in_both_numbers(bits: int, exponent: int, counts: bool) -> None:
    members = {"kty": "RSA", "n": encode(2**bits - 1), "e": encode(exponent)}
    if counts:
        assert parse_jwk(members).algorithms == ("PS256", "RS256")
    else:
        with pytest.raises(ValueError, match="JWK is"):
            parse_jwk(members)


def test_jwk_with_an_alg_checks_by_that_one_alone() -> None:
    rsa = RSAKey.generate_key(2048).as_dict(private=False)
    assert parse_jwk(rsa).algorithms == ("PS256", "RS256")
    assert parse_jwk({**rsa, "alg": "PS256"}).algorithms == ("PS256",)
    assert parse_jwk({**rsa, "alg": "RS256"}).algorithms == ("RS256",)


def test_jwk_s_kid_is_capped() -> None:
    longest = "k" * MAX_KEY_ID_LENGTH
    assert parse_jwk({**EC, "kid": longest}).key_id == longest
    with pytest.raises(ValueError, match="kid is not a short string"):
        parse_jwk({**EC, "kid": longest + "k"})


@pytest.mark.parametrize(
    "members, thumbprint",
    [
        ({}, None),
        ({"x5c": [X5C, "AAAA"]}, certificate_thumbprint(DER)),
        ({"x5c": [X5C], "x5t#S256": "another"}, certificate_thumbprint(DER)),
        ({"x5c": ["!" + X5C], "x5t#S256": "another"}, None),
        ({"x5c": ["é"]}, None),
        ({"x5c": [], "x5t#S256": "named"}, "named"),
        ({"x5c": [7], "x5t#S256": "named"}, "named"),
        ({"x5c": X5C, "x5t#S256": "named"}, "named"),
        ({"x5t#S256": "named"}, "named"),
        ({"x5t#S256": 7}, None),
    ],
)
def test_jwk_s_certificate_is_the_first_of_its_chain_or_the_named_one(members: Any, thumbprint: str | None) -> None:
    assert parse_jwk({**EC, **members}).certificate_thumbprint == thumbprint


def test_select_by_id_picks_the_named_key_alone() -> None:
    is_named = select_by_id("1")
    assert is_named is not None
    assert is_named(parse_jwk({**EC, "kid": "1"}))
    assert not is_named(parse_jwk({**EC, "kid": "2"}))
    assert not is_named(parse_jwk(EC))
    assert select_by_id(None) is None
    assert select_by_id(7) is None


def test_jwk_set_is_capped_in_size_and_number() -> None:
    keys = [{**EC, "kid": str(number)} for number in range(MAX_KEYS)]
    document = json.dumps({"keys": keys}).encode()
    assert len(parse_jwk_set(document.ljust(MAX_KEY_SET_SIZE))) == MAX_KEYS
    with pytest.raises(ValueError, match="too large"):
        parse_jwk_set(document.ljust(MAX_KEY_SET_SIZE + 1))
    with pytest.raises(ValueError, match="at most 32"):
        parse_jwk_set({"keys": [*keys, EC]})


def test_jwk_set_may_have_many_keys_without_a_kid() -> None:
    assert [key.key_id for key in parse_jwk_set({"keys": [EC, EC]})] == [None, None]


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"])
def test_generated_key_is_of_its_algorithm_and_strong(algorithm: str) -> None:
    members = generate_private_key(algorithm)
    assert "d" in members
    public = {name: members[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in members}
    key: PublicKey = parse_jwk(public)
    assert algorithm in key.algorithms
    if isinstance(key.key, RSAKey):
        assert key.key.public_key.public_numbers().n.bit_length() == 3072
