"""The codec of every credential string (DESIGN §4; N5, T14)."""

import hashlib
import os
import re
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import crc32
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchstring.authorization_server.identifiers import CLIENT, ORGANIZATION, render_identifier
from latchstring.authorization_server.keyring import Keyring, KeyringKey
from latchstring.authorization_server.tokens import (
    CLIENT_SECRET_SIZE,
    MAX_TOKEN_LENGTH,
    AccessToken,
    Actor,
    ClientAccessToken,
    TokenCodec,
    TokenFacts,
    parse_base62,
    render_base62,
    render_checksum,
)
from latchstring.protocol.confirmation import Confirmation
from tests.authorization_server.builders import (
    ACORN,
    GRANT_ID,
    KEY_ONE,
    KEY_TWO,
    MAILLOOP,
    NOW,
    ROW_SECRET,
    build_codec,
)

PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=300)
ALPHABET = string.digits + string.ascii_letters
TOKEN_ID = bytes(range(200, 212))

CODEC = build_codec()


def render_code(codec: TokenCodec = CODEC) -> str:
    return codec.render_code(GRANT_ID, ROW_SECRET)


def render_refresh(codec: TokenCodec = CODEC, generation: int = 7) -> str:
    return codec.render_refresh_token(GRANT_ID, generation, ROW_SECRET)


def render_access(codec: TokenCodec = CODEC, scope: str | None = None) -> str:
    return codec.render_access_token(GRANT_ID, token_id=TOKEN_ID, issued_at=NOW, lifetime=3600, scope=scope)


def render_client_access(codec: TokenCodec = CODEC) -> str:
    return codec.render_client_access_token(
        MAILLOOP, ACORN, token_id=TOKEN_ID, issued_at=NOW, lifetime=3600, scope="all.full_access"
    )


def is_good(text: str, codec: TokenCodec = CODEC, row_secret: bytes = ROW_SECRET) -> bool:
    """Whether the codec accepts the string as a credential of any kind, proof and all."""
    if (code := codec.parse_code(text)) is not None:
        return codec.verify_code(code, row_secret)
    if (refresh := codec.parse_refresh_token(text)) is not None:
        return codec.verify_refresh_token(refresh, row_secret)
    return codec.parse_access_token(text) is not None


KINDS = {
    "code": render_code,
    "refresh": render_refresh,
    "access": render_access,
    "client-access": render_client_access,
}
every_kind = pytest.mark.parametrize("render", KINDS.values(), ids=KINDS.keys())


def read_raw(text: str) -> tuple[str, bytes]:
    """A credential's prefix and its bytes."""
    prefix = text[: text.rindex("_") + 1]
    raw = parse_base62(text[len(prefix) : -6])
    assert raw is not None
    return prefix, raw


def forge(prefix: str, raw: bytes) -> str:
    """A well-formed credential of those bytes: spelling and checksum right, proof whatever the bytes say."""
    text = prefix + render_base62(raw)
    return text + render_checksum(text.encode())


# -- what it is made of

# Made by the codec as it is: another spelling would be the end of every connection at an upgrade.
TWO_RESOURCES = ("https://a.example/", "https://b.example/")
KNOWN = {
    "code": "ls_ac_AAEAAQIDBAUGBwgJCgsMDQ4PfRffZaXNviAU18QkE5ZbiWaIgGHhNG1tL74a",
    "device code": "ls_dc_AAEAAQIDBAUGBwgJCgsMDQ4PegcSqCERXCZcbcFZcRkWYGwhh9q7KH0oTZdR",
    "refresh": "ls_rt_AAEAAQIDBAUGBwgJCgsMDQ4PAAAAB8CcoKKHR2iSZbqj0qS3sbQLhmGT303MhYT",
    "access": (
        "ls_at_AAHIycrLzM3Oz9DR0tNwOZaZcJ3ZaLnaKnAvfLEuBhednGDyPfwhArtLu2VkyZcI351btT4mMOd5GOZajN6bZc3ZbSGC2XbYEY53MhwrP"
    ),
    "access with resources and facts": (
        "ls_at_AAHIycrLzM3Oz9DR0tPPSw0TC8ZbqiRtCDQG1ZaRkBZb5By2YbnyYIHb9ZcZc3iwCJOqm5bAiElQxQ5K5DGMsNgtL9UZbBwJYcVS9l8SFagH"
        "bMejkI1hvawJ8rQ9HiafG1Bv3dyJdZbseVhds61oMxm2EY4PF3xLEceVHzo0TNeZ1"
    ),
    "client access": (
        "ls_at_AAHIycrLzM3Oz9DR0tNmz0VxmfxCgpjeeGwAx70HDK2fYlXedv9efn0pT0lQgTJgRirkzhPSwhxBsJIZbXZcdZbnVG0KQvsmemcjwUH2tGakC"
        "s50hsJZbVLI0CKTc6"
    ),
    "client secret": "ls_cs_ERERERERERERERERERERERERERERERERERERERERERER09t88v",
    "hash of the client secret": "defec0193078ab6877be9072656632c74c2fe9203586ecc5ffd453ab36333275",
    "sealed private key": "0001010101010101010101010101172d6335fe54cd9406df70e426f5cf227194bd94d20b64",
    "page value": "AAELsJJrf5V_FlyDEGMb3nAZ5bZsdXg",
}


