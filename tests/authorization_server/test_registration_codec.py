"""Client ids that carry their registration: what they hold, whose they are, what follows from them (G, ADR 0014)."""

import msgspec
import pytest

from latchstring.authorization_server.records import ClientSecurity
from latchstring.authorization_server.registration import Registration
from latchstring.authorization_server.registration_codec import (
    MAX_REGISTERED_ID_LENGTH,
    REGISTERED,
    CarriedRegistration,
    RegistrationCodec,
    find_registering_key,
)
from latchstring.authorization_server.tokens import parse_base62, render_base62
from tests.authorization_server.builders import KEY_ONE, KEY_TWO, NOW, REDIRECT_URI, build_codec

NONCE = bytes(range(12))
CARRIED = CarriedRegistration(
    NOW,
    NOW + 86400,
    Registration("Notes", (REDIRECT_URI,), ("authorization_code", "refresh_token"), "client_secret_basic"),
)
KNOWN_ID = (
    "oa2registered_AAGb9Fsyltt7iPr80bhSKM9PAAECAwQFBgcICQoLWzE4MDAwMDAwMDAsMTgwMDA4NjQwMCxbIk5vdGVzIixbIm"
    "h0dHBzOi8vYXBwLmV4YW1wbGUvY2FsbGJhY2siXSxbImF1dGhvcml6YXRpb25fY29kZcSIsInJlZcnJlc2hfdG9rZcW4iXSwiY2x"
    "pZcW50X3NlY3JldF9iYXNpYyIsbnVsbCxudWxsLG51bGwsbnVsbCx7fV1d"
)
KNOWN_SECRET = "ls_cs_BfRw0PmzWdmLsRYbxC2gSeYVqkiqL8LcaJ0599CIEWRC3OsB7n"
KNOWN_TOKEN = "ls_ra_n8RJ7kUGW3Ik7YArGLTWIZbLBDs5ZbX1YgEWj8egfF5uRZc4bEeUb"


@pytest.fixture
def codec() -> RegistrationCodec:
    return RegistrationCodec(build_codec())


def named(name: str) -> CarriedRegistration:
    return msgspec.structs.replace(CARRIED, registration=msgspec.structs.replace(CARRIED.registration, name=name))


def test_id_and_its_credentials_are_the_ones_that_clients_hold(codec: RegistrationCodec):
    """Known answers: another key, purpose or order of parts would strand every client that registered itself."""
    assert codec.render_client_id(CARRIED, NONCE) == KNOWN_ID
    assert codec.derive_client_secret(KNOWN_ID) == KNOWN_SECRET
    assert codec.derive_registration_token(KNOWN_ID) == KNOWN_TOKEN
    assert codec.parse_client_id(KNOWN_ID) == CARRIED


@pytest.mark.parametrize("name", ["a", "ab", "abc", "é", "", "x" * 100])
def test_id_carries_what_was_registered_in_letters_and_digits(codec: RegistrationCodec, name: str):
    client_id = codec.render_client_id(named(name), NONCE)
    assert client_id.startswith(REGISTERED)
    assert client_id.removeprefix(REGISTERED).isalnum()
    assert client_id.isascii()
    assert codec.parse_client_id(client_id) == named(name)


def test_id_carries_every_member(codec: RegistrationCodec):
    registration = Registration(
        "Notes",
        (REDIRECT_URI, "http://127.0.0.1/"),
        ("authorization_code",),
        "private_key_jwt",
        scope=("contacts.read",),
        client_uri="https://notes.example/",
        terms_uri="https://notes.example/terms",
        policy_uri="https://notes.example/privacy",
        security=ClientSecurity(jwks_uri="https://notes.example/keys", requires_pushed_request=True),
    )
    carried = CarriedRegistration(NOW, NOW + 1, registration)
    assert codec.parse_client_id(codec.render_client_id(carried, NONCE)) == carried


def test_same_registration_twice_is_two_clients(codec: RegistrationCodec):
    first, second = (codec.render_client_id(CARRIED, nonce) for nonce in (NONCE, bytes(12)))
    assert first != second
    assert codec.derive_client_secret(first) != codec.derive_client_secret(second)
    assert codec.derive_registration_token(first) != codec.derive_registration_token(second)


