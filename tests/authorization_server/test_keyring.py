"""The keyring fails closed (DESIGN §4)."""

import msgspec
import pytest

from latchstring.authorization_server.keyring import (
    KeyMark,
    Keyring,
    KeyringKey,
    new_keyring,
    parse_keyring,
    render_keyring,
    verify_fits,
)
from latchstring.protocol.errors import ConfigurationError
from tests.authorization_server.builders import KEY_ONE, KEY_TWO, NOW


def render(*keys: KeyringKey) -> bytes:
    return render_keyring(Keyring(keys))


def test_keyring_round_trips_in_order_and_makes_with_the_last():
    keyring = parse_keyring(render(KEY_ONE, KEY_TWO), "here")
    assert keyring.keys == (KEY_ONE, KEY_TWO)
    assert keyring.current == KEY_TWO
    assert parse_keyring(render(KEY_TWO, KEY_ONE), "here").current == KEY_ONE


def test_new_keyring_has_one_key_of_the_given_entropy():
    keyring = new_keyring(b"\x05" * 32, NOW)
    assert keyring.keys == (KeyringKey(1, b"\x05" * 32, NOW),)
    assert parse_keyring(render_keyring(keyring), "here") == keyring


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0" * 100, id="zeros-of-a-lost-write"),
        pytest.param(render(KEY_ONE)[:-10], id="cut"),
        pytest.param(b"<html>", id="something-else"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"{}", id="no-keys"),
        pytest.param(render(), id="no-key"),
        pytest.param(render(KEY_ONE, KEY_ONE), id="same-number-twice"),
        pytest.param(render(KeyringKey(0, b"a" * 32, NOW)), id="number-zero"),
        pytest.param(render(KeyringKey(65536, b"a" * 32, NOW)), id="number-too-large"),
        pytest.param(render(KeyringKey(-1, b"a" * 32, NOW)), id="number-negative"),
        pytest.param(render(KeyringKey(1, b"a" * 31, NOW)), id="key-short"),
        pytest.param(render(KeyringKey(1, b"a" * 33, NOW)), id="key-long"),
        pytest.param(render(KeyringKey(1, b"", NOW)), id="CVE-2026-49852-key-empty"),
        pytest.param(render(KEY_ONE, KeyringKey(2, b"", NOW)), id="one-of-two-empty"),
        pytest.param(b'{"keys":[{"key_id":1,"created_at":1}]}', id="key-missing"),
        pytest.param(b'{"keys":[{"key_id":"1","secret":"","created_at":1}]}', id="number-as-text"),
        pytest.param(b'{"keys":[{"key_id":1,"secret":"!!","created_at":1}]}', id="key-no-base64"),
        pytest.param(b'{"keys":[{"key_id":1,"secret":"\xff","created_at":1}]}', id="not-utf8"),
        pytest.param(b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}", id="deep"),
        pytest.param(render(KEY_ONE) * 2, id="twice"),
    ],
)
def test_parse_keyring_broken_stops_start_up_and_names_the_source(content):
    with pytest.raises(ConfigurationError, match="^keyring /there: "):
        parse_keyring(content, "keyring /there")


def test_parse_keyring_refusal_holds_no_key():
    """I7, CVE-2023-37260."""
    secret = b"\x5a" * 31
    with pytest.raises(ConfigurationError) as refused:
        parse_keyring(render(KeyringKey(1, secret, NOW)), "here")
    encoded = msgspec.json.encode(secret).decode().strip('"')
    assert encoded not in str(refused.value)
    assert refused.value.__cause__ is None


def test_keyring_repr_holds_no_key():
    """I7."""
    keyring = new_keyring(b"GEHEIMGEHEIMGEHEIMGEHEIMGEHEIM!!", NOW)
    assert "GEHEIM" not in repr(keyring) + str(keyring.current) + repr([keyring.current])


def test_keyring_key_purposes_are_apart_and_stable():
    assert KEY_ONE.derive(b"a") == KeyringKey(7, KEY_ONE.secret, 0).derive(b"a")
    assert len({KEY_ONE.derive(b"a"), KEY_ONE.derive(b"b"), KEY_TWO.derive(b"a"), KEY_ONE.secret}) == 4
    with pytest.raises(ValueError, match="person"):
        KEY_ONE.derive(b"a purpose of more than 16 bytes")


# -- more than one key


def test_keyring_orders_its_keys_so_that_the_last_one_makes_what_is_new():
    to_come = KeyringKey(3, b"\x03" * 32, NOW, used_from=NOW + 100)
    keyring = Keyring((KEY_ONE, KEY_TWO, to_come))
    assert keyring.order(NOW + 99).keys == (to_come, KEY_ONE, KEY_TWO)
    assert keyring.order(NOW + 100).keys == (KEY_ONE, KEY_TWO, to_come)


def test_keyring_of_a_clock_that_is_behind_makes_with_its_first_key():
    first, second = (KeyringKey(number, bytes([number]) * 32, NOW, used_from=NOW + number) for number in (1, 2))
    assert Keyring((first, second)).order(NOW).current == first


def test_keyring_key_added_has_the_next_number_and_is_read_back():
    keyring = Keyring((KEY_TWO,)).add(b"\x07" * 32, NOW, NOW + 3600)
    assert keyring.keys == (KEY_TWO, KeyringKey(3, b"\x07" * 32, NOW, NOW + 3600))
    assert parse_keyring(render_keyring(keyring), "here") == keyring
    assert keyring.find_successor(2) == keyring.keys[1]
    assert keyring.find_successor(3) is None


def test_keyring_of_before_is_rendered_as_before():
    """A server of the version before reads the file too."""
    assert b"used_from" not in render(KEY_ONE, KEY_TWO)


def test_keyring_epoch_and_fingerprint_derive_other_keys():
    """Without a salt nothing changes: tokens of the version before go on."""
    assert KEY_ONE.derive(b"a", b"") == KEY_ONE.derive(b"a")
    assert len({KEY_ONE.derive(b"a"), KEY_ONE.derive(b"a", b"1" * 16), KEY_ONE.derive(b"a", b"2" * 16)}) == 3
    assert KEY_ONE.fingerprint not in {KEY_ONE.secret[:16], KEY_TWO.fingerprint}


def test_verify_fits_leaves_out_what_is_retired_and_refuses_another_key_of_its_number():
    marks = {1: KeyMark(KEY_ONE.fingerprint, retired_at=NOW), 2: KeyMark(KEY_TWO.fingerprint)}
    assert verify_fits(Keyring((KEY_ONE, KEY_TWO)), marks, "here").keys == (KEY_TWO,)
    assert verify_fits(Keyring((KEY_TWO,)), marks, "here").keys == (KEY_TWO,)
    with pytest.raises(ConfigurationError, match="its key 1 is another one"):
        verify_fits(Keyring((KeyringKey(1, b"x" * 32, NOW), KEY_TWO)), marks, "here")


def test_verify_fits_refuses_a_keyring_that_lacks_a_key_or_has_none_that_counts():
    live = {1: KeyMark(KEY_ONE.fingerprint, retired_at=NOW), 2: KeyMark(KEY_TWO.fingerprint)}
    with pytest.raises(ConfigurationError, match="here: lacks key 2, with which tokens"):
        verify_fits(Keyring((KeyringKey(3, b"x" * 32, NOW),)), live, "here")
    over = {1: KeyMark(KEY_ONE.fingerprint, retired_at=NOW)}
    with pytest.raises(ConfigurationError, match="here: all of its keys are retired"):
        verify_fits(Keyring((KEY_ONE,)), over, "here")