def test_credentials_known_answers_stay():
    """Nobody is logged out by an upgrade: not by another key for a purpose, another order, another alphabet."""
    facts = TokenFacts(client_id="oa2client_1")
    on_grant: dict[str, Any] = {"token_id": TOKEN_ID, "issued_at": NOW, "lifetime": 3600}
    codec = build_codec()
    secret = codec.render_client_secret(b"\x11" * 33)
    assert {
        "code": render_code(codec),
        "device code": codec.render_device_code(GRANT_ID, ROW_SECRET),
        "refresh": render_refresh(codec),
        "access": render_access(codec, scope="contacts.read"),
        "access with resources and facts": codec.render_access_token(
            GRANT_ID, **on_grant, scope=None, resource=TWO_RESOURCES, facts=facts
        ),
        "client access": render_client_access(codec),
        "client secret": secret,
        "hash of the client secret": codec.hash_client_secret(secret, NOW).secret_hash.hex(),
        "sealed private key": codec.seal_private_key("k", b"private", b"\x01" * 12).hex(),
        "page value": codec.render_page_value(b"consent", b"browser", b"x"),
    } == KNOWN
    assert codec.render_credential("cs", b"\x11" * 33) == KNOWN["client secret"]


def test_nonce_keys_are_those_of_the_keyring_newest_first():
    """RFC 9449 §8: what an older server has handed out is still known."""
    assert build_codec(KEY_ONE, KEY_TWO).nonce_keys == (KEY_TWO.derive(b"dpop-nonce"), KEY_ONE.derive(b"dpop-nonce"))


def test_credentials_known_answers_are_read():
    code, refresh = CODEC.parse_code(KNOWN["code"]), CODEC.parse_refresh_token(KNOWN["refresh"])
    device = CODEC.parse_device_code(KNOWN["device code"])
    assert code is not None
    assert refresh is not None
    assert device is not None
    assert CODEC.verify_code(code, ROW_SECRET)
    assert CODEC.verify_device_code(device, ROW_SECRET)
    assert CODEC.verify_refresh_token(refresh, ROW_SECRET)
    assert CODEC.parse_access_token(KNOWN["access with resources and facts"]) == AccessToken(
        TOKEN_ID, GRANT_ID, NOW, NOW + 3600, None, TWO_RESOURCES, TokenFacts(client_id="oa2client_1")
    )
    assert CODEC.parse_page_value(b"consent", b"browser", KNOWN["page value"]) == b"x"


def test_credential_prefix_is_ls_unless_told_otherwise():
    assert TokenCodec(Keyring((KEY_ONE,))).render_code(GRANT_ID, ROW_SECRET) == KNOWN["code"]


@pytest.mark.parametrize("prefix", ["lx_ac_", "LS_AC_", "ls_rt_"])
def test_credential_of_a_prefix_as_long_is_none(prefix):
    _, raw = read_raw(KNOWN["code"])
    assert CODEC.parse_code(forge("ls_ac_", raw)) is not None
    assert CODEC.parse_code(forge(prefix, raw)) is None


# -- round trips


