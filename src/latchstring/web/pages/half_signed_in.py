"""A browser whose person has entered the password, and is still to show the second factor."""

from typing import Final

import msgspec
from starlette.responses import Response

from latchstring.web.pages.page import Page

LIFETIME: Final = 600
_HALF: Final = b"half-signed-in"


class HalfSignedIn(msgspec.Struct, frozen=True):
    """Whose password it was, when, and where they are going. The page carries it, sealed and bound to the browser."""

    user_id: str
    at: int
    continue_to: str


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(HalfSignedIn)


def ask_for_code(page: Page, half: HalfSignedIn, *, error: str | None = None, status: int = 200) -> Response:
    """The page that asks for a code."""
    sealed = page.services.codec.render_page_value(_HALF, page.cookie.encode(), _encode(half))
    # The answer may lead through the authorization endpoint to an app.
    form_action = "'self' https: http://127.0.0.1:* http://localhost:*"
    return page.render("sign_in_code.html", {"half": sealed, "error": error}, status, form_action=form_action)


def open_half(page: Page, sealed: str) -> HalfSignedIn | None:
    """What this browser's page carried, while it counts."""
    raw = page.services.codec.parse_page_value(_HALF, page.cookie.encode(), sealed)
    half = None if raw is None else _decoder.decode(raw)
    return half if half is not None and page.services.clock() - half.at <= LIFETIME else None
