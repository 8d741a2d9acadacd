"""JOSE with everything fixed: S7, S8, J2, J5 and the known attacks on libraries (SECURITY-CASES.md, 2H)."""

import base64
import hmac
import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from latchstring.protocol.jose.algorithms import ALGORITHMS, STRICT_ALGORITHMS
from latchstring.protocol.jose.claims import find_time, find_token_id, verify_sole_audience, verify_times
from latchstring.protocol.jose.jws import JwtRefused, parse_jwt, render_jwt, verify_jwt
from latchstring.protocol.jose.keys import PublicKey, parse_jwk, parse_jwk_set

EC = ECKey.generate_key("P-256")
OKP = OKPKey.generate_key("Ed25519")
RSA = RSAKey.generate_key(2048)
CLAIMS = {"sub": "somebody", "exp": 100}


def public(key: Any, **members: Any) -> PublicKey:
    return parse_jwk({**key.as_dict(private=False), **members})


def encode(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize(
    "algorithm, key", [("ES256", EC), ("EdDSA", OKP), ("Ed25519", OKP), ("PS256", RSA), ("RS256", RSA)]
)
def test_jwt_signed_by_each_algorithm_is_verified(algorithm: str, key: Any) -> None:
    jwt = parse_jwt(render_jwt({"alg": algorithm, "kid": "1"}, CLAIMS, key))
    assert verify_jwt(jwt, [public(key, kid="1")], algorithms=ALGORITHMS).key_id == "1"
    assert jwt.claims == CLAIMS


def test_jwt_of_rs256_under_the_strict_list_is_refused() -> None:
    jwt = parse_jwt(render_jwt({"alg": "RS256"}, CLAIMS, RSA))
    with pytest.raises(JwtRefused, match="^(?!None)"):
        verify_jwt(jwt, [public(RSA)], algorithms=STRICT_ALGORITHMS)


def test_jwt_without_signature_is_refused() -> None:
    for algorithm in ("none", "None", "", None, 7):
        jwt = parse_jwt(f"{encode({'alg': algorithm})}.{encode(CLAIMS)}.")
        with pytest.raises(JwtRefused, match="^(?!None)"):
            verify_jwt(jwt, [public(EC)], algorithms=ALGORITHMS)


def test_jwt_hmac_with_the_public_key_is_refused() -> None:
    signing_input = f"{encode({'alg': 'HS256'})}.{encode(CLAIMS)}"
    mac = hmac.digest(EC.as_pem(private=False), signing_input.encode(), "sha256")
    text = f"{signing_input}.{encode(mac)}"
    with pytest.raises(JwtRefused, match="^(?!None)"):
        verify_jwt(parse_jwt(text), [public(EC)], algorithms=ALGORITHMS)


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/cert"},
        {"x5c": []},
        {"b64": False},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"kid": 7},
        {"kid": "another"},
    ],
)
def test_jwt_whose_header_would_choose_is_refused(header: dict[str, Any]) -> None:
    # By hand: the library would not sign some of these.
    good = render_jwt({"alg": "ES256"}, CLAIMS, EC)
    text = f"{encode({'alg': 'ES256', **header})}.{good.split('.')[1]}."
    signed = _sign_es256(text.rsplit(".", 1)[0])
    with pytest.raises(JwtRefused, match="^(?!None)"):
        verify_jwt(parse_jwt(f"{text}{signed}"), [public(EC, kid="1")], algorithms=ALGORITHMS)


def _sign_es256(signing_input: str) -> str:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    assert EC.private_key is not None
    r, s = decode_dss_signature(EC.private_key.sign(signing_input.encode(), ECDSA(hashes.SHA256())))
    return encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def test_jwt_signed_by_hand_is_verified() -> None:
    """So that the refusals above are not for a signature that is made wrongly."""
    signing_input = f"{encode({'alg': 'ES256', 'kid': '1'})}.{encode(CLAIMS)}"
    jwt = parse_jwt(f"{signing_input}.{_sign_es256(signing_input)}")
    assert verify_jwt(jwt, [public(EC, kid="1")], algorithms=ALGORITHMS).key_id == "1"


