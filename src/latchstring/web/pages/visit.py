"""A browser's way through an authorization request, carried in the addresses of our own that it comes back to.

It is sealed for that browser's cookie and that very request, so that nobody can make or take a proof of another's
sign-in; whoever changes the cookie carries it over.
"""

from typing import Final

import msgspec

from latchstring.authorization_server.interaction import Visit
from latchstring.web.pages.page import Page

_VISIT: Final = b"visit"
_MARK: Final = "&visit="
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Visit)


def open_visit(page: Page, location: str) -> tuple[str, Visit | None]:
    """The address, or query, without the visit in it, and the visit if it is this browser's and not over."""
    address, mark, sealed = location.rpartition(_MARK)
    if not mark:
        return location, None
    raw = page.services.codec.parse_page_value(_VISIT, _bind(page, address), sealed)
    visit = None if raw is None else _decoder.decode(raw)
    return address, None if visit is None or visit.is_over(page.services.clock()) else visit


def render_visit(page: Page, address: str, visit: Visit) -> str:
    """The address with the visit in it, for the cookie that the browser has from this answer on."""
    sealed = page.services.codec.render_page_value(_VISIT, _bind(page, address), _encode(visit))
    return f"{address}{_MARK}{sealed}"


def _bind(page: Page, address: str) -> bytes:
    return f"{page.cookie}?{address.rpartition('?')[2]}".encode()