def test_code_round_trips_and_proves_its_grant():
    code = CODEC.parse_code(render_code())
    assert code is not None
    assert (code.grant_id, code.key_id) == (GRANT_ID, 1)
    assert CODEC.verify_code(code, ROW_SECRET)


@pytest.mark.parametrize("generation", [0, 1, 2, 255, 256, 2**31, 2**32 - 1])
def test_refresh_token_round_trips_with_its_generation(generation):
    token = CODEC.parse_refresh_token(render_refresh(generation=generation))
    assert token is not None
    assert (token.grant_id, token.generation) == (GRANT_ID, generation)
    assert CODEC.verify_refresh_token(token, ROW_SECRET)


def test_refresh_token_of_a_generation_is_always_the_same_string():
    """§5: a retry gets the same refresh token, computed and not stored."""
    assert render_refresh() == render_refresh(build_codec())
    assert len({render_refresh(generation=generation) for generation in range(1, 50)}) == 49


@pytest.mark.parametrize("scope", [None, "a", "ab", "abc", "all.full_access", "a b c d", "~!#[]", "s" * 2048])
def test_access_token_round_trips_with_its_scope(scope):
    token = CODEC.parse_access_token(render_access(scope=scope))
    assert token == AccessToken(TOKEN_ID, GRANT_ID, NOW, NOW + 3600, scope)


@pytest.mark.parametrize("issued_at, lifetime", [(0, 0), (NOW, 1), (NOW, 24 * 3600), (2**32 - 1, 2**24 - 1)])
def test_access_token_round_trips_with_its_times(issued_at, lifetime):
    text = CODEC.render_access_token(GRANT_ID, token_id=TOKEN_ID, issued_at=issued_at, lifetime=lifetime, scope=None)
    token = CODEC.parse_access_token(text)
    assert token is not None
    assert (token.issued_at, token.expires_at) == (issued_at, issued_at + lifetime)


@pytest.mark.parametrize("scope", ["X", "XaX", "xX", "aX X"])
def test_access_token_of_a_scope_that_looks_like_padding_round_trips(scope):
    token = CODEC.parse_access_token(render_access(scope=scope))
    assert token is not None
    assert token.scope == scope


def test_client_access_token_round_trips_with_all_that_it_can_carry():
    client, organization = render_identifier(CLIENT, b"\xff" * 16), render_identifier(ORGANIZATION, b"\xfe" * 16)
    facts = TokenFacts(approval=3)
    text = CODEC.render_client_access_token(
        client,
        organization,
        token_id=TOKEN_ID,
        issued_at=NOW,
        lifetime=60,
        scope="contacts.read",
        resource=TWO_RESOURCES,
        facts=facts,
    )
    assert CODEC.parse_access_token(text) == ClientAccessToken(
        TOKEN_ID, client, organization, NOW, NOW + 60, "contacts.read", TWO_RESOURCES, facts
    )


def test_client_access_token_round_trips():
    assert CODEC.parse_access_token(render_client_access()) == ClientAccessToken(
        TOKEN_ID, MAILLOOP, ACORN, NOW, NOW + 3600, "all.full_access"
    )


@pytest.mark.parametrize(
    "facts",
    [
        TokenFacts(confirmation=Confirmation(jkt="kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")),
        TokenFacts(confirmation=Confirmation(x5t_s256="bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2")),
        TokenFacts(actor=Actor("oa2client_1", Actor("oa2client_2"))),
        TokenFacts(client_id="oa2client_1", ancestors=(bytes(range(12)), b"\xff" * 12)),
        TokenFacts(authorization_details='[{"type":"zahlung","währung":"€ "}]'),
    ],
)
@pytest.mark.parametrize("scope", [None, "contacts.read"])
@pytest.mark.parametrize("resource", [(), ("https://api.example/",)])
def test_access_token_round_trips_with_its_facts(facts, scope, resource):
    text = CODEC.render_access_token(
        GRANT_ID, token_id=TOKEN_ID, issued_at=NOW, lifetime=60, scope=scope, resource=resource, facts=facts
    )
    token = CODEC.parse_access_token(text)
    assert isinstance(token, AccessToken)
    assert (token.scope, token.resource, token.facts) == (scope, resource, facts)


