"""The one cookie that carries a browser's session, signed in or not."""

from typing import Final

from latchstring.authorization_server.settings import Settings

LANGUAGE_COOKIE: Final = "lang"


def session_cookie_name(settings: Settings) -> str:
    """`__Host-` where TLS allows it, so that no neighbour domain can plant the cookie. That name is for a host's only
    server; below a path, where another may be beside this one, `__Secure-` is what there is."""
    if not settings.is_https:
        return "latchstring_session"
    return "__Secure-latchstring_session" if settings.base_path else "__Host-latchstring_session"


def render_session_cookie(settings: Settings, value: str) -> str:
    """The `Set-Cookie` value: not for scripts, not on cross-site posts, gone with the browser session's end
    or the session's own."""
    secure = "; Secure" if settings.is_https else ""
    return (
        f"{session_cookie_name(settings)}={value}; Path={settings.base_path or '/'}; HttpOnly; SameSite=Lax; "
        f"Max-Age={settings.session_lifetime}{secure}"
    )


def is_session_cookie(value: str) -> bool:
    """Whether the value has the form of one of ours: 64 hexadecimal digits."""
    return len(value) == 64 and all(c in "0123456789abcdef" for c in value)
