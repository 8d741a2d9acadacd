"""Parameters of an `application/x-www-form-urlencoded` body or query (RFC 6749 §3.1, §3.2, Appendix B)."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote_to_bytes, urlencode

from latchstring.protocol.errors import OAuthError

MAX_PARAMETERS: Final = 64
MAX_NAME_LENGTH: Final = 128
MAX_VALUE_LENGTH: Final = 8192
# RFC 8707 §2 and RFC 8693 §2.1 let these two stand more than once.
_MAY_REPEAT: Final = frozenset({"resource", "audience"})
_HEX: Final = frozenset("0123456789abcdefABCDEF")


class Parameters(dict[str, str]):
    """One value a name. An empty value counts as omitted (OAuth 2.1 §3.1); `repeated` names what stood twice."""

    __slots__ = ("lists", "repeated")

    def __init__(self, values: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(values)
        self.repeated: set[str] = set()
        self.lists: dict[str, list[str]] = {}

    def __repr__(self) -> str:
        return f"Parameters({', '.join(self)})"  # names alone: values are credentials as often as not

    def refuse_repeats(self) -> None:
        """Refuse a request in which a parameter stands twice (RFC 6749 §3.2)."""
        if self.repeated:
            raise OAuthError("invalid_request", "A parameter is included more than once.")


def _refuse_malformed() -> OAuthError:
    return OAuthError("invalid_request", "The parameters are not valid application/x-www-form-urlencoded UTF-8.")


def render_parameters(parameters: Parameters, names: Collection[str]) -> str:
    """Those of the parameters as a query string, repeated ones too."""
    pairs = [(name, value) for name, value in parameters.items() if name in names]
    pairs += [(name, value) for name, values in parameters.lists.items() if name in names for value in values]
    return urlencode(pairs)


def _decode(raw: str) -> str:
    """Undo one name's or value's form encoding."""
    if "+" in raw:
        raw = raw.replace("+", " ")
    if "%" not in raw:
        return raw
    for part in raw.split("%")[1:]:
        if not (len(part) >= 2 and part[0] in _HEX and part[1] in _HEX):
            raise _refuse_malformed()
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise _refuse_malformed() from None


def parse_parameters(raw: bytes) -> Parameters:
    """Read a form body or query string; refuses what is malformed, oversized or too many. Linear in its input.

    Repeats are noted, not refused: the authorization endpoint must first know which name repeats.
    """
    parameters = Parameters()
    if not raw:
        return parameters
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise _refuse_malformed() from None
    if "\0" in text or "%00" in text:
        raise _refuse_malformed()  # no parameter has a use for it, and not every database keeps it
    is_encoded = "%" in text or "+" in text
    pairs = text.split("&", MAX_PARAMETERS)
    if len(pairs) > MAX_PARAMETERS:
        raise OAuthError("invalid_request", "There are too many parameters.")
    seen: set[str] = set()
    for pair in pairs:
        if not pair:
            continue
        name, _, value = pair.partition("=")
        if is_encoded:
            name, value = _decode(name), _decode(value)
        if len(name) > MAX_NAME_LENGTH or len(value) > MAX_VALUE_LENGTH:
            raise OAuthError("invalid_request", "A parameter is too long.")
        if name in _MAY_REPEAT:
            if value:
                parameters.lists.setdefault(name, []).append(value)
        elif name in seen:
            parameters.repeated.add(name)
        else:
            seen.add(name)
            if value:
                parameters[name] = value
    return parameters