def test_access_token_of_the_longest_scope_fits_every_reader():
    """The guard and this codec read at most 4,096 characters."""
    longest = max(
        len(
            CODEC.render_access_token(GRANT_ID, token_id=os.urandom(12), issued_at=NOW, lifetime=3600, scope="s" * 2048)
        )
        for _ in range(100)
    )
    assert longest < 0.8 * MAX_TOKEN_LENGTH


# -- form


@every_kind
@pytest.mark.parametrize("prefix", ["ls", "acorn7"])
def test_credential_is_letters_digits_and_its_prefix(render, prefix):
    """DESIGN §4: a double click selects it, a scanner finds it."""
    text = render(build_codec(prefix=prefix))
    assert re.fullmatch(prefix + r"_(ac|rt|at)_[0-9A-Za-z]{30,}", text, re.ASCII)


def test_client_secret_is_letters_digits_and_its_prefix():
    assert re.fullmatch(r"ls_cs_[0-9A-Za-z]{50,}", CODEC.render_client_secret(os.urandom(CLIENT_SECRET_SIZE)))


@every_kind
def test_credential_ends_in_the_crc_of_what_stands_before(render):
    text = render()
    number = 0
    for digit in text[-6:]:
        number = number * 62 + "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".index(digit)
    assert number == crc32(text[:-6].encode())


@pytest.mark.parametrize("text, digits", [(b"", "000000"), (b"123456789", "3jZRME"), (b"\xff" * 4, "4gfFC3")])
def test_checksum_known_answers(text, digits):
    """CRC-32 of `123456789` is 0xCBF43926; six digits hold every value."""
    assert crc32(b"123456789") == 0xCBF43926
    assert len(render_checksum(text)) == 6
    assert render_checksum(text) == digits


# -- N5: nothing but the string itself


@every_kind
def test_n5_credential_cut_anywhere_is_no_credential(render):
    """CVE-2026-27840."""
    text = render()
    assert is_good(text)
    for length in range(len(text)):
        assert not is_good(text[:length])
        assert not is_good(text[length + 1 :])
        assert not is_good(text[:length] + text[length + 1 :])


@every_kind
def test_n5_credential_extended_anywhere_is_no_credential(render):
    text = render()
    for at in range(len(text) + 1):
        for more in "0AaZz_ =.-\n\0é":
            assert not is_good(text[:at] + more + text[at:])


@every_kind
def test_n5_credential_with_any_character_changed_is_no_credential(render):
    text = render()
    for at, was in enumerate(text):
        for other in ALPHABET + "_-+/= é":
            if other != was:
                assert not is_good(text[:at] + other + text[at + 1 :])


@every_kind
def test_n5_credential_with_any_two_neighbours_swapped_is_no_credential(render):
    text = render()
    for at in range(len(text) - 1):
        if text[at] != text[at + 1]:
            assert not is_good(text[:at] + text[at + 1] + text[at] + text[at + 2 :])


@every_kind
def test_n5_credential_in_other_case_or_with_space_is_no_credential(render):
    text = render()
    for changed in (text.upper(), text.lower(), " " + text, text + " ", text + "\n", text * 2, ""):
        assert not is_good(changed)


@every_kind
def test_n5_credential_with_any_bit_flipped_under_a_right_checksum_is_no_credential(render):
    """The checksum is no proof: whoever can compute it still has to know the keys."""
    prefix, raw = read_raw(render())
    assert is_good(forge(prefix, raw))
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not is_good(forge(prefix, bytes(flipped)))


@every_kind
def test_n5_credential_cut_or_extended_under_a_right_checksum_is_no_credential(render):
    prefix, raw = read_raw(render())
    for changed in (*(raw[:length] for length in range(0, len(raw), 3)), raw + b"\0\0\0", b"\0\0\0" + raw, raw * 2):
        assert not is_good(forge(prefix, changed))


def test_credential_of_one_kind_is_never_one_of_another():
    """N9: each parser refuses the other kinds, under their own prefix and under its own."""
    codec = CODEC
    parsers = {
        "ls_ac_": lambda text: (code := codec.parse_code(text)) and codec.verify_code(code, ROW_SECRET),
        "ls_rt_": lambda text: (
            (token := codec.parse_refresh_token(text)) and codec.verify_refresh_token(token, ROW_SECRET)
        ),
        "ls_at_": codec.parse_access_token,
    }
    secret = codec.render_client_secret(bytes(CLIENT_SECRET_SIZE))
    for text in (render_code(), render_refresh(), render_access(), render_client_access(), secret):
        prefix, raw = read_raw(text)
        for own, parse in parsers.items():
            if own != prefix:
                assert not parse(text)
                assert not parse(forge(own, raw))


