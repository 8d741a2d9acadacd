"""Proof Key for Code Exchange, S256 only (RFC 7636; RFC 9700 §2.1.1)."""

import hashlib
from base64 import urlsafe_b64encode
from hmac import compare_digest
from typing import Final

_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_BASE64URL: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
S256: Final = "S256"


def is_code_verifier(text: str) -> bool:
    """Whether the text is 43 to 128 unreserved characters (RFC 7636 §4.1)."""
    return 43 <= len(text) <= 128 and _UNRESERVED.issuperset(text)


def is_code_challenge(text: str) -> bool:
    """Whether the text can be an S256 challenge: 43 base64url characters (RFC 7636 §4.2)."""
    return len(text) == 43 and _BASE64URL.issuperset(text)


def code_challenge(code_verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636 §4.2)."""
    digest = hashlib.sha256(code_verifier.encode("ascii")).digest()
    return urlsafe_b64encode(digest)[:43].decode("ascii")


def verify_code_verifier(code_verifier: str, challenge: str) -> bool:
    """Whether the verifier hashes to the challenge (RFC 7636 §4.6)."""
    return is_code_verifier(code_verifier) and compare_digest(code_challenge(code_verifier), challenge)
