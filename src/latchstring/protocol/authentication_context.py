"""How a person signed in, in one word: authentication context class references (OpenID Connect Core §2, RFC 9470)."""

from collections.abc import Collection
from typing import Final

from latchstring.protocol.errors import OAuthError

PASSWORD: Final = "pwd"
MULTI_FACTOR: Final = "mfa"
# OpenID Connect EAP ACR Values §2; the other two are named as in RFC 8176 §2.
PHISHING_RESISTANT: Final = "phr"
# From the weakest to the strongest: each meets those before it.
ACR_VALUES: Final = (PASSWORD, MULTI_FACTOR, PHISHING_RESISTANT)
_MAX_VALUES: Final = 20
_FORBIDDEN: Final = frozenset('"\\')


def parse_acr_values(text: str | None) -> tuple[str, ...]:
    """The values, in order of preference, each once (OpenID Connect Core §3.1.2.1)."""
    if text is None:
        return ()
    values = tuple(dict.fromkeys(text.split(" ")))
    if len(values) > _MAX_VALUES or not all(is_acr_value(value) for value in values):
        raise OAuthError("invalid_request", "acr_values is not a list of names, separated by single spaces.")
    return values


def is_acr_value(value: str) -> bool:
    """Whether it can stand in `acr_values`, in a request and in a challenge: visible ASCII, no quotes, no backslash."""
    return bool(value) and all("!" <= character <= "~" for character in value) and _FORBIDDEN.isdisjoint(value)


def meets(acr: str | None, wanted: Collection[str]) -> bool:
    """Whether a sign-in does for any of what is wanted; everything does where nothing is.

    A name that stands in no order is met by itself alone, and an unknown sign-in (None) meets nothing.
    """
    if not wanted:
        return True
    if acr is None:
        return False
    return acr in wanted or (
        acr in ACR_VALUES and any(value in ACR_VALUES[: ACR_VALUES.index(acr)] for value in wanted)
    )
