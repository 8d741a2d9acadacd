"""The https URLs at which others keep documents for us: a key set, a client's metadata (RFC 7517, RFC 7591 §2)."""

from typing import Final
from urllib.parse import urlsplit

import msgspec

MAX_HTTPS_URL_LENGTH: Final = 2000
_ALLOWED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?[]@!$&'()*+,;=%")


class HttpsUrl(msgspec.Struct, frozen=True):
    """Where a document is: whom to ask, by which name, for what. `host` is in small letters, without brackets."""

    host: str
    port: int
    authority: str
    target: str


def parse_https_url(url: str) -> HttpsUrl:
    """Read an absolute https URL; raises `ValueError` with the reason for every other, before anything is fetched.

    It has no user information and no fragment, and its host is written in ASCII.
    """
    if len(url) > MAX_HTTPS_URL_LENGTH:
        raise ValueError("it is longer than 2,000 characters")
    if not _ALLOWED.issuperset(url):
        raise ValueError("it has a fragment or a character that does not belong in a URL")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("its host or port is malformed") from None
    if not url.startswith("https://") or not host:
        raise ValueError("it is not an absolute https URL")
    if "@" in parts.netloc:
        raise ValueError("it has a user name or password")
    if port == 0 or "%" in parts.netloc or parts.netloc.endswith(":"):
        raise ValueError("its host or port is malformed")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return HttpsUrl(host, 443 if port is None else port, parts.netloc, target)
