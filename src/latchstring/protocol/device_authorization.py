"""Device authorization (RFC 8628): what a device is told, and the code that a person carries to a browser (§6.1)."""

from typing import Final
from unicodedata import normalize

import msgspec

POLL_INTERVAL: Final = 5
"""Seconds between two polls, and what each `slow_down` adds (RFC 8628 §3.5)."""

USER_CODE_ENTROPY_SIZE: Final = 16
# No vowels, so that no word comes about; no digits, and no letter that is taken for another of them.
_ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH: Final = 8
_MAX_TYPED_LENGTH: Final = 64
# What is never in a code, as the letter that it was read for.
_LOOK_ALIKES: Final = str.maketrans("1I2568U", "LLZSGBV")


class DeviceAuthorization(msgspec.Struct, frozen=True):
    """The answer to a device (RFC 8628 §3.2). `expires_in` and `interval` are seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int

    def __repr__(self) -> str:
        return f"DeviceAuthorization(expires_in={self.expires_in})"


def new_user_code(entropy: bytes) -> str:
    """Eight letters of twenty, 34.5 bits, from 16 random bytes: no letter is likelier than another by 2^-90."""
    number = int.from_bytes(entropy, "big")
    letters = []
    for _ in range(_LENGTH):
        number, letter = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[letter])
    return "".join(letters)


def render_user_code(user_code: str) -> str:
    """As people read it: `WDJB-MJHT`."""
    half = _LENGTH // 2
    return f"{user_code[:half]}-{user_code[half:]}"


def parse_user_code(typed: str) -> str | None:
    """The code that was meant, whatever its case, width, hyphens and spaces; None for what cannot be one."""
    if len(typed) > _MAX_TYPED_LENGTH:
        return None
    text = "".join(c for c in normalize("NFKC", typed).upper() if c.isalnum()).translate(_LOOK_ALIKES)
    return text if len(text) == _LENGTH and set(_ALPHABET).issuperset(text) else None
