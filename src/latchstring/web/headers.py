"""Headers of every page: what the browser may load, who may frame it, what may be kept (RFC 9700 §4.2, §4.16)."""

from typing import Final
from urllib.parse import quote, urlsplit

from latchstring.authorization_server.settings import Settings
from latchstring.web.asgi import Header

# Of documents that programs discover: the same for everybody, and kept for minutes.
PUBLIC_DOCUMENT: Final[list[Header]] = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"public, max-age=300"),
    (b"access-control-allow-origin", b"*"),
]

_LOOPBACK: Final = "http://127.0.0.1:* http://localhost:*"


def render_page_headers(settings: Settings, form_action: str = "'self'") -> dict[str, str]:
    """The headers. `form_action` widens where a form's answer may lead the browser (Chromium checks the whole
    chain of redirects after a post)."""
    headers = {
        "content-security-policy": (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; "
            f"form-action {form_action}; frame-ancestors 'none'; base-uri 'none'"
        ),
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        "permissions-policy": "camera=(), microphone=(), geolocation=()",
    }
    if settings.is_https:
        headers["strict-transport-security"] = "max-age=31536000"
    return headers


def form_action_for(redirect_uri: str) -> str:
    """Where a flow page's form may end: here, any https site (an app may send people on), and the app's own
    scheme or loopback program. CSP has no way to write an IPv6 host."""
    parts = urlsplit(redirect_uri)
    if parts.scheme == "https":
        return "'self' https:"
    if parts.scheme == "http" and parts.hostname != "::1":
        return f"'self' https: {_LOOPBACK}"
    return f"'self' https: {parts.scheme}:"


def form_action_to(redirect_uri: str) -> str:
    """Where a form that carries an answer may end: at this very address, and wherever its answer sends people on, which
    is https or, for a loopback program, loopback (`docs/decisions/0005`). CSP knows no query, and no IPv6 host."""
    parts = urlsplit(redirect_uri)
    if parts.netloc.startswith("["):
        return f"{parts.scheme}: https:"
    address = f"{parts.scheme}://{parts.netloc}{quote(parts.path, safe='/%:@!$&()*+=~')}"
    return f"{address} https:" if parts.scheme == "https" else f"{address} https: {_LOOPBACK}"