@PROPERTY
@given(st.text(max_size=120) | st.text(ALPHABET + "_", max_size=120).map("ls_at_".__add__))
def test_credential_any_text_is_no_credential_and_no_error(text):
    assert not is_good(text)


@pytest.mark.parametrize("prefix", ["ls_ac_", "ls_rt_", "ls_at_"])
@pytest.mark.parametrize("size", [0, 3, 12, 27, 30, 33, 36, 39, 42, 45, 60, 300, 3000])
def test_credential_well_formed_noise_is_no_credential_and_no_error(prefix, size):
    for filler in (b"\0", b"\x01", b"\xff"):
        assert not is_good(forge(prefix, b"\0\x01" + filler * (size - 2) if size else b""))


def test_credential_of_another_deployments_prefix_is_no_credential():
    for render in KINDS.values():
        assert not is_good(render(build_codec(prefix="other")))


def test_credential_too_long_is_refused_before_any_work():
    assert not is_good("ls_at_" + "A" * (MAX_TOKEN_LENGTH * 100))


# -- keys


@every_kind
def test_credential_of_another_keyring_is_no_credential(render):
    """Same key number, other key."""
    other = build_codec(KeyringKey(1, b"\x09" * 32, NOW))
    assert is_good(render(), build_codec())
    assert not is_good(render(), other)
    assert not is_good(render(other), CODEC)


@every_kind
def test_credential_of_an_old_key_is_good_while_the_keyring_keeps_it(render):
    before, during, after = build_codec(KEY_ONE), build_codec(KEY_ONE, KEY_TWO), build_codec(KEY_TWO)
    old, new = render(before), render(during)
    assert int.from_bytes(read_raw(old)[1][:2], "big") == 1
    assert int.from_bytes(read_raw(new)[1][:2], "big") == 2
    assert is_good(old, during)
    assert is_good(new, during)
    assert is_good(new, after)
    assert not is_good(old, after)
    assert not is_good(new, before)


@pytest.mark.parametrize("render", [render_code, render_refresh], ids=["code", "refresh"])
def test_credential_depends_on_the_rows_secret(render):
    """DESIGN §4: the keyring alone mints no codes and no refresh tokens."""
    assert is_good(render(), row_secret=ROW_SECRET)
    assert not is_good(render(), row_secret=bytes(16))
    assert not is_good(render(), row_secret=ROW_SECRET[:-1])


def test_keys_of_different_purposes_differ():
    purposes = (b"token-mac", b"access-seal", b"client-secret", b"page-mac")
    derived = {key.derive(purpose) for key in (KEY_ONE, KEY_TWO) for purpose in purposes}
    assert len(derived) == 8
    assert KEY_ONE.secret not in derived
    assert all(len(key) == 32 for key in derived)


# -- T14


def test_t14_credentials_of_many_grants_are_all_distinct():
    codec, seen = build_codec(), set()
    for number in range(25_000):
        grant_id, entropy = number.to_bytes(16, "big"), os.urandom(12 + 16 + 33)
        seen.add(codec.render_access_token(GRANT_ID, token_id=entropy[:12], issued_at=NOW, lifetime=60, scope=None))
        seen.add(codec.render_code(grant_id, entropy[12:28]))
        seen.add(codec.render_refresh_token(grant_id, 1, entropy[12:28]))
        seen.add(codec.render_client_secret(entropy[28:]))
    assert len(seen) == 100_000


def test_t14_codes_of_one_grant_id_and_many_row_secrets_are_all_distinct():
    """160 bits of proof and more: what is not secret in a code does not carry it."""
    macs = {read_raw(CODEC.render_code(GRANT_ID, os.urandom(16)))[1][18:] for _ in range(10_000)}
    assert len(macs) == 10_000
    assert all(len(mac) * 8 >= 160 for mac in macs)
    refresh = read_raw(render_refresh())[1][22:]
    assert len(refresh) * 8 >= 160