def test_jwt_changed_by_a_character_is_refused() -> None:
    text = render_jwt({"alg": "ES256"}, CLAIMS, EC)
    key = public(EC)
    for position in range(len(text)):
        if text[position] == ".":
            continue
        changed = text[:position] + ("A" if text[position] != "A" else "B") + text[position + 1 :]
        with pytest.raises(JwtRefused, match="^(?!None)"):
            verify_jwt(parse_jwt(changed), [key], algorithms=ALGORITHMS)


def test_jwt_whose_signature_is_spelt_in_another_way_is_refused() -> None:
    """Four bits of the last character say nothing: only zeros are taken, so that a JWT has one spelling."""
    text = render_jwt({"alg": "ES256"}, CLAIMS, EC)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    first = alphabet.index(text[-1])
    assert first % 16 == 0
    for number in range(first + 1, first + 16):
        with pytest.raises(JwtRefused, match="^(?!None)"):
            verify_jwt(parse_jwt(text[:-1] + alphabet[number]), [public(EC)], algorithms=ALGORITHMS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "a.b",
        "a.b.c.d",
        "é.b.c",
        f"{encode([])}.{encode({})}.x",
        f"{encode({})}.{encode([1])}.x",
        f"{encode({})}.{encode(b'not JSON')}.x",
        f"{encode({})}==.{encode({})}.x",
        f"{encode({})} .{encode({})}.x",
        f"{encode({})}.{encode(b'{' * 3000)}.x",
        f"{encode({})}.{encode({'long': 'x' * 8000})}.x",
        f"{encode({'long': 'x' * 4000})}.{encode({})}.x",
        encode(b'{"a":' * 1000) + ".e30.x",
    ],
)
def test_parse_of_what_is_no_jwt_is_refused(text: str) -> None:
    with pytest.raises(JwtRefused, match="^(?!None)"):
        parse_jwt(text)


def test_parse_reads_up_to_the_caps() -> None:
    claims = encode({"a": 1})
    header = encode(b"{" + b" " * (3072 - 2) + b"}")
    assert len(header) == 4096
    assert parse_jwt(f"{header}.{claims}.x").claims == {"a": 1}
    with pytest.raises(JwtRefused, match="header is too long"):
        parse_jwt(f"{encode(b'{' + b' ' * (3073 - 2) + b'}')}.{claims}.x")
    short = f"e30.{claims}."
    assert parse_jwt(short.ljust(8192, "x")).text == short.ljust(8192, "x")
    assert parse_jwt(short, max_length=len(short)).claims == {"a": 1}
    for text, cap in ((short.ljust(8193, "x"), 8192), (short, len(short) - 1)):
        with pytest.raises(JwtRefused, match="too long"):
            parse_jwt(text, max_length=cap)


def test_parse_takes_the_whole_alphabet_of_base64url() -> None:
    claims = {"a": "~~~???>>>"}
    assert {"-", "_"} <= set(encode(claims))
    assert parse_jwt(f"{encode(claims)}.{encode(claims)}.x").claims == claims


def test_verify_looks_at_every_key() -> None:
    jwt = parse_jwt(render_jwt({"alg": "ES256", "kid": "1"}, CLAIMS, EC))
    others = [public(RSA), public(OKP), public(EC, kid="2"), public(ECKey.generate_key("P-256"))]
    assert verify_jwt(jwt, [*others, public(EC, kid="1")], algorithms=ALGORITHMS).key_id == "1"


def test_verify_ignores_what_it_does_not_know_of_a_header() -> None:
    """RFC 7515 §4: unless `crit` names it."""
    signing_input = f"{encode({'alg': 'ES256', 'app': 'mailloop'})}.{encode(CLAIMS)}"
    jwt = parse_jwt(f"{signing_input}.{_sign_es256(signing_input)}")
    verify_jwt(jwt, [public(EC)], algorithms=ALGORITHMS)


def test_unverified_jwt_s_repr_hides_it() -> None:
    assert repr(parse_jwt(render_jwt({"alg": "ES256"}, CLAIMS, EC))) == "UnverifiedJwt(…)"


@pytest.mark.parametrize("typ", [7, None, [], {}])
def test_verify_with_types_refuses_a_typ_that_is_no_text(typ: object) -> None:
    signing_input = f"{encode({'alg': 'ES256', 'typ': typ})}.{encode(CLAIMS)}"
    jwt = parse_jwt(f"{signing_input}.{_sign_es256(signing_input)}")
    with pytest.raises(JwtRefused, match="typ is another one"):
        verify_jwt(jwt, [public(EC)], algorithms=ALGORITHMS, types={"at+jwt", None})


