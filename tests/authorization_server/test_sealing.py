"""What is kept sealed opens under its name, for its purpose, with the key that sealed it; and says why it does not."""

import pytest

from latchstring.authorization_server.keyring import KeyringKey
from latchstring.authorization_server.sealing import Sealer
from latchstring.authorization_server.tokens import KeyNotOpened
from tests.authorization_server.builders import KEY_ONE, KEY_TWO, NOW, build_codec

NONCE = bytes(range(12))
SEALER = Sealer(build_codec(KEY_ONE), b"mail")


def test_sealed_value_opens_and_shows_nothing():
    sealed = SEALER.seal(b"name", b"the secret", NONCE)
    assert SEALER.open(b"name", sealed) == b"the secret"
    assert b"secret" not in sealed
    assert SEALER.seal(b"name", b"the secret", bytes(12)) != sealed


def test_value_of_an_older_key_opens_after_the_next_one_came():
    both = Sealer(build_codec(KEY_ONE, KEY_TWO), b"mail")
    old, new = SEALER.seal(b"name", b"old", NONCE), both.seal(b"name", b"new", NONCE)
    assert (both.open(b"name", old), both.open(b"name", new)) == (b"old", b"new")
    assert (old[:2], new[:2]) == (b"\0\1", b"\0\2"), "the key is named, for whoever drops it"
    with pytest.raises(KeyNotOpened, match="^mail: sealed with a key that the keyring lacks$"):
        SEALER.open(b"name", new)


def test_key_of_a_large_number_seals_too():
    sealer = Sealer(build_codec(KeyringKey(258, b"\x03" * 32, NOW)), b"mail")
    sealed = sealer.seal(b"name", b"raw", NONCE)
    assert (sealed[:2], sealer.open(b"name", sealed)) == (b"\1\2", b"raw")


WEBHOOK = Sealer(build_codec(KEY_ONE), b"webhook")
OTHER_KEY = Sealer(build_codec(KeyringKey(1, b"\x09" * 32, NOW)), b"mail")
SEALED = SEALER.seal(b"name", b"raw", NONCE)


@pytest.mark.parametrize(
    "sealer, purpose, name, sealed",
    [
        pytest.param(SEALER, "mail", b"other", SEALED, id="another-name"),
        pytest.param(WEBHOOK, "webhook", b"name", SEALED, id="another-purpose"),
        pytest.param(OTHER_KEY, "mail", b"name", SEALED, id="another-key-of-that-number"),
        pytest.param(SEALER, "mail", b"name", SEALED[:-1], id="cut"),
        pytest.param(SEALER, "mail", b"name", SEALED[:5], id="cut-short"),
        pytest.param(SEALER, "mail", b"name", SEALED[:-1] + bytes([SEALED[-1] ^ 1]), id="changed"),
        pytest.param(SEALER, "mail", b"name", SEALED[:2] + bytes(12) + SEALED[14:], id="another-nonce"),
    ],
)
def test_value_that_was_not_sealed_so_is_not_opened_and_says_what_it_was_for(sealer, purpose, name, sealed):
    with pytest.raises(KeyNotOpened, match=f"^{purpose}: not sealed with a key of this keyring$"):
        sealer.open(name, sealed)
