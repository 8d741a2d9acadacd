"""The registered claims of a verified JWT (RFC 7519 §4.1): there, of their type, good now."""

from typing import Any

import pytest

from latchstring.protocol.jose.claims import (
    MAX_ID_LENGTH,
    MAX_SKEW,
    find_text,
    find_time,
    find_token_id,
    verify_sole_audience,
    verify_times,
)
from latchstring.protocol.jose.jws import JwtRefused

NOW = 1_800_000_000
LIFETIME = 300


@pytest.mark.parametrize("value", [None, "", 7, True, ["a"], {"a": 1}, "a\0b", "\0"])
def test_find_text_of_what_is_no_text_is_refused(value):
    with pytest.raises(JwtRefused, match="^sub is missing or not a string$"):
        find_text({"sub": value, "iss": "a"}, "sub")


def test_find_text_is_the_claim_as_it_stands():
    assert find_text({"sub": " a ", "iss": "b"}, "sub") == " a "


@pytest.mark.parametrize(
    "value, time",
    [(None, None), (0, 0), (-1, -1), (NOW, NOW), (NOW + 0.9, NOW), (2**53 - 1, 2**53 - 1), (1 - 2**53, 1 - 2**53)],
)
def test_find_time_is_in_whole_seconds(value, time):
    assert find_time({"exp": value}, "exp") == time
    assert find_time({"iat": value}, "exp") is None


@pytest.mark.parametrize(
    "value", ["1", str(NOW), True, False, [], {}, 2**53, -(2**53), 1e300, float("nan"), float("inf"), float("-inf")]
)
def test_find_time_of_what_is_no_time_is_refused(value):
    with pytest.raises(JwtRefused, match="^exp is not a time$"):
        find_time({"exp": value}, "exp")


def test_find_token_id_is_capped():
    assert find_token_id({"jti": "x" * MAX_ID_LENGTH}) == "x" * MAX_ID_LENGTH
    with pytest.raises(JwtRefused, match="^jti is too long$"):
        find_token_id({"jti": "x" * (MAX_ID_LENGTH + 1)})
    with pytest.raises(JwtRefused, match="^jti is missing"):
        find_token_id({"sub": "x"})


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW + 1},
        {"exp": NOW + LIFETIME + MAX_SKEW},
        {"exp": NOW + 1, "nbf": NOW + MAX_SKEW, "iat": NOW + MAX_SKEW},
        {"exp": NOW + 1, "nbf": NOW - 86_400, "iat": NOW - 86_400},
    ],
)
def test_verify_times_within_the_edges_is_the_expiry(claims):
    assert verify_times(claims, NOW, max_lifetime=LIFETIME) == claims["exp"]


@pytest.mark.parametrize(
    "claims, why",
    [
        ({}, "exp is missing"),
        ({"iat": NOW}, "exp is missing"),
        ({"exp": NOW}, "the JWT has expired"),
        ({"exp": NOW - MAX_SKEW}, "the JWT has expired"),
        ({"exp": NOW + LIFETIME + MAX_SKEW + 1}, "exp is too far in the future"),
        ({"exp": NOW + 1, "nbf": NOW + MAX_SKEW + 1}, "nbf is in the future"),
        ({"exp": NOW + 1, "iat": NOW + MAX_SKEW + 1}, "iat is in the future"),
        ({"exp": NOW + 1, "nbf": "now"}, "nbf is not a time"),
        ({"exp": NOW + 1, "iat": "now"}, "iat is not a time"),
    ],
)
def test_verify_times_beyond_an_edge_is_refused(claims: dict[str, Any], why: str):
    with pytest.raises(JwtRefused, match=f"^{why}$"):
        verify_times(claims, NOW, max_lifetime=LIFETIME)


@pytest.mark.parametrize("audience", [None, "", "https://b.example", ["https://a.example"], "https://a.example/"])
def test_verify_sole_audience_of_anything_else_is_refused(audience):
    verify_sole_audience({"aud": "https://a.example"}, "https://a.example")
    with pytest.raises(JwtRefused, match="^aud is not the issuer as its sole value$"):
        verify_sole_audience({"aud": audience}, "https://a.example")
