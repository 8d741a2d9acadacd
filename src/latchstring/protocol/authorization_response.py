"""The authorization answer: parameters added to a redirect URI (RFC 6749 §4.1.2, RFC 9207 §2), or posted to it."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

QUERY: Final = "query"
FORM_POST: Final = "form_post"
# OAuth 2.0 Multiple Response Types §2.1, OAuth 2.0 Form Post Response Mode §2.
RESPONSE_MODES: Final = (QUERY, FORM_POST)


def render_redirect(redirect_uri: str, parameters: Mapping[str, str | None]) -> str:
    """The redirect URI with the parameters added to its query; its own query stays as registered.

    Values are percent-encoded byte for byte, so `state` comes back as it was sent.
    """
    query = "&".join(f"{name}={quote(value, safe='-._~')}" for name, value in parameters.items() if value is not None)
    if "?" not in redirect_uri:
        return f"{redirect_uri}?{query}"
    separator = "" if redirect_uri.endswith(("?", "&")) else "&"
    return f"{redirect_uri}{separator}{query}"
