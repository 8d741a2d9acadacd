"""Nonces that a server gives out for DPoP proofs (RFC 9449 §8, §9): the time, and a MAC over it.

Nothing is kept, and every process with the key accepts what another one gave out.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from hmac import compare_digest
from typing import Final

PERIOD: Final = 60
"""Seconds for which the same nonce is given out; it is accepted for at most as long again after that."""

_SLOT_SIZE: Final = 5
_MAC_SIZE: Final = 16
_LENGTH: Final = (_SLOT_SIZE + _MAC_SIZE) * 4 // 3


def render_nonce(key: bytes, now: int) -> str:
    """The nonce of this moment."""
    return _render_slot(key, now // PERIOD)


def verify_nonce(keys: Iterable[bytes], nonce: str, now: int) -> bool:
    """Whether a server with one of the keys gave the nonce out in this period or in the last one.

    The next one counts as well: the clock of the server that gave it out may be ahead.
    """
    if len(nonce) != _LENGTH or not nonce.isascii():
        return False
    try:
        slot = int.from_bytes(urlsafe_b64decode(nonce)[:_SLOT_SIZE], "big")
    except Base64Error:
        return False
    if abs(now // PERIOD - slot) > 1:
        return False
    return any(compare_digest(_render_slot(key, slot), nonce) for key in keys)


def _render_slot(key: bytes, slot: int) -> str:
    body = slot.to_bytes(_SLOT_SIZE, "big")
    mac = hashlib.blake2b(body, digest_size=_MAC_SIZE, key=key, person=b"dpop-nonce").digest()
    return urlsafe_b64encode(body + mac).decode("ascii")
