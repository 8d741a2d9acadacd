"""Codes of an authenticator app: RFC 6238's own vectors, and what a code is good for."""

import os
from base64 import b32decode, b64decode

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.second_factors import (
    STEP,
    SecondFactors,
    Verification,
    find_step,
    hash_recovery_code,
    parse_code,
    render_recovery_code,
    render_secret,
    render_uri,
)
from latchstring.authorization_server.sign_in_ports import SecondFactorRecord
from tests.authorization_server.builders import ANN, NOW
from tests.authorization_server.conftest import House

# RFC 6238, appendix B: the last six of its eight digits.
SECRET = b"12345678901234567890"
VECTORS = [
    (59, "287082"),
    (1111111109, "081804"),
    (1111111111, "050471"),
    (1234567890, "005924"),
    (2000000000, "279037"),
]


@pytest.mark.parametrize("now, code", VECTORS)
def test_code_of_the_rfc_is_of_its_step(now, code):
    assert find_step(SECRET, code, now) == now // 30


@pytest.mark.parametrize("late", [-30, -1, 0, 29, 30, 59])
def test_code_counts_a_step_early_and_a_step_late(late):
    assert find_step(SECRET, "005924", 1234567890 + late) == 1234567890 // 30


@pytest.mark.parametrize("late", [-61, 61, 3600])
def test_code_of_another_time_is_wrong(late):
    assert find_step(SECRET, "005924", 1234567890 + late) is None


@pytest.mark.parametrize("code", ["", "00592", "0059240", "000000", "ABCDEF", "００５９２４"])
def test_what_is_no_code_is_wrong(code):
    assert find_step(SECRET, code, 1234567890) is None


@pytest.mark.parametrize(
    "typed, code",
    [
        ("005 924", "005924"),
        (" 005-924 ", "005924"),
        ("bcdfg-hjklm", "BCDFGHJKLM"),
        ("x" * 1000, "X" * 64),
        ("é\0", ""),
    ],
)
def test_code_is_read_as_it_was_meant(typed, code):
    assert parse_code(typed) == code


def test_secret_is_shown_as_apps_take_it():
    assert render_secret(SECRET) == "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"
    uri = render_uri(SECRET, issuer="Northwind CRM & more", account="ann+1@example.com")
    assert uri == (
        "otpauth://totp/Northwind%20CRM%20%26%20more:ann%2B1%40example.com"
        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Northwind%20CRM%20%26%20more"
    )


def test_secret_of_any_length_is_shown_without_padding_and_names_with_what_divides_them_escaped():
    """20 bytes have no padding in base32; what follows them has."""
    assert render_secret(b"1234567890123456789012") == "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ GEZA"
    uri = render_uri(b"12", issuer="A/B:C", account="a/b:c")
    assert uri == "otpauth://totp/A%2FB%3AC:a%2Fb%3Ac?secret=GEZA&issuer=A%2FB%3AC"
    for last in range(32):
        secret = bytes(19) + bytes([last])
        text = render_secret(secret).replace(" ", "")
        assert b32decode(text) == secret
        assert f"?secret={text}&" in render_uri(secret, issuer="A", account="a")


def test_recovery_code_is_kept_for_its_person_alone():
    assert render_recovery_code("BCDFGHJKLM") == "BCDFG-HJKLM"
    assert hash_recovery_code("user_1", "BCDFGHJKLM") != hash_recovery_code("user_2", "BCDFGHJKLM")


def make_code(secret: bytes, now: int) -> str:
    return TOTP(secret, 6, SHA1(), 30).generate(now).decode()


def build_second_factors(house: House) -> SecondFactors:
    return SecondFactors(store=house.store, codec=house.codec, clock=house.clock, entropy=os.urandom)


async def test_second_factor_that_is_there_stays_whatever_is_set_up_beside_it(house: House):
    """In another tab, or at the same time: codes are shown that count, or none."""
    factors = build_second_factors(house)
    secret, other = factors.new_secret(), factors.new_secret()
    codes = await factors.add(ANN, secret, make_code(secret, NOW), origin=COMMAND_LINE)
    assert await factors.add(ANN, other, make_code(other, NOW), origin=COMMAND_LINE) is None
    factor = await factors.find(ANN)
    assert factor is not None
    assert codes is not None
    assert await factors.verify(factor, codes[0], origin=COMMAND_LINE) is Verification.RIGHT
    house.now += STEP
    assert await factors.verify(factor, make_code(other, house.now), origin=COMMAND_LINE) is Verification.WRONG
    assert await factors.verify(factor, make_code(secret, house.now), origin=COMMAND_LINE) is Verification.RIGHT


async def test_second_factor_that_was_set_up_before_an_upgrade_still_signs_in(house: House):
    """By its app and by a recovery code: what is kept of them is opened and found as it was written."""
    sealed = b64decode("AAEAAQIDBAUGBwgJCgvWcuh0Xqb9QxG3r0i+PsQQnVCLS96Zic9DB6og7hYSZE8l4+0=")
    code_hash = bytes.fromhex("1852c68265743ac0df93018ec91864793ecb02b09cca6a2a6bb41d6dce0290aa")
    factor = SecondFactorRecord(user_id=ANN, sealed_secret=sealed, created_at=NOW)
    await house.store.save_second_factor(factor, [code_hash], used_step=0, now=NOW, origin=COMMAND_LINE)
    factors = build_second_factors(house)
    for typed in (make_code(SECRET, NOW), "bcdfg-hjklm"):
        assert await factors.verify(factor, typed, origin=COMMAND_LINE) is Verification.RIGHT


async def test_recovery_codes_are_shown_to_nobody_without_a_second_factor(house: House):
    assert await build_second_factors(house).replace_recovery_codes(ANN, origin=COMMAND_LINE) is None


@pytest.mark.parametrize("typed", ["", "00592", "0059240", "BCDFGHJKL", "BCDFGHJKLMN"])
async def test_code_of_another_length_is_wrong(house: House, typed):
    factors = build_second_factors(house)
    secret = factors.new_secret()
    await factors.add(ANN, secret, make_code(secret, NOW), origin=COMMAND_LINE)
    factor = await factors.find(ANN)
    assert factor is not None
    assert await factors.verify(factor, typed, origin=COMMAND_LINE) is Verification.WRONG
