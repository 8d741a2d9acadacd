"""What the pages of every framework share: whose browser it is, what must spend nothing, what a failure looks like."""

import logging
import secrets
from collections.abc import Mapping, MutableMapping
from math import ceil
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from latchstring.client.errors import CallbackRefused, ClientError, Declined, Misconfigured, TemporaryFailure
from latchstring.client.prefetch import is_prefetch

_SESSION_KEY: Final = "latchstring_browser"
_log: Final = logging.getLogger("latchstring.client")
# A page about a callback is nobody's to keep, and its address has the code.
HEADERS: Final[Mapping[str, str]] = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of one sentence for the person."""

    status: int
    text: str
    headers: Mapping[str, str] = msgspec.field(default_factory=lambda: HEADERS)


_OF_ANOTHER: Final = frozenset({"organization_changed", "user_changed"})
NOT_NOW: Final = Page(status=503, text="Not now.")


def find_callback_path(redirect_uri: str) -> str:
    """The path that the callback comes to: the one that is registered. Refuses a URI without one."""
    parts = urlsplit(redirect_uri)
    if parts.scheme not in {"http", "https"} or len(parts.path) < 2:
        raise Misconfigured("argument_refused", "The redirect_uri has no path that a web app could answer at.")
    return parts.path


def must_spend_nothing(method: str, headers: Mapping[str, str]) -> bool:
    """Whether nobody is there yet: the browser looks ahead, or something only looks whether the address is good."""
    return method != "GET" or is_prefetch(headers)


def make_browser_session(session: MutableMapping[str, Any]) -> str:
    """A value that only this browser's session has, put there when it first begins."""
    value = find_browser_session(session)
    if not value:
        value = session[_SESSION_KEY] = secrets.token_urlsafe(32)
    return value


def find_browser_session(session: Mapping[str, Any]) -> str:
    """The value, "" in a session where nothing was begun."""
    value = session.get(_SESSION_KEY, "")
    return value if isinstance(value, str) else ""


def refuse_stranger(browser_session: str) -> None:
    """Refuse a callback in a browser where nothing was begun."""
    if not browser_session:
        raise CallbackRefused("state_mismatch", "Nothing was begun in this browser's session.")


def render_failure(error: ClientError) -> Page:
    """The page where the app has none of its own; what is the developer's business goes to the log."""
    if isinstance(error, Declined):
        return Page(status=200, text="Nothing was connected.")
    if isinstance(error, TemporaryFailure):
        wait = {} if error.retry_after is None else {"Retry-After": str(ceil(error.retry_after))}
        text = "The other side does not answer. Please try again in a minute."
        return Page(status=503, text=text, headers={**HEADERS, **wait})
    if error.code in _OF_ANOTHER:
        text = "That was another account or organization than the connection's. Nothing was changed."
        return Page(status=403, text=text)
    if isinstance(error, CallbackRefused):
        return Page(status=400, text="This link is not for this browser, or it was used. Please connect again.")
    _log.error("Connecting failed: %s", error)
    return Page(status=502, text="It could not be connected. The app's developer has to look into it.")
