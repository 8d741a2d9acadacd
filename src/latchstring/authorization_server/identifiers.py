"""Identifiers as outside programs see them: a word for the kind, an underscore, 22 letters and digits."""

import hashlib
from typing import Final

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

USER: Final = "user"
ORGANIZATION: Final = "orga"
CLIENT: Final = "oa2client"
RESOURCE_SERVER: Final = "oa2resource"
GRANT: Final = "grant"
ACCESS_REQUEST: Final = "accreq"

ID_ENTROPY_SIZE: Final = 16


def render_identifier(kind: str, raw: bytes) -> str:
    """The identifier of 16 bytes; never reused, since they are fresh random ones (or a grant's own)."""
    number = int.from_bytes(raw, "big")
    digits = []
    for _ in range(22):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return f"{kind}_{''.join(reversed(digits))}"


def parse_identifier(kind: str, text: str) -> bytes | None:
    """The 16 bytes of an identifier of that kind, or None."""
    prefix = kind + "_"
    digits = text[len(prefix) :]
    if not text.startswith(prefix) or len(digits) != 22:
        return None
    number = 0
    for digit in digits:
        value = _DIGITS.find(digit)
        if value < 0:
            return None
        number = number * 62 + value
    return number.to_bytes(ID_ENTROPY_SIZE, "big") if number < 1 << 128 else None


def derive_client_id(public_id: str) -> str:
    """The short id, in rows and tokens, of a client that goes by a long one of its own."""
    return render_identifier(CLIENT, hashlib.sha256(public_id.encode()).digest()[:ID_ENTROPY_SIZE])


def new_grant_id(now: int, entropy: bytes) -> bytes:
    """16 bytes that sort by creation time (seconds), so that new rows lie together; 96 bits are random."""
    return now.to_bytes(4, "big") + entropy


def find_made_at(grant_id: bytes) -> int:
    """When the grant of that id was made, in epoch seconds; of an id that was never given out it means nothing."""
    return int.from_bytes(grant_id[:4], "big")