def test_id_altered_anywhere_is_nobody_s(codec: RegistrationCodec):
    """G1: whoever can change one letter of an id cannot make another client of it."""
    for place in range(len(REGISTERED), len(KNOWN_ID), 3):
        other = "A" if KNOWN_ID[place] != "A" else "B"
        assert codec.parse_client_id(f"{KNOWN_ID[:place]}{other}{KNOWN_ID[place + 1 :]}") is None, place


def test_id_with_another_key_s_number_is_nobody_s():
    both = RegistrationCodec(build_codec(KEY_ONE, KEY_TWO))
    raw = parse_base62(KNOWN_ID.removeprefix(REGISTERED))
    assert raw is not None
    assert both.parse_client_id(REGISTERED + render_base62(raw)) == CARRIED
    assert both.parse_client_id(REGISTERED + render_base62(b"\0\2" + raw[2:])) is None


@pytest.mark.parametrize(
    "client_id",
    [
        "",
        REGISTERED,
        KNOWN_ID.removeprefix(REGISTERED),
        KNOWN_ID.replace(REGISTERED, "oa2client_"),
        KNOWN_ID.upper(),
        f"{KNOWN_ID} ",
        f"{KNOWN_ID}-",
        f"{KNOWN_ID}AAAA",
        KNOWN_ID[:-4],
        REGISTERED + render_base62(b"\0\1" + bytes(28)),
        REGISTERED + render_base62(b"\0\1" + bytes(31)),
        REGISTERED + "A" * (MAX_REGISTERED_ID_LENGTH - len(REGISTERED)),
        REGISTERED + "A" * 4000,
    ],
)
def test_string_that_this_deployment_has_not_made_carries_nothing(codec: RegistrationCodec, client_id: str):
    assert codec.parse_client_id(client_id) is None
    assert not codec.verify_registration_token(client_id, KNOWN_TOKEN)


def test_id_as_long_as_ids_can_be_is_read_and_a_longer_one_is_not(codec: RegistrationCodec):
    ids = {len(made): made for size in range(1480) if (made := codec.render_client_id(named("x" * size), NONCE))}
    longest = max(length for length in ids if length <= MAX_REGISTERED_ID_LENGTH)
    longer = min(length for length in ids if length > MAX_REGISTERED_ID_LENGTH)
    assert codec.parse_client_id(ids[longest]) is not None
    assert codec.parse_client_id(ids[longer]) is None


def test_registration_token_is_good_for_its_own_id_alone(codec: RegistrationCodec):
    """G5."""
    other = codec.render_client_id(CARRIED, bytes(12))
    assert codec.verify_registration_token(KNOWN_ID, KNOWN_TOKEN)
    assert not codec.verify_registration_token(other, KNOWN_TOKEN)
    for token in ("", KNOWN_TOKEN[:-1], KNOWN_TOKEN.lower(), KNOWN_SECRET, "é", KNOWN_ID):
        assert not codec.verify_registration_token(KNOWN_ID, token), token


def test_client_secret_is_kept_as_every_client_s_is(codec: RegistrationCodec):
    kept = codec.hash_client_secret(KNOWN_ID, NOW)
    assert kept == build_codec().hash_client_secret(KNOWN_SECRET, NOW)
    assert build_codec().verify_client_secret(KNOWN_SECRET, (kept,), NOW) == kept


def test_ids_outlive_a_rotation_of_the_keyring_until_their_key_goes():
    after, later = RegistrationCodec(build_codec(KEY_ONE, KEY_TWO)), RegistrationCodec(build_codec(KEY_TWO))
    assert after.parse_client_id(KNOWN_ID) == CARRIED
    assert (after.derive_client_secret(KNOWN_ID), after.derive_registration_token(KNOWN_ID)) == (
        KNOWN_SECRET,
        KNOWN_TOKEN,
    )
    made = after.render_client_id(CARRIED, NONCE)
    assert made != KNOWN_ID
    assert later.parse_client_id(made) == CARRIED
    assert later.parse_client_id(KNOWN_ID) is None


def test_credentials_of_an_id_that_is_nobody_s_are_a_defect_of_ours(codec: RegistrationCodec):
    with pytest.raises(AssertionError, match="not one of this deployment's"):
        codec.derive_client_secret("oa2client_x")


def test_key_that_an_id_was_registered_with_is_read_from_it_alone():
    assert find_registering_key(KNOWN_ID) == 1
    assert find_registering_key("oa2client_" + KNOWN_ID.removeprefix(REGISTERED)) is None
    assert find_registering_key(KNOWN_ID.removeprefix(REGISTERED)) is None
    assert find_registering_key(REGISTERED + "-") is None
