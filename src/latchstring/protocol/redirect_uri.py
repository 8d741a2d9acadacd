"""Which redirect URIs may be registered, and which request matches (RFC 6749 §3.1.2, RFC 8252 §7, RFC 9700 §2.1)."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

MAX_REDIRECT_URI_LENGTH: Final = 2000
_ALLOWED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?[]@!$&'()+,;=%")
_DANGEROUS_SCHEMES: Final = frozenset({"javascript", "data", "file", "vbscript", "blob", "about", "view-source"})
_LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "::1", "localhost"})
# What an authorization answer adds; a registered URI that already carries one could plant it.
_RESPONSE_PARAMETERS: Final = frozenset(
    {"code", "state", "iss", "error", "error_description", "error_uri", "access_token", "id_token", "response"}
)
_PRIVATE_SCHEME: Final = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+", re.ASCII)
_LOOPBACK_IP: Final = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::([0-9]{1,5}))?(/.*)?", re.ASCII)


class RedirectUriRefused(ValueError):
    """The URI cannot be registered; the message says why, `code` is a stable name for the same."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


def verify_registrable(uri: str) -> None:
    """Refuse a redirect URI that no app may register. Raises `RedirectUriRefused`."""
    if not uri:
        raise RedirectUriRefused("not_absolute", "The redirect URI is empty.")
    if len(uri) > MAX_REDIRECT_URI_LENGTH:
        raise RedirectUriRefused("too_long", "The redirect URI is longer than 2,000 characters.")
    if "#" in uri:
        raise RedirectUriRefused("with_fragment", "A redirect URI has no fragment: leave out the # and what follows.")
    if "*" in uri:
        raise RedirectUriRefused("with_wildcard", "A redirect URI has no wildcard; register each URI in full.")
    if not _ALLOWED.issuperset(uri):
        raise RedirectUriRefused("unusable", "The redirect URI has a character that does not belong in a URI.")
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise RedirectUriRefused("unusable", "The redirect URI is malformed.") from None
    if not parts.scheme or not uri.startswith(parts.scheme + ":"):
        raise RedirectUriRefused(
            "not_absolute", "The redirect URI starts with its scheme in small letters, such as https://."
        )
    if parts.scheme in _DANGEROUS_SCHEMES:
        raise RedirectUriRefused("dangerous_scheme", f"The scheme {parts.scheme}: is not allowed.")
    if parts.scheme in {"https", "http"}:
        if not uri.startswith(parts.scheme + "://") or not host:
            raise RedirectUriRefused("not_absolute", "The redirect URI names no host.")
        if "@" in parts.netloc:
            raise RedirectUriRefused("with_user", "A redirect URI has no user name or password.")
        if port == 0:
            raise RedirectUriRefused("unusable", "The port 0 is not a port.")
        if parts.scheme == "http" and host not in _LOOPBACK_HOSTS:
            raise RedirectUriRefused(
                "not_https", "The redirect URI uses https; plain http is only for 127.0.0.1, [::1] and localhost."
            )
    elif not _PRIVATE_SCHEME.fullmatch(parts.scheme):
        raise RedirectUriRefused(
            "private_scheme", "A scheme of your own contains a dot, such as com.example.app:/callback."
        )
    path = parts.path.lower().replace("%2e", ".").replace("%2f", "/")
    if any(segment.partition(";")[0] in {".", ".."} for segment in path.split("/")):
        raise RedirectUriRefused("dot_segments", "The redirect URI's path has no dot segments.")
    if any(name in _RESPONSE_PARAMETERS for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise RedirectUriRefused(
            "reserved_parameter",
            "The redirect URI's query has a name that the answer uses, such as code, state, iss or error.",
        )


def find_registered(requested: str, registered: Sequence[str]) -> bool:
    """Whether the requested URI is registered: equal byte for byte, or a loopback IP literal registered
    without a port and requested with one (RFC 8252 §7.3)."""
    if requested in registered:
        return True
    match = _LOOPBACK_IP.fullmatch(requested)
    if match is None or match[2] is None or not 0 < int(match[2]) < 65536:
        return False
    return match[1] + (match[3] or "") in registered


def redirect_host(uri: str) -> str:
    """What a person is told they will return to: the host, or the scheme of an app on their device."""
    parts = urlsplit(uri)
    return parts.netloc or parts.scheme + ":"


def is_loopback(uri: str) -> bool:
    """Whether the URI leads to a program on the reader's own computer."""
    parts = urlsplit(uri)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK_HOSTS


def is_web_address(uri: str) -> bool:
    """Whether the URI is one that a browser itself opens, and not an app's own scheme."""
    return urlsplit(uri).scheme in {"https", "http"}