def test_access_token_shows_nothing_of_its_grant():
    """Sealed: two tokens of one grant share only key and prefix."""
    texts = [
        CODEC.render_access_token(GRANT_ID, token_id=os.urandom(12), issued_at=NOW, lifetime=60, scope="secret.scope")
        for _ in range(2)
    ]
    first, second = (read_raw(text)[1] for text in texts)
    assert GRANT_ID not in first
    assert b"secret.scope" not in first
    assert not any(first[at : at + 4] == second[at : at + 4] for at in range(14, len(first) - 3))


# -- client secrets


def test_client_secret_is_verified_by_its_hash_alone():
    secret, other = (CODEC.render_client_secret(os.urandom(CLIENT_SECRET_SIZE)) for _ in range(2))
    kept = CODEC.hash_client_secret(secret, NOW)
    assert CODEC.verify_client_secret(secret, (kept,), NOW)
    assert CODEC.verify_client_secret(secret, (CODEC.hash_client_secret(other, NOW), kept), NOW)
    for wrong in (other, "", secret[:-1], secret + "0", secret.lower(), kept.hint, "ü"):
        assert not CODEC.verify_client_secret(wrong, (kept,), NOW)
    assert not CODEC.verify_client_secret(secret, (), NOW)


def test_client_secret_hash_keeps_no_more_than_four_characters_of_it():
    """CVE-2026-40166: what is kept or shown does not authenticate."""
    secret = CODEC.render_client_secret(os.urandom(CLIENT_SECRET_SIZE))
    kept = CODEC.hash_client_secret(secret, NOW)
    assert kept.hint == secret[: len("ls_cs_") + 4]
    assert (kept.key_id, kept.created_at, len(kept.secret_hash)) == (1, NOW, 32)
    assert secret[10:] not in repr(kept)
    assert not CODEC.verify_client_secret(kept.secret_hash.hex(), (kept,), NOW)


def test_client_secret_hash_is_keyed_and_survives_key_rotation():
    """A copy of the database cannot even check a guess."""
    secret = CODEC.render_client_secret(os.urandom(CLIENT_SECRET_SIZE))
    kept = build_codec(KEY_ONE).hash_client_secret(secret, NOW)
    assert build_codec(KEY_ONE, KEY_TWO).verify_client_secret(secret, (kept,), NOW)
    assert not build_codec(KEY_TWO).verify_client_secret(secret, (kept,), NOW)
    assert not build_codec(KeyringKey(1, bytes(32), NOW)).verify_client_secret(secret, (kept,), NOW)
    assert build_codec(KEY_ONE, KEY_TWO).hash_client_secret(secret, NOW).key_id == 2


# -- values that pages carry


@pytest.mark.parametrize("content", [b"", b"x", b"\0\xff" * 500])
def test_page_value_round_trips_for_its_purpose_and_browser(content):
    text = CODEC.render_page_value(b"consent", b"browser", content)
    assert re.fullmatch(r"[0-9A-Za-z_-]+", text)
    assert CODEC.parse_page_value(b"consent", b"browser", text) == content


@pytest.mark.parametrize("purpose, binding", [(b"csrf", b"browser"), (b"consent", b"other"), (b"consent", b"")])
def test_a22_page_value_of_another_purpose_or_browser_is_none(purpose, binding):
    text = CODEC.render_page_value(b"consent", b"browser", b"x")
    assert CODEC.parse_page_value(purpose, binding, text) is None


def test_page_value_binding_and_content_cannot_trade_places():
    text = CODEC.render_page_value(b"p", b"ab", b"c")
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    moved = urlsafe_b64encode(raw[:22] + b"bc").decode().rstrip("=")
    assert CODEC.parse_page_value(b"p", b"a", moved) is None


def test_page_value_changed_anywhere_is_none_or_the_same():
    text = CODEC.render_page_value(b"p", b"b", b"content")
    for at in range(len(text)):
        assert CODEC.parse_page_value(b"p", b"b", text[:at]) is None
        for other in ALPHABET + "-_=. é":
            changed = text[:at] + other + text[at + 1 :]
            assert CODEC.parse_page_value(b"p", b"b", changed) in {None, b"content"}
    prefix = text[:-1]
    assert sum(CODEC.parse_page_value(b"p", b"b", prefix + other) is not None for other in ALPHABET) <= 16


