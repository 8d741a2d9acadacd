"""Credentials cut to their first characters, for people to see: `ls_at_AbCd…`."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote_plus, urlsplit, urlunsplit

_FORM_SECRETS: Final = frozenset(
    {
        "access_token", "actor_token", "assertion", "client_assertion", "client_secret", "code",
        "code_verifier", "device_code", "id_token", "password", "refresh_token", "state", "subject_token",
        "token",
    }
)  # fmt: skip
_JSON_SECRETS: Final = frozenset(
    {
        "access_token", "client_secret", "device_code", "id_token", "refresh_token",
        "registration_access_token", "token",
    }
)  # fmt: skip
_TOKENS: Final = frozenset({"access_token", "refresh_token", "token"})
_LONG: Final = 24
_HEADER_SECRETS: Final = frozenset({"authorization", "cookie", "dpop", "proxy-authorization", "set-cookie"})
_PREFIXED: Final = re.compile(r"\b([a-z][a-z0-9]{1,11}_(?:ac|at|dc|rt|cs|ia|ra)_)([0-9A-Za-z]{4})[0-9A-Za-z]+")


def redact(secret: str) -> str:
    """The first characters of a credential, at most a quarter of it, after its public prefix."""
    match = _PREFIXED.fullmatch(secret)
    if match:
        return f"{match[1]}{match[2]}…"
    return secret[: min(4, len(secret) // 4)] + "…"


def redact_token(token: str) -> str:
    """`redact`, and a fingerprint that tells one token from the next: `ls_rt_AbCd… #3f9a`.

    Tokens of one grant may begin alike. Only a long one has a fingerprint: a short one could be guessed from it.
    """
    fingerprint = f" #{hashlib.sha256(token.encode()).hexdigest()[:4]}" if len(token) >= _LONG else ""
    return redact(token) + fingerprint


def scrub(text: str) -> str:
    """The text with every prefixed credential in it cut."""
    return _PREFIXED.sub(r"\1\2…", text)


def redact_form(form: Mapping[str, str]) -> dict[str, str]:
    """A form or query with its credentials cut, in the order given."""
    return {name: _cut(name, value) if name in _FORM_SECRETS else scrub(value) for name, value in form.items()}


def redact_url(url: str) -> str:
    """The URL with the credentials in its query cut, and without user information and fragment."""
    parts = urlsplit(url)
    pairs = []
    for pair in parts.query.split("&") if parts.query else []:
        name, equals, value = pair.partition("=")
        if unquote_plus(name) in _FORM_SECRETS:
            value = quote(redact(unquote_plus(value)).removesuffix("…")) + "…"
        pairs.append(f"{name}{equals}{value}")
    return scrub(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "&".join(pairs), "")))


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with credentials cut; an authorization scheme stays readable."""
    shown = {}
    for name, value in headers.items():
        if name.lower() in _HEADER_SECRETS or name.lower().endswith("-token"):
            scheme, space, secret = value.partition(" ")
            if space and scheme.isalpha():
                value = f"{scheme} {redact_token(secret) if scheme.lower() == 'bearer' else redact(secret)}"
            else:
                value = redact(value)
        shown[name] = scrub(value)
    return shown


def redact_json(value: object) -> object:
    """A decoded JSON value with the credentials in it cut, at any depth."""
    if isinstance(value, Mapping):
        return {
            name: _cut(name, item) if name in _JSON_SECRETS and isinstance(item, str) else redact_json(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [redact_json(item) for item in value]
    return scrub(value) if isinstance(value, str) else value


def _cut(name: str, secret: str) -> str:
    return redact_token(secret) if name in _TOKENS else redact(secret)