@pytest.mark.parametrize("typ, counts", [("at+jwt", True), ("application/AT+JWT", True), ("JWT", False), (None, False)])
def test_verify_with_types_takes_those_alone(typ: str | None, counts: bool) -> None:
    header = {"alg": "ES256"} if typ is None else {"alg": "ES256", "typ": typ}
    jwt = parse_jwt(render_jwt(header, CLAIMS, EC))
    if counts:
        verify_jwt(jwt, [public(EC)], algorithms=ALGORITHMS, types={"at+jwt"})
    else:
        with pytest.raises(JwtRefused, match="^(?!None)"):
            verify_jwt(jwt, [public(EC)], algorithms=ALGORITHMS, types={"at+jwt"})


# -- keys


@pytest.mark.parametrize(
    "members",
    [
        None,
        [],
        {},
        {"kty": 3},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": "a", "y": "b"},
        {"kty": "EC", "crv": "P-257", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25520", "x": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        EC.as_dict(private=True),
        {**EC.as_dict(private=False), "use": "enc"},
        {**EC.as_dict(private=False), "kid": 7},
        {**EC.as_dict(private=False), "alg": "ES384"},
        ECKey.generate_key("P-384").as_dict(private=False),
        {"kty": "RSA", "e": "AQAB", "n": encode(b"\xc5" * 128)},
    ],
)
def test_parse_of_an_unusable_jwk_is_refused(members: object) -> None:
    with pytest.raises(ValueError, match=r"JWK|kid"):
        parse_jwk(members)


def test_jwk_set_ignores_unknown_keys_and_refuses_private_ones() -> None:
    one, two = {**EC.as_dict(private=False), "kid": "1"}, {**OKP.as_dict(private=False), "kid": "2"}
    assert [key.key_id for key in parse_jwk_set({"keys": [one, {"kty": "new"}, two]})] == ["1", "2"]
    for bad in ([one, EC.as_dict(private=True)], [one, {"kty": "oct", "k": "AAAA"}], [one, {**two, "kid": "1"}], 7):
        with pytest.raises(ValueError, match=r"key|JWK"):
            parse_jwk_set({"keys": bad})
    for document in (b"[]", b"{", b"{" * 100_000, b'{"keys":"x"}', b'{"keys":[' + b"{}," * 40 + b"{}]}"):
        with pytest.raises(ValueError, match=r"JWK Set|JSON"):
            parse_jwk_set(document)


def test_thumbprint_is_that_of_rfc_8037() -> None:
    key = parse_jwk({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    assert key.thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


# -- claims


def test_times_of_a_clock_slightly_ahead_are_taken() -> None:
    assert verify_times({"exp": 160, "iat": 109, "nbf": 110.0}, 100, max_lifetime=60) == 160


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"exp": 100},
        {"exp": 99},
        {"exp": "160"},
        {"exp": True},
        {"exp": 1e300},
        {"exp": 171},
        {"exp": 160, "iat": 111},
        {"exp": 160, "nbf": 161},
        {"exp": 160, "nbf": "1"},
    ],
)
def test_times_that_are_not_good_now_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(JwtRefused, match="^(?!None)"):
        verify_times(claims, 100, max_lifetime=60)


@pytest.mark.parametrize("audience", [None, ["https://a"], "https://a/oauth2/token", "https://a/", 7])
def test_audience_other_than_the_issuer_alone_is_refused(audience: object) -> None:
    verify_sole_audience({"aud": "https://a"}, "https://a")
    with pytest.raises(JwtRefused, match="^(?!None)"):
        verify_sole_audience({"aud": audience}, "https://a")


@pytest.mark.parametrize("token_id", [None, "", 7, "x" * 257])
def test_token_id_that_is_no_short_string_is_refused(token_id: object) -> None:
    assert find_token_id({"jti": "1"}) == "1"
    with pytest.raises(JwtRefused, match="^(?!None)"):
        find_token_id({"jti": token_id})


def test_time_that_is_absent_is_none() -> None:
    assert find_time({}, "iat") is None