@PROPERTY
@given(st.text(max_size=100) | st.text(ALPHABET + "-_=", max_size=100))
def test_page_value_any_text_is_none_and_no_error(text):
    assert CODEC.parse_page_value(b"p", b"b", text) is None


def test_page_value_of_another_keyring_is_none_and_of_an_old_key_good():
    text = build_codec(KEY_ONE).render_page_value(b"p", b"b", b"x")
    assert build_codec(KEY_ONE, KEY_TWO).parse_page_value(b"p", b"b", text) == b"x"
    assert build_codec(KEY_TWO).parse_page_value(b"p", b"b", text) is None
    assert CODEC.parse_page_value(b"p", b"b", "A" * 40_000) is None


def test_page_value_is_made_with_the_key_and_not_by_anyone():
    """Without the key, the MAC is nobody's to make."""
    unkeyed = hashlib.blake2b(b"\0\x07browser" + b"evil", digest_size=20, person=b"consent").digest()
    forged = urlsafe_b64encode(b"\0\x01" + unkeyed + b"evil").decode().rstrip("=")
    assert CODEC.parse_page_value(b"consent", b"browser", forged) is None


@pytest.mark.parametrize("size, is_read", [(4 * MAX_TOKEN_LENGTH, True), (4 * MAX_TOKEN_LENGTH + 4, False)])
def test_page_value_at_its_cap_holds_it(size, is_read):
    content = b"x" * (size * 3 // 4 - 22)
    text = CODEC.render_page_value(b"p", b"b", content)
    assert len(text) == size
    assert (CODEC.parse_page_value(b"p", b"b", text) == content) is is_read


@pytest.mark.parametrize("byte", range(256))
def test_page_value_ending_in_any_byte_round_trips(byte):
    for content in (bytes((byte,)), bytes((0, byte)), bytes((0, 0, byte))):
        assert CODEC.parse_page_value(b"p", b"b", CODEC.render_page_value(b"p", b"b", content)) == content


@pytest.mark.parametrize("noise", ["!", " ", "\n", "=", ".", "+"])
def test_page_value_with_other_characters_in_it_is_none(noise):
    text = CODEC.render_page_value(b"p", b"b", b"xy")
    assert CODEC.parse_page_value(b"p", b"b", text[:9] + noise + text[9:]) is None


# -- I7: nothing of it in a repr


def test_parsed_credentials_repr_cannot_be_put_together_again():
    """Key id, grant id and MAC in a log would be the credential itself."""
    code, refresh = CODEC.parse_code(render_code()), CODEC.parse_refresh_token(render_refresh())
    assert code is not None
    assert refresh is not None
    for parsed in (code, refresh):
        for text in (repr(parsed), str(parsed), repr([parsed])):
            assert repr(parsed.mac) not in text
            assert parsed.mac.hex() not in text
    for key in (KEY_ONE, KEY_TWO):
        assert repr(key.secret) not in repr(key)


# -- base62


@PROPERTY
@given(st.binary(min_size=3, max_size=99).map(lambda raw: raw[: len(raw) // 3 * 3]))
def test_base62_parse_is_the_inverse_of_render(raw):
    text = render_base62(raw)
    assert re.fullmatch(r"[0-9A-Za-z]*", text, re.ASCII)
    assert parse_base62(text) == raw


@PROPERTY
@given(st.text(ALPHABET, max_size=40) | st.text("ZZabcA", max_size=20) | st.text(max_size=20))
def test_base62_parse_refuses_what_render_does_not_make(text):
    raw = parse_base62(text)
    assert raw is None or render_base62(raw) == text


@pytest.mark.parametrize(
    "text", ["A", "AA", "AAA", "Z", "ZdAA", "+AAA", "/AAA", "AAA+", "AA\n=", "AAAA\n", " AAAA", "é"]
)
def test_base62_parse_other_spelling_is_none(text):
    assert parse_base62(text) is None


def test_base62_pairs_stand_for_the_symbols_and_the_escape():
    assert parse_base62("ZaZaZaZa") == b"\xfb\xef\xbe"
    assert parse_base62("ZbZbZbZb") == b"\xff\xff\xff"
    assert render_base62(parse_base62("ZcZaZbA") or b"") == "ZcZaZbA"
